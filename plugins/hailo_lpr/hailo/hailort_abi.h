// What of HailoRT's C interface is used, declared by us from its documentation: the library is
// loaded at run time, because its soname is its full version and a plugin that is linked with it
// would not load after an upgrade.
//
// The numbers hold for 4.17 to 4.23 on 64-bit Linux. Between 4.19 and 4.20 one structure grew:
// VstreamInfo, of which only what lies before the change is read, and which has room for both.
// hailo_abi_test.cc compares all of it with HailoRT's own header where that is installed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace viaduct::hailo_lpr::hailort {

// hailo_status. Others may come; hailo_status.h says what each of these means to us.
using Status = int32_t;
inline constexpr Status kSuccess = 0;
inline constexpr Status kInvalidArgument = 2;
inline constexpr Status kTimeout = 4;
inline constexpr Status kInsufficientBuffer = 5;
inline constexpr Status kInvalidOperation = 6;
inline constexpr Status kOpenFileFailure = 13;
inline constexpr Status kUnsupportedFirmware = 16;
inline constexpr Status kInvalidHef = 26;
inline constexpr Status kDriverOperationFailed = 36;
inline constexpr Status kStreamAbort = 63;
inline constexpr Status kDriverNotInstalled = 64;
inline constexpr Status kDeviceInUse = 73;
inline constexpr Status kOutOfPhysicalDevices = 74;
inline constexpr Status kInvalidArchitecture = 75;
inline constexpr Status kInvalidDriverVersion = 76;
inline constexpr Status kNotSupported = 79;
inline constexpr Status kDriverTimeout = 87;
inline constexpr Status kHefFileCorrupted = 91;
inline constexpr Status kHefNotSupported = 92;
inline constexpr Status kHefNotCompatible = 93;

using Device = struct DeviceHandle*;
using Vdevice = struct VdeviceHandle*;
using Hef = struct HefHandle*;
using Group = struct GroupHandle*;  // A model that was configured: a "network group".
using InputStream = struct InputStreamHandle*;
using OutputStream = struct OutputStreamHandle*;

struct Version {
  uint32_t major, minor, revision;
};
static_assert(sizeof(Version) == 12);

struct DeviceId {
  char id[32];
};
static_assert(sizeof(DeviceId) == 32);

inline constexpr int32_t kRoundRobin = 1;  // hailo_scheduling_algorithm_t

struct VdeviceParams {
  uint32_t device_count;
  DeviceId* device_ids;
  int32_t scheduling_algorithm;
  const char* group_id;
  bool multi_process_service;
};
static_assert(sizeof(VdeviceParams) == 40 && offsetof(VdeviceParams, group_id) == 24);

struct Identity {
  uint32_t protocol_version;
  Version firmware;
  uint32_t logger_version;
  uint8_t board_name_length;
  char board_name[32];
  bool is_release;
  bool extended_context_switch_buffer;
  int32_t architecture;
  char numbers[80];  // Serial, part and product: not for others.
};
static_assert(sizeof(Identity) == 140 && offsetof(Identity, architecture) == 56);

struct Temperature {
  float sensor0;  // Degrees Celsius.
  float sensor1;
  uint16_t samples;
};
static_assert(sizeof(Temperature) == 12);

inline constexpr int32_t kAutomatic = 0x7fffffff;  // What and where power is measured.

// hailo_notification_callback; what it points to is not read.
using NotificationCallback = void (*)(Device, const void* notification, void* opaque);

inline constexpr int32_t kUint8 = 1;  // hailo_format_type_t
inline constexpr int32_t kFloat32 = 3;
inline constexpr int32_t kNms = 9;  // hailo_format_order_t; since 4.20 by one of the next.
inline constexpr int32_t kNmsWithMask = 20;
inline constexpr int32_t kNmsByClass = 22;
inline constexpr int32_t kNmsByScore = 23;

struct Format {
  int32_t type;
  int32_t order;
  int32_t flags;
};
static_assert(sizeof(Format) == 12);

