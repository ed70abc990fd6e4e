// Compares our declarations with HailoRT's own header; compiled only where that is installed. It
// does not call the library.
#include "plugins/hailo_lpr/hailo/hailort_abi.h"

#include <gtest/gtest.h>
#include <hailo/hailort.h>

#include <type_traits>

namespace viaduct::hailo_lpr::hailort {
namespace {

// Handles, enumerations and structures have other names there: each must be passed the same way.
template <typename T>
constexpr size_t kSize = sizeof(T);
template <>
constexpr size_t kSize<void> = 0;

template <typename Theirs, typename Ours>
struct Same : std::false_type {};
template <typename R, typename... As, typename S, typename... Bs>
struct Same<R (*)(As...), S (*)(Bs...)> {
  static constexpr bool Check() {
    if constexpr (sizeof...(As) != sizeof...(Bs)) {
      return false;
    } else {
      return kSize<R> == kSize<S> && ((kSize<As> == kSize<Bs>)&&...) &&
             ((std::is_floating_point_v<As> == std::is_floating_point_v<Bs>)&&...) &&
             ((std::is_pointer_v<As> == std::is_pointer_v<Bs>)&&...);
    }
  }
  static constexpr bool value = Check();
};

#define VD_HAILORT_CHECK(name, ...) \
  static_assert(Same<decltype(&::hailo_##name), decltype(Functions::name)>::value, #name);
VD_HAILORT_FUNCTIONS(VD_HAILORT_CHECK)
#undef VD_HAILORT_CHECK

TEST(HailortAbi, SizesAndPlacesAreThoseOfTheHeader) {
  EXPECT_EQ(sizeof(Version), sizeof(hailo_version_t));
  EXPECT_EQ(sizeof(DeviceId), sizeof(hailo_device_id_t));
  EXPECT_EQ(sizeof(VdeviceParams), sizeof(hailo_vdevice_params_t));
  EXPECT_EQ(offsetof(VdeviceParams, scheduling_algorithm),
            offsetof(hailo_vdevice_params_t, scheduling_algorithm));
  EXPECT_EQ(sizeof(Identity), sizeof(hailo_device_identity_t));
  EXPECT_EQ(offsetof(Identity, firmware), offsetof(hailo_device_identity_t, fw_version));
  EXPECT_EQ(offsetof(Identity, architecture),
            offsetof(hailo_device_identity_t, device_architecture));
  EXPECT_EQ(sizeof(Temperature), sizeof(hailo_chip_temperature_info_t));
  EXPECT_EQ(sizeof(VstreamParams), sizeof(hailo_vstream_params_t));
  EXPECT_EQ(offsetof(VstreamParams, timeout_ms), offsetof(hailo_vstream_params_t, timeout_ms));
  EXPECT_EQ(sizeof(NamedVstreamParams), sizeof(hailo_input_vstream_params_by_name_t));
  EXPECT_EQ(sizeof(NamedVstreamParams), sizeof(hailo_output_vstream_params_by_name_t));
  EXPECT_LE(sizeof(hailo_vstream_info_t), sizeof(VstreamInfo));
  EXPECT_EQ(offsetof(VstreamInfo, format), offsetof(hailo_vstream_info_t, format));
  EXPECT_EQ(offsetof(VstreamInfo, shape), offsetof(hailo_vstream_info_t, shape));
}

TEST(HailortAbi, NumbersAreThoseOfTheHeader) {
  EXPECT_EQ(kRoundRobin, HAILO_SCHEDULING_ALGORITHM_ROUND_ROBIN);
  EXPECT_EQ(kAutomatic, HAILO_DVM_OPTIONS_AUTO);
  EXPECT_EQ(kAutomatic, HAILO_POWER_MEASUREMENT_TYPES__AUTO);
  EXPECT_EQ(kUint8, HAILO_FORMAT_TYPE_UINT8);
  EXPECT_EQ(kFloat32, HAILO_FORMAT_TYPE_FLOAT32);
  EXPECT_EQ(kNms, HAILO_FORMAT_ORDER_HAILO_NMS);
  EXPECT_EQ(kNmsWithMask, HAILO_FORMAT_ORDER_HAILO_NMS_WITH_BYTE_MASK);
  // As hailo_alarms.cc has them.
  EXPECT_EQ(1, HAILO_NOTIFICATION_ID_HEALTH_MONITOR_TEMPERATURE_ALARM);
  EXPECT_EQ(2, HAILO_NOTIFICATION_ID_HEALTH_MONITOR_DATAFLOW_SHUTDOWN);
  EXPECT_EQ(3, HAILO_NOTIFICATION_ID_HEALTH_MONITOR_OVERCURRENT_ALARM);
  EXPECT_EQ(5, HAILO_NOTIFICATION_ID_LCU_ECC_UNCORRECTABLE_ERROR);
  EXPECT_EQ(6, HAILO_NOTIFICATION_ID_CPU_ECC_ERROR);
  EXPECT_EQ(7, HAILO_NOTIFICATION_ID_CPU_ECC_FATAL);
  EXPECT_EQ(kTimeout, HAILO_TIMEOUT);
  EXPECT_EQ(kOpenFileFailure, HAILO_OPEN_FILE_FAILURE);
  EXPECT_EQ(kInvalidHef, HAILO_INVALID_HEF);
  EXPECT_EQ(kStreamAbort, HAILO_STREAM_ABORT);
  EXPECT_EQ(kDeviceInUse, HAILO_DEVICE_IN_USE);
  EXPECT_EQ(kOutOfPhysicalDevices, HAILO_OUT_OF_PHYSICAL_DEVICES);
  EXPECT_EQ(kInvalidDriverVersion, HAILO_INVALID_DRIVER_VERSION);
}

}  // namespace
}  // namespace viaduct::hailo_lpr::hailort
