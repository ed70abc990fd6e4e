// The other side of the double of HailoRT: what a test sets and sees. hailort_double.so exports the
// functions of hailort_abi.h and HailortDoubleControls; a real program may also set
//   HAILORT_DOUBLE_VERSION=4.20.0              the version that it says
//   HAILORT_DOUBLE_FAIL=create_vdevice:76,...  what functions answer
//   HAILORT_DOUBLE_MODELS=a.hef=PATH.onnx:1x1x48x160:128:32,...
//                                              with mean and deviation, which may be left out
//   HAILORT_DOUBLE_LOST=PATH                   the device is away while there is such a file
// before it is loaded.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "plugins/hailo_lpr/hailo/hailort_abi.h"
#include "plugins/hailo_lpr/runner.h"
#include "plugins/hailo_lpr/tensor.h"

namespace viaduct::hailo_lpr::hailort {

// What a function answers instead of doing its work.
struct Fault {
  Status status = kSuccess;
  int after = 0;   // Calls that still work.
  int times = -1;  // Then so many fail; -1: all.
};

// What stands behind the name of a HEF file.
struct DoubleModel {
  std::string onnx;
  TensorShape input;  // 1 x channels x rows x columns.
  Normalisation normalisation;
  // With an ONNX of yolo8: what a HEF does that chooses among the boxes itself.
  TensorForm form = TensorForm::kPlain;
  uint32_t classes = 0;
  uint32_t most_of_a_class = 0;
  // Lies.
  uint32_t groups = 1;
  uint32_t inputs = 1;
  int rows_more = 0;           // In what the input says of its shape,
  int octets_more = 0;         // and in the frames of the outputs.
  uint32_t features_said = 0;  // Not 0: of the outputs.
  int32_t order_said = 0;      // Not 0: of the outputs.
};

struct HailortDouble {
  std::mutex mutex;
  // Set by the test.
  Version version = {4, 23, 0};
  std::map<std::string, DoubleModel> models;  // By file name.
  std::map<std::string, Fault> faults;        // By function, without "hailo_".
  bool present = true;                        // The device; false in the middle: it is lost.
  std::string lost_file;                      // While there is one, it is not present either.
  bool in_use = false;                        // By another process.
  int32_t architecture = 2;
  float celsius = 45;
  bool throttled = false;
  float watts = 2.5F;
  int delay_ms = 0;  // Of a read; more than the stream's timeout: it times out.
  // Seen by the test.
  std::map<int32_t, std::pair<NotificationCallback, void*>> callbacks;
  std::string logger_path;           // HAILORT_LOGGER_PATH as the library was loaded.
  std::map<std::string, int> calls;  // By function.
  std::map<std::string, float> thresholds;
  int open = 0;          // Devices, files, groups and streams that were not released.
  int most_devices = 0;  // Open at once.
  int devices = 0;
  uint32_t scheduling = 0;
  std::vector<std::string> wrong;  // Uses that HailoRT forbids.
};

}  // namespace viaduct::hailo_lpr::hailort

extern "C" viaduct::hailo_lpr::hailort::HailortDouble* HailortDoubleControls();
