// Level data: viaduct.submit/1 and viaduct.call/1. What a plugin begins by itself is answered by a
// schedule of successes and faults; --peer gives it something to begin with.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "arena.h"
#include "fixture.h"
#include "library.h"
#include "subject.h"
#include "viaduct/cpp/text.h"

extern char** environ;

namespace viaduct::check {
namespace {

constexpr std::chrono::seconds kLimit(60);
// For a plugin to begin something: by itself, or because its peer wants it.
constexpr std::chrono::milliseconds kBeginAloneLimit(500);
constexpr std::chrono::milliseconds kBeginLimit(5000);
constexpr std::chrono::seconds kAnswerLimit(20);
constexpr uint64_t kEnough = 100;

// The shell command of --peer, ended with the test's process group.
class PeerCommand {
 public:
  explicit PeerCommand(Fixture& fixture) {
    if (fixture.peer_command().empty()) return;
    std::string shell = "/bin/sh";
    std::string option = "-c";
    std::string command = fixture.peer_command();
    char* const argv[] = {shell.data(), option.data(), command.data(), nullptr};
    if (posix_spawn(&pid_, shell.c_str(), nullptr, nullptr, argv, environ) != 0) {
      fixture.Fail("--peer: can not run /bin/sh");
    }
  }
  ~PeerCommand() {
    if (pid_ <= 0) return;
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = 0;
};

// Waits for `enough()`; looks now and then, since the counters have no event of their own.
template <typename Condition>
bool Await(std::chrono::milliseconds limit, const Condition& enough) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!enough()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

std::chrono::milliseconds BeginLimit(const Fixture& fixture) {
  return fixture.peer_command().empty() ? kBeginAloneLimit : kBeginLimit;
}

template <typename Table>
void RequireInterface(Subject& subject, const char* id) {
  subject.Need<Table>(id);
}

void SubmitsAreAnswered(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  RequireInterface<vd_submit_1>(subject, VD_SUBMIT_1);
  const PeerCommand peer(fixture);
  const Traffic& traffic = subject.host().traffic();
  fixture.Phase("waiting for submits");
  Await(BeginLimit(fixture), [&] { return traffic.submitted >= kEnough; });
  if (traffic.submitted == 0) fixture.Skip("submitted nothing; is there a peer? See --peer");
  subject.Drain(std::chrono::seconds(5));
  Await(kAnswerLimit, [&] { return traffic.submits_answered == traffic.submitted; });
}

void SubmitsEndWithStop(Fixture& fixture) {
  const Library library(fixture);
  HostOptions silent;
  silent.answer = false;
  Subject subject(fixture, library, silent);
  subject.MustStart(FittingConfig(fixture, library));
  RequireInterface<vd_submit_1>(subject, VD_SUBMIT_1);
  const PeerCommand peer(fixture);
  Await(BeginLimit(fixture), [&] { return subject.host().traffic().submitted > 0; });
  if (subject.host().traffic().submitted == 0) fixture.Skip("submitted nothing; see --peer");
  subject.Stop();  // The phase tells where it waits for an answer that does not come.
}

void CallsAreAnswered(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  RequireInterface<vd_call_1>(subject, VD_CALL_1);
  const PeerCommand peer(fixture);
  const Traffic& traffic = subject.host().traffic();
  fixture.Phase("waiting for calls");
  Await(BeginLimit(fixture), [&] { return traffic.called >= kEnough; });
  if (traffic.called == 0) fixture.Skip("called nothing; is there a peer? See --peer");
  subject.Drain(std::chrono::seconds(5));
  Await(kAnswerLimit, [&] { return traffic.calls_answered == traffic.called; });
}

void CallsEndWithStop(Fixture& fixture) {
  const Library library(fixture);
  HostOptions silent;
  silent.answer = false;
  Subject subject(fixture, library, silent);
  subject.MustStart(FittingConfig(fixture, library));
  RequireInterface<vd_call_1>(subject, VD_CALL_1);
  const PeerCommand peer(fixture);
  Await(BeginLimit(fixture), [&] { return subject.host().traffic().called > 0; });
  if (subject.host().traffic().called == 0) fixture.Skip("called nothing; see --peer");
  subject.Stop();
}

// One call of the host to a peer; true when the plugin has taken it.
bool CallPlugin(Subject& subject, const vd_call_1* table, uint64_t token, bool late) {
  Ledger& ledger = subject.host().calls();
  ledger.Offer(token);
  Arena arena(4096);
  auto* call = arena.Record<vd_call>();
  vd_attr* attributes = arena.Attributes(1);
  attributes[0] = {arena.Text("content-type"), arena.Text("application/json")};
  call->token = token;
  call->protocol = arena.Text("check");
  call->method = arena.Text("POST");
  call->path = arena.Text("/device/command");
  call->body = arena.Octets(R"({"command":"reboot"})");
  call->peer = arena.Text("CAM001");
  call->deadline_ns = late ? 1 : 0;
  call->attributes = attributes;
  call->attribute_count = 1;
  int32_t code = VD_OK;
  const uint32_t lane = static_cast<uint32_t>(token % subject.lanes());
  subject.OnLane(lane, "on_call", [&] { code = table->on_call(subject.instance(), lane, call); });
  Fixture& fixture = subject.host().fixture();
  if (code == VD_OK) {
    ledger.Take(token);
    return true;
  }
  const std::string wrong = ledger.Refuse(token);
  if (!wrong.empty()) fixture.Fail("on_call: " + wrong);
  return false;
}

void TakesCalls(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  const auto* table = subject.Need<vd_call_1>(VD_CALL_1);
  size_t taken = 0;
  for (uint64_t token = 1; token <= 50; ++token) {
    const bool cancel = token % 3 == 0;
    if (!CallPlugin(subject, table, token, token % 10 == 9)) continue;
    ++taken;
    const uint32_t lane = static_cast<uint32_t>(token % subject.lanes());
    if (cancel) {
      subject.OnLane(lane, "on_cancel", [&] { table->on_cancel(subject.instance(), lane, token); });
    }
  }
  subject.OnLane(0, "on_cancel", [&] { table->on_cancel(subject.instance(), 0, 424242); });
  subject.Stop();
  if (taken == 0) fixture.Skip("takes no calls of the host, or there is no peer");
}

}  // namespace

std::vector<Test> TrafficTests() {
  const Level level = Level::kData;
  return {
      {"submit_is_answered", level, kLimit, &SubmitsAreAnswered,
       "submitted messages follow the record rules, their tokens are unique in flight"},
      {"submit_ends_with_stop", level, kLimit, &SubmitsEndWithStop,
       "stop does not wait for on_done"},
      {"call_is_answered", level, kLimit, &CallsAreAnswered,
       "calls follow the record rules, their tokens are unique in flight"},
      {"call_ends_with_stop", level, kLimit, &CallsEndWithStop, "stop does not wait for on_reply"},
      {"call_of_the_host_is_replied_once", level, kLimit, &TakesCalls,
       "a call that was taken is replied at most once, cancelled or not"},
  };
}

}  // namespace viaduct::check
