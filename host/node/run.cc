#include "host/node/run.h"

#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "core/base/string_view.h"
#include "host/node/foundation.h"
#include "host/node/log_file.h"
#include "host/node/memory_trim.h"
#include "host/node/node.h"
#include "host/node/service_manager.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "node";
constexpr int kStatusIntervalMs = 10'000;
constexpr int kQuitNow = 130;
constexpr rlim_t kMaxDescriptors = 1u << 20;
constexpr absl::Duration kDefaultDrain = absl::Seconds(10);

// Signals and wishes to stop, as one thing to wait for. Thread-safe: RequestStop; the rest lives on
// the main thread.
class Events {
 public:
  // Before any thread is made: they inherit the mask.
  Events() {
    std::signal(SIGPIPE, SIG_IGN);
    sigset_t mask;
    sigemptyset(&mask);
    for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&mask, signal);
    pthread_sigmask(SIG_BLOCK, &mask, nullptr);
    signals_ = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  }
  ~Events() {
    close(signals_);
    close(wake_);
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  // A failure is not made good by a later wish to stop.
  void RequestStop(int exit_code) {
    if (exit_code != kExitOk) exit_code_.store(exit_code);
    stop_requested_.store(true);
    Wake();
  }
  bool stop_requested() const { return stop_requested_.load(); }
  void Wake() {
    const uint64_t one = 1;
    static_cast<void>(write(wake_, &one, sizeof(one)) == sizeof(one));
  }
  int exit_code() const { return exit_code_.load(); }

  enum class Kind { kTimeout, kStop, kReload, kWoken };
  Kind Wait(int timeout_ms) {
    pollfd watched[2] = {{signals_, POLLIN, 0}, {wake_, POLLIN, 0}};
    if (poll(watched, 2, timeout_ms) <= 0) return Kind::kTimeout;
    signalfd_siginfo info{};
    if (read(signals_, &info, sizeof(info)) == sizeof(info)) {
      return info.ssi_signo == SIGHUP ? Kind::kReload : Kind::kStop;
    }
    uint64_t count = 0;
    static_cast<void>(read(wake_, &count, sizeof(count)) == sizeof(count));
    return Kind::kWoken;
  }

 private:
  int signals_ = -1;
  int wake_ = -1;
  std::atomic<int> exit_code_{kExitOk};
  std::atomic<bool> stop_requested_{false};
};

// How often systemd wants a sign of life, halved; without a watchdog the status is still renewed.
int NotifyIntervalMs() {
  uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) <= 0) return kStatusIntervalMs;
  return static_cast<int>(microseconds / 2000);
}

// A log that cannot be rotated goes on in the file that is open.
void Warn(Foundation* foundation, const absl::Status& status) {
  if (status.ok()) return;
  foundation->log->Warning(kComponent, "the log file cannot be changed",
                           {{"reason", StdView(status.message())}});
}

// `log_file` may be null.
void Supervise(Node* node, Events* events, Foundation* foundation, LogFile* log_file) {
  const int interval = NotifyIntervalMs();
  while (true) {
    switch (events->Wait(interval)) {
      case Events::Kind::kStop:
      case Events::Kind::kWoken:
        return;
      case Events::Kind::kReload:
        if (log_file != nullptr) Warn(foundation, log_file->Reopen());
        node->Reload();
        break;
      case Events::Kind::kTimeout:
        if (log_file != nullptr) Warn(foundation, log_file->RotateIfFull());
        // No sign of life when the control plane hangs: systemd then starts the node anew.
        if (node->Alive()) {
          TellServiceManager(absl::StrCat("WATCHDOG=1\nSTATUS=", node->StatusLine()));
        }
        break;
    }
  }
}

