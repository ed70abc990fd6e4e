// Client and server of this plugin over TLS: what the server learns of its client, and who is
// refused by whom.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "plugins/common/http_call.h"
#include "plugins/common/testing/test_identity.h"
#include "plugins/common/tls_channel.h"
#include "plugins/rest/http_client.h"
#include "plugins/rest/sync_server.h"
#include "tests/support/test_folder.h"

namespace viaduct::rest {
namespace {

using support::Eventually;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class HttpTlsTest : public ::testing::Test {
 protected:
  HttpTlsTest() : authority_(TestIdentity::Make({"authority", "", -60, 86'400, true})) {
    authority_.WriteCertificate(folder_ / "ca");
    TestIdentity::Make({"server"}, &authority_).Write(folder_ / "crt", folder_ / "key");
    options_.port = 0;
    options_.tls = {folder_ / "crt", folder_ / "key", "", ClientCertificate::kNone,
                    TlsVersion::k12};
    client_options_.tls.ca_file = folder_ / "ca";
    client_options_.connections = 1;
  }
  ~HttpTlsTest() override { client_.reset(); }

  void Serve() {
    server_ = std::make_unique<SyncServer>(options_, [this](const HttpRequest& request) {
      absl::MutexLock lock(&mutex_);
      request_ = request;
      const auto id = nlohmann::json::parse(request.body)["message_id"];
      return HttpReply{
          200,
          {{"content-type", "application/json"}},
          nlohmann::json{{"results", {{{"message_id", id}, {"status", "stored"}}}}}.dump()};
    });
    const absl::Status started = (*server_)->Start();
    ASSERT_TRUE(started.ok()) << started;
  }
  // What became of one message.
  DeliveryResult Send(const std::string& host = "localhost") {
    client_options_.base_url = absl::StrCat("https://", host, ":", (*server_)->port());
    DeliveryResult result;
    bool done = false;
    client_ = std::make_unique<HttpClient>(
        client_options_,
        [&](absl::Span<const DeliveryResult> results) {
          absl::MutexLock lock(&mutex_);
          result = results[0];
          done = true;
        },
        [](const std::string&) {});
    const absl::Status started = client_->Start();
    EXPECT_TRUE(started.ok()) << started;
    HttpDelivery delivery;
    delivery.message_id = "m1";
    delivery.body = R"({"message_id":"m1"})";
    EXPECT_TRUE(client_->Take(std::move(delivery)));
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&done), support::kDeadline);
    EXPECT_TRUE(done);
    return result;
  }
  void ShowToServer(const std::string& name, const TestIdentity& issuer) {
    client_options_.tls.certificate = folder_ / "me.crt";
    client_options_.tls.key = folder_ / "me.key";
    TestIdentity::Make({name, "URI:urn:viaduct:device:" + name}, &issuer)
        .Write(client_options_.tls.certificate, client_options_.tls.key);
  }
  int Connect() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = support::LoopbackAddress((*server_)->port());
    EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }

