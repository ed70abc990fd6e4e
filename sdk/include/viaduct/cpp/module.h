// What VIADUCT_PLUGIN is made of: the module description and the functions that the host calls.
// Included by plugin.h.
#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>

#include "viaduct/cpp/plugin.h"

namespace viaduct::sdk {

// What a plugin file says of itself. All texts must be literals or other constants of the library.
class Describe {
 public:
  // `name` is that of the file without ".so", `version` the plugin's own.
  constexpr Describe(std::string_view name, std::string_view version)
      : name_(name), version_(version) {}
  constexpr Describe Summary(std::string_view text) const {
    Describe copy = *this;
    copy.summary_ = text;
    return copy;
  }
  constexpr Describe Licence(std::string_view spdx) const {
    Describe copy = *this;
    copy.licence_ = spdx;
    return copy;
  }
  constexpr Describe Schema(std::string_view json) const {
    Describe copy = *this;
    copy.schema_ = json;
    return copy;
  }
  constexpr Describe MaxLanes(uint32_t lanes) const {
    Describe copy = *this;
    copy.max_lanes_ = lanes;
    return copy;
  }
  constexpr Describe MinHostMinor(uint16_t minor) const {
    Describe copy = *this;
    copy.min_host_minor_ = minor;
    return copy;
  }

  constexpr vd_module Module(const vd_str* interfaces, size_t count,
                             const vd_lifecycle_1* lifecycle) const {
    vd_module module = Record<vd_module>();
    module.abi_major = VD_ABI_MAJOR;
    module.abi_minor = VD_ABI_MINOR;
    module.min_host_minor = min_host_minor_;
    module.max_lanes = max_lanes_;
    module.name = Str(name_);
    module.version = Str(version_);
    module.summary = Str(summary_);
    module.licence = Str(licence_);
    module.config_schema = Str(schema_);
    module.interfaces = interfaces;
    module.interface_count = count;
    module.lifecycle = lifecycle;
    return module;
  }

