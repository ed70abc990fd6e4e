// Whether the node's listeners can have their ports.
#include <arpa/inet.h>
#include <dirent.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/descriptor.h"
#include "core/config/members.h"
#include "host/doctor/diagnosis.h"

namespace viaduct::doctor {
namespace {

constexpr int kFirstFreePort = 1024;  // Below, a user needs a right of its own.
constexpr std::string_view kListening = "0A";

// Inodes of the sockets that listen on a port, by the kernel's tables.
std::set<std::string> Listening(int port) {
  std::set<std::string> inodes;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream lines(table);
    for (std::string line; std::getline(lines, line);) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (words.size() < 10 || words[3] != kListening) continue;
      const size_t colon = words[1].rfind(':');
      int found = 0;
      if (absl::SimpleHexAtoi(words[1].substr(colon + 1), &found) && found == port) {
        inodes.insert(absl::StrCat("socket:[", words[9], "]"));
      }
    }
  }
  return inodes;
}

bool Holds(int pid, const std::set<std::string>& sockets) {
  const std::string folder = absl::StrCat("/proc/", pid, "/fd");
  const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(folder.c_str()), closedir);
  if (open == nullptr) return false;
  while (const dirent* entry = readdir(open.get())) {
    std::array<char, PATH_MAX> target{};
    const std::string link = absl::StrCat(folder, "/", entry->d_name);
    const ssize_t size = readlink(link.c_str(), target.data(), target.size() - 1);
    if (size > 0 && sockets.count(std::string(target.data(), static_cast<size_t>(size))) > 0) {
      return true;
    }
  }
  return false;
}

// "nginx (process 12)"; "" where this user may not see it.
std::string OwnerOf(const std::set<std::string>& sockets) {
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(opendir("/proc"), closedir);
  if (processes == nullptr) return "";
  while (const dirent* entry = readdir(processes.get())) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid) || !Holds(pid, sockets)) continue;
    std::ifstream file(absl::StrCat("/proc/", pid, "/comm"));
    std::string name;
    std::getline(file, name);
    return absl::StrCat(name, " (process ", pid, ")");
  }
  return "";
}

// 0: it can be had; otherwise errno.
int TryBind(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  if (getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &raw) != 0) {
    return EADDRNOTAVAIL;
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> found(raw, freeaddrinfo);
  const Descriptor socket_of(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket_of.get() < 0) return errno;
  const int on = 1;
  setsockopt(socket_of.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  // Where another one listens it is the listening, not the name, that fails on a shared port.
  if (bind(socket_of.get(), found->ai_addr, found->ai_addrlen) != 0) return errno;
  return 0;
}

void CheckPort(const Patient& patient, const std::string& name, const std::string& listen,
               Diagnoses* out) {
  const size_t colon = listen.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(listen.substr(colon + 1), &port)) return;
  if (port == 0) return out->Ok(listen, absl::StrCat(name, ": any free port"));
  std::string host = listen.substr(0, colon);
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  const std::set<std::string> sockets = Listening(port);
  if (patient.node_pid > 0 && Holds(patient.node_pid, sockets)) {
    return out->Ok(listen, absl::StrCat(name, ": the node listens"));
  }
  const int error = TryBind(host, listen.substr(colon + 1));
  if (error == 0) {
    if (patient.node_pid == 0) return out->Ok(listen, absl::StrCat(name, ": free"));
    return out->Fail(listen, absl::StrCat(name, ": the node runs and does not listen"),
                     "look at viaductctl instances list");
  }
  if (error == EADDRINUSE) {
    const std::string owner = OwnerOf(sockets);
    return out->Fail(listen,
                     absl::StrCat(name, ": taken by ", owner.empty() ? "another process" : owner),
                     "end that one (ss -ltnp), or choose another port");
  }
  if (error == EACCES && port < kFirstFreePort) {
    return out->Fail(listen, absl::StrCat(name, ": a port below 1024 is not for this user"),
                     "choose another one, or AmbientCapabilities=CAP_NET_BIND_SERVICE");
  }
  out->Fail(listen, absl::StrCat(name, ": cannot be had, ", std::strerror(error)),
            "use an address of this machine");
}

}  // namespace

void CheckPorts(const Patient& patient, Diagnoses* out) {
  out->BeginArea("ports");
  const NodeConfig& config = *patient.config;
  if (config.control.tcp.has_value()) {
    CheckPort(patient, "control plane", config.control.tcp->listen, out);
  }
  for (const InstanceOptions& instance : config.instances) {
    const auto options = nlohmann::json::parse(instance.redacted_json, nullptr, false);
    const std::string listen = members::Text(options, "listen");
    if (!listen.empty()) CheckPort(patient, instance.name, listen, out);
  }
}

}  // namespace viaduct::doctor
