#include "tests/support/relay.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace viaduct::support {
namespace {

constexpr timeval kPatience = {10, 0};
constexpr timeval kSilence = {0, 150'000};

// An echo server's listening socket and the relay in front of it.
class RelayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof address;
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(listen(listener_, 16), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    RelayOptions options;
    options.target_port = ntohs(address.sin_port);
    relay_ = std::make_unique<Relay>(options);
    ASSERT_TRUE(relay_->Listen().ok());
    ASSERT_EQ(pipe(commands_), 0);
    ASSERT_EQ(pipe(answers_), 0);
    thread_ = std::thread([this] { relay_->Run(commands_[0], answers_[1]); });
  }
  void TearDown() override {
    close(commands_[1]);
    thread_.join();
    for (const int fd : {listener_, commands_[0], answers_[0], answers_[1]}) close(fd);
    for (const int fd : opened_) close(fd);
  }

  static sockaddr_in Loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  std::string Say(const std::string& command) {
    const std::string line = command + "\n";
    EXPECT_EQ(write(commands_[1], line.data(), line.size()), static_cast<ssize_t>(line.size()));
    std::string answer;
    for (char c; read(answers_[0], &c, 1) == 1 && c != '\n';) answer.push_back(c);
    return answer;
  }
  int Connect() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    opened_.push_back(fd);
    const sockaddr_in address = Loopback(relay_->port());
    EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    return fd;
  }
  int AcceptOne() {
    const int fd = accept(listener_, nullptr, nullptr);
    opened_.push_back(fd);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    return fd;
  }
  static std::string Receive(int fd, size_t count) {
    std::string text;
    char c;
    while (text.size() < count && recv(fd, &c, 1, 0) == 1) text.push_back(c);
    return text;
  }
  static bool Silent(int fd) {
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kSilence, sizeof kSilence);
    char c;
    const bool silent = recv(fd, &c, 1, 0) < 0 && errno == EAGAIN;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    return silent;
  }
  static void Send(int fd, const std::string& text) {
    EXPECT_EQ(send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  int listener_ = -1;
  int commands_[2], answers_[2];
  std::vector<int> opened_;
  std::unique_ptr<Relay> relay_;
  std::thread thread_;
};

TEST_F(RelayTest, PassesBothWaysAndCounts) {
  const int client = Connect(), server = AcceptOne();
  Send(client, "hello");
  EXPECT_EQ(Receive(server, 5), "hello");
  Send(server, "yes");
  EXPECT_EQ(Receive(client, 3), "yes");
  EXPECT_EQ(Say("stats"), R"(ok {"connections":1,"open":1,"up":5,"down":3})");
}

TEST_F(RelayTest, PassesTheEndOn) {
  const int client = Connect(), server = AcceptOne();
  Send(client, "bye");
  shutdown(client, SHUT_WR);
  EXPECT_EQ(Receive(server, 100), "bye");
}

TEST_F(RelayTest, DropsOneDirectionOnly) {
  const int client = Connect(), server = AcceptOne();
  EXPECT_EQ(Say("drop up"), "ok");
  Send(client, "lost");
  EXPECT_TRUE(Silent(server));
  Send(server, "heard");
  EXPECT_EQ(Receive(client, 5), "heard");
  EXPECT_EQ(Say("pass"), "ok");
  Send(client, "back");
  EXPECT_EQ(Receive(server, 4), "back");
}

TEST_F(RelayTest, StallsWithoutLosing) {
  const int client = Connect(), server = AcceptOne();
  EXPECT_EQ(Say("stall"), "ok");
  Send(client, "later");
  EXPECT_TRUE(Silent(server));
  EXPECT_EQ(Say("pass"), "ok");
  EXPECT_EQ(Receive(server, 5), "later");
}

TEST_F(RelayTest, ResetsAndRefuses) {
  const int client = Connect();
  AcceptOne();
  EXPECT_EQ(Say("refuse"), "ok");
  char c;
  EXPECT_LT(recv(client, &c, 1, 0), 0);
  EXPECT_EQ(errno, ECONNRESET);
  const int late = Connect();
  EXPECT_LE(recv(late, &c, 1, 0), 0);
}

TEST_F(RelayTest, BudgetEndsInTheMiddleOfAMessage) {
  const int client = Connect(), server = AcceptOne();
  EXPECT_EQ(Say("budget 3 drop up"), "ok");
  Send(client, "abcdef");
  EXPECT_EQ(Receive(server, 3), "abc");
  EXPECT_TRUE(Silent(server));
}

TEST_F(RelayTest, DelaysWhatPasses) {
  const int client = Connect(), server = AcceptOne();
  EXPECT_EQ(Say("delay 300"), "ok");
  Send(client, "slow");
  EXPECT_TRUE(Silent(server));
  EXPECT_EQ(Receive(server, 4), "slow");
}

TEST_F(RelayTest, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(Say("explode"), "error unknown command, explode");
  EXPECT_EQ(Say("budget x drop"), "error budget");
  EXPECT_EQ(Say("drop sideways"), "error direction, sideways");
}

}  // namespace
}  // namespace viaduct::support