 private:
  std::string_view name_;
  std::string_view version_;
  std::string_view summary_;
  std::string_view licence_;
  std::string_view schema_ = R"({"type":"object","additionalProperties":false})";
  uint32_t max_lanes_ = 1;
  uint16_t min_host_minor_ = 0;
};

namespace internal {

// Calls `body`, which returns a Status; `on_throw(code, text)` learns of an exception.
template <typename Body, typename OnThrow>
Status Guard(const Body& body, const OnThrow& on_throw) noexcept {
#if defined(__cpp_exceptions)
  try {
    return body();
  } catch (const std::bad_alloc&) {
    on_throw(Code::kResourceExhausted, "out of memory");
    return Status(Code::kResourceExhausted, "out of memory");
  } catch (const std::exception& exception) {
    on_throw(Code::kInternal, exception.what());
    return Status(Code::kInternal, exception.what());
  } catch (...) {
    on_throw(Code::kInternal, "unknown exception");
    return Status(Code::kInternal, "unknown exception");
  }
#else
  static_cast<void>(on_throw);
  return body();
#endif
}

// [control]: the failure goes into the caller's vd_error.
template <typename Body>
int32_t GuardWithError(vd_error* error, const Body& body) noexcept {
  const Status status = Guard(body, [](Code, const char*) {});
  if (!status.ok()) FillError(error, status.raw_code(), status.pointer(), status.message());
  return status.raw_code();
}

// Others: an exception is a bug after which the instance can not go on. Memory that ran out is none
// where the caller is told and tries again.
template <typename Body>
int32_t GuardOrFail(const Plugin& plugin, const Body& body) noexcept {
  const Status status = Guard(body, [&](Code code, const char* what) {
    if (code != Code::kResourceExhausted) plugin.host().Fail(code, what);
  });
  // These functions have no vd_error: the text would be lost.
  if (!status.ok() && plugin.host().LogEnabled(Level::kDebug)) {
    plugin.host().Debug(status.message());
  }
  return status.raw_code();
}

// Where nothing is returned, whatever was not done is lost: only a new life makes up for it.
template <typename Body>
void GuardVoid(const Plugin& plugin, const Body& body) noexcept {
  const auto with_status = [&]() -> Status {
    body();
    return {};
  };
  static_cast<void>(
      Guard(with_status, [&](Code code, const char* what) { plugin.host().Fail(code, what); }));
}

template <typename T>
T& Self(vd_instance* instance) {
  return *reinterpret_cast<T*>(instance);
}

template <typename T>
struct DeliverTable {
  static uint32_t Credit(vd_instance* instance, uint32_t lane) noexcept {
    uint32_t credit = 0;
    GuardVoid(Self<T>(instance), [&] { credit = Self<T>(instance).Credit(lane); });
    return credit;
  }
  static int32_t Take(vd_instance* instance, uint32_t lane, const vd_message_list* batch,
                      uint64_t* taken) noexcept {
    size_t count = 0;
    const int32_t code = GuardOrFail(Self<T>(instance), [&] {
      return Self<T>(instance).DeliverBatch(
          lane, MessageList(batch->items, batch->stride, batch->count), &count);
    });
    // What was taken before it went wrong is held, and will end: that is no failure of the batch.
    *taken = count;
    return count > 0 ? VD_OK : code;
  }
  static void Cancel(vd_instance* instance, uint32_t lane, const uint64_t* tokens,
                     uint64_t count) noexcept {
    GuardVoid(Self<T>(instance),
              [&] { Self<T>(instance).CancelDelivery(lane, TokenList(tokens, count)); });
  }
  static constexpr vd_deliver_1 kTable = {&Credit, &Take, &Cancel};
};

template <typename T>
struct SubmitTable {
  static void OnDone(vd_instance* instance, const vd_completion_list* list) noexcept {
    GuardVoid(Self<T>(instance), [&] {
      Self<T>(instance).OnSubmitDone(CompletionList(list->items, list->stride, list->count));
    });
  }
  static void OnRoom(vd_instance* instance, uint32_t lane) noexcept {
    GuardVoid(Self<T>(instance), [&] { Self<T>(instance).OnSubmitRoom(lane); });
  }
  static constexpr vd_submit_1 kTable = {&OnDone, &OnRoom};
};

template <typename T>
struct CallTable {
  static void OnReply(vd_instance* instance, const vd_reply* reply) noexcept {
    GuardVoid(Self<T>(instance), [&] {
      vd_reply scratch;
      Self<T>(instance).OnReply(Widen(*reply, &scratch));
    });
  }
  static int32_t OnCall(vd_instance* instance, uint32_t lane, const vd_call* call) noexcept {
    return GuardOrFail(Self<T>(instance), [&] {
      vd_call scratch;
      return Self<T>(instance).OnCall(lane, Widen(*call, &scratch));
    });
  }
  static void OnCancel(vd_instance* instance, uint32_t lane, uint64_t token) noexcept {
    GuardVoid(Self<T>(instance), [&] { Self<T>(instance).OnCallCancel(lane, token); });
  }
  static constexpr vd_call_1 kTable = {&OnReply, &OnCall, &OnCancel};
};

template <typename T>
struct FileTable {
  static uint32_t Credit(vd_instance* instance) noexcept {
    uint32_t credit = 0;
    GuardVoid(Self<T>(instance), [&] { credit = Self<T>(instance).FileCredit(); });
    return credit;
  }
  static int32_t Begin(vd_instance* instance, uint32_t lane, const vd_file_job* job,
                       vd_error* error) noexcept {
    return GuardWithError(error, [&] {
      vd_file_job scratch;
      return Self<T>(instance).BeginFile(lane, Widen(*job, &scratch));
    });
  }
  static void Cancel(vd_instance* instance, uint32_t lane, uint64_t token) noexcept {
    GuardVoid(Self<T>(instance), [&] { Self<T>(instance).CancelFile(lane, token); });
  }
  static constexpr vd_file_1 kTable = {&Credit, &Begin, &Cancel};
};

template <typename T>
struct DiscardTable {
  static int32_t Discard(vd_instance* instance, uint32_t lane, const vd_leftover* leftover,
                         vd_error* error) noexcept {
    return GuardWithError(error, [&] {
      vd_leftover scratch;
      return Self<T>(instance).DiscardFile(lane, Widen(*leftover, &scratch));
    });
  }
  static constexpr vd_discard_1 kTable = {&Discard};
};

template <typename T>
struct ProbeTable {
  static int32_t Probe(vd_instance* instance, uint32_t lane, const vd_probe* probe) noexcept {
    return GuardOrFail(Self<T>(instance), [&] {
      vd_probe scratch;
      return Self<T>(instance).Probe(lane, Widen(*probe, &scratch));
    });
  }
  static constexpr vd_probe_1 kTable = {&Probe};
};

template <typename T>
struct SourceTable {
  static void OnRoom(vd_instance* instance, uint32_t frames) noexcept {
    GuardVoid(Self<T>(instance), [&] { Self<T>(instance).OnFrameRoom(frames); });
  }
  static void OnDone(vd_instance* instance, uint64_t ticket, uint32_t outcome) noexcept {
    GuardVoid(Self<T>(instance), [&] { Self<T>(instance).OnFrameDone(ticket, outcome); });
  }
  static constexpr vd_source_1 kTable = {&OnRoom, &OnDone};
};

template <typename T>
struct InferTable {
  static uint32_t Credit(vd_instance* instance) noexcept {
    uint32_t credit = 0;
    GuardVoid(Self<T>(instance), [&] { credit = Self<T>(instance).InferCredit(); });
    return credit;
  }
  static int32_t Infer(vd_instance* instance, uint32_t lane, uint64_t ticket, const vd_frame* frame,
                       vd_str options) noexcept {
    return GuardOrFail(Self<T>(instance), [&] {
      vd_frame scratch;
      return Self<T>(instance).Infer(lane, ticket, Widen(*frame, &scratch), Text(options));
    });
  }
  static void Cancel(vd_instance* instance, uint32_t lane, uint64_t ticket) noexcept {
    GuardVoid(Self<T>(instance), [&] { Self<T>(instance).CancelInfer(lane, ticket); });
  }
  static constexpr vd_infer_1 kTable = {&Credit, &Infer, &Cancel};
};

// The interfaces that T derives from, by id.
struct Offer {
  std::string_view id;
  const void* table = nullptr;
};

template <typename T>
struct Offers {
  static constexpr size_t kMost = 9;

