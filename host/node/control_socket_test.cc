#include "host/node/control_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "absl/synchronization/notification.h"
#include "host/node/data_dir.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;

class ControlSocketTest : public ::testing::Test {
 protected:
  ControlSocketTest() {
    std::string name = "/tmp/vd-socket-XXXXXX";
    folder_ = mkdtemp(name.data());
    path_ = folder_ + "/control.sock";
  }
  ~ControlSocketTest() override {
    for (const char* name : {"/control.sock", "/node.lock"}) unlink((folder_ + name).c_str());
    rmdir(folder_.c_str());
  }

  static int Connect(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    const int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      return client;
    }
    close(client);
    return -1;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(ControlSocketTest, OnlyTheOwnerMayUseIt) {
  auto socket = ControlSocket::Listen(path_);
  ASSERT_TRUE(socket.ok()) << socket.status();
  struct stat there {};
  ASSERT_EQ(stat(path_.c_str(), &there), 0);
  EXPECT_EQ(there.st_mode & 0777, 0600u);
}

TEST_F(ControlSocketTest, TellsWhoCalls) {
  auto socket = ControlSocket::Listen(path_);
  ASSERT_TRUE(socket.ok());
  absl::Notification accepted;
  ControlSocket::Accepted who;
  (*socket)->Start([&](const ControlSocket::Accepted& caller) {
    who = caller;
    close(caller.descriptor);
    accepted.Notify();
  });
  const int client = Connect(path_);
  ASSERT_GE(client, 0);
  ASSERT_TRUE(accepted.WaitForNotificationWithTimeout(absl::Seconds(10)));
  EXPECT_EQ(who.uid, getuid());
  EXPECT_EQ(who.pid, getpid());
  close(client);
}

TEST_F(ControlSocketTest, ReplacesASocketThatNobodyListensOn) {
  const int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(dead, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  close(dead);
  EXPECT_TRUE(ControlSocket::Listen(path_).ok());
}

TEST_F(ControlSocketTest, LeavesARunningNodeAlone) {
  auto first = ControlSocket::Listen(path_);
  ASSERT_TRUE(first.ok());
  auto second = ControlSocket::Listen(path_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  const int client = Connect(path_);  // Still the first one's.
  EXPECT_GE(client, 0);
  close(client);
}

TEST_F(ControlSocketTest, NeverRemovesWhatIsNoSocket) {
  std::ofstream(path_) << "precious";
  auto socket = ControlSocket::Listen(path_);
  EXPECT_EQ(socket.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
}

TEST_F(ControlSocketTest, SaysWhenThePathIsTooLong) {
  auto socket = ControlSocket::Listen(folder_ + "/" + std::string(200, 'x'));
  EXPECT_EQ(socket.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(socket.status().message()), HasSubstr("at most 107"));
}

TEST_F(ControlSocketTest, StopRemovesTheFile) {
  auto socket = ControlSocket::Listen(path_);
  ASSERT_TRUE(socket.ok());
  (*socket)->Start([](const ControlSocket::Accepted& caller) { close(caller.descriptor); });
  (*socket)->Stop();
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
  EXPECT_LT(Connect(path_), 0);
}

TEST_F(ControlSocketTest, ADataDirHasOneNode) {
  auto first = DataDir::Open(folder_);
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = DataDir::Open(folder_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("in use by process " + std::to_string(getpid())));
  first->reset();
  EXPECT_TRUE(DataDir::Open(folder_).ok());
}

TEST_F(ControlSocketTest, ADataDirThatCannotBeMadeIsNamed) {
  std::ofstream(path_) << "a file";
  auto opened = DataDir::Open(path_ + "/below");
  EXPECT_FALSE(opened.ok());
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("data_dir " + path_));
}

}  // namespace
}  // namespace viaduct
