#include "plugins/mqtt/broker_address.h"

#include <gtest/gtest.h>

namespace viaduct::mqtt {
namespace {

TEST(BrokerAddress, TakesWhatOperatorsWrite) {
  const struct {
    const char* url;
    bool tls_wanted;
    const char* host;
    int port;
    bool tls;
  } kCases[] = {
      {"lprserver", false, "lprserver", 1883, false},
      {"lprserver", true, "lprserver", 8883, true},
      {"10.0.0.7:1884", false, "10.0.0.7", 1884, false},
      {"mqtt://broker.example", false, "broker.example", 1883, false},
      {"tcp://broker:1/", false, "broker", 1, false},
      {"MQTTS://broker", false, "broker", 8883, true},
      {"ssl://broker:443", true, "broker", 443, true},
      {"tls://[fe80::1%eth0]:8884", false, "fe80::1%eth0", 8884, true},
      {"::1", false, "::1", 1883, false},
      {"[::1]", false, "::1", 1883, false},
  };
  for (const auto& c : kCases) {
    const auto address = ParseBrokerAddress(c.url, c.tls_wanted);
    ASSERT_TRUE(address.ok()) << c.url << ": " << address.status();
    EXPECT_EQ(address->host, c.host) << c.url;
    EXPECT_EQ(address->port, c.port) << c.url;
    EXPECT_EQ(address->tls, c.tls) << c.url;
  }
}

TEST(BrokerAddress, RefusesWhatIsNone) {
  for (const char* url : {"", "mqtt://", "http://broker", "broker:", "broker:0", "broker:65536",
                          "broker:18x", "broker/path", "[::1", "[::1]x", "a b", ":1883"}) {
    EXPECT_FALSE(ParseBrokerAddress(url, false).ok()) << url;
  }
}

TEST(BrokerAddress, ShowsNoPasswordThatStandsInIt) {
  const auto address = ParseBrokerAddress("mqtt://user:hunter2@broker", false);
  ASSERT_FALSE(address.ok());
  EXPECT_EQ(address.status().message().find("hunter2"), absl::string_view::npos);
}

TEST(BrokerAddress, DoesNotGiveUpTlsForAScheme) {
  EXPECT_FALSE(ParseBrokerAddress("mqtt://broker", /*tls_wanted=*/true).ok());
}

}  // namespace
}  // namespace viaduct::mqtt
