// A setup of an image in a folder: what it writes, what it leaves alone, and that undo puts back
// every octet, mode and owner.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/test_folder.h"
#include "host/setup/apply.h"
#include "host/setup/deploy_files.h"
#include "host/setup/program.h"
#include "host/setup/step.h"
#include "host/setup/template.h"
#include "host/setup/undo.h"

namespace viaduct::setup {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

void WriteFile(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Every name below `folder` with what it is, may and holds.
std::map<std::string, std::string> Everything(const fs::path& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    struct stat facts {};
    EXPECT_EQ(lstat(entry.path().c_str(), &facts), 0);
    found[entry.path().string()] =
        absl::StrCat(facts.st_mode, " ", facts.st_uid, " ", facts.st_gid, " ",
                     entry.is_regular_file() ? ReadFile(entry.path()) : "");
  }
  return found;
}

// An image with the packages of a server; its accounts are all whoever runs the test.
class SetupTest : public ::testing::Test {
 protected:
  SetupTest() {
    std::string users;
    std::string groups;
    for (const char* name : {"root", "viaduct", "mosquitto", "viaduct-edge"}) {
      absl::StrAppend(&users, name, ":x:", getuid(), ":", getgid(), "::/:/usr/sbin/nologin\n");
      absl::StrAppend(&groups, name, ":x:", getgid(), ":\n");
    }
    WriteFile(Path("/etc/passwd"), users);
    WriteFile(Path("/etc/group"), groups);
    WriteFile(Path("/usr/bin/rsync"), "");
    for (const char* folder : {"/etc/mosquitto/conf.d", "/etc/mosquitto/certs", "/srv", "/var/lib",
                               "/etc/ssh/sshd_config.d", "/etc/systemd/system"}) {
      fs::create_directories(Path(folder));
    }
    WriteFile(Path("/etc/viaduct/node.yaml"), std::string(DeployFile("node/server.yaml")));
  }

  fs::path Path(const std::string& path) const { return image_.path() + path; }
  Root TheRoot() const { return Root::Open(image_.path()).value(); }

  static ServerOptions Server() {
    ServerOptions options;
    options.id = "SITE-1";
    options.parts = {kMosquitto, kSshd, kRsyncd};
    options.certificate = "certificate\n";
    options.key = "key\n";
    return options;
  }

  std::vector<Change> PendingFor(const ServerOptions& options) const {
    const Root root = TheRoot();
    const auto steps = ServerSteps(root, options);
    EXPECT_TRUE(steps.ok()) << steps.status();
    const auto changes = Pending(root, Journal::Open(root).value(), steps.value());
    EXPECT_TRUE(changes.ok()) << changes.status();
    return changes.value();
  }
  void Do(const ServerOptions& options) const {
    const std::vector<Change> changes = PendingFor(options);
    const auto lock = LockJournal(TheRoot());
    ASSERT_TRUE(lock.ok()) << lock.status();
    Journal journal = Journal::Open(TheRoot()).value();
    const absl::Status done = Apply(TheRoot(), changes, &journal);
    ASSERT_TRUE(done.ok()) << done;
  }
  UndoResult UndoAll(bool force = false) const {
    Journal journal = Journal::Open(TheRoot()).value();
    const auto result = Undo(TheRoot(), force, &journal);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.value_or(UndoResult());
  }

