#include "test_host.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "host_tables.h"
#include "json_config.h"
#include "viaduct/cpp/text.h"

namespace viaduct::check {
namespace {

constexpr size_t kMaxText = 64u << 20;
constexpr std::chrono::milliseconds kAnswerDelay(1);

}  // namespace

// A counted buffer that tells the host when it is given back.
struct TestHost::Buffer {
  vd_buffer head{};
  std::atomic<int64_t> references{1};
  TestHost* host = nullptr;
  std::string octets;

  static Buffer& Of(vd_buffer* raw) { return *reinterpret_cast<Buffer*>(raw); }
  static void Ref(vd_buffer* raw) { ++Of(raw).references; }
  static void Unref(vd_buffer* raw) {
    const int64_t left = --Of(raw).references;
    if (left < 0) Of(raw).host->fixture_.Fail("unref: a buffer was given back once too often");
    if (left > 0) return;
    --Of(raw).host->buffers_open_;
    delete &Of(raw);
  }
};

TestHost::TestHost(Fixture& fixture, HostOptions options) : fixture_(fixture), options_(options) {
  raw_.struct_size = sizeof(raw_);
  raw_.abi_major = VD_ABI_MAJOR;
  raw_.abi_minor = VD_ABI_MINOR;
  raw_.impl = this;
  raw_.query = &Query;
}

TestHost::~TestHost() = default;

const void* TestHost::Query(const vd_host* host, vd_str id) {
  const std::string_view wanted = sdk::Text(id);
  if (wanted == VD_HOST_CONFIG_1) return JsonConfig::Table();
  if (Of(host).options_.bare) return nullptr;
  if (const void* table = ServiceTables::Find(wanted)) return table;
  return FlowTables::Find(wanted);
}

void TestHost::StartLanes(uint32_t count) {
  answers_ = std::make_unique<Worker>();
  for (uint32_t i = 0; i < count; ++i) lanes_.push_back(std::make_unique<Worker>());
}

void TestHost::FinishLanes() {
  refusing_ = true;
  for (const auto& lane : lanes_) lane->Stop(true);
}

void TestHost::StopAnswers() {
  if (answers_ != nullptr) answers_->Stop(false);
}

void TestHost::ExpectBuffersBack() {
  destroyed_ = true;
  if (buffers_open_ != 0) {
    fixture_.Fail(std::to_string(buffers_open_) +
                  " buffer(s) of the host were not given back before destroy returned");
  }
}

void TestHost::Bind(vd_instance* instance, const vd_lifecycle_1& lifecycle) {
  const auto find = [&](std::string_view id) { return lifecycle.query(instance, sdk::Str(id)); };
  instance_ = instance;
  submit_ = static_cast<const vd_submit_1*>(find(VD_SUBMIT_1));
  call_ = static_cast<const vd_call_1*>(find(VD_CALL_1));
  source_ = static_cast<const vd_source_1*>(find(VD_SOURCE_1));
}

void TestHost::Expect(uint32_t allowed, const char* function) {
  if (destroyed_) fixture_.Fail(std::string(function) + ": called after destroy");
  if ((states_ & allowed) == 0) {
    static constexpr const char* kNames[] = {"none",    "created",  "configured",
                                             "started", "draining", "stopped"};
    std::string now;
    for (uint32_t bit = 0; bit < 6; ++bit) {
      if ((states_ & (1u << bit)) != 0) now += std::string(now.empty() ? "" : "+") + kNames[bit];
    }
    fixture_.Fail(std::string(function) + ": called in state " + now + ", which is not allowed");
  }
}

void TestHost::ExpectRecord(uint32_t size, size_t least, const char* record) {
  if (size < least) {
    fixture_.Fail(std::string(record) + ".struct_size is " + std::to_string(size) + ", less than " +
                  std::to_string(least));
  }
}

std::string TestHost::Read(vd_str text, const char* what) {
  if (text.data == nullptr && text.size > 0) {
    fixture_.Fail(std::string(what) + ": NULL with a size");
  }
  if (text.size > kMaxText) {
    fixture_.Fail(std::string(what) + ": " + std::to_string(text.size) +
                  " octets can not be meant");
  }
  return std::string(sdk::Text(text));
}

std::string TestHost::Read(vd_bytes octets, const char* what) {
  return Read(vd_str{reinterpret_cast<const char*>(octets.data), octets.size}, what);
}

void TestHost::ReadAttributes(const vd_attr* attributes, uint64_t count, const char* what) {
  if (count > 1024) fixture_.Fail(std::string(what) + ": more than 1024 attributes");
  for (uint64_t i = 0; i < count; ++i) {
    const std::string name = Read(attributes[i].name, what);
    Read(attributes[i].value, what);
    if (std::any_of(name.begin(), name.end(), [](unsigned char c) { return std::isupper(c); })) {
      fixture_.Fail(std::string(what) + ": \"" + name + "\" is not in lower case");
    }
  }
}

void TestHost::Ended(Ledger& ledger, uint64_t token, uint32_t outcome, const char* function) {
  const std::string wrong = ledger.End(token, outcome);
  if (!wrong.empty()) fixture_.Fail(std::string(function) + ": " + wrong);
}

void TestHost::Answer(Worker::Task task) {
  if (options_.answer) answers_->PostIn(kAnswerDelay, std::move(task));
}

vd_buffer* TestHost::MakeBuffer(std::string_view octets) {
  auto buffer = std::make_unique<Buffer>();
  buffer->host = this;
  buffer->octets = std::string(octets);
  buffer->head.data = reinterpret_cast<uint8_t*>(buffer->octets.data());
  buffer->head.size = buffer->octets.size();
  buffer->head.ref = &Buffer::Ref;
  buffer->head.unref = &Buffer::Unref;
  ++buffers_open_;
  return &buffer.release()->head;
}

// As a host does that works with the octets on another thread.
void TestHost::KeepAWhile(vd_buffer* buffer) {
  if (buffer == nullptr) return;
  buffer->ref(buffer);
  // Given back also where the task is dropped.
  const std::shared_ptr<vd_buffer> kept(buffer, [](vd_buffer* mine) { mine->unref(mine); });
  answers_->Post([kept] {
    volatile uint8_t sum = 0;
    for (uint64_t i = 0; i < kept->size; ++i) sum = static_cast<uint8_t>(sum ^ kept->data[i]);
  });
}

}  // namespace viaduct::check
