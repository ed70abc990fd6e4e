// What every kind of load generation shares: options, results, the ledger log, time.
#pragma once

#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/histogram.h"
#include "tests/support/message_source.h"

namespace viaduct::support {

// CLOCK_MONOTONIC, comparable between processes of one machine.
int64_t NowNanos();

struct LoadOptions {
  double rate = 0;             // Messages a second; 0: as fast as the window allows.
  double seconds = 5;          // How long new messages are made.
  uint64_t max_messages = 0;   // Ends earlier; 0: no bound.
  double drain_seconds = 10;   // How long to wait for outstanding answers after that.
  bool retry = false;          // Send again, under the same id, until it is accepted.
  int64_t timeout_ms = 30000;  // No answer for so long: the connection is given up.
  int64_t reconnect_delay_ms = 5;
  std::string log_path;  // Ledger log; empty: none, and no digests are made.
};

struct LoadResults {
  uint64_t made = 0;      // Ids claimed.
  uint64_t accepted = 0;  // Ids whose OK was read.
  uint64_t refused = 0;   // Ids that got another answer for good.
  uint64_t retried = 0;
  uint64_t connects = 0;
  uint64_t disconnects = 0;
  uint64_t timeouts = 0;
  uint64_t bytes_sent = 0;
  double seconds = 0;                          // First send to last answer.
  double idle_connect_seconds = 0;             // Until all that only stay open were there.
  double cpu_seconds = 0;                      // Of this process.
  std::map<std::string, uint64_t> answers;     // "200", "507", "RESOURCE_EXHAUSTED" -> times.
  std::map<std::string, std::string> samples;  // First text of each answer that is no success.
  uint64_t without_retry_after = 0;            // 429, 503, 507 that did not say when to come back.
  Histogram latency;  // Rate mode: from the moment it was due. Max mode: from its send.

  std::string ToJson() const;
};

// Writes the log of ledger.h. A null path writes nothing. Thread-compatible.
class LedgerLog {
 public:
  absl::Status Open(const std::string& path);
  bool on() const { return file_ != nullptr; }
  void Claimed(const Message& m);
  void Accepted(std::string_view id);
  absl::Status Close();

 private:
  struct Closer {
    void operator()(FILE* f) const { std::fclose(f); }
  };
  std::unique_ptr<FILE, Closer> file_;
};

// When the n-th message is due. Thread-compatible.
class Pace {
 public:
  Pace(double rate, int64_t start) : start_(start), step_(rate > 0 ? 1e9 / rate : 0) {}
  bool paced() const { return step_ > 0; }
  int64_t NextDue() const { return start_ + static_cast<int64_t>(step_ * static_cast<double>(n_)); }
  void Take() { ++n_; }

 private:
  int64_t start_;
  double step_;
  uint64_t n_ = 0;
};

// After StopOnSignals, SIGTERM and SIGINT end the making of new messages; what is outstanding is
// still waited for.
void StopOnSignals();
bool StopRequested();

double ProcessCpuSeconds();

}  // namespace viaduct::support
