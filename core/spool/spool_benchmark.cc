// How fast the spool accepts, hands out and opens. Prints one JSON object. Class C: an answer means
// synced to disk. Usage: spool_benchmark [folder] [messages] [backlog] [encrypt]
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/spool/spool_test_support.h"

namespace viaduct {
namespace {

constexpr size_t kGroup = 128;       // Messages per Append.
constexpr size_t kOutstanding = 64;  // Groups that wait for their answer.

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Resident memory in KiB.
long Resident() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  long pages = 0;
  long total = 0;
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%ld %ld", &total, &pages) != 2) pages = 0;
  std::fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

double SyncsPerSecond(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  const std::string block(4096, 'x');
  int count = 0;
  const double start = Now();
  while (Now() - start < 1.0) {
    if (pwrite(fd, block.data(), block.size(), (count % 256) * 4096) < 0) break;
    if (fdatasync(fd) != 0) break;
    ++count;
  }
  const double elapsed = Now() - start;
  close(fd);
  unlink(path.c_str());
  return count / elapsed;
}

struct Gate {
  absl::Mutex mutex;
  size_t waiting ABSL_GUARDED_BY(mutex) = 0;
  size_t failed ABSL_GUARDED_BY(mutex) = 0;
};

std::vector<Envelope> Group(size_t first, size_t count) {
  std::vector<Envelope> group;
  for (size_t i = 0; i < count; ++i) {
    group.push_back(TestEnvelope(absl::StrCat("018d0b5e-7c1a-7000-8000-", 100000000000 + first + i),
                                 Priority::kNormal, 20));
  }
  return group;
}

double AcceptPerSecond(Spool* spool, size_t messages) {
  Gate gate;
  const auto room = [&gate]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate.mutex) {
    return gate.waiting < kOutstanding;
  };
  const double start = Now();
  for (size_t i = 0; i < messages; i += kGroup) {
    {
      absl::MutexLock lock(&gate.mutex);
      gate.mutex.Await(absl::Condition(&room));
      ++gate.waiting;
    }
    const absl::Status status =
        spool->Append(Group(i, kGroup), [&gate](std::vector<absl::Status> results) {
          absl::MutexLock lock(&gate.mutex);
          --gate.waiting;
          for (const absl::Status& result : results) gate.failed += result.ok() ? 0 : 1;
        });
    if (!status.ok()) std::abort();
  }
  absl::MutexLock lock(&gate.mutex);
  const auto empty = [&gate]()
                         ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate.mutex) { return gate.waiting == 0; };
  gate.mutex.Await(absl::Condition(&empty));
  if (gate.failed > 0) std::abort();
  return static_cast<double>(messages) / (Now() - start);
}

double DrainPerSecond(Spool* spool, size_t messages) {
  const double start = Now();
  size_t drained = 0;
  std::vector<OutboxMessage> some;
  while (drained < messages) {
    some.clear();
    drained += spool->Claim({512, 16u << 20}, &some);
    SettleAll(spool, some, SettleKind::kConfirmed);
    if (some.empty()) std::this_thread::yield();
  }
  while (spool->Info().messages > 0) std::this_thread::yield();
  return static_cast<double>(messages) / (Now() - start);
}

std::unique_ptr<Spool> MustOpen(const SpoolOptions& options, Clock* clock, Log* log) {
  absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open(options, clock, log);
  if (!spool.ok()) {
    std::fprintf(stderr, "%s\n", std::string(spool.status().message()).c_str());
    std::exit(1);
  }
  return *std::move(spool);
}

int Main(int argc, char** argv) {
  const TestFolder folder;
  const std::string base = argc > 1 ? argv[1] : folder.path();
  const size_t messages = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 500'000;
  const size_t backlog = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 1'000'000;
  SystemClock clock;
  NullLog log;
  SpoolOptions options;
  options.path = base + "/bench.db";
  const bool encrypt = argc > 4 && std::string(argv[4]) == "encrypt";
  const std::string key = absl::StrCat("k1 ", absl::Base64Escape(std::string(32, 'k')));
  security::RecordCipher cipher(*security::KeyRing::Parse(key), "spool");
  options.cipher = encrypt ? &cipher : nullptr;
  options.encrypt = encrypt;
  const double syncs = SyncsPerSecond(base + "/sync.tmp");
  std::unique_ptr<Spool> spool = MustOpen(options, &clock, &log);
  const size_t bytes = WriteEnvelope(Group(0, 1)[0]).size();
  const double single_start = Now();
  for (int i = 0; i < 500; ++i) {
    if (!AppendOne(spool.get(), Group(0, 1)[0]).ok()) std::abort();
  }
  const double single_us = (Now() - single_start) / 500 * 1e6;
  DrainPerSecond(spool.get(), 500);
  const double accepted = AcceptPerSecond(spool.get(), messages / kGroup * kGroup);
  const double drained = DrainPerSecond(spool.get(), messages / kGroup * kGroup);
  const size_t total = backlog / kGroup * kGroup;
  AcceptPerSecond(spool.get(), total);
  spool.reset();
  const long before_kib = Resident();
  const double open_start = Now();
  spool = MustOpen(options, &clock, &log);
  const double open_ms = (Now() - open_start) * 1e3;
  std::vector<OutboxMessage> first;
  spool->Claim({128, 16u << 20}, &first);
  const double first_ms = (Now() - open_start) * 1e3;
  const long after_kib = Resident();
  std::printf(
      "{\"durability\":\"C\",\"encrypted\":%s,\"fdatasync_per_s\":%.0f,\"envelope_bytes\":%zu,"
      "\"accept_single_us\":%.0f,\"accept_per_s\":%.0f,\"drain_per_s\":%.0f,"
      "\"backlog\":%zu,\"open_ms\":%.1f,\"first_batch_ms\":%.1f,\"open_rss_kib\":%ld}\n",
      encrypt ? "true" : "false", syncs, bytes, single_us, accepted, drained, total, open_ms,
      first_ms, after_kib - before_kib);
  return 0;
}

}  // namespace
}  // namespace viaduct

int main(int argc, char** argv) { return viaduct::Main(argc, argv); }
