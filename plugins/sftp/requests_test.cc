#include "plugins/sftp/requests.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace viaduct::sftp {
namespace {

using namespace std::string_literals;

std::string Packet(const std::string& body) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(body.size() >> shift);
  return out + body;
}
std::string Status(uint8_t id, uint8_t code) {
  return Packet("\x65\0\0\0"s + static_cast<char>(id) + "\0\0\0"s + static_cast<char>(code));
}
const std::string kVersion = Packet("\x02\0\0\0\x03"s);

class RequestsTest : public ::testing::Test {
 protected:
  RequestsTest() {
    requests_.Init([this] { ready_ = true; });
  }
  absl::Status Write(size_t size) {
    return requests_.Write(
        "h", 0, size, [](char*) { return absl::OkStatus(); },
        [this](const Answer&) { ++answers_; });
  }

  Window window_{1u << 20};
  Requests requests_{&window_};
  bool ready_ = false;
  int answers_ = 0;
};

TEST_F(RequestsTest, AServerWithoutExtensionsIsTakenAsItIs) {
  ASSERT_TRUE(requests_.OnOctets(kVersion).ok());
  EXPECT_TRUE(ready_);
  EXPECT_FALSE(requests_.features().fsync);
  EXPECT_EQ(requests_.features().max_write_bytes, 32u << 10);
}

TEST_F(RequestsTest, LimitsOfTheServerAreKeptWithinOurs) {
  const auto text = [](const std::string& t) {
    return "\0\0\0"s + static_cast<char>(t.size()) + t;
  };
  ASSERT_TRUE(
      requests_.OnOctets(Packet("\x02\0\0\0\x03"s + text("limits@openssh.com") + text("1"))).ok());
  EXPECT_FALSE(ready_);
  const std::string huge = "\x7f\xff\xff\xff\xff\xff\xff\xff"s;
  ASSERT_TRUE(requests_.OnOctets(Packet("\xc9\0\0\0\0"s + huge + huge + huge + huge)).ok());
  EXPECT_TRUE(ready_);
  EXPECT_EQ(requests_.features().max_write_bytes, Requests::kMaxWriteBytes);
}

TEST_F(RequestsTest, AnswersFindTheirRequestInAnyOrder) {
  std::vector<std::string> order;
  requests_.Remove("a", [&](const Answer& answer) { order.push_back(answer.ok() ? "a" : "!"); });
  requests_.Remove("b", [&](const Answer& answer) { order.push_back(answer.ok() ? "b" : "!"); });
  ASSERT_TRUE(requests_.OnOctets(Status(1, 0) + Status(0, 2)).ok());
  EXPECT_EQ(order, (std::vector<std::string>{"b", "!"}));
  EXPECT_EQ(requests_.unanswered(), 0u);
}

TEST_F(RequestsTest, WindowAndBufferAreBounded) {
  ASSERT_TRUE(requests_.OnOctets(kVersion).ok());
  size_t written = 0;
  while (requests_.has_room()) {
    ASSERT_TRUE(Write(32u << 10).ok());
    written += 32u << 10;
    ASSERT_LE(written, 2u << 20);
    ASSERT_LE(requests_.unsent().size(), Requests::kMaxUnsentBytes);
    if (!requests_.has_room()) requests_.OnSent(requests_.unsent().size());
  }
  EXPECT_EQ(written, 1u << 20);
  ASSERT_TRUE(requests_.OnOctets(Status(0, 0)).ok());
  EXPECT_TRUE(requests_.has_room());
  EXPECT_EQ(answers_, 1);
}

TEST_F(RequestsTest, WhatWasSentIsForgottenAlsoWhereSomethingAlwaysWaits) {
  ASSERT_TRUE(requests_.OnOctets(kVersion).ok());
  for (int i = 0; i < 1000; ++i) {
    while (requests_.has_room()) ASSERT_TRUE(Write(32u << 10).ok());
    requests_.OnSent(requests_.unsent().size() / 2);
    ASSERT_LE(requests_.held_bytes(), 2 * Requests::kMaxUnsentBytes);
    while (requests_.unanswered() > 0) {
      std::string answer = "\x65"s;
      for (int shift = 24; shift >= 0; shift -= 8) answer += static_cast<char>(answers_ >> shift);
      ASSERT_TRUE(requests_.OnOctets(Packet(answer + "\0\0\0\0"s)).ok());
    }
  }
}

