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

// "throw", "hang" or nothing at this place.
void Misbehave(const vd_instance* self, const char* where);
bool IsMode(const vd_instance* self, const char* where, const char* what);

// Held while the host is called: the host must not come back on this stack.
std::mutex& CallLock();

void Note(vd_instance* self, const std::string& what);
int32_t AddMetric(vd_instance* self, const char* name, uint32_t* number);
int32_t SubmitSome(vd_instance* self, uint64_t count, uint64_t* taken);
void Complete(vd_instance* self, const std::vector<uint64_t>& tokens, uint32_t outcome);
void SayFailed(vd_instance* self, const char* reason);

// One command of a test; its result is the status of the answer.
int32_t Obey(vd_instance* self, const std::string& command, uint64_t number);

// Calls that no honest plugin makes. None may harm the host.
void Abuse(vd_instance* self);