  support::TestFolder folder_;
  TestIdentity authority_;
  HttpServerOptions options_;
  HttpClientOptions client_options_;
  absl::Mutex mutex_;
  HttpRequest request_;
  std::unique_ptr<SyncServer> server_;
  std::unique_ptr<HttpClient> client_;
};

TEST_F(HttpTlsTest, CarriesMessages) {
  Serve();
  EXPECT_EQ(Send().outcome, DeliveryOutcome::kDurable);
  EXPECT_EQ(Send("127.0.0.1").outcome, DeliveryOutcome::kDurable);
  EXPECT_EQ(request_.certificate, nullptr);
}

TEST_F(HttpTlsTest, HandsTheClientsCertificateOverAsCredentials) {
  options_.tls.client_ca = folder_ / "ca";
  options_.tls.client_certificate = ClientCertificate::kRequired;
  Serve();
  EXPECT_EQ(Send().outcome, DeliveryOutcome::kRetry) << "it shows none";
  ShowToServer("CAM001", authority_);
  ASSERT_EQ(Send().outcome, DeliveryOutcome::kDurable);
  const CallFields fields = FieldsOf(request_);
  ASSERT_THAT(fields.credentials, SizeIs(3));
  EXPECT_EQ(sdk::Text(fields.credentials[0].name), "certificate_sha256");
  EXPECT_THAT(std::string(sdk::Text(fields.credentials[0].value)), SizeIs(64));
  EXPECT_EQ(sdk::Text(fields.credentials[1].name), "certificate_subject");
  EXPECT_EQ(sdk::Text(fields.credentials[1].value), "CN=CAM001");
  EXPECT_EQ(sdk::Text(fields.credentials[2].name), "certificate_san");
  EXPECT_EQ(sdk::Text(fields.credentials[2].value), "URI:urn:viaduct:device:CAM001");
  const TestIdentity stranger = TestIdentity::Make({"stranger", "", -60, 86'400, true});
  ShowToServer("CAM001", stranger);
  EXPECT_EQ(Send().outcome, DeliveryOutcome::kRetry);
  // The alert is on its way before it is counted.
  EXPECT_TRUE(Eventually([&] { return (*server_)->stats().failed_handshakes >= 2; }));
}

TEST_F(HttpTlsTest, AClientSendsNothingToTheWrongServer) {
  TestIdentity::Make({"elsewhere", "DNS:elsewhere.example"}, &authority_)
      .Write(folder_ / "crt", folder_ / "key");
  Serve();
  const DeliveryResult result = Send();
  EXPECT_EQ(result.outcome, DeliveryOutcome::kRetry);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("SSL"));
  EXPECT_EQ((*server_)->stats().requests, 0u);
}

TEST_F(HttpTlsTest, ARenewedCertificateIsShownFromTheNextConnectionOn) {
  options_.tls.client_ca = folder_ / "ca";
  options_.tls.client_certificate = ClientCertificate::kRequired;
  Serve();
  ShowToServer("CAM001", authority_);
  ASSERT_EQ(Send().outcome, DeliveryOutcome::kDurable);
  const std::string first = request_.certificate->sha256;
  TestIdentity::Make({"server"}, &authority_).Write(folder_ / "crt", folder_ / "key");
  EXPECT_EQ((*server_)->tls()->Look(absl::Now()), ListenerTls::Seen::kTaken);
  ShowToServer("CAM001", authority_);
  ASSERT_EQ(Send().outcome, DeliveryOutcome::kDurable);
  EXPECT_NE(request_.certificate->sha256, first);
}

TEST_F(HttpTlsTest, CutsHandshakesThatTakeTooLong) {
  options_.tls_handshake_timeout = absl::Milliseconds(100);
  Serve();
  const int silent = Connect();
  const int slow = Connect();
  EXPECT_EQ(send(slow, "\x16\x03", 2, MSG_NOSIGNAL), 2);
  EXPECT_TRUE(Eventually([&] { return (*server_)->stats().timed_out_handshakes == 2; }));
  EXPECT_TRUE(Eventually([&] { return (*server_)->stats().connections == 0; }));
  EXPECT_EQ(Send().outcome, DeliveryOutcome::kDurable);
  close(silent);
  close(slow);
}

TEST_F(HttpTlsTest, AHandshakeUnderWayCountsAsMemory) {
  options_.max_buffered_bytes =
      2 * TlsChannel::kHandshakeBytes + 1000;  // An idle one has some, too.
  Serve();
  int sockets[3];
  for (int& fd : sockets) {
    fd = Connect();
    EXPECT_EQ(send(fd, "\x16\x03", 2, MSG_NOSIGNAL), 2);
  }
  EXPECT_TRUE(Eventually([&] { return (*server_)->stats().failed_handshakes == 1; }));
  for (const int fd : sockets) close(fd);
  EXPECT_TRUE(Eventually([&] { return (*server_)->stats().connections == 0; }));
  EXPECT_EQ(Send().outcome, DeliveryOutcome::kDurable);
}

TEST_F(HttpTlsTest, PlainTextIsNoTls) {
  Serve();
  const int fd = Connect();
  const std::string request = "GET /api/test HTTP/1.1\r\nHost: x\r\n\r\n";
  EXPECT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  EXPECT_TRUE(Eventually([&] { return (*server_)->stats().failed_handshakes == 1; }));
  close(fd);
  EXPECT_EQ((*server_)->stats().requests, 0u);
}

TEST_F(HttpTlsTest, RefusesOneMoreOfAnAddress) {
  options_.max_connections_per_address = 1;
  Serve();
  const int first = Connect();
  EXPECT_TRUE(Eventually([&] { return (*server_)->stats().connections == 1; }));
  const int second = Connect();
  char ignored = 0;
  EXPECT_EQ(recv(second, &ignored, 1, 0), 0) << "closed without a handshake";
  EXPECT_EQ((*server_)->stats().refused_of_address, 1u);
  close(first);
  close(second);
  EXPECT_TRUE(Eventually([&] { return (*server_)->stats().connections == 0; }));
  EXPECT_EQ(Send().outcome, DeliveryOutcome::kDurable);
}

}  // namespace
}  // namespace viaduct::rest
