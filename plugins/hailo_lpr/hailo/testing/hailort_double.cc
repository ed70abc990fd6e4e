// Behaves as HailoRT does towards one program: the functions of hailort_abi.h with one device,
// whose models are ONNX files of ours. Written from our own declarations.
#include "plugins/hailo_lpr/hailo/testing/hailort_double.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <type_traits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "plugins/hailo_lpr/hailo/testing/hailort_double_model.h"

namespace viaduct::hailo_lpr::hailort {
namespace {

constexpr char kMagic[] = "\x01HEF";  // A HEF begins with it.

DoubleModel ModelOf(const std::string& text) {  // PATH.onnx:1x1x48x160:128:32
  std::vector<std::string> parts = absl::StrSplit(text, ':');
  parts.resize(4);
  DoubleModel model;
  model.onnx = parts[0];
  for (const absl::string_view size : absl::StrSplit(parts[1], 'x')) {
    int value = 0;
    if (absl::SimpleAtoi(size, &value)) model.input.sizes.push_back(value);
  }
  Normalisation normalisation;
  if (absl::SimpleAtof(parts[2], &normalisation.mean) &&
      absl::SimpleAtof(parts[3], &normalisation.deviation)) {
    model.normalisation = normalisation;
  }
  return model;
}

void ReadEnvironment(HailortDouble* controls) {
  const auto get = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  controls->logger_path = get("HAILORT_LOGGER_PATH");
  controls->lost_file = get("HAILORT_DOUBLE_LOST");
  Version& version = controls->version;
  if (const std::string text = get("HAILORT_DOUBLE_VERSION"); !text.empty()) {
    std::sscanf(text.c_str(), "%u.%u.%u", &version.major, &version.minor, &version.revision);
  }
  for (const auto& one : absl::StrSplit(get("HAILORT_DOUBLE_FAIL"), ',', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> fault = absl::StrSplit(one, ':');
    int status = 0;
    if (absl::SimpleAtoi(fault.second, &status)) controls->faults[fault.first].status = status;
  }
  for (const auto& one : absl::StrSplit(get("HAILORT_DOUBLE_MODELS"), ',', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> model = absl::StrSplit(one, absl::MaxSplits('=', 1));
    controls->models[model.first] = ModelOf(model.second);
  }
}

HailortDouble& Controls() {
  static HailortDouble* const controls = [] {
    static HailortDouble made;
    ReadEnvironment(&made);
    return &made;
  }();
  return *controls;
}

// What the environment was as the library was loaded.
const HailortDouble& loaded [[maybe_unused]] = Controls();

Status Enter(const char* function) {
  HailortDouble& controls = Controls();
  const std::lock_guard<std::mutex> lock(controls.mutex);
  ++controls.calls[function];
  const auto found = controls.faults.find(function);
  if (found == controls.faults.end()) return kSuccess;
  Fault& fault = found->second;
  if (fault.after > 0) {
    --fault.after;
    return kSuccess;
  }
  if (fault.times == 0) return kSuccess;
  if (fault.times > 0) --fault.times;
  return fault.status;
}

void Count(int change) {
  const std::lock_guard<std::mutex> lock(Controls().mutex);
  Controls().open += change;
}

Status Wrong(const char* what) {
  const std::lock_guard<std::mutex> lock(Controls().mutex);
  Controls().wrong.emplace_back(what);
  return kInvalidArgument;
}

// With the lock.
bool IsPresent(const HailortDouble& controls) {
  return controls.present && (controls.lost_file.empty() || !std::ifstream(controls.lost_file));
}

bool Present() {
  const std::lock_guard<std::mutex> lock(Controls().mutex);
  return IsPresent(Controls());
}

bool IsSince420() {
  const std::lock_guard<std::mutex> lock(Controls().mutex);
  return Controls().version.major > 4 || Controls().version.minor >= 20;
}

template <size_t N>
void Write(const std::string& text, char (&to)[N]) {
  std::memset(to, 0, N);
  std::memcpy(to, text.data(), std::min(text.size(), N - 1));
}

}  // namespace

struct DeviceHandle {};
struct HefHandle {
  DoubleModel model;
};
struct GroupHandle {
  DoubleModel model;
  std::unique_ptr<RunningModel> running;
  int waiting = 0;  // Outputs of the last frame that were not read.
  bool shut_down = false;
};
struct VdeviceHandle {
  DeviceHandle chip;
  std::vector<std::unique_ptr<GroupHandle>> groups;
};
struct InputStreamHandle {
  GroupHandle* group;
};
struct OutputStreamHandle {
  GroupHandle* group;
  size_t at;
  uint32_t timeout_ms;
};

namespace {

Status WriteInfo(VstreamInfo info, VstreamInfo* to) {
  std::memset(info.unread, 0xee, sizeof(info.unread));
  const size_t octets = IsSince420() ? kVstreamInfoOctetsSince420 : kVstreamInfoOctetsBefore420;
  std::memcpy(static_cast<void*>(to), &info, octets);
  return kSuccess;
}

Status MakeParams(size_t wanted, int32_t type, const std::vector<std::string>& names,
                  NamedVstreamParams* params, size_t* count) {
  const size_t room = *count;
  *count = wanted;
  if (wanted > room) return kInsufficientBuffer;
  for (size_t i = 0; i < wanted; ++i) {
    params[i] = {};
    Write(names[std::min(i, names.size() - 1)], params[i].name);
    params[i].params.user_format.type = type;
    params[i].params.timeout_ms = 10000;
    params[i].params.queue_size = 2;
  }
  return kSuccess;
}

Status Identify(Identity* identity) {
  const std::lock_guard<std::mutex> lock(Controls().mutex);
  *identity = {};
  identity->firmware = Controls().version;
  identity->architecture = Controls().architecture;
  return kSuccess;
}

Status CreateVdevice(VdeviceParams* params, Vdevice* device) {
  HailortDouble& controls = Controls();
  const std::lock_guard<std::mutex> lock(controls.mutex);
  if (!IsPresent(controls)) return kOutOfPhysicalDevices;
  if (controls.in_use || controls.devices > 0) return kDeviceInUse;
  controls.scheduling = static_cast<uint32_t>(params->scheduling_algorithm);
  ++controls.devices;
  ++controls.open;
  controls.most_devices = std::max(controls.most_devices, controls.devices);
  *device = new VdeviceHandle;
  return kSuccess;
}

Status ReleaseVdevice(Vdevice device) {
  {
    HailortDouble& controls = Controls();
    const std::lock_guard<std::mutex> lock(controls.mutex);
    --controls.devices;
    --controls.open;
    controls.open -= static_cast<int>(device->groups.size());
    if (controls.open != 0) controls.wrong.emplace_back("release_vdevice: streams are open");
    // HailoRT would take that; but what they point to may go next.
    if (!controls.callbacks.empty()) controls.wrong.emplace_back("release_vdevice: callbacks");
  }
  delete device;
  return kSuccess;
}

Status CreateHef(Hef* hef, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return kOpenFileFailure;
  char magic[sizeof(kMagic) - 1] = {};
  file.read(magic, sizeof(magic));
  if (std::memcmp(magic, kMagic, sizeof(magic)) != 0) return kHefNotSupported;
  HailortDouble& controls = Controls();
  const std::lock_guard<std::mutex> lock(controls.mutex);
  const auto found = controls.models.find(std::filesystem::path(path).filename().string());
  if (found == controls.models.end()) return kHefFileCorrupted;
  ++controls.open;
  *hef = new HefHandle{found->second};
  return kSuccess;
}

Status Configure(Vdevice device, Hef hef, Group* groups, size_t* count) {
  constexpr size_t kRoom = 16;  // On the device, for groups.
  const size_t wanted = hef->model.groups;
  if (wanted > *count) return kInsufficientBuffer;
  if (device->groups.size() + wanted > kRoom) return kInvalidOperation;
  for (size_t i = 0; i < wanted; ++i) {
    auto running = RunningModel::Load(hef->model);
    if (!running.ok()) {
      std::fprintf(stderr, "double: %s\n", running.status().ToString().c_str());
      return kInvalidHef;
    }
    device->groups.push_back(std::make_unique<GroupHandle>());
    device->groups.back()->model = hef->model;
    device->groups.back()->running = *std::move(running);
    groups[i] = device->groups.back().get();
    Count(1);
  }
  *count = wanted;
  return kSuccess;
}

Status DescribeInput(InputStream stream, VstreamInfo* to) {
  const DoubleModel& model = stream->group->model;
  VstreamInfo info{};
  Write("input_layer1", info.name);
  info.format = {kUint8, 1, 0};
  info.shape = {static_cast<uint32_t>(model.input.sizes[2] + model.rows_more),
                static_cast<uint32_t>(model.input.sizes[3]),
                static_cast<uint32_t>(model.input.sizes[1])};
  return WriteInfo(info, to);
}

Status DescribeOutput(OutputStream stream, VstreamInfo* to) {
  const DoubleModel& model = stream->group->model;
  VstreamInfo info{};
  Write(stream->group->running->name(stream->at), info.name);
  info.direction = 1;
  info.format = {kFloat32, 1, 0};
  if (model.form == TensorForm::kPlain) {
    const std::vector<uint32_t> shape = stream->group->running->shape(stream->at);
    info.shape = {shape[0], shape[1], shape[2]};
  } else {
    info.nms = {model.classes, model.most_of_a_class};
    const bool by_class = model.form == TensorForm::kNmsByClass;
    info.format.order = !by_class ? kNmsByScore : IsSince420() ? kNmsByClass : kNms;
  }
  if (model.features_said != 0) info.shape.features = model.features_said;
  if (model.order_said != 0) info.format.order = model.order_said;
  return WriteInfo(info, to);
}

Status WriteFrame(InputStream stream, const void* pixels, size_t octets) {
  if (!Present()) return kDriverOperationFailed;
  GroupHandle& group = *stream->group;
  if (octets != group.model.input.elements()) return kInvalidArgument;
  if (group.waiting != 0) return Wrong("write: the last frame was not read");
  const auto* from = static_cast<const uint8_t*>(pixels);
  if (!group.running->Infer({from, from + octets}).ok()) return kInvalidHef;
  group.waiting = static_cast<int>(group.running->outputs());
  return kSuccess;
}

Status ReadFrame(OutputStream stream, void* to, size_t octets) {
  int delay_ms = 0;
  {
    const std::lock_guard<std::mutex> lock(Controls().mutex);
    delay_ms = Controls().delay_ms;
  }
  const int timeout_ms = static_cast<int>(stream->timeout_ms);
  std::this_thread::sleep_for(std::chrono::milliseconds(std::min(delay_ms, timeout_ms)));
  GroupHandle& group = *stream->group;
  if (delay_ms > timeout_ms || group.waiting == 0) return kTimeout;
  if (!Present()) return kStreamAbort;
  const std::vector<uint8_t>& frame = group.running->frame(stream->at);
  if (octets != frame.size()) return kInvalidArgument;
  std::memcpy(to, frame.data(), frame.size());
  --group.waiting;
  return kSuccess;
}

Status CreateInputs(Group group, size_t count, InputStream* streams) {
  for (size_t i = 0; i < count; ++i) streams[i] = new InputStreamHandle{group};
  Count(static_cast<int>(count));
  return kSuccess;
}

Status CreateOutputs(Group group, const NamedVstreamParams* params, size_t count,
                     OutputStream* streams) {
  for (size_t i = 0; i < count; ++i) {
    streams[i] = new OutputStreamHandle{group, i, params[i].params.timeout_ms};
  }
  Count(static_cast<int>(count));
  return kSuccess;
}

template <typename Stream>
Status Release(const Stream* streams, size_t count) {
  for (size_t i = 0; i < count; ++i) delete streams[i];
  Count(-static_cast<int>(count));
  return kSuccess;
}

Status SetThreshold(const char* name, float value) {
  const std::lock_guard<std::mutex> lock(Controls().mutex);
  Controls().thresholds[name] = value;
  return kSuccess;
}

Status Scan(DeviceId* ids, size_t* count) {
  const size_t room = *count;
  *count = Present() ? 1 : 0;
  if (*count > room) return kInsufficientBuffer;
  if (*count == 1) Write("0000:01:00.0", ids[0].id);
  return kSuccess;
}

Status Measure(Temperature* temperature) {
  if (!Present()) return kDriverOperationFailed;
  const std::lock_guard<std::mutex> lock(Controls().mutex);
  *temperature = {Controls().celsius - 1, Controls().celsius, 1};
  return kSuccess;
}

std::vector<std::string> OutputNames(Group group) {
  std::vector<std::string> names;
  for (size_t i = 0; i < group->running->outputs(); ++i) names.push_back(group->running->name(i));
  return names;
}

}  // namespace
}  // namespace viaduct::hailo_lpr::hailort

using namespace viaduct::hailo_lpr::hailort;  // NOLINT: its functions have no namespace.

#define VD_EXPORT extern "C" __attribute__((visibility("default")))
// A function of HailoRT: it may be told to fail, and has the type that the plugin calls.
#define VD_DOUBLE(name, parameters, ...)                                               \
  VD_EXPORT Status hailo_##name parameters {                                           \
    static_assert(std::is_same_v<decltype(&hailo_##name), decltype(Functions::name)>); \
    if (const Status fault = Enter(#name); fault != kSuccess) return fault;            \
    __VA_ARGS__                                                                        \
  }

VD_EXPORT HailortDouble* HailortDoubleControls() { return &Controls(); }

VD_DOUBLE(get_library_version, (Version * version), {
  const std::lock_guard<std::mutex> lock(Controls().mutex);
  *version = Controls().version;
  return kSuccess;
})
VD_DOUBLE(scan_devices, (void*, DeviceId* ids, size_t* count), { return Scan(ids, count); })
VD_DOUBLE(init_vdevice_params, (VdeviceParams * params), {
  *params = {1, nullptr, kRoundRobin, "UNIQUE", false};
  return kSuccess;
})
VD_DOUBLE(create_vdevice, (VdeviceParams * params, Vdevice* device),
          { return CreateVdevice(params, device); })
VD_DOUBLE(release_vdevice, (Vdevice device), { return ReleaseVdevice(device); })
VD_DOUBLE(get_physical_devices, (Vdevice device, Device* devices, size_t* count), {
  devices[0] = &device->chip;
  *count = 1;
  return kSuccess;
})
VD_DOUBLE(identify, (Device, Identity* identity), { return Identify(identity); })
VD_DOUBLE(get_chip_temperature, (Device, Temperature* temperature),
          { return Measure(temperature); })
VD_DOUBLE(get_throttling_state, (Device, bool* active), {
  const std::lock_guard<std::mutex> lock(Controls().mutex);
  *active = Controls().throttled;
  return kSuccess;
})
VD_DOUBLE(power_measurement, (Device, int32_t, int32_t, float* watts), {
  const std::lock_guard<std::mutex> lock(Controls().mutex);
  *watts = Controls().watts;
  return kSuccess;
})
VD_DOUBLE(set_notification_callback,
          (Device, NotificationCallback callback, int32_t id, void* opaque), {
            const std::lock_guard<std::mutex> lock(Controls().mutex);
            Controls().callbacks[id] = {callback, opaque};
            return kSuccess;
          })
VD_DOUBLE(remove_notification_callback, (Device, int32_t id), {
  const std::lock_guard<std::mutex> lock(Controls().mutex);
  Controls().callbacks.erase(id);
  return kSuccess;
})
VD_DOUBLE(create_hef_file, (Hef * hef, const char* path), { return CreateHef(hef, path); })
VD_DOUBLE(release_hef, (Hef hef), {
  delete hef;
  Count(-1);
  return kSuccess;
})
VD_DOUBLE(configure_vdevice, (Vdevice device, Hef hef, void* params, Group* groups, size_t* count),
          {
            if (params != nullptr) return Wrong("configure_vdevice: parameters");
            return Configure(device, hef, groups, count);
          })
VD_DOUBLE(shutdown_network_group, (Group group), {
  group->shut_down = true;
  return kSuccess;
})
VD_DOUBLE(make_input_vstream_params,
          (Group group, bool, int32_t type, NamedVstreamParams* params, size_t* count),
          { return MakeParams(group->model.inputs, type, {"input_layer1"}, params, count); })
VD_DOUBLE(make_output_vstream_params,
          (Group group, bool, int32_t type, NamedVstreamParams* params, size_t* count), {
            const std::vector<std::string> names = OutputNames(group);
            return MakeParams(names.size(), type, names, params, count);
          })
VD_DOUBLE(create_input_vstreams,
          (Group group, const NamedVstreamParams*, size_t count, InputStream* streams),
          { return CreateInputs(group, count, streams); })
VD_DOUBLE(create_output_vstreams,
          (Group group, const NamedVstreamParams* params, size_t count, OutputStream* streams),
          { return CreateOutputs(group, params, count, streams); })
VD_DOUBLE(release_input_vstreams, (const InputStream* streams, size_t count),
          { return Release(streams, count); })
VD_DOUBLE(release_output_vstreams, (const OutputStream* streams, size_t count),
          { return Release(streams, count); })
VD_DOUBLE(get_input_vstream_frame_size, (InputStream stream, size_t* octets), {
  *octets = stream->group->model.input.elements();
  return kSuccess;
})
VD_DOUBLE(get_output_vstream_frame_size, (OutputStream stream, size_t* octets), {
  const auto& group = *stream->group;
  *octets = group.running->frame_octets(stream->at) + static_cast<size_t>(group.model.octets_more);
  return kSuccess;
})
VD_DOUBLE(get_input_vstream_info, (InputStream stream, VstreamInfo* info),
          { return DescribeInput(stream, info); })
VD_DOUBLE(get_output_vstream_info, (OutputStream stream, VstreamInfo* info),
          { return DescribeOutput(stream, info); })
VD_DOUBLE(vstream_set_nms_score_threshold, (OutputStream, float value),
          { return SetThreshold("score", value); })
VD_DOUBLE(vstream_set_nms_iou_threshold, (OutputStream, float value),
          { return SetThreshold("overlap", value); })
VD_DOUBLE(vstream_write_raw_buffer, (InputStream stream, const void* pixels, size_t octets),
          { return WriteFrame(stream, pixels, octets); })
VD_DOUBLE(vstream_read_raw_buffer, (OutputStream stream, void* to, size_t octets),
          { return ReadFrame(stream, to, octets); })
