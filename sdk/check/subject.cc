#include "subject.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>

#include "arena.h"
#include "json_config.h"
#include "schema.h"
#include "viaduct/cpp/text.h"

namespace viaduct::check {
namespace {

constexpr uint64_t kCanary = 0x5a5a5a5a5a5a5a5au;
constexpr size_t kArenaBytes = 4096;

bool IsPointer(std::string_view pointer) { return pointer.empty() || pointer.front() == '/'; }

// Where an instance needs a name that no other has, the config says {instance}.
nlohmann::json OfOneInstance(const nlohmann::json& config) {
  constexpr std::string_view kMark = "{instance}";
  static std::atomic<int> instances = 0;
  nlohmann::json own = config;
  if (!own.is_object()) return own;
  const std::string number = std::to_string(++instances);
  for (auto& value : own) {
    if (!value.is_string()) continue;
    std::string text = value.get<std::string>();
    const size_t at = text.find(kMark);
    if (at != std::string::npos) value = text.replace(at, kMark.size(), number);
  }
  return own;
}

}  // namespace

nlohmann::json FittingConfig(Fixture& fixture, const Library& library) {
  const nlohmann::json schema = library.Schema();
  nlohmann::json config = fixture.config();
  ApplyDefaults(schema, &config);
  const std::vector<std::string> mistakes = ConfigMistakes(schema, config);
  if (!mistakes.empty()) {
    fixture.Skip("needs a config, give one with --config: " + mistakes.front());
  }
  return config;
}

Subject::Subject(Fixture& fixture, const Library& library, HostOptions options)
    : fixture_(fixture),
      lifecycle_(library.lifecycle()),
      lanes_(std::clamp<uint32_t>(library.module().max_lanes, 1, kMaxLanes)),
      host_(fixture, options) {}

Subject::~Subject() {
  if (started_) Stop();
  if (instance_ != nullptr) Destroy();
}

vd_error* Subject::FreshError() {
  std::memset(static_cast<void*>(&error_), 0, sizeof(error_));
  error_.value.struct_size = sizeof(vd_error);
  error_.canary = kCanary;
  return &error_.value;
}

int32_t Subject::CheckError(const char* function, int32_t code) {
  const std::string name = function;
  if (error_.canary != kCanary) fixture_.Fail(name + ": writes beyond vd_error.struct_size");
  if (code == VD_OK) return code;
  if (code < VD_OK || code > VD_UNAUTHENTICATED) {
    fixture_.Fail(name + ": returns the unknown code " + std::to_string(code));
  }
  if (error_.value.code != code) {
    fixture_.Fail(name + ": returns " + std::to_string(code) + " but vd_error.code is " +
                  std::to_string(error_.value.code));
  }
  const bool ended =
      std::memchr(error_.value.message, 0, sizeof(error_.value.message)) != nullptr &&
      std::memchr(error_.value.pointer, 0, sizeof(error_.value.pointer)) != nullptr;
  if (!ended) fixture_.Fail(name + ": a text of vd_error does not end with NUL");
  if (error_.value.message[0] == '\0') fixture_.Fail(name + ": fails without a message");
  if (!IsPointer(error_.value.pointer)) {
    fixture_.Fail(name + ": \"" + error_.value.pointer + "\" is no JSON pointer");
  }
  return code;
}

std::string Subject::Describe(int32_t code) const {
  return "code " + std::to_string(code) + ", " + error_.value.pointer + " " + error_.value.message;
}

int32_t Subject::Create() {
  Arena arena(kArenaBytes);
  const vd_str name = arena.Text("check");
  const int32_t code =
      CheckError("create", Guarded(fixture_, "create", [&] {
                   return lifecycle_.create(host_.raw(), name, &instance_, FreshError());
                 }));
  if (code == VD_OK && instance_ == nullptr) fixture_.Fail("create: VD_OK, but *out is NULL");
  if (code == VD_OK) host_.SetStates(kCreated);
  return code;
}

int32_t Subject::Configure(const nlohmann::json& config, bool with_error) {
  const nlohmann::json own = OfOneInstance(config);
  const JsonConfig lent(own);
  vd_error* error = FreshError();
  const int32_t code = Guarded(fixture_, "configure", [&] {
    return lifecycle_.configure(instance_, lent.raw(), with_error ? error : nullptr);
  });
  if (with_error) CheckError("configure", code);
  if (code == VD_OK) {
    host_.SetStates(kConfigured);
    host_.Bind(instance_, lifecycle_);
  }
  return code;
}

int32_t Subject::Start() {
  host_.StartLanes(lanes_);
  host_.SetStates(kConfigured | kStarted);
  const int32_t code = CheckError("start", Guarded(fixture_, "start", [&] {
                                    return lifecycle_.start(instance_, lanes_, FreshError());
                                  }));
  started_ = code == VD_OK;
  host_.SetStates(started_ ? kStarted : kConfigured);
  if (!started_) {
    host_.FinishLanes();
    host_.StopAnswers();
  }
  return code;
}

int32_t Subject::Drain(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  const int64_t deadline_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
  const int32_t code = CheckError("drain", Guarded(fixture_, "drain", [&] {
                                    return lifecycle_.drain(instance_, deadline_ns, FreshError());
                                  }));
  constexpr std::chrono::seconds kMargin(1);
  if (std::chrono::steady_clock::now() > deadline + kMargin) {
    fixture_.Fail("drain: returns later than its deadline");
  }
  if (code == VD_OK) host_.SetStates(kDraining);
  return code;
}

void Subject::Stop() {
  fixture_.Phase("a lane");
  host_.FinishLanes();
  Guarded(fixture_, "stop", [&] { lifecycle_.stop(instance_); });
  host_.StopAnswers();
  host_.SetStates(kStopped);
  started_ = false;
  for (Ledger* ledger : {&host_.deliveries(), &host_.calls(), &host_.files(), &host_.probes(),
                         &host_.inferences()}) {
    if (ledger == &host_.calls() || ledger->open() == 0) continue;
    fixture_.Fail("stop: " + std::to_string(ledger->open()) +
                  " item(s) that were taken never ended, the first is token " +
                  std::to_string(ledger->first_open()));
  }
}

void Subject::Destroy() {
  Guarded(fixture_, "destroy", [&] { lifecycle_.destroy(instance_); });
  instance_ = nullptr;
  host_.SetStates(0);
  host_.StopAnswers();  // Gives back what the host itself still holds.
  host_.ExpectBuffersBack();
}

void Subject::MustConfigure(const nlohmann::json& config) {
  int32_t code = Create();
  if (code != VD_OK) fixture_.Fail("create: " + Describe(code));
  code = Configure(config);
  if (code != VD_OK) fixture_.Fail("configure: " + Describe(code));
}

void Subject::MustStart(const nlohmann::json& config) {
  MustConfigure(config);
  const int32_t code = Start();
  if (code == VD_UNAVAILABLE) fixture_.Skip("start: " + Describe(code));
  if (code != VD_OK) fixture_.Fail("start: " + Describe(code));
}

const void* Subject::Query(std::string_view id) {
  Arena arena(kArenaBytes);
  const vd_str lent = arena.Text(id);
  return Guarded(fixture_, "query", [&] { return lifecycle_.query(instance_, lent); });
}

}  // namespace viaduct::check