struct VstreamParams {
  Format user_format;
  uint32_t timeout_ms;
  uint32_t queue_size;
  int32_t statistics;
  int32_t element_statistics;
};
static_assert(sizeof(VstreamParams) == 28);

// hailo_input_vstream_params_by_name_t and hailo_output_vstream_params_by_name_t.
struct NamedVstreamParams {
  char name[128];
  VstreamParams params;
};
static_assert(sizeof(NamedVstreamParams) == 156);

struct VstreamInfo {
  char name[128];
  char network_name[257];
  int32_t direction;
  Format format;
  union {
    struct {
      uint32_t height, width, features;
    } shape;
    struct {
      uint32_t classes, most_of_a_class;
    } nms;  // With an order that says so.
  };
  // Here the versions differ: quantisation, for which nobody asks.
  unsigned char unread[20];
};
inline constexpr size_t kVstreamInfoOctetsBefore420 = 432;
inline constexpr size_t kVstreamInfoOctetsSince420 = 436;
static_assert(sizeof(VstreamInfo) == kVstreamInfoOctetsSince420 &&
              offsetof(VstreamInfo, format) == 392 && offsetof(VstreamInfo, shape) == 404);

// Every function that is used, and all of them must be there: the name behind "hailo_", what it
// takes. Parameters of configuring (hailo_configure_params_t) may be null, and are.
#define VD_HAILORT_FUNCTIONS(F)                                                        \
  F(get_library_version, Version*)                                                     \
  F(scan_devices, void* params, DeviceId*, size_t* count)                              \
  F(init_vdevice_params, VdeviceParams*)                                               \
  F(create_vdevice, VdeviceParams*, Vdevice*)                                          \
  F(release_vdevice, Vdevice)                                                          \
  F(get_physical_devices, Vdevice, Device*, size_t* count)                             \
  F(identify, Device, Identity*)                                                       \
  F(get_chip_temperature, Device, Temperature*)                                        \
  F(get_throttling_state, Device, bool*)                                               \
  F(power_measurement, Device, int32_t where, int32_t what, float* watts)              \
  F(set_notification_callback, Device, NotificationCallback, int32_t id, void* opaque) \
  F(remove_notification_callback, Device, int32_t id)                                  \
  F(create_hef_file, Hef*, const char* path)                                           \
  F(release_hef, Hef)                                                                  \
  F(configure_vdevice, Vdevice, Hef, void* params, Group*, size_t* count)              \
  F(shutdown_network_group, Group)                                                     \
  F(make_input_vstream_params, Group, bool unused, int32_t type, NamedVstreamParams*,  \
    size_t* count)                                                                     \
  F(make_output_vstream_params, Group, bool unused, int32_t type, NamedVstreamParams*, \
    size_t* count)                                                                     \
  F(create_input_vstreams, Group, const NamedVstreamParams*, size_t, InputStream*)     \
  F(create_output_vstreams, Group, const NamedVstreamParams*, size_t, OutputStream*)   \
  F(release_input_vstreams, const InputStream*, size_t)                                \
  F(release_output_vstreams, const OutputStream*, size_t)                              \
  F(get_input_vstream_frame_size, InputStream, size_t*)                                \
  F(get_output_vstream_frame_size, OutputStream, size_t*)                              \
  F(get_input_vstream_info, InputStream, VstreamInfo*)                                 \
  F(get_output_vstream_info, OutputStream, VstreamInfo*)                               \
  F(vstream_set_nms_score_threshold, OutputStream, float)                              \
  F(vstream_set_nms_iou_threshold, OutputStream, float)                                \
  F(vstream_write_raw_buffer, InputStream, const void*, size_t)                        \
  F(vstream_read_raw_buffer, OutputStream, void*, size_t)

struct Functions {
#define VD_HAILORT_POINTER(name, ...) Status (*name)(__VA_ARGS__) = nullptr;
  VD_HAILORT_FUNCTIONS(VD_HAILORT_POINTER)
#undef VD_HAILORT_POINTER
};

}  // namespace viaduct::hailo_lpr::hailort
