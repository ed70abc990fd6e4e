// What `viaductctl doctor` finds: a line each, with what to do about it. See docs/OPERATIONS.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/config/node_config.h"

namespace viaduct::doctor {

enum class Verdict : uint8_t { kOk, kWarn, kFail };
std::string_view VerdictName(Verdict verdict);  // "ok", "warn", "fail"

struct Diagnosis {
  Verdict verdict = Verdict::kOk;
  std::string area;     // "ports", "disk", ...
  std::string subject;  // A path, an address, an instance.
  std::string found;    // Never a secret.
  std::string advice;   // What to do; "" where nothing is to be done.
};

// Thread-compatible.
class Diagnoses {
 public:
  // What follows belongs to it.
  void BeginArea(std::string_view area) { area_ = std::string(area); }
  void Ok(std::string_view subject, std::string_view found);
  void Warn(std::string_view subject, std::string_view found, std::string_view advice);
  void Fail(std::string_view subject, std::string_view found, std::string_view advice);
  const std::vector<Diagnosis>& list() const { return list_; }
  Verdict worst() const;

 private:
  void Add(Verdict verdict, std::string_view subject, std::string_view found,
           std::string_view advice);
  std::string area_;
  std::vector<Diagnosis> list_;
};

// What is looked at. Thread-compatible.
struct Patient {
  std::string config_path;
  std::string config_text;
  std::optional<NodeConfig> config;  // None: it cannot be read; most cannot be looked at then.
  int node_pid = 0;                  // Of the node that has data_dir; 0: none runs.
  const Clock* clock = nullptr;
};

// Reads the configuration and looks whether a node runs. What is wrong with the file is told.
Patient Examine(const std::string& config_path, const Clock* clock, Diagnoses* out);

// Each looks at one area.
void CheckHost(const Patient& patient, Diagnoses* out);          // user, clock, limits, zone
void CheckFolders(const Patient& patient, Diagnoses* out);       // permissions
void CheckDisks(const Patient& patient, Diagnoses* out);         // space, inodes, speed of a sync
void CheckPorts(const Patient& patient, Diagnoses* out);         // free, or the node's own
void CheckCertificates(const Patient& patient, Diagnoses* out);  // ends, chains, names, keys
void CheckDatabase(const Patient& patient, Diagnoses* out);      // reached, version, schema
// Roads, brokers and inference: each is started here for a moment. Only where no node runs, whose
// own would be disturbed.
void CheckInstances(const Patient& patient, Diagnoses* out);

}  // namespace viaduct::doctor
