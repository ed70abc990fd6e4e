#include "host/node/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

constexpr int kMoreThanAnyQueue = 10'000;

// What the service manager reads, by an abstract name.
class Receiver {
 public:
  Receiver() {
    const std::string name = absl::StrCat("@viaduct-test-", getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data() + 1, name.size() - 1);
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), bytes), 0);
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~Receiver() {
    unsetenv("NOTIFY_SOCKET");
    close(fd_);
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  std::string Read() {
    char text[256];
    const ssize_t size = recv(fd_, text, sizeof(text), MSG_DONTWAIT);
    return size < 0 ? "" : std::string(text, static_cast<size_t>(size));
  }

 private:
  int fd_ = -1;
};

TEST(TellServiceManagerTest, ArrivesWhole) {
  Receiver receiver;
  EXPECT_TRUE(TellServiceManager("READY=1\nSTATUS=running"));
  EXPECT_EQ(receiver.Read(), "READY=1\nSTATUS=running");
}

TEST(TellServiceManagerTest, DoesNotWaitForOneThatDoesNotRead) {
  Receiver receiver;
  int sent = 0;
  while (sent < kMoreThanAnyQueue && TellServiceManager("STATUS=running")) ++sent;
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, kMoreThanAnyQueue);
}

TEST(TellServiceManagerTest, NobodyAsked) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(TellServiceManager("READY=1"));
  setenv("NOTIFY_SOCKET", std::string(200, 'x').c_str(), 1);
  EXPECT_FALSE(TellServiceManager("READY=1"));
  setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
  EXPECT_FALSE(TellServiceManager("READY=1"));
  unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace viaduct