// Takes the node apart on a thread of its own, so that a second signal is heard.
size_t StopListening(std::unique_ptr<Node> node, Foundation* foundation, Events* events) {
  std::atomic<bool> done{false};
  size_t left_behind = 0;
  absl::Duration limit = node->drain_timeout();
  if (limit <= absl::ZeroDuration()) limit = kDefaultDrain;
  std::thread stopper([&] {
    left_behind = node->Stop(limit);
    done.store(true);
    events->Wake();
  });
  while (!done.load()) {
    if (events->Wait(-1) == Events::Kind::kStop) {
      foundation->log->Warning(kComponent, "second signal, quitting without waiting", {});
      _exit(kQuitNow);
    }
  }
  stopper.join();
  if (left_behind > 0) static_cast<void>(node.release());  // Its threads still use it.
  return left_behind;
}

int ReportFailure(const Foundation& foundation, const absl::Status& status) {
  PrintFindings(foundation.findings, stderr);
  // The status of a document with mistakes only repeats them.
  const bool told = std::any_of(
      foundation.findings.begin(), foundation.findings.end(),
      [](const Finding& finding) { return finding.severity == FindingSeverity::kError; });
  if (!told) std::fprintf(stderr, "viaduct-host: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? kExitConfig : kExitFailed;
}

// Every connection and every open file is a descriptor, and systems start a process with few.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, kMaxDescriptors);
  static_cast<void>(setrlimit(RLIMIT_NOFILE, &limit));
}

// What Debian's libraries do at every call and nobody looks at here: Abseil searches for deadlocks
// at every lock, whatever we are built as; SQLite counts its memory under one lock.
void QuickenLibraries() {
#ifdef NDEBUG
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

}  // namespace

int RunNode(const std::string& config_file) {
  QuickenLibraries();
  RaiseDescriptorLimit();
  Events events;
  auto foundation = std::make_unique<Foundation>();
  absl::Status opened = foundation->Open(config_file);
  if (!opened.ok()) {
    const int code = ReportFailure(*foundation, opened);
    return absl::IsNotFound(opened) ? kExitUsage : code;  // The file cannot be read.
  }
  for (const auto& finding : foundation->findings) {
    foundation->log->Warning("config", FormatFinding(finding), {});
  }
  absl::StatusOr<std::unique_ptr<LogFile>> log_file = LogFile::Open(foundation->config);
  if (!log_file.ok()) return ReportFailure(*foundation, log_file.status());
  Node::Options options;
  options.on_stop_requested = [&events](int exit_code) { events.RequestStop(exit_code); };
  auto node = Node::Start(foundation.get(), std::move(options));
  if (!node.ok()) {
    foundation->findings.clear();
    log_file->reset();  // Whoever has started it sees why it did not.
    return ReportFailure(*foundation, node.status());
  }
  if (!events.stop_requested()) {
    TellServiceManager(absl::StrCat("READY=1\nSTATUS=", (*node)->StatusLine()));
    TrimAfterStart();
  }
  Supervise(node->get(), &events, foundation.get(), log_file->get());
  TellServiceManager("STOPPING=1\nSTATUS=draining");
  foundation->log->Info(kComponent, "stopping", {});
  const size_t left_behind = StopListening(*std::move(node), foundation.get(), &events);
  // A start that ended in a failure counts against the revision, as a crash would.
  absl::Status noted;
  if (events.exit_code() == kExitOk) noted = foundation->revisions->MarkStoppedInOrder();
  if (!noted.ok()) {
    foundation->log->Warning(kComponent, "cannot note the stop in good order", {});
  }
  foundation->log->Info(kComponent, "stopped", {});
  if (left_behind > 0) _exit(events.exit_code());
  return events.exit_code();
}

int CheckConfig(const std::string& config_file) {
  auto checked = CheckConfigFile(config_file);
  if (!checked.ok()) {
    std::fprintf(stderr, "viaduct-host: %s\n", std::string(checked.status().message()).c_str());
    return kExitUsage;
  }
  PrintFindings(checked->findings, stdout);
  if (!checked->config.has_value()) return kExitConfig;
  std::printf("%s: valid\n", config_file.c_str());
  return kExitOk;
}

}  // namespace viaduct
