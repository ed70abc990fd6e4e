// What a setup consists of: one account, folder, file, role or database after the other.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "host/setup/root.h"

namespace viaduct::setup {

enum class StepKind { kGroup, kUser, kFolder, kFile, kRole, kDatabase };

struct Step {
  StepKind kind = StepKind::kFile;
  std::string subject;  // A path for files and folders, else a name.
  std::string text;     // Of a file.
  mode_t mode = 0644;
  std::string owner = "root";
  std::string group = "root";
  bool secret = false;  // Its text is shown to nobody.
  bool shared = false;  // Others have lines of their own in it; `text` has them, too.
  std::string service;  // The unit that has to start again to take notice; empty: none.
};

struct ServerOptions {
  std::string id;
  std::vector<std::string> parts;  // See kServerParts.
  std::string certificate;         // PEM; with the key, or neither.
  std::string key;
};

struct EdgeOptions {
  std::string id;
  std::string server;     // URL; empty: it has none yet.
  std::string api_key;    // Only with a server, as the next one.
  std::string authority;  // PEM of who signs for the server; empty: the system's.
  bool devices = false;   // It has cameras or accelerators of its own.
};

inline constexpr char kMosquitto[] = "mosquitto";
inline constexpr char kPostgresql[] = "postgresql";
inline constexpr char kSshd[] = "sshd";
inline constexpr char kRsyncd[] = "rsyncd";

// The part of deploy/ for each; what is not on the machine is FAILED_PRECONDITION, wrong options
// are INVALID_ARGUMENT. Reads `root`, changes nothing.
absl::StatusOr<std::vector<Step>> ServerSteps(const Root& root, const ServerOptions& options);
absl::StatusOr<std::vector<Step>> EdgeSteps(const Root& root, const EdgeOptions& options);

// "file", as the journal and JSON have it.
std::string_view KindName(StepKind kind);
bool KindNamed(std::string_view name, StepKind* kind);

}  // namespace viaduct::setup
