// What tests against real programs share: folders, content, ports, and waiting for what is to come.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace viaduct::support {

inline constexpr absl::Duration kDeadline = absl::Seconds(30);

// True when `check` came true in time.
template <typename Check>
bool Eventually(const Check& check) {
  const absl::Time deadline = absl::Now() + kDeadline;
  while (!check()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

inline void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}
inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string out;
  std::array<char, 64 << 10> piece;
  while (file.read(piece.data(), piece.size()).gcount() > 0) {
    out.append(piece.data(), static_cast<size_t>(file.gcount()));
  }
  return out;
}
// Content that no other seed has.
inline std::string Content(size_t size, uint32_t seed) {
  std::string out(size, '\0');
  uint32_t state = seed * 2654435761u + 1;
  for (char& c : out) {
    state = state * 1664525u + 1013904223u;
    c = static_cast<char>(state >> 24);
  }
  return out;
}
inline void RunCommand(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}
// `when_long` in a run that may take its time.
inline size_t Rounds(size_t count, size_t when_long) {
  return std::getenv("VIADUCT_TEST_LONG") == nullptr ? count : when_long;
}

inline sockaddr_in LoopbackAddress(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}
// Below what the machine gives to connections that go out: the port of a server that is down stays
// free for it.
inline int FreePort() {
  std::random_device random;
  std::uniform_int_distribution<int> any(16384, 32767);
  for (int tries = 0; tries < 1000; ++tries) {
    const int port = any(random);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = LoopbackAddress(port);
    const int code = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    close(fd);
    if (code == 0) return port;
  }
  ADD_FAILURE() << "no free port";
  return 0;
}
inline bool Listens(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = LoopbackAddress(port);
  const int code = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  close(fd);
  return code == 0;
}

// Gone with the object.
class TestFolder {
 public:
  TestFolder() {
    std::string path = ::testing::TempDir() + "/viaduct-test-XXXXXX";
    path_ = mkdtemp(path.data());
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Names of everything below `folder`, but for folders.
inline std::vector<std::string> FilesBelow(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_directory()) {
      out.push_back(entry.path().lexically_relative(folder).string());
    }
  }
  return out;
}

}  // namespace viaduct::support
