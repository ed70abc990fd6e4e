// Users, their roots, passwords, rights and disks, with an sshd that has mounts and users of its
// own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "plugins/sftp/tests/real_server.h"

namespace viaduct::sftp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kCam1 = 59001;
constexpr int kCam2 = 59002;
// Of "right", by openssl passwd -6.
constexpr char kHash[] =
    "$6$viaduct$PLAloJkpwP7zx1r821t4DR4n/MAq8lUYAFweA8Br58mjyLNyk"
    "H4hhq.YmLnDEnu0lPcsHzSQvA6Bk9SJPXU/1.";

class DevicesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "needs root: users and mounts for the server alone";
  }
  static RealServer::World World(int disk_mib = 0) {
    RealServer::World world;
    world.users = {{"cam001", "viaduct-edge", kHash, kCam1},
                   {"cam002", "viaduct-edge2", "*", kCam2}};
    world.disk_mib = disk_mib;
    return world;
  }
  static ClientOptions As(const RealServer& server, const std::string& user) {
    ClientOptions options = server.Options();
    options.transport.username = user;
    return options;
  }
  std::string Local(const std::string& name, const std::string& content) {
    WriteFile(local_ / name, content);
    return local_ / name;
  }
  TestFolder local_;
};

// deploy/sshd as it is.
TEST_F(DevicesTest, ADeviceIsInARootOfItsOwn) {
  const std::string conf = std::filesystem::absolute("deploy/sshd/viaduct-edge.conf");
  RealServer::World world = World();
  world.users[1].group = "viaduct-edge";
  world.users[1].id = kCam1;
  RealServer server(absl::StrCat("Include ", conf, "\n"), "internal-sftp", world);
  const std::string edge = server.srv() + "/viaduct/edge";
  for (const char* user : {"cam001", "cam002"}) {
    std::filesystem::create_directories(absl::StrCat(edge, "/", user, "/incoming"));
    ASSERT_EQ(chown(absl::StrCat(edge, "/", user, "/incoming").c_str(), kCam1, 0), 0);
  }
  std::filesystem::create_directories(server.srv() + "/viaduct/edge-keys");
  WriteFile(server.srv() + "/viaduct/edge-keys/cam001", ReadFile(server.folder() / "user.pub"));
  ClientOptions options = As(server, "cam001");
  options.remote_path = "/incoming";
  Road road(options);
  ASSERT_TRUE(road.Ready()) << road.ended();
  EXPECT_EQ(road.Send(Local("a", "a"), "CAM001/2026/a").outcome, FileOutcome::kDurable);
  EXPECT_THAT(FilesBelow(edge), ElementsAre("cam001/incoming/CAM001/2026/a"));
  const auto mode = std::filesystem::status(edge + "/cam001/incoming/CAM001/2026/a").permissions();
  EXPECT_EQ(mode & std::filesystem::perms::others_all, std::filesystem::perms::none);
  // Above its root there is nothing, and beside incoming it may not write.
  options.remote_path = "/../../cam002/incoming";
  EXPECT_EQ(Road(options).End().code(), absl::StatusCode::kFailedPrecondition);
  // Its key opens no other device's root.
  EXPECT_EQ(Road(As(server, "cam002")).End().code(), absl::StatusCode::kUnauthenticated);
  // It has no shell.
  const std::string out = local_ / "out";
  const std::string ssh = absl::StrCat("ssh -F none -o BatchMode=yes -i ", server.folder() / "user",
                                       " -o UserKnownHostsFile=", server.folder() / "known_hosts",
                                       " -p ", server.port(), " cam001@127.0.0.1 id </dev/null > ");
  EXPECT_NE(std::system((ssh + out + " 2>&1").c_str()), -1);
  EXPECT_EQ(ReadFile(out).find("uid="), std::string::npos);
}

TEST_F(DevicesTest, PasswordsOpenAndAreNeverShown) {
  RealServer server("PasswordAuthentication yes\n", "internal-sftp", World());
  ClientOptions options = As(server, "cam001");
  options.transport.password = "right";
  options.remote_path = "/tmp";
  const std::string key_file = options.transport.key_file;
  options.transport.key_file = "";
  EXPECT_TRUE(Road(options).Ready());
  options.transport.password = "wr0ng";
  server.MakeKey("stranger");
  options.transport.key_file = server.folder() / "stranger";
  const absl::Status end = Road(options).End();
  EXPECT_EQ(end.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(end.message()), HasSubstr("the key of key_file and the password"));
  EXPECT_EQ(end.message().find("wr0ng"), std::string::npos);
}

TEST_F(DevicesTest, WithoutPermissionFilesWait) {
  RealServer server("", "internal-sftp", World());
  Road road(As(server, "cam001"));
  ASSERT_TRUE(road.Ready()) << road.ended();
  FileEnd end = road.Send(Local("a", "a"), "CAM001/a");
  EXPECT_EQ(end.outcome, FileOutcome::kRetry);
  EXPECT_EQ(end.status.code(), absl::StatusCode::kPermissionDenied) << end.status;
  EXPECT_EQ(road.Send(Local("b", "b"), "b").status.code(), absl::StatusCode::kPermissionDenied);
  ASSERT_EQ(chown(server.incoming().c_str(), kCam1, 0), 0);
  EXPECT_EQ(road.Send(Local("a", "a"), "CAM001/a").outcome, FileOutcome::kDurable);
  EXPECT_THAT(FilesBelow(server.incoming()), ElementsAre("CAM001/a"));
}

TEST_F(DevicesTest, AFullDiskIsWaitedForAndNothingIsLost) {
  RealServer server("", "internal-sftp", World(/*disk_mib=*/24));
  Road road(server.Options());
  ASSERT_TRUE(road.Ready()) << road.ended();
  const std::string inside = server.Inside(server.incoming());
  WriteFile(inside + "/filler", std::string(12 << 20, 'f'));
  const std::string content = Content(20 << 20, 1);
  FileJob job = road.JobOf(Local("a", content), "CAM1/a");
  job.max_bytes_per_second = 40 << 20;
  FileEnd end = road.Send(job);
  EXPECT_EQ(end.outcome, FileOutcome::kRetry);
  EXPECT_EQ(end.status.code(), absl::StatusCode::kResourceExhausted) << end.status;
  EXPECT_GE(end.durable_offset, 2u << 20);  // Of 12 MiB, of which 8 may be on their way.
  EXPECT_FALSE(std::filesystem::exists(inside + "/CAM1/a"));
  std::filesystem::remove(inside + "/filler");
  end = road.Send(road.JobOf(local_ / "a", "CAM1/a", end.durable_offset));
  EXPECT_EQ(end.outcome, FileOutcome::kDurable) << end.status;
  EXPECT_TRUE(ReadFile(inside + "/CAM1/a") == content);
  EXPECT_THAT(FilesBelow(inside), ElementsAre("CAM1/a"));
}

}  // namespace
}  // namespace viaduct::sftp
