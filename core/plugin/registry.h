// The plugin files a node knows: found in folders, checked, loaded when used, replaced while
// running.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/observe/log.h"

namespace viaduct {

class Plugin;        // plugin.h
struct ModuleInfo;   // plugin.h
class VerdictCache;  // verdict_cache.h

enum class PluginState : uint8_t { kAvailable, kLoaded, kFailed };
std::string_view PluginStateName(PluginState state);  // "available", ...

// A plugin for listings. Everything after `failure` is empty where the file has not been read.
struct PluginInfo {
  std::string name;  // The file's name without ".so".
  std::string path;  // Where the operator put it.
  PluginState state = PluginState::kAvailable;
  absl::Status failure;  // Why it is kFailed.
  std::string version;
  std::string summary;
  std::string licence;
  std::string config_schema;  // JSON Schema text.
  uint16_t abi_major = 0;
  uint16_t abi_minor = 0;
  uint16_t min_host_minor = 0;
  uint32_t max_lanes = 0;
  std::vector<std::string> interfaces;  // "viaduct.deliver/1", ...
  bool in_use = false;                  // Somebody holds the loaded library.
};

// Thread-safe. Calls that read files may take milliseconds; a probe at most Options::probe_timeout.
class PluginRegistry {
 public:
  struct Options {
    std::vector<std::string> folders;  // In order; the first file of a name wins.
    // Keeps verdicts and the copies that are loaded, so that a file may be overwritten while it is
    // in use. Empty: no verdicts are kept, files are loaded where they are, Reload is refused.
    std::string cache_dir;
    // Program and arguments before the path that try out a file in a process of its own, such as
    // {"/usr/lib/viaduct/viaduct-probe"}. Empty: files are tried in this process.
    std::vector<std::string> probe_command;
    absl::Duration probe_timeout = absl::Seconds(5);
  };
  static constexpr size_t kMaxPlugins = 256;

  PluginRegistry(Options options, Log* log);
  ~PluginRegistry();

  // Looks through the folders. A file that is new or has changed is checked (in a child process
  // where probe_command is given and no verdict is kept), never loaded here. A file that fails is
  // listed with its reason. Loaded plugins stay as they are. Missing folders are skipped.
  void Scan();

  // Loads one file, which must lie below one of the folders.
  absl::StatusOr<PluginInfo> Load(std::string_view path);

  // Loads what is now at the plugin's path, in place of the old library for whoever acquires it
  // next; the old one goes when its last instance does. On failure the old one stays.
  absl::StatusOr<PluginInfo> Reload(std::string_view name);

  // FAILED_PRECONDITION while somebody holds it. NOT_FOUND when it is not known.
  absl::Status Unload(std::string_view name);

  std::vector<PluginInfo> List() const;  // By name.
  absl::StatusOr<PluginInfo> Describe(std::string_view name) const;

  // The library for an instance, loaded now if need be; held as long as the pointer is. What lies
  // at its path now is checked first, whatever a scan found. NOT_FOUND names the folders that were
  // looked through; a file that fails gives its reason.
  absl::StatusOr<std::shared_ptr<const Plugin>> Acquire(std::string_view name);

 private:
  struct Entry {
    PluginInfo info;
    std::shared_ptr<const Plugin> plugin;  // Null when not loaded.
  };

  void Examine(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loading_);
  PluginInfo Check(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loading_);
  absl::StatusOr<ModuleInfo> Verdict(const std::string& path)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(loading_);
  absl::StatusOr<std::shared_ptr<const Plugin>> LoadFile(const std::string& name,
                                                         const std::string& path)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(loading_);
  absl::StatusOr<std::string> CopyOf(const std::string& name, const std::string& path);
  absl::Status CheckBelowFolders(std::string_view path) const;
  absl::Status UnknownPlugin(std::string_view name) const;

  const Options options_;
  Log* const log_;
  const std::unique_ptr<VerdictCache> verdicts_;
  absl::Mutex loading_;  // One load, reload or scan at a time: the slow part, files and probes.
  absl::flat_hash_set<std::string> loaded_paths_ ABSL_GUARDED_BY(loading_);  // Ever.
  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(loading_);
  absl::btree_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
