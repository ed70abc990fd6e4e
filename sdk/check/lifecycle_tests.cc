// Level life cycle: create, configure, start, drain, stop, destroy, in every order that may happen.
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "fixture.h"
#include "library.h"
#include "process_state.h"
#include "schema.h"
#include "subject.h"

namespace viaduct::check {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kLimit(30);
constexpr std::chrono::seconds kLongLimit(120);
constexpr std::chrono::seconds kStartLimit(10);
constexpr int kWarmUpRounds = 10;
constexpr int kRounds = 100;
// What a hundred rounds may leave in the heap: one small block a round is a leak.
constexpr size_t kMaxGrowthBytes = 3200;

// The interfaces with the number of their functions.
constexpr std::pair<const char*, size_t> kTables[] = {
    {VD_DELIVER_1, 3}, {VD_PUBLISH_1, 3}, {VD_SUBMIT_1, 2}, {VD_CALL_1, 3},  {VD_FILE_1, 3},
    {VD_DISCARD_1, 1}, {VD_PROBE_1, 1},   {VD_SOURCE_1, 2}, {VD_INFER_1, 3},
};

void CreatesAndDestroys(Fixture& fixture) {
  const Library library(fixture);
  const ProcessState before = ReadProcessState();
  for (int i = 0; i < kRounds; ++i) {
    Subject subject(fixture, library);
    const int32_t code = subject.Create();
    if (code != VD_OK) fixture.Fail("create: " + subject.Describe(code));
  }
  ExpectNothingLeft(fixture, before, "after destroy");
}

void ConfigureOpensNothing(Fixture& fixture) {
  const Library library(fixture);
  const json config = FittingConfig(fixture, library);
  const auto subject = std::make_unique<Subject>(fixture, library);
  const ProcessState before = ReadProcessState();
  subject->MustConfigure(config);
  ExpectNothingLeft(fixture, before, "after configure");
}

void StartsAndStops(Fixture& fixture) {
  const Library library(fixture);
  const json config = FittingConfig(fixture, library);
  { Subject(fixture, library).MustStart(config); }  // What libraries keep after their first use.
  const ProcessState before = ReadProcessState();
  {
    Subject subject(fixture, library);
    const auto begin = std::chrono::steady_clock::now();
    subject.MustStart(config);
    if (std::chrono::steady_clock::now() - begin > kStartLimit) {
      fixture.Fail("start: took longer than 10 s");
    }
    subject.Stop();
    subject.Destroy();
  }
  ExpectNothingLeft(fixture, before, "after stop and destroy");
}

void StopLeavesNothing(Fixture& fixture) {
  const Library library(fixture);
  const json config = FittingConfig(fixture, library);
  // What is made once for all lives must not count. It is kept, so that a thread that it left
  // behind is caught where it calls, and not where its host was.
  Subject first(fixture, library);
  first.MustStart(config);
  first.Stop();
  Subject subject(fixture, library);
  subject.MustConfigure(config);
  const ProcessState before = ReadProcessState();
  const int32_t code = subject.Start();
  if (code == VD_UNAVAILABLE) fixture.Skip("start: " + subject.Describe(code));
  if (code != VD_OK) fixture.Fail("start: " + subject.Describe(code));
  subject.Stop();
  ExpectNothingLeft(fixture, before, "after stop, before destroy");
}

void DrainsThenStops(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  const int32_t code = subject.Drain(std::chrono::seconds(2));
  if (code != VD_OK) fixture.Fail("drain with nothing in flight: " + subject.Describe(code));
}

void RoundsLeaveNothing(Fixture& fixture) {
  const Library library(fixture);
  const json config = FittingConfig(fixture, library);
  const auto rounds = [&](int count) {
    for (int i = 0; i < count; ++i) Subject(fixture, library).MustStart(config);
  };
  rounds(kWarmUpRounds);
  // Twice: allocators grow in steps, a leak grows every time.
  size_t growth = 0;
  for (int attempt = 0; attempt < 2; ++attempt) {
    const ProcessState before = ReadProcessState();
    rounds(kRounds);
    ExpectNothingLeft(fixture, before, "after 100 rounds");
    const size_t after = ReadProcessState().heap_bytes;
    growth = after > before.heap_bytes ? after - before.heap_bytes : 0;
    if (growth <= kMaxGrowthBytes) return;
  }
  fixture.Fail("100 rounds of create, start, stop, destroy leave " + std::to_string(growth) +
               " octets in the heap");
}

void SurvivesEdgeConfigs(Fixture& fixture) {
  const Library library(fixture);
  const json config = FittingConfig(fixture, library);
  for (const json& edge : EdgeConfigs(library.Schema(), config)) {
    for (const bool with_error : {true, false}) {
      Subject subject(fixture, library);
      if (subject.Create() != VD_OK) fixture.Fail("create: failed");
      const int32_t code = subject.Configure(edge, with_error);
      if (with_error && code == VD_INVALID_ARGUMENT && subject.error().pointer[0] == '\0') {
        fixture.Fail("configure: VD_INVALID_ARGUMENT without a pointer, " + subject.Describe(code));
      }
    }
  }
}

void NamesWhatIsWrong(Fixture& fixture) {
  const Library library(fixture);
  const json config = FittingConfig(fixture, library);
  const std::vector<json> wrong = WrongConfigs(library.Schema(), config);
  if (wrong.empty()) fixture.Skip("the schema has no properties");
  for (const json& one : wrong) {
    for (const bool with_error : {true, false}) {
      Subject subject(fixture, library);
      if (subject.Create() != VD_OK) fixture.Fail("create: failed");
      const int32_t code = subject.Configure(one, with_error);
      if (with_error && code == VD_INVALID_ARGUMENT && subject.error().pointer[0] == '\0') {
        fixture.Fail("configure: VD_INVALID_ARGUMENT without a pointer, " + subject.Describe(code));
      }
    }
  }
}

void AnswersQueries(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustConfigure(FittingConfig(fixture, library));
  for (const char* unknown : {"", "viaduct.deliver", "viaduct.deliver/", "viaduct.deliver/10",
                              "viaduct.nothing/1", "org.example.thing/1"}) {
    if (subject.Query(unknown) != nullptr) {
      fixture.Fail("query: answers the unknown id \"" + std::string(unknown) + "\"");
    }
  }
  for (const auto& [id, functions] : kTables) {
    const void* table = subject.Query(id);
    if (table == nullptr) continue;
    if (!library.Lists(id)) fixture.Fail(std::string("query: offers ") + id + ", not listed");
    if (table != subject.Query(id)) fixture.Fail(std::string("query: ") + id + " changes");
    for (size_t i = 0; i < functions; ++i) {
      if (static_cast<void* const*>(table)[i] == nullptr) {
        fixture.Fail(std::string("query: ") + id + " has a NULL function");
      }
    }
  }
}

void LivesWithABareHost(Fixture& fixture) {
  const Library library(fixture);
  const json config = FittingConfig(fixture, library);
  HostOptions bare;
  bare.bare = true;
  Subject subject(fixture, library, bare);
  if (subject.Create() != VD_OK) return;
  if (subject.Configure(config) != VD_OK) return;
  if (subject.Start() == VD_OK) subject.Stop();
}

void InstancesDoNotShare(Fixture& fixture) {
  const Library library(fixture);
  const json config = FittingConfig(fixture, library);
  Subject first(fixture, library);
  Subject second(fixture, library);
  first.MustStart(config);
  // The second may find its port taken: then it must say so and leave the first alone.
  if (second.Create() != VD_OK || second.Configure(config) != VD_OK) {
    fixture.Fail("a second instance can not be made: " + second.Describe(VD_UNKNOWN));
  }
  const int32_t code = second.Start();
  if (code != VD_OK && code != VD_UNAVAILABLE) {
    fixture.Fail("start of a second instance: " + second.Describe(code));
  }
  if (code == VD_OK) second.Stop();
  second.Destroy();
  if (first.Drain(std::chrono::seconds(2)) != VD_OK) {
    fixture.Fail("the first instance does not drain after the second is gone");
  }
}

void UnloadsAfterUse(Fixture& fixture) {
  Library library(fixture);
  const json config = FittingConfig(fixture, library);
  // On a thread that ends before, as the host's do: thread-local objects of the plugin hold it.
  std::thread([&] { Subject(fixture, library).MustStart(config); }).join();
  library.Close();
  if (IsMapped(fixture.plugin_path())) fixture.Fail("is still mapped after use and dlclose");
}

}  // namespace

