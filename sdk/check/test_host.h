// A small host for one instance, which offers every service and watches that the plugin keeps the
// rules. What is against the rules fails the test at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "fixture.h"
#include "ledger.h"
#include "viaduct/abi/abi.h"
#include "worker.h"

namespace viaduct::check {

// States of an instance as bits: during start it is both configured and started.
enum : uint32_t {
  kNone = 1,
  kCreated = 2,
  kConfigured = 4,
  kStarted = 8,
  kDraining = 16,
  kStopped = 32,
  kAnyState = 63,
};

struct HostOptions {
  bool bare = false;        // Offers nothing but the config.
  size_t submit_room = 16;  // Messages in flight from the plugin.
  size_t call_room = 64;    // Calls in flight from the plugin.
  uint32_t frame_room = 4;  // Frames in flight from a source.
  bool answer = true;       // False: what the plugin begins is never answered.
};

// What the plugin has begun by itself.
struct Traffic {
  std::atomic<uint64_t> submitted{0};
  std::atomic<uint64_t> submits_answered{0};
  std::atomic<uint64_t> called{0};
  std::atomic<uint64_t> calls_answered{0};
  std::atomic<uint64_t> pushed{0};
  std::atomic<uint64_t> frames_ended{0};
};

// Thread-safe. Answers on a thread of its own, never on the plugin's stack.
class TestHost {
 public:
  TestHost(Fixture& fixture, HostOptions options);
  ~TestHost();
  TestHost(const TestHost&) = delete;
  TestHost& operator=(const TestHost&) = delete;

  const vd_host* raw() const { return &raw_; }
  Fixture& fixture() { return fixture_; }
  void SetStates(uint32_t states) { states_ = states; }

  void StartLanes(uint32_t count);
  uint32_t lane_count() const { return static_cast<uint32_t>(lanes_.size()); }
  Worker& lane(uint32_t i) { return *lanes_[i]; }
  // Before the plugin's stop: nothing new is taken, what was accepted runs, timers go.
  void FinishLanes();
  // After it: what is not answered stays so.
  void StopAnswers();
  // After destroy: what was lent must be back.
  void ExpectBuffersBack();

  // Where the answers go; after configure.
  void Bind(vd_instance* instance, const vd_lifecycle_1& lifecycle);
  // Room for a source's frames; later room follows by itself.
  void GiveFrameRoom();

  Ledger& deliveries() { return deliveries_; }
  Ledger& calls() { return calls_; }  // Those of the host to the plugin.
  Ledger& files() { return files_; }
  Ledger& probes() { return probes_; }
  Ledger& inferences() { return inferences_; }
  const Traffic& traffic() const { return traffic_; }
  uint64_t delivery_rooms() const { return delivery_rooms_; }
  // A counted buffer of the host with these octets and one reference, the caller's.
  vd_buffer* MakeBuffer(std::string_view octets);

 private:
  friend struct ServiceTables;
  friend struct FlowTables;
  struct Buffer;
  struct Series {
    uint32_t kind = 0;
  };

  static TestHost& Of(const vd_host* host) { return *static_cast<TestHost*>(host->impl); }
  static const void* Query(const vd_host* host, vd_str id);
  // Fails the test unless the instance is in one of `allowed`.
  void Expect(uint32_t allowed, const char* function);
  void ExpectRecord(uint32_t size, size_t least, const char* record);
  // Reads all of a text, so that a bad one crashes here and now.
  std::string Read(vd_str text, const char* what);
  std::string Read(vd_bytes octets, const char* what);
  void ReadAttributes(const vd_attr* attributes, uint64_t count, const char* what);
  void Ended(Ledger& ledger, uint64_t token, uint32_t outcome, const char* function);
  void Answer(Worker::Task task);
  void AnswerSubmits(const std::vector<uint64_t>& tokens, uint32_t lane, bool was_full);
  void AnswerCall(uint64_t token, int32_t status);
  void CheckFrame(const vd_frame& frame);
  void KeepAWhile(vd_buffer* buffer);

  Fixture& fixture_;
  const HostOptions options_;
  vd_host raw_{};
  std::atomic<uint32_t> states_{kNone};
  std::atomic<bool> refusing_{false};
  std::atomic<bool> destroyed_{false};
  std::vector<std::unique_ptr<Worker>> lanes_;
  std::unique_ptr<Worker> answers_;

  vd_instance* instance_ = nullptr;
  const vd_submit_1* submit_ = nullptr;
  const vd_call_1* call_ = nullptr;
  const vd_source_1* source_ = nullptr;

  Ledger deliveries_;
  Ledger calls_;
  Ledger files_;
  Ledger probes_;
  Ledger inferences_;
  Traffic traffic_;
  std::atomic<uint64_t> delivery_rooms_{0};
  std::atomic<int64_t> buffers_open_{0};

  std::mutex mutex_;  // Guards what follows; never held while calling the plugin.
  std::set<uint64_t> submits_open_;
  std::set<uint64_t> calls_open_;
  std::set<uint64_t> frames_open_;
  uint32_t frame_room_ = 0;
  uint64_t frame_rooms_given_ = 0;
  uint64_t frames_refused_ = 0;
  uint64_t submit_batches_ = 0;
  std::map<std::string, uint32_t> series_numbers_;
  std::map<uint32_t, Series> series_;
  std::map<uint64_t, uint64_t> file_progress_;
  std::map<uint64_t, std::pair<uint32_t, uint64_t>> timers_;  // Ours to a lane's.
  uint64_t last_timer_ = 0;
};

}  // namespace viaduct::check
