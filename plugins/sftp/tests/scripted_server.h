// The other end of channels, answering what a test says and when: for what no sshd does on demand.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plugins/common/remote_name.h"
#include "plugins/sftp/upload.h"

namespace viaduct::sftp {

// A request as it came.
struct Asked {
  RequestType type;
  uint32_t id = 0;
  std::string body;  // Behind the id.
};

inline uint32_t Number(std::string_view octets) {
  uint32_t value = 0;
  for (const char octet : octets.substr(0, 4)) value = value << 8 | static_cast<uint8_t>(octet);
  return value;
}
inline std::string Octets(uint64_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out += static_cast<char>(value >> shift);
  return out;
}
inline std::string Text(const std::string& text) { return Octets(text.size(), 4) + text; }

class ScriptedChannel {
 public:
  ScriptedChannel(Window* window, const std::vector<std::string>& extensions) : requests(window) {
    requests.Init([] {});
    requests.OnSent(requests.unsent().size());
    std::string version = Octets(2, 1) + Octets(3, 4);
    for (const std::string& extension : extensions) version += Text(extension) + Text("1");
    Say(version);
  }

  // What was asked since the last call.
  std::vector<Asked> Take() {
    std::vector<Asked> out;
    std::string_view octets = requests.unsent();
    while (!octets.empty()) {
      const std::string_view packet = octets.substr(4, Number(octets));
      out.push_back({static_cast<RequestType>(packet[0]), Number(packet.substr(1)),
                     std::string(packet.substr(5))});
      octets.remove_prefix(4 + packet.size());
    }
    requests.OnSent(requests.unsent().size());
    return out;
  }
  void Status(uint32_t id, StatusCode code) {
    Say(Octets(101, 1) + Octets(id, 4) + Octets(static_cast<uint32_t>(code), 4) + Text("") +
        Text(""));
  }
  void Handle(uint32_t id) { Say(Octets(102, 1) + Octets(id, 4) + Text("h")); }
  void Attributes(uint32_t id, uint32_t mode, uint64_t size) {
    Say(Octets(105, 1) + Octets(id, 4) + Octets(5, 4) + Octets(size, 8) + Octets(mode, 4));
  }
  void File(uint32_t id, uint64_t size) { Attributes(id, 0100644, size); }
  void Folder(uint32_t id) { Attributes(id, 0040755, 0); }

  Requests requests;

 private:
  void Say(const std::string& packet) {
    const absl::Status heard = requests.OnOctets(Octets(packet.size(), 4) + packet);
    EXPECT_TRUE(heard.ok()) << heard;
  }
};

}  // namespace viaduct::sftp