std::vector<Test> LifecycleTests() {
  const Level level = Level::kLifecycle;
  return {
      {"creates_and_destroys", level, kLimit, &CreatesAndDestroys,
       "create takes memory and nothing else, destroy gives it back"},
      {"configure_opens_nothing", level, kLimit, &ConfigureOpensNothing,
       "configure reads and checks, it starts and opens nothing"},
      {"survives_edge_configs", level, kLimit, &SurvivesEdgeConfigs,
       "every config that fits the schema is taken or refused with a pointer"},
      {"names_what_is_wrong", level, kLimit, &NamesWhatIsWrong,
       "a config that does not fit is refused with a pointer, and never believed"},
      {"answers_queries", level, kLimit, &AnswersQueries,
       "query gives NULL for what is unknown, and the same table every time"},
      {"starts_and_stops", level, kLimit, &StartsAndStops,
       "nothing of an instance is left after stop and destroy"},
      {"stop_leaves_nothing", level, kLimit, &StopLeavesNothing,
       "stop returns only when no thread and no descriptor is left"},
      {"drains_then_stops", level, kLimit, &DrainsThenStops,
       "drain returns by its deadline, with VD_OK when nothing is in flight"},
      {"rounds_leave_nothing", level, kLongLimit, &RoundsLeaveNothing,
       "a hundred lives of an instance leave no memory behind"},
      {"lives_with_a_bare_host", level, kLimit, &LivesWithABareHost,
       "a service that the host does not offer is NULL, which is no error"},
      {"instances_do_not_share", level, kLimit, &InstancesDoNotShare,
       "instances of one plugin are independent"},
      {"unloads_after_use", level, kLimit, &UnloadsAfterUse,
       "dlclose really unloads, also after use"},
  };
}

}  // namespace viaduct::check
