// The state of the testbed plugin, and the few words it speaks with the host.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "viaduct/abi/abi.h"

struct vd_instance {
  const vd_host* host = nullptr;
  std::string name;
  std::map<std::string, std::string> modes;  // What to do wrong where: "start" -> "throw".
  std::string fifo;                          // "hang" reads from it until somebody has written.
  uint32_t credit = 1000;
  uint32_t metric = 0;
  std::atomic<bool> in_done{false};
  std::mutex mutex;
  std::vector<uint64_t> held;  // Tokens of messages.
  std::string seen;            // What the host has said, for the tests to read.
};

template <typename T>
const T* Ask(const vd_host* host, const char* id) {
  return static_cast<const T*>(host->query(host, {id, std::strlen(id)}));
}
template <typename T>
const T* Ask(const vd_instance* self, const char* id) {
  return Ask<T>(self->host, id);
}
inline vd_str Str(std::string_view text) { return {text.data(), text.size()}; }
inline std::string Text(vd_str text) { return {text.data == nullptr ? "" : text.data, text.size}; }

// Calls that no honest plugin makes. None may harm the host.
void Abuse(vd_instance* self);
