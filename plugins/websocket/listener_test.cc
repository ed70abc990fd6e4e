// The listener where its host has no room.
#include "plugins/websocket/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "plugins/common/testing/test_identity.h"
#include "plugins/websocket/client.h"
#include "tests/support/test_folder.h"

namespace viaduct::websocket {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr size_t kMaxLives = 2;

// Takes no call until it has room; keeps the methods of those that it takes.
class BusyHost {
 public:
  sdk::Host host() const { return sdk::Host(&raw_); }
  std::string url() {
    absl::MutexLock lock(&mutex_);
    return absl::StrCat("ws://127.0.0.1:", port_);
  }
  void MakeRoom() {
    absl::MutexLock lock(&mutex_);
    room_ = true;
  }
  std::map<std::string, std::string> credentials() {
    absl::MutexLock lock(&mutex_);
    return credentials_;
  }
  std::vector<std::string> AwaitCalls(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return calls_.size() >= count; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience)) << calls_.size();
    return calls_;
  }

 private:
  static BusyHost* Self(const vd_host* host) { return static_cast<BusyHost*>(host->impl); }
  static const void* Query(const vd_host*, vd_str id) {
    static const vd_host_call_1 calls = {&Call, [](const vd_host*, uint64_t) {},
                                         [](const vd_host*, const vd_reply*) {}};
    static const vd_host_log_1 log = {[](const vd_host*, uint32_t) { return 1u; }, &Write};
    if (sdk::Text(id) == VD_HOST_CALL_1) return &calls;
    return sdk::Text(id) == VD_HOST_LOG_1 ? &log : nullptr;
  }
  static int32_t Call(const vd_host* host, const vd_call* call) {
    BusyHost* const self = Self(host);
    absl::MutexLock lock(&self->mutex_);
    if (!self->room_) return VD_RESOURCE_EXHAUSTED;
    self->calls_.emplace_back(sdk::Text(call->method));
    for (uint64_t i = 0; i < call->credential_count; ++i) {
      const vd_attr& one = call->credentials[i];
      self->credentials_[std::string(sdk::Text(one.name))] = std::string(sdk::Text(one.value));
    }
    return VD_OK;
  }
  static void Write(const vd_host* host, uint32_t, vd_str, const vd_attr* fields, uint64_t count) {
    BusyHost* const self = Self(host);
    absl::MutexLock lock(&self->mutex_);
    const std::string_view port = sdk::FindAttr(fields, count, "port");
    if (!port.empty()) self->port_ = std::string(port);
  }

  const vd_host raw_ = {sizeof(vd_host), VD_ABI_MAJOR, VD_ABI_MINOR, this, &Query};
  absl::Mutex mutex_;
  std::string port_ ABSL_GUARDED_BY(mutex_);
  bool room_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> credentials_ ABSL_GUARDED_BY(mutex_);
};

// One connection.
struct Visitor {
  explicit Visitor(const std::string& url, const TlsRoadOptions& tls = {})
      : client(OptionsFor(url, tls),
               {[](absl::Span<const DeliveryResult>) {}, [this] { ready.Notify(); },
                [this](const absl::Status& status) {
                  why = std::string(status.message());
                  lost.Notify();
                }}) {
    EXPECT_TRUE(client.Start().ok());
    EXPECT_TRUE(ready.WaitForNotificationWithTimeout(kPatience));
  }
  static ClientOptions OptionsFor(const std::string& url, const TlsRoadOptions& tls) {
    ClientOptions options;
    options.tls = tls;
    options.server_url = url;
    options.raw = true;
    options.reconnect_attempts = 0;
    return options;
  }
  absl::Notification ready, lost;
  std::string why;
  Client client;
};

TEST(Listener, TakesNobodyInWhileTheHostHasNoRoomToHearOfIt) {
  BusyHost busy;
  ServerOptions options;
  options.port = 0;
  Listener listener(busy.host(), options, kMaxLives);
  ASSERT_TRUE(listener.Start().ok());
  std::vector<std::unique_ptr<Visitor>> taken_in;
  for (size_t i = 0; i < kMaxLives; ++i) {
    taken_in.push_back(std::make_unique<Visitor>(busy.url()));
  }
  Visitor refused(busy.url());
  ASSERT_TRUE(refused.lost.WaitForNotificationWithTimeout(kPatience));
  EXPECT_THAT(refused.why, HasSubstr("1013 the server is busy"));
  for (const auto& visitor : taken_in) EXPECT_FALSE(visitor->lost.HasBeenNotified());
  busy.MakeRoom();
  listener.PublishStats();
  EXPECT_THAT(busy.AwaitCalls(kMaxLives), Each("OPEN"));
  Visitor next(busy.url());
  const std::vector<std::string> calls = busy.AwaitCalls(kMaxLives + 1);
  EXPECT_THAT(calls, SizeIs(kMaxLives + 1)) << "nothing of the one that was refused";
  EXPECT_THAT(calls, Each("OPEN"));
  EXPECT_FALSE(next.lost.HasBeenNotified());
  listener.Stop();
}

TEST(Listener, HandsTheCertificateOfASessionOverAsCredentials) {
  const support::TestFolder folder;
  const TestIdentity authority = TestIdentity::Make({"authority", "", -60, 86'400, true});
  authority.WriteCertificate(folder / "ca");
  TestIdentity::Make({"server"}, &authority).Write(folder / "crt", folder / "key");
  TestIdentity::Make({"CAM001", "URI:urn:viaduct:device:CAM001"}, &authority)
      .Write(folder / "me.crt", folder / "me.key");
  BusyHost host;
  host.MakeRoom();
  ServerOptions options;
  options.port = 0;
  options.tls = {folder / "crt", folder / "key", folder / "ca", ClientCertificate::kRequired,
                 TlsVersion::k13};
  Listener listener(host.host(), options);
  ASSERT_TRUE(listener.Start().ok());
  const std::string url =
      absl::StrCat("wss://localhost:", absl::StripPrefix(host.url(), "ws://127.0.0.1:"));
  Visitor visitor(url, {folder / "ca", folder / "me.crt", folder / "me.key", TlsVersion::k12});
  Delivery delivery;
  delivery.message_id = "m1";
  delivery.envelope = R"({"message_id":"m1"})";
  ASSERT_TRUE(visitor.client.Take(std::move(delivery)));
  host.AwaitCalls(2);
  const std::map<std::string, std::string> credentials = host.credentials();
  EXPECT_THAT(credentials, SizeIs(3));
  EXPECT_THAT(credentials.at("certificate_sha256"), SizeIs(64));
  EXPECT_EQ(credentials.at("certificate_subject"), "CN=CAM001");
  EXPECT_EQ(credentials.at("certificate_san"), "URI:urn:viaduct:device:CAM001");
  listener.Stop();
}

}  // namespace
}  // namespace viaduct::websocket
