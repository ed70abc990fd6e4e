#include "plugins/rsync/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace viaduct::rsync {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

ServerOptions Server() {
  ServerOptions server;
  server.host = "2001:db8::1";
  server.user = "u";
  server.password = "secret";
  server.remote_path = "m/in";
  return server;
}

TEST(ArgumentsOf, NoSecretIsAmongThem) {
  for (const bool daemon : {false, true}) {
    ServerOptions server = Server();
    server.daemon = daemon;
    for (const std::string& argument : ArgumentsOf(server, {"/s", "/c", "/proc/1/fd/9"}, {})) {
      EXPECT_THAT(argument, Not(HasSubstr("secret")));
    }
    EXPECT_THAT(SshConfigOf(server), Not(HasSubstr("secret")));
  }
}

TEST(ArgumentsOf, WhereTheFilesGo) {
  ServerOptions server = Server();
  EXPECT_EQ(ArgumentsOf(server, {"/s", "/c", ""}, {}).back(), "server:m/in/");
  server.daemon = true;
  server.port = 8730;
  EXPECT_EQ(ArgumentsOf(server, {"/s", "/c", ""}, {}).back(), "rsync://u@[2001:db8::1]:8730/m/in/");
}

TEST(ArgumentsOf, TheLimitOfAJob) {
  RunPlan plan;
  plan.kind = RunKind::kSend;
  plan.max_bytes_per_second = 1 << 20;
  EXPECT_THAT(ArgumentsOf(Server(), {"/s", "/c", ""}, plan), Contains("--bwlimit=1024"));
  plan.max_bytes_per_second = 1;
  EXPECT_THAT(ArgumentsOf(Server(), {"/s", "/c", ""}, plan), Contains("--bwlimit=1"));
}

TEST(SshConfigOf, PathsWithPercentSignsAndSpaces) {
  ServerOptions server = Server();
  server.key_file = "/a b/%h";
  EXPECT_THAT(SshConfigOf(server), HasSubstr("IdentityFile \"/a b/%%h\"\n"));
  EXPECT_FALSE(IsPlainSshValue("a\"b"));
  EXPECT_FALSE(IsPlainSshValue("a\nProxyCommand id"));
  EXPECT_FALSE(IsPlainSshValue("${HOME}"));
}

}  // namespace
}  // namespace viaduct::rsync