  template <typename Interface, template <typename> class Table>
  static constexpr void Add(std::string_view id, std::array<Offer, kMost>* all, size_t* count) {
    if constexpr (std::is_base_of_v<Interface, T>) {
      (*all)[(*count)++] = Offer{id, &Table<T>::kTable};
    }
  }
  static constexpr size_t Fill(std::array<Offer, kMost>* all) {
    size_t count = 0;
    Add<Deliver, DeliverTable>(VD_DELIVER_1, all, &count);
    Add<Publish, DeliverTable>(VD_PUBLISH_1, all, &count);
    Add<SubmitHandler, SubmitTable>(VD_SUBMIT_1, all, &count);
    Add<CallHandler, CallTable>(VD_CALL_1, all, &count);
    Add<FileMover, FileTable>(VD_FILE_1, all, &count);
    Add<FileDiscarder, DiscardTable>(VD_DISCARD_1, all, &count);
    Add<Prober, ProbeTable>(VD_PROBE_1, all, &count);
    Add<FrameSource, SourceTable>(VD_SOURCE_1, all, &count);
    Add<Inferer, InferTable>(VD_INFER_1, all, &count);
    return count;
  }
  static constexpr std::array<Offer, kMost> All() {
    std::array<Offer, kMost> all{};
    Fill(&all);
    return all;
  }
  static constexpr size_t Count() {
    std::array<Offer, kMost> all{};
    return Fill(&all);
  }
  static constexpr std::array<vd_str, kMost> Ids() {
    std::array<vd_str, kMost> ids{};
    for (size_t i = 0; i < kMost; ++i) ids[i] = Str(All()[i].id);
    return ids;
  }