TEST_F(RequestsTest, WhatCanNotBeReadIsNotSent) {
  requests_.OnSent(requests_.unsent().size());
  const absl::Status status = requests_.Write(
      "h", 0, 100, [](char*) { return absl::AbortedError("changed"); }, [](const Answer&) {});
  EXPECT_TRUE(absl::IsAborted(status));
  EXPECT_TRUE(requests_.unsent().empty());
  EXPECT_EQ(requests_.unanswered(), 0u);
}

TEST_F(RequestsTest, AServerThatDoesNotKeepToTheProtocolIsLeft) {
  const struct {
    std::string octets;
    const char* what;
  } kCases[] = {
      {Status(9, 0), "an answer to nothing"},
      {Packet("\x66\0\0\0\0\0\0\0\x01h"s), "a handle for a REMOVE"},
      {Packet("\x69\0\0\0\0\0\0\0\0"s), "attributes for a REMOVE"},
      {kVersion + kVersion, "its version twice"},
      {Packet("\x02\0\0\0\x02"s), "an old version"},
      {"Welcome to this server!\n", "a greeting of a shell"},
  };
  for (const auto& c : kCases) {
    Window window{1u << 20};
    Requests requests(&window);
    requests.Init([] {});
    requests.Remove("a", [&](const Answer&) { ADD_FAILURE() << c.what; });
    EXPECT_TRUE(absl::IsInvalidArgument(requests.OnOctets(c.octets))) << c.what;
  }
  Window window{1u << 20};
  Requests requests(&window);
  requests.Init([] {});
  requests.Open("a", kOpenWrite, [](const Answer&) { ADD_FAILURE(); });
  EXPECT_FALSE(requests.OnOctets(Status(0, 0)).ok()) << "an OPEN that succeeds without a handle";
}

TEST_F(RequestsTest, WithoutPosixRenameTheOldFileIsRemovedOnlyWhereItIsInTheWay) {
  const auto asked = [this] {
    std::string types;
    for (std::string_view left = requests_.unsent(); !left.empty();) {
      types += left[4];
      left.remove_prefix(4 + (static_cast<size_t>(static_cast<uint8_t>(left[2])) << 8) +
                         static_cast<uint8_t>(left[3]));
    }
    requests_.OnSent(requests_.unsent().size());
    return types;
  };
  const auto file = [](uint8_t id, uint16_t mode) {
    return Packet("\x69\0\0\0"s + static_cast<char>(id) + "\0\0\0\x04\0\0"s +
                  static_cast<char>(mode >> 8) + static_cast<char>(mode));
  };
  requests_.OnSent(requests_.unsent().size());
  requests_.Rename("a", "b", [this](const Answer& answer) { answers_ += answer.ok() ? 1 : 100; });
  EXPECT_EQ(asked(), "\x12"s) << "RENAME";
  ASSERT_TRUE(requests_.OnOctets(Status(0, 4)).ok());
  EXPECT_EQ(asked(), "\x07"s) << "LSTAT";
  ASSERT_TRUE(requests_.OnOctets(file(1, 0100644)).ok());
  EXPECT_EQ(asked(), "\x0d\x12"s) << "REMOVE, RENAME";
  ASSERT_TRUE(requests_.OnOctets(Status(2, 0) + Status(3, 0)).ok());
  EXPECT_EQ(answers_, 1);
  requests_.Rename("a", "b", [this](const Answer& answer) { answers_ += answer.ok() ? 1 : 100; });
  EXPECT_EQ(asked(), "\x12"s);
  ASSERT_TRUE(requests_.OnOctets(Status(4, 3)).ok());  // No permission: nothing is removed.
  EXPECT_EQ(asked(), ""s);
  EXPECT_EQ(answers_, 101);
}

}  // namespace
}  // namespace viaduct::sftp
