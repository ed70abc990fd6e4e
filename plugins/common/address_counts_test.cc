#include "plugins/common/address_counts.h"

#include <gtest/gtest.h>

namespace viaduct {
namespace {

TEST(AddressCounts, KnowsAddressesOfBothFamilies) {
  EXPECT_EQ(AddressOfPeer("192.0.2.7:51234"), "192.0.2.7");
  EXPECT_EQ(AddressOfPeer("[2001:db8::7]:51234"), "2001:db8::7");
  EXPECT_EQ(AddressOfPeer("unknown"), "unknown");
  EXPECT_EQ(AddressOfPeer("["), "[");
  EXPECT_EQ(AddressOfPeer("[:"), "");
}

TEST(AddressCounts, TakesASiteOfIpv6ForOneAddress) {
  EXPECT_EQ(CountedAddress("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(CountedAddress("::ffff:192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(CountedAddress("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
  EXPECT_EQ(CountedAddress("2001:db8:1:2::9"), "2001:db8:1:2::");
  EXPECT_EQ(CountedAddress("fe80::1%eth0"), "fe80::");
  EXPECT_EQ(CountedAddress("unknown"), "unknown");
}

TEST(AddressCounts, RefusesOneMoreAndForgetsThoseThatWent) {
  AddressCounts counts(2);
  EXPECT_TRUE(counts.Add("a"));
  EXPECT_TRUE(counts.Add("a"));
  EXPECT_FALSE(counts.Add("a"));
  EXPECT_TRUE(counts.Add("b"));
  counts.Remove("a");
  EXPECT_TRUE(counts.Add("a"));
  EXPECT_FALSE(counts.Add("a"));
  counts.Remove("stranger");
}

}  // namespace
}  // namespace viaduct