  static constexpr std::array<Offer, kMost> kAll = All();
  static constexpr std::array<vd_str, kMost> kIds = Ids();
};

template <typename T>
struct LifecycleTable {
  static int32_t Create(const vd_host* host, vd_str name, vd_instance** out,
                        vd_error* error) noexcept {
    return GuardWithError(error, [&]() -> Status {
      auto instance = std::make_unique<T>(Host(host), Text(name));
      *out = reinterpret_cast<vd_instance*>(instance.release());
      return {};
    });
  }
  static int32_t Configure(vd_instance* instance, const vd_config* config,
                           vd_error* error) noexcept {
    return GuardWithError(error, [&]() -> Status {
      const vd_host_config_1* table = Self<T>(instance).host().config_table();
      if (table == nullptr) return FailedPrecondition("host: does not offer " VD_HOST_CONFIG_1);
      return Self<T>(instance).Configure(Config(table, config));
    });
  }
  static int32_t Start(vd_instance* instance, uint32_t lanes, vd_error* error) noexcept {
    return GuardWithError(error, [&] { return Self<T>(instance).Start(lanes); });
  }
  static int32_t Drain(vd_instance* instance, int64_t deadline_ns, vd_error* error) noexcept {
    return GuardWithError(error, [&] { return Self<T>(instance).Drain(deadline_ns); });
  }
  static void Stop(vd_instance* instance) noexcept {
    GuardVoid(Self<T>(instance), [&] { Self<T>(instance).Stop(); });
  }
  static void Destroy(vd_instance* instance) noexcept { delete &Self<T>(instance); }
  static const void* Query(vd_instance* instance, vd_str id) noexcept {
    const std::string_view wanted = Text(id);
    for (size_t i = 0; i < Offers<T>::Count(); ++i) {
      if (Offers<T>::kAll[i].id != wanted) continue;
      return Self<T>(instance).Offers(wanted) ? Offers<T>::kAll[i].table : nullptr;
    }
    return nullptr;
  }
  static constexpr vd_lifecycle_1 kTable = {&Create, &Configure, &Start, &Drain,
                                            &Stop,   &Destroy,   &Query};
};

template <typename T>
constexpr vd_module MakeModule(const Describe& description) {
  static_assert(std::is_base_of_v<Plugin, T>, "the class of a plugin derives from sdk::Plugin");
  return description.Module(Offers<T>::kIds.data(), Offers<T>::Count(), &LifecycleTable<T>::kTable);
}

}  // namespace internal

// A task of a plugin: an exception fails the instance. The object is the plugin itself, or has a
// host() of its own.
template <auto kMethod, typename T>
void Host::CallMethod(void* user) noexcept {
  T* object = static_cast<T*>(user);
  const auto body = [&]() -> Status {
    (object->*kMethod)();
    return {};
  };
  static_cast<void>(
      internal::Guard(body, [&](Code code, const char* what) { object->host().Fail(code, what); }));
}

}  // namespace viaduct::sdk

// Makes the library's one exported symbol. Once per library, at file level, outside of namespaces.
#define VIADUCT_PLUGIN(Type, description)                                                         \
  extern "C" VD_EXPORT const vd_module* vd_module_entry(void) {                                   \
    static constexpr vd_module kModule = ::viaduct::sdk::internal::MakeModule<Type>(description); \
    return &kModule;                                                                              \
  }
