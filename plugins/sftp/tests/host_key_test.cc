// Whom a road believes, and who believes it, with a real sshd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "plugins/sftp/tests/real_server.h"

namespace viaduct::sftp {
namespace {

using Policy = HostKeyOptions::Policy;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

class HostKeyTest : public ::testing::Test {
 protected:
  void ChangeHostKey() {
    server_.Stop();
    server_.MakeKey("host");
    server_.Start();
  }
  RealServer server_;
};

TEST_F(HostKeyTest, UnknownIsRefusedAndTheTextNamesIt) {
  ClientOptions options = server_.Options();
  WriteFile(options.transport.host_key.known_hosts, "");
  const absl::Status end = Road(options).End();
  EXPECT_EQ(end.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(end), HasSubstr(server_.Fingerprint()));
  EXPECT_THAT(Message(end), HasSubstr("is not in"));
}

TEST_F(HostKeyTest, ChangedIsRefusedWhateverThePolicy) {
  ClientOptions options = server_.Options();
  ChangeHostKey();
  for (const Policy policy : {Policy::kStrict, Policy::kAcceptNew}) {
    options.transport.host_key.policy = policy;
    const std::string before = ReadFile(options.transport.host_key.known_hosts);
    const absl::Status end = Road(options).End();
    EXPECT_EQ(end.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(Message(end), HasSubstr("CHANGED"));
    EXPECT_EQ(ReadFile(options.transport.host_key.known_hosts), before);
  }
}

TEST_F(HostKeyTest, OneOfThePinnedFingerprintsWillDo) {
  ClientOptions options = server_.Options();
  options.transport.host_key = {};
  options.transport.host_key.policy = Policy::kPinned;
  const std::string other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  options.transport.host_key.fingerprints = {other, server_.Fingerprint()};
  EXPECT_TRUE(Road(options).Ready());
  options.transport.host_key.fingerprints = {other};
  const absl::Status end = Road(options).End();
  EXPECT_EQ(end.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(end), HasSubstr(server_.Fingerprint()));
}

TEST_F(HostKeyTest, FirstUseIsWrittenDownWhereItIsAskedFor) {
  ClientOptions options = server_.Options();
  options.transport.host_key.policy = Policy::kAcceptNew;
  options.transport.host_key.known_hosts = server_.folder() / "new_hosts";
  EXPECT_TRUE(Road(options).Ready());
  EXPECT_THAT(ReadFile(server_.folder() / "new_hosts"),
              HasSubstr(absl::StrCat("[127.0.0.1]:", server_.port())));
  EXPECT_TRUE(Road(options).Ready());
  const std::string kept = ReadFile(server_.folder() / "new_hosts");
  EXPECT_EQ(std::count(kept.begin(), kept.end(), '\n'), 1);
  ChangeHostKey();
  EXPECT_EQ(Road(options).End().code(), absl::StatusCode::kFailedPrecondition);
  options.transport.host_key.known_hosts = server_.folder() / "none/hosts";
  EXPECT_THAT(Message(Road(options).End()), HasSubstr("can not be written"));
}

TEST_F(HostKeyTest, ALineThatIsCutIsNoStranger) {
  ClientOptions options = server_.Options();
  options.transport.host_key.policy = Policy::kAcceptNew;
  options.transport.host_key.known_hosts = server_.folder() / "new_hosts";
  const std::string whole = ReadFile(server_.folder() / "known_hosts");
  for (const char* end : {"", "\n"}) {
    const std::string cut = whole.substr(0, whole.find("AAAA") + 20) + end;
    WriteFile(server_.folder() / "new_hosts", cut);
    const absl::Status status = Road(options).End();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(Message(status), HasSubstr("can not be read"));
    EXPECT_EQ(ReadFile(server_.folder() / "new_hosts"), cut);
  }
}

TEST_F(HostKeyTest, FirstUseIsWrittenDownWhollyOrNotAtAll) {
  ClientOptions options = server_.Options();
  options.transport.host_key.policy = Policy::kAcceptNew;
  options.transport.host_key.known_hosts = server_.folder() / "new_hosts";
  const std::string before = "other " + ReadFile(server_.folder() / "host.pub");
  const std::string unended = before.substr(0, before.size() - 1);
  WriteFile(server_.folder() / "new_hosts", unended);
  rlimit usual{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &usual), 0);
  const rlimit full = {unended.size() + 20, usual.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  const absl::Status status = Road(options).End();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &usual), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(Message(status), HasSubstr("No space left"));
  EXPECT_EQ(ReadFile(server_.folder() / "new_hosts"), unended);
  EXPECT_TRUE(Road(options).Ready());
  EXPECT_TRUE(Road(options).Ready());
  const std::string kept = ReadFile(server_.folder() / "new_hosts");
  EXPECT_EQ(kept.substr(0, before.size()), before);
  EXPECT_EQ(std::count(kept.begin(), kept.end(), '\n'), 2);
}

TEST_F(HostKeyTest, AnotherKeyOfOursIsRefused) {
  ClientOptions options = server_.Options();
  server_.MakeKey("stranger");
  options.transport.key_file = server_.folder() / "stranger";
  const absl::Status end = Road(options).End();
  EXPECT_EQ(end.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Message(end), HasSubstr("the key of key_file"));
}

TEST_F(HostKeyTest, AKeyThatCanNotBeUsedIsNamed) {
  ClientOptions options = server_.Options();
  options.transport.key_file = server_.folder() / "none";
  EXPECT_THAT(Message(Road(options).End()), HasSubstr("none can not be read"));
  WriteFile(server_.folder() / "text", "no key\n");
  options.transport.key_file = server_.folder() / "text";
  EXPECT_EQ(Road(options).End().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(HostKeyTest, APassphraseOpensTheKey) {
  ClientOptions options = server_.Options();
  server_.MakeKey("locked", "open sesame");
  WriteFile(server_.folder() / "authorized_keys", ReadFile(server_.folder() / "locked.pub"));
  options.transport.key_file = server_.folder() / "locked";
  options.transport.passphrase = "open sesame";
  EXPECT_TRUE(Road(options).Ready());
  options.transport.passphrase = "wrong";
  const absl::Status end = Road(options).End();
  EXPECT_EQ(end.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Message(end).find("wrong"), std::string::npos) << "a secret in a text";
  options.transport.passphrase = "";
  EXPECT_EQ(Road(options).End().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(HostKeyTest, KeysOfAnAgentAreTaken) {
  ClientOptions options = server_.Options();
  const std::string socket = server_.folder() / "agent";
  RunCommand(absl::StrCat("ssh-agent -a ", socket, " > ", server_.folder() / "agent.env"));
  const std::string env = ReadFile(server_.folder() / "agent.env");
  const int pid = std::atoi(env.c_str() + env.find("SSH_AGENT_PID=") + 14);
  ASSERT_GT(pid, 1) << env;
  RunCommand(absl::StrCat("SSH_AUTH_SOCK=", socket, " ssh-add -q ", options.transport.key_file));
  options.transport.key_file = "";
  options.transport.agent = socket;
  EXPECT_TRUE(Road(options).Ready());
  RunCommand(absl::StrCat("SSH_AUTH_SOCK=", socket, " ssh-add -q -D"));
  const absl::Status end = Road(options).End();
  EXPECT_EQ(end.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Message(end), HasSubstr("the keys of agent"));
  EXPECT_EQ(kill(pid, SIGTERM), 0);
  ASSERT_TRUE(Eventually([&] { return !std::filesystem::exists(socket); }));
  const absl::Status gone = Road(options).End();
  EXPECT_EQ(gone.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(gone), HasSubstr("does not answer"));
  options.transport.password = "wrong";
  EXPECT_EQ(Road(options).End().code(), absl::StatusCode::kUnavailable) << "it may come back";
  options.transport.password = "";
  options.transport.key_file = server_.folder() / "user";
  EXPECT_TRUE(Road(options).Ready());
}

TEST_F(HostKeyTest, AlgorithmsArePassedThrough) {
  ClientOptions options = server_.Options();
  options.transport.ciphers = {"aes128-gcm@openssh.com"};
  options.transport.key_exchange = {"curve25519-sha256"};
  options.transport.host_key_algorithms = {"ssh-ed25519"};
  EXPECT_TRUE(Road(options).Ready());
  options.transport.ciphers = {"no-such-cipher"};
  EXPECT_THAT(Message(Road(options).End()), HasSubstr("ciphers"));
  options.transport.ciphers = {"aes256-cbc"};  // Not the server's.
  EXPECT_EQ(Road(options).End().code(), absl::StatusCode::kUnavailable);
}

TEST_F(HostKeyTest, AServerThatSaysNothingIsLeftInTime) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 4), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ClientOptions options = server_.Options();
  options.transport.port = ntohs(address.sin_port);
  options.transport.connect_timeout = absl::Milliseconds(300);
  const absl::Status end = Road(options).End();
  EXPECT_EQ(end.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(Message(end), HasSubstr("key exchange"));
  // Nothing of a session that has failed stays on its way.
  const int accepted = accept(listener, nullptr, nullptr);
  char octets[4096];
  ssize_t got = 1;
  while (got > 0) got = read(accepted, octets, sizeof(octets));
  EXPECT_EQ(got < 0 ? errno : 0, ECONNRESET);
  close(accepted);
  close(listener);
  EXPECT_EQ(Road(options).End().code(), absl::StatusCode::kUnavailable);
  options.transport.host = "no-such-host.invalid";
  EXPECT_EQ(Road(options).End().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace viaduct::sftp
