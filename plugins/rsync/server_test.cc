#include "plugins/rsync/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/algorithm/container.h"
#include "plugins/rsync/own_folder.h"

namespace viaduct::rsync {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

ServerOptions Server() {
  ServerOptions server;
  server.host = "2001:db8::1";
  server.user = "u";
  server.password = "secret";
  server.passphrase = "secret";
  server.remote_path = "m/in";
  return server;
}

RunPaths Paths() { return {"/s", "/c", "/p", "/proc/1/fd/9", ".viaduct-partial/1", "/m"}; }

TEST(ArgumentsOf, NoSecretIsAmongThem) {
  for (const bool daemon : {false, true}) {
    ServerOptions server = Server();
    server.daemon = daemon;
    for (const std::string& argument : ArgumentsOf(server, Paths(), {})) {
      EXPECT_THAT(argument, Not(HasSubstr("secret")));
    }
    EXPECT_THAT(SshConfigOf(server, Paths()), Not(HasSubstr("secret")));
  }
}

TEST(ArgumentsOf, WhereTheFilesGo) {
  ServerOptions server = Server();
  EXPECT_EQ(ArgumentsOf(server, Paths(), {}).back(), "server:m/in/");
  server.daemon = true;
  server.port = 8730;
  EXPECT_EQ(ArgumentsOf(server, Paths(), {}).back(), "rsync://u@[2001:db8::1]:8730/m/in/");
}

TEST(ArgumentsOf, TheLimitOfAJob) {
  RunPlan plan;
  plan.kind = RunKind::kSend;
  plan.max_bytes_per_second = 1 << 20;
  EXPECT_THAT(ArgumentsOf(Server(), Paths(), plan), Contains("--bwlimit=1024"));
  plan.max_bytes_per_second = 1;
  EXPECT_THAT(ArgumentsOf(Server(), Paths(), plan), Contains("--bwlimit=1"));
}

TEST(ArgumentsOf, OnlyTheGreetingDeletesAndOnlyInTheFolderOfItsOwn) {
  RunPlan plan;
  for (const RunKind kind : {RunKind::kGreet, RunKind::kSeed, RunKind::kSend, RunKind::kRemove}) {
    plan.kind = kind;
    const std::vector<std::string> arguments = ArgumentsOf(Server(), Paths(), plan);
    EXPECT_EQ(kind == RunKind::kGreet, absl::c_count(arguments, "--delete") == 1);
    EXPECT_EQ(kind == RunKind::kRemove, absl::c_count(arguments, "--delete-missing-args") == 1);
  }
}

TEST(OwnFolder, IsThatOfOneConfigurationOnOneMachine) {
  ServerOptions server = Server();
  const std::string own = OwnFolder(server);
  EXPECT_THAT(own, StartsWith(".viaduct-partial/"));
  EXPECT_EQ(own.size(), std::string(".viaduct-partial/").size() + 16);
  EXPECT_EQ(OwnFolder(server), own);
  server.password = "another";
  EXPECT_EQ(OwnFolder(server), own) << "it would tell of the password";
  server.remote_path = "m/out";
  EXPECT_NE(OwnFolder(server), own);
}

TEST(PartOf, IsInTheFolderOfTheFile) {
  EXPECT_EQ(PartOf("a/b/c"), "a/b/.viaduct-partial/c");
  EXPECT_EQ(PartOf("c"), ".viaduct-partial/c");
}

TEST(SshConfigOf, PathsWithPercentSignsAndSpaces) {
  ServerOptions server = Server();
  server.key_file = "/a b/%h";
  EXPECT_THAT(SshConfigOf(server, Paths()), HasSubstr("IdentityFile \"/a b/%%h\"\n"));
  EXPECT_FALSE(IsPlainSshValue("a\"b"));
  EXPECT_FALSE(IsPlainSshValue("a\nProxyCommand id"));
  EXPECT_FALSE(IsPlainSshValue("${HOME}"));
}

}  // namespace
}  // namespace viaduct::rsync