  const TestFolder image_;
};

TEST_F(SetupTest, WritesTheSnippetsOfDeployWithTheirPartsAndUndoPutsEverythingBack) {
  const auto before = Everything(image_.path());
  Do(Server());
  EXPECT_EQ(ReadFile(Path("/etc/ssh/sshd_config.d/viaduct-edge.conf")),
            DeployFile("sshd/viaduct-edge.conf"));
  EXPECT_EQ(ReadFile(Path("/etc/rsyncd.conf")), DeployFile("rsyncd/rsyncd.conf"));
  const std::string node = ReadFile(Path("/etc/viaduct/node.yaml"));
  EXPECT_THAT(node, HasSubstr("\n  id: SITE-1 "));
  EXPECT_THAT(node, HasSubstr("\nincoming: {folder: /srv/viaduct/edge"));
  EXPECT_THAT(node, HasSubstr("\n    config:\n      role: server\n      listen: 0.0.0.0:8443\n"));
  EXPECT_THAT(node, HasSubstr("\n#[postgresql]\n# #"));
  EXPECT_THAT(ReadFile(Path("/etc/mosquitto/conf.d/viaduct.conf")), HasSubstr("\nlistener 8883\n"));
  EXPECT_THAT(ReadFile(Path("/etc/systemd/system/viaduct.service.d/setup.conf")),
              HasSubstr("LoadCredential=mqtt_password:/etc/viaduct/secrets/mqtt_password\n"));
  EXPECT_EQ(fs::status(Path("/etc/viaduct/secrets/mqtt_password")).permissions(), fs::perms(0600));
  EXPECT_THAT(UndoAll().left, IsEmpty());
  EXPECT_EQ(before, Everything(image_.path()));
}

TEST_F(SetupTest, ASecondTimeThereIsNothingToDo) {
  Do(Server());
  EXPECT_THAT(PendingFor(Server()), IsEmpty());
}

TEST_F(SetupTest, APartMoreChangesWhatASetupWroteAndBothAreUndone) {
  const auto before = Everything(image_.path());
  ServerOptions options = Server();
  options.parts = {kSshd};
  Do(options);
  for (const Change& change : PendingFor(Server())) EXPECT_FALSE(change.foreign);
  Do(Server());
  EXPECT_THAT(UndoAll().left, IsEmpty());
  EXPECT_EQ(before, Everything(image_.path()));
}

TEST_F(SetupTest, WhatSomebodyElseWroteIsSaidToBeForeign) {
  WriteFile(Path("/etc/viaduct/node.yaml"), "node: {id: mine}\n");
  WriteFile(Path("/etc/rsyncd.conf"), "[theirs]\n");
  std::vector<std::string> foreign;
  for (const Change& change : PendingFor(Server())) {
    if (change.foreign) foreign.push_back(change.step.subject);
  }
  EXPECT_THAT(foreign, ElementsAre("/etc/rsyncd.conf", "/etc/viaduct/node.yaml"));
}

TEST_F(SetupTest, UndoLeavesAloneWhatWasChangedSinceUnlessForced) {
  const auto before = Everything(image_.path());
  Do(Server());
  const std::string passwords = ReadFile(Path("/etc/mosquitto/viaduct.passwd"));
  WriteFile(Path("/etc/mosquitto/viaduct.passwd"), passwords + "CAM001:$7$101$a$b\n");
  EXPECT_THAT(UndoAll().left, ElementsAre(HasSubstr("viaduct.passwd: was changed since")));
  EXPECT_THAT(ReadFile(Path("/etc/mosquitto/viaduct.passwd")), HasSubstr("CAM001"));
  EXPECT_FALSE(fs::exists(Path("/etc/mosquitto/conf.d/viaduct.conf")));
  EXPECT_THAT(UndoAll(/*force=*/true).left, IsEmpty());
  EXPECT_EQ(before, Everything(image_.path()));
}

TEST_F(SetupTest, DevicesOfTheBrokerStayWhenAPartIsAdded) {
  ServerOptions options = Server();
  options.parts = {kMosquitto};
  Do(options);
  const std::string passwords = ReadFile(Path("/etc/mosquitto/viaduct.passwd"));
  EXPECT_EQ(passwords.rfind("viaduct:$7$101$", 0), 0u);
  WriteFile(Path("/etc/mosquitto/viaduct.passwd"), passwords + "CAM001:$7$101$a$b\n");
  Do(Server());
  EXPECT_EQ(ReadFile(Path("/etc/mosquitto/viaduct.passwd")), passwords + "CAM001:$7$101$a$b\n");
}

TEST_F(SetupTest, FoldersOfDevicesAreNeverRemovedWithWhatIsInThem) {
  Do(Server());
  WriteFile(Path("/srv/viaduct/edge/CAM001/incoming/picture.jpg"), "picture");
  EXPECT_THAT(UndoAll(/*force=*/true).left, Contains(HasSubstr("/srv/viaduct/edge: is not empty")));
  EXPECT_EQ(ReadFile(Path("/srv/viaduct/edge/CAM001/incoming/picture.jpg")), "picture");
}

TEST_F(SetupTest, WhatIsCutOffInTheMiddleIsUndone) {
  const auto before = Everything(image_.path());
  std::vector<Change> changes = PendingFor(Server());
  ASSERT_GT(changes.size(), 4u);
  fs::create_directories(Path("/etc/mosquitto/viaduct.acl.viaduct-new"));  // It cannot be written.
  {
    const auto lock = LockJournal(TheRoot());
    Journal journal = Journal::Open(TheRoot()).value();
    EXPECT_FALSE(Apply(TheRoot(), changes, &journal).ok());
  }
  fs::remove(Path("/etc/mosquitto/viaduct.acl.viaduct-new"));
  EXPECT_THAT(UndoAll().left, IsEmpty());
  EXPECT_EQ(before, Everything(image_.path()));
}

TEST_F(SetupTest, LinksThatLeadOutOfAnImageAreNotFollowed) {
  const TestFolder outside;
  fs::remove_all(Path("/etc/ssh/sshd_config.d"));
  fs::create_directory_symlink(outside.path(), Path("/etc/ssh/sshd_config.d"));
  const Root root = TheRoot();
  ServerOptions options = Server();
  options.parts = {kSshd};
  const auto steps = ServerSteps(root, options);
  ASSERT_TRUE(steps.ok()) << steps.status();
  const auto changes = Pending(root, Journal::Open(root).value(), *steps);
  EXPECT_EQ(changes.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(changes.status().message()), HasSubstr("leads out of"));
  EXPECT_TRUE(fs::is_empty(outside.path()));
}

TEST_F(SetupTest, ADamagedJournalIsNotBelieved) {
  Do(Server());
  WriteFile(Path("/var/lib/viaduct-setup/journal.json"), R"({"version": 1, "entries": [{}]})");
  EXPECT_EQ(Journal::Open(TheRoot()).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SetupTest, WrongOptionsAreNamed) {
  const Root root = TheRoot();
  ServerOptions server = Server();
  server.id = "a b";
  EXPECT_THAT(std::string(ServerSteps(root, server).status().message()), HasSubstr("--id"));
  server = Server();
  server.key.clear();
  EXPECT_THAT(std::string(ServerSteps(root, server).status().message()), HasSubstr("--key"));
  server = Server();
  server.parts = {kPostgresql};
  EXPECT_THAT(std::string(ServerSteps(root, server).status().message()), HasSubstr("image"));
  fs::remove_all(Path("/etc/mosquitto"));
  EXPECT_THAT(std::string(ServerSteps(root, Server()).status().message()),
              HasSubstr("install the package mosquitto"));
  EdgeOptions edge;
  edge.id = "CAM001";
  for (const char* url : {"http://a", "https://", "https://a b", "https://u@a", "https://a\n#"}) {
    edge.server = url;
    EXPECT_EQ(EdgeSteps(root, edge).status().code(), absl::StatusCode::kInvalidArgument) << url;
  }
}

TEST_F(SetupTest, AnEdgeHasTheRoadToItsServer) {
  EdgeOptions edge;
  edge.id = "CAM001";
  edge.server = "https://hub.example:9443";
  edge.api_key = "key\n";
  const auto steps = EdgeSteps(TheRoot(), edge);
  ASSERT_TRUE(steps.ok()) << steps.status();
  const std::string& node = steps->at(1).text;
  EXPECT_THAT(node, HasSubstr("\n      base_url: https://hub.example:9443\n      api_key: file:"));
  EXPECT_THAT(node, Not(HasSubstr("EDGE001")));
  EXPECT_THAT(node, HasSubstr("  #[ca]\n  #     ca_file:"));
  EXPECT_THAT(node, HasSubstr("\ngateway:\n  report: {interval: 60s}\n"));
}

TEST(ProgramTest, WhatItSaysOfErrorsIsNotItsOutput) {
  EXPECT_EQ(RunToSuccess({"sh", "-c", "cat; echo of an error >&2; pwd"}, "input\n").value(),
            "input\n/\n");
  const absl::Status failed = RunToSuccess({"sh", "-c", "echo out; echo err >&2; exit 3"}).status();
  EXPECT_EQ(failed.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(failed.message()), HasSubstr("exit code 3, out\nerr"));
  EXPECT_EQ(RunToEnd({"/no/such/program"}).status().code(), absl::StatusCode::kUnavailable);
  const auto much = RunToEnd({"sh", "-c", "yes | head -c 3000000"});
  ASSERT_TRUE(much.ok()) << much.status();
  EXPECT_EQ(much->output.size(), kMaxOutput);
}

TEST(TemplateTest, MarksThatDoNotFitAreAMistake) {
  for (const char* text : {"#[a]\n# x\n", "#[/a]\n", "#[a]\n#[b]\n#[/b]\n#[/a]\n"}) {
    EXPECT_EQ(TakeParts(text, {"a"}).status().code(), absl::StatusCode::kInternal) << text;
  }
  EXPECT_EQ(TakeParts("x\n#[a+b]\n  # y\n#[/a+b]\nz\n", {"a", "b"}).value(), "x\n  y\nz\n");
  EXPECT_EQ(TakeParts("#[a+b]\n# y\n#[/a+b]\n", {"a"}).value(), "#[a+b]\n# y\n#[/a+b]\n");
}

}  // namespace
}  // namespace viaduct::setup
