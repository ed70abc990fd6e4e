// Both ends of TLS over a pair of sockets: who is let in, and what is known of it then.
#include "plugins/common/tls_channel.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "plugins/common/testing/test_identity.h"
#include "tests/support/test_folder.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr size_t kBig = 4u << 20;

class TlsChannelTest : public ::testing::Test {
 protected:
  TlsChannelTest()
      : authority_(TestIdentity::Make({"authority", "", -60, 86'400, true})),
        stranger_(TestIdentity::Make({"stranger", "", -60, 86'400, true})) {
    authority_.WriteCertificate(folder_ / "ca");
    stranger_.WriteCertificate(folder_ / "other-ca");
    TestIdentity::Make({"server"}, &authority_).Write(folder_ / "crt", folder_ / "key");
    server_ = {folder_ / "crt", folder_ / "key", "", ClientCertificate::kNone, TlsVersion::k12};
    client_.ca_file = folder_ / "ca";
    MakeSockets();
  }
  ~TlsChannelTest() override { CloseSockets(); }

  void MakeSockets() {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets_), 0);
  }
  void CloseSockets() {
    for (const int fd : sockets_) close(fd);
  }

  void AskForCertificates(ClientCertificate how) {
    server_.client_ca = folder_ / "ca";
    server_.client_certificate = how;
  }
  void ShowToServer(const TestCertificate& what, const TestIdentity& issuer) {
    client_.certificate = folder_ / "me.crt";
    client_.key = folder_ / "me.key";
    TestIdentity::Make(what, &issuer).Write(client_.certificate, client_.key);
  }

  // True: both are through, and the client has heard nothing else.
  bool Meet(const std::string& host = "localhost") {
    const auto accepting = MakeListenerContext(server_, absl::Now());
    const auto connecting = MakeRoadContext(client_, host, absl::Now());
    EXPECT_TRUE(accepting.ok() && connecting.ok()) << accepting.status() << connecting.status();
    CloseSockets();
    MakeSockets();
    here_ = TlsChannel::Accept(accepting->context, sockets_[0]);
    there_ = TlsChannel::Connect(*connecting, sockets_[1], host);
    TlsProgress here = TlsProgress::kWantsRead;
    TlsProgress there = TlsProgress::kWantsRead;
    for (int i = 0; i < 10; ++i) {
      if (there == TlsProgress::kWantsRead) there = there_->Handshake();
      if (here == TlsProgress::kWantsRead) here = here_->Handshake();
    }
    return here == TlsProgress::kDone && there == TlsProgress::kDone;
  }

  support::TestFolder folder_;
  TestIdentity authority_;
  TestIdentity stranger_;
  TlsListenerOptions server_;
  TlsRoadOptions client_;
  int sockets_[2] = {-1, -1};
  std::unique_ptr<TlsChannel> here_;
  std::unique_ptr<TlsChannel> there_;
};

TEST_F(TlsChannelTest, CarriesMoreThanTheNetworkTakesAtOnce) {
  ASSERT_TRUE(Meet());
  const std::string sent = support::Content(kBig, 1);
  std::string received;
  std::string buffer(16u << 10, '\0');
  size_t done = 0;
  bool waited = false;
  while (received.size() < sent.size()) {
    size_t n = 0;
    TlsProgress wrote = TlsProgress::kDone;
    while (done < sent.size() && wrote == TlsProgress::kDone) {
      wrote = there_->Write(sent.data() + done, sent.size() - done, &n);
      done += n;
    }
    waited = waited || wrote == TlsProgress::kWantsWrite;
    while (here_->Read(buffer.data(), buffer.size(), &n) == TlsProgress::kDone) {
      received.append(buffer, 0, n);
    }
  }
  EXPECT_TRUE(waited);
  EXPECT_EQ(received, sent);
  there_->EndOutput();
  size_t n = 0;
  EXPECT_EQ(here_->Read(buffer.data(), buffer.size(), &n), TlsProgress::kEnded);
}

TEST_F(TlsChannelTest, AnEndWithoutGoodbyeIsAnEnd) {
  ASSERT_TRUE(Meet());
  shutdown(sockets_[1], SHUT_WR);
  char buffer = 0;
  size_t n = 0;
  EXPECT_EQ(here_->Read(&buffer, 1, &n), TlsProgress::kEnded);
}

TEST_F(TlsChannelTest, WritingToWhoIsGoneEndsNoProcess) {
  ASSERT_TRUE(Meet());
  close(std::exchange(sockets_[1], -1));
  const std::string text(1000, 'x');
  size_t n = 0;
  EXPECT_EQ(here_->Write(text.data(), text.size(), &n), TlsProgress::kFailed);
  EXPECT_THAT(here_->error(), HasSubstr("Broken pipe"));
}

TEST_F(TlsChannelTest, GarbageIsNoHandshake) {
  const auto context = MakeListenerContext(server_, absl::Now());
  ASSERT_TRUE(context.ok());
  here_ = TlsChannel::Accept(context->context, sockets_[0]);
  EXPECT_EQ(here_->Handshake(), TlsProgress::kWantsRead);
  ASSERT_EQ(send(sockets_[1], "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
  EXPECT_EQ(here_->Handshake(), TlsProgress::kFailed);
  EXPECT_NE(here_->error(), "");
}

TEST_F(TlsChannelTest, RefusesTheWrongServer) {
  EXPECT_TRUE(Meet("127.0.0.1"));
  EXPECT_FALSE(Meet("elsewhere.example"));
  EXPECT_THAT(there_->error(), HasSubstr("hostname mismatch"));
  EXPECT_FALSE(Meet("127.0.0.2"));
  EXPECT_THAT(there_->error(), HasSubstr("IP address mismatch"));
  client_.ca_file = folder_ / "other-ca";
  EXPECT_FALSE(Meet());
  EXPECT_THAT(there_->error(), HasSubstr("unable to get local issuer"));
  client_.ca_file = "";
  EXPECT_FALSE(Meet()) << "the system trusts no test";
  TestIdentity::Make({"self-signed"}).Write(server_.certificate, server_.key);
  client_.ca_file = folder_ / "ca";
  EXPECT_FALSE(Meet());
  EXPECT_THAT(there_->error(), HasSubstr("self-signed"));
}

TEST_F(TlsChannelTest, KnowsWhoShowedACertificate) {
  AskForCertificates(ClientCertificate::kRequired);
  ShowToServer({"CAM001", "DNS:cam1.site,URI:urn:viaduct:device:CAM001,IP:10.0.0.7"}, authority_);
  ASSERT_TRUE(Meet());
  const auto peer = here_->peer();
  ASSERT_NE(peer, nullptr);
  EXPECT_THAT(peer->sha256, SizeIs(64));
  EXPECT_EQ(peer->subject, "CN=CAM001");
  EXPECT_THAT(peer->names,
              ElementsAre("DNS:cam1.site", "URI:urn:viaduct:device:CAM001", "IP:10.0.0.7"));
}

TEST_F(TlsChannelTest, WhoIsNotAskedHasShownNothing) {
  ShowToServer({"CAM001"}, authority_);
  ASSERT_TRUE(Meet());
  EXPECT_EQ(here_->peer(), nullptr);
}

TEST_F(TlsChannelTest, OptionalLetsInWhoShowsNone) {
  AskForCertificates(ClientCertificate::kOptional);
  ASSERT_TRUE(Meet());
  EXPECT_EQ(here_->peer(), nullptr);
}

TEST_F(TlsChannelTest, RefusesTheWrongClient) {
  AskForCertificates(ClientCertificate::kRequired);
  EXPECT_FALSE(Meet());
  EXPECT_THAT(here_->error(), HasSubstr("did not return a certificate"));
  for (const ClientCertificate how : {ClientCertificate::kRequired, ClientCertificate::kOptional}) {
    AskForCertificates(how);
    ShowToServer({"CAM001"}, stranger_);
    EXPECT_FALSE(Meet());
    EXPECT_THAT(here_->error(), HasSubstr("unable to get local issuer"));
  }
}

TEST_F(TlsChannelTest, KeepsManyNamesWithinItsLimit) {
  AskForCertificates(ClientCertificate::kRequired);
  std::string names = "DNS:host-0";
  for (size_t i = 1; i < 2 * kMaxPeerNames; ++i) names += ",DNS:host-" + std::to_string(i);
  ShowToServer({"CAM001", names}, authority_);
  ASSERT_TRUE(Meet());
  EXPECT_THAT(here_->peer()->names, SizeIs(kMaxPeerNames));
}

TEST_F(TlsChannelTest, SpeaksNothingOlderThanItIsTold) {
  server_.min_version = TlsVersion::k13;
  EXPECT_TRUE(Meet());
  const auto accepting = MakeListenerContext(server_, absl::Now());
  const auto connecting = MakeRoadContext(client_, "localhost", absl::Now());
  CloseSockets();
  MakeSockets();
  SSL_CTX_set_max_proto_version(connecting->get(), TLS1_2_VERSION);
  here_ = TlsChannel::Accept(accepting->context, sockets_[0]);
  there_ = TlsChannel::Connect(*connecting, sockets_[1], "localhost");
  there_->Handshake();
  EXPECT_EQ(here_->Handshake(), TlsProgress::kFailed);
  EXPECT_EQ(there_->Handshake(), TlsProgress::kFailed);
}

}  // namespace
}  // namespace viaduct
