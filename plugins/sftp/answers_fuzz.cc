// libFuzzer entry: any octets from a server, while requests of every kind wait for their answers.
// Nothing may crash or grow, and it must not matter how the octets are cut up.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "plugins/sftp/folders.h"
#include "plugins/sftp/requests.h"

namespace {

using viaduct::sftp::Answer;
using viaduct::sftp::Folders;
using viaduct::sftp::Requests;

constexpr size_t kWindowBytes = 1u << 20;

void Require(bool condition) {
  if (!condition) std::abort();
}

// What became of it: how many answers were taken, and whether the server was left.
std::string Hear(const std::string& octets, size_t piece) {
  viaduct::sftp::Window window{kWindowBytes};
  Requests requests(&window);
  Folders folders("/root", &requests);
  std::string heard;
  const auto note = [&heard](const Answer& answer) {
    heard += static_cast<char>('0' + static_cast<int>(answer.status) % 10);
    heard += std::string(answer.text.substr(0, 8));
  };
  requests.Init([&heard] { heard += "ready"; });
  requests.Open("/a", viaduct::sftp::kOpenWrite, note);
  requests.Remove("/a", note);
  requests.Lstat("/a", note);
  requests.Realpath(".", note);
  folders.Need("x/y", [&heard](const absl::Status& status) { heard += status.ok() ? "+" : "-"; });
  folders.NeedRoot([&heard](const absl::Status& status) { heard += status.ok() ? "#" : "~"; });
  absl::Status status;
  for (size_t at = 0; at < octets.size() && status.ok(); at += piece) {
    status = requests.OnOctets(std::string_view(octets).substr(at, piece));
    Require(requests.unsent().size() < Requests::kMaxUnsentBytes);
    Require(requests.unanswered() < Requests::kMaxUnanswered);
  }
  requests.Drop();
  return heard + (status.ok() ? "" : "!");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string octets(reinterpret_cast<const char*>(data), size);
  Require(Hear(octets, 1) == Hear(octets, std::max<size_t>(size, 1)));
  return 0;
}
