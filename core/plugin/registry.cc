#include "core/plugin/registry.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/plugin/elf_file.h"
#include "core/plugin/plugin.h"
#include "core/plugin/probe_child.h"
#include "core/plugin/verdict_cache.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
constexpr char kComponent[] = "plugins";
constexpr size_t kHashBytes = 8;  // Of the digest, in a copy's name.

void Fill(const ModuleInfo& module, PluginInfo* info) {
  info->version = module.version;
  info->summary = module.summary;
  info->licence = module.licence;
  info->config_schema = module.config_schema;
  info->abi_major = module.abi_major;
  info->abi_minor = module.abi_minor;
  info->min_host_minor = module.min_host_minor;
  info->max_lanes = module.max_lanes;
  info->interfaces = module.interfaces;
}

// The .so files of a folder, by name, so that listings and conflicts do not depend on the disk.
std::vector<std::string> LibrariesIn(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".so") paths.push_back(it->path().string());
    if (paths.size() >= PluginRegistry::kMaxPlugins) break;
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void RemoveOldCopies(const std::string& folder) {
  for (const std::string& path : LibrariesIn(folder)) {
    std::error_code ignored;  // A copy that stays costs disk, nothing else.
    fs::remove(path, ignored);
  }
}

}  // namespace

std::string_view PluginStateName(PluginState state) {
  switch (state) {
    case PluginState::kAvailable:
      return "available";
    case PluginState::kLoaded:
      return "loaded";
    case PluginState::kFailed:
      return "failed";
  }
  return "unknown";
}

PluginRegistry::PluginRegistry(Options options, Log* log)
    : options_(std::move(options)),
      log_(log),
      verdicts_(std::make_unique<VerdictCache>(options_.cache_dir)) {
  if (!options_.cache_dir.empty()) RemoveOldCopies(options_.cache_dir);
}

PluginRegistry::~PluginRegistry() = default;

void PluginRegistry::Scan() {
  absl::MutexLock loading(&loading_);
  std::vector<std::string> found;
  for (const std::string& folder : options_.folders) {
    for (std::string& path : LibrariesIn(folder)) {
      Examine(path);
      found.push_back(std::move(path));
    }
  }
  if (const absl::Status saved = verdicts_->Save(); !saved.ok()) {
    log_->Warning(kComponent, "verdicts can not be kept", {{"reason", StdView(saved.message())}});
  }
  absl::MutexLock lock(&mutex_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    const bool gone = std::find(found.begin(), found.end(), it->second.info.path) == found.end();
    it = gone && it->second.plugin == nullptr ? entries_.erase(it) : std::next(it);
  }
}

void PluginRegistry::Examine(const std::string& path) {
  const std::string name = fs::path(path).stem().string();
  {
    absl::MutexLock lock(&mutex_);
    const auto known = entries_.find(name);
    if (known != entries_.end() && known->second.plugin != nullptr) return;
    if (known == entries_.end() && entries_.size() >= kMaxPlugins) return;
    if (known != entries_.end() && known->second.info.path != path &&
        fs::exists(known->second.info.path)) {
      return;  // An earlier folder has a file of this name.
    }
  }
  PluginInfo info = Check(path);
  if (info.state == PluginState::kFailed) {
    log_->Warning(kComponent, "plugin can not be used",
                  {{"path", path}, {"reason", StdView(info.failure.message())}});
  }
  absl::MutexLock lock(&mutex_);
  entries_[name].info = std::move(info);
}

PluginInfo PluginRegistry::Check(const std::string& path) {
  PluginInfo info;
  info.name = fs::path(path).stem().string();
  info.path = path;
  const absl::StatusOr<ModuleInfo> module = Verdict(path);
  if (module.ok()) {
    Fill(*module, &info);
  } else {
    info.state = PluginState::kFailed;
    info.failure = module.status();
  }
  return info;
}

absl::StatusOr<ModuleInfo> PluginRegistry::Verdict(const std::string& path) {
  const auto of_path = [&path](const absl::Status& why) {
    return absl::Status(why.code(), absl::StrCat("plugin: ", path, ": ", why.message()));
  };
  const absl::StatusOr<std::string> name = PluginNameOfPath(path);
  if (!name.ok()) return of_path(name.status());
  if (std::optional<ModuleInfo> known = verdicts_->Find(path)) return *std::move(known);
  const absl::StatusOr<std::string> octets = ReadLibraryFile(path);
  if (!octets.ok()) return of_path(octets.status());
  if (absl::Status good = CheckLibraryFile(*octets); !good.ok()) return of_path(good);
  if (options_.probe_command.empty()) {
    VD_ASSIGN_OR_RETURN(const auto plugin, Plugin::Load(path, *name));
    return plugin->info();  // Unloaded again: an unused plugin costs nothing.
  }
  VD_ASSIGN_OR_RETURN(ModuleInfo info,
                      ProbeInChild(options_.probe_command, path, options_.probe_timeout));
  verdicts_->Put(path, info);
  return info;
}

absl::StatusOr<std::shared_ptr<const Plugin>> PluginRegistry::LoadFile(const std::string& name,
                                                                       const std::string& path) {
  // From a copy of our own: whoever writes into the operator's file does not write into the code
  // that runs, and dlopen, which gives the old library for a path that it knows, sees a new path.
  std::string from = path;
  if (!options_.cache_dir.empty()) {
    VD_ASSIGN_OR_RETURN(from, CopyOf(name, path));
  } else if (loaded_paths_.contains(path)) {
    return absl::FailedPreconditionError(
        absl::StrCat("plugin: ", path, ": can not be loaded a second time, no cache folder"));
  }
  VD_ASSIGN_OR_RETURN(auto plugin, Plugin::Load(from, name));
  loaded_paths_.insert(path);
  log_->Info(kComponent, "plugin loaded",
             {{"plugin", name}, {"version", plugin->info().version}, {"path", path}});
  return plugin;
}

absl::StatusOr<std::string> PluginRegistry::CopyOf(const std::string& name,
                                                   const std::string& path) {
  VD_ASSIGN_OR_RETURN(const std::string octets, ReadLibraryFile(path));
  const std::string hash = HexSha256(octets).substr(0, 2 * kHashBytes);
  std::string copy = absl::StrCat(options_.cache_dir, "/", name, "-", hash, ".so");
  if (fs::exists(copy)) return copy;
  std::error_code ignored;  // The write below tells.
  fs::create_directories(options_.cache_dir, ignored);
  const std::string next = absl::StrCat(copy, ".new");
  std::ofstream out(next, std::ios::binary | std::ios::trunc);
  out.write(octets.data(), static_cast<std::streamsize>(octets.size()));
  out.close();
  if (!out || std::rename(next.c_str(), copy.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("plugin: ", path, ": can not write ", copy));
  }
  return copy;
}

absl::Status PluginRegistry::CheckBelowFolders(std::string_view path) const {
  std::error_code error;
  const fs::path file = fs::canonical(path, error);
  if (error) {
    return absl::NotFoundError(absl::StrCat("plugin: ", AbslView(path), ": ", error.message()));
  }
  for (const std::string& folder : options_.folders) {
    const fs::path root = fs::canonical(folder, error);
    if (!error && file.parent_path() == root) return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat("plugin: ", AbslView(path),
                                                  ": outside of the plugin folders, ",
                                                  absl::StrJoin(options_.folders, ", ")));
}

absl::Status PluginRegistry::UnknownPlugin(std::string_view name) const {
  return absl::NotFoundError(absl::StrCat("plugin: ", AbslView(name),
                                          " is not installed, looked in ",
                                          absl::StrJoin(options_.folders, ", ")));
}

absl::StatusOr<PluginInfo> PluginRegistry::Load(std::string_view path) {
  VD_RETURN_IF_ERROR(CheckBelowFolders(path));
  const std::string file(path);
  VD_ASSIGN_OR_RETURN(const std::string name, PluginNameOfPath(path));
  {
    absl::MutexLock loading(&loading_);
    {
      absl::MutexLock lock(&mutex_);
      const auto known = entries_.find(name);
      if (known != entries_.end() && known->second.plugin != nullptr &&
          known->second.info.path != file) {
        return absl::AlreadyExistsError(
            absl::StrCat("plugin: ", name, " is loaded already, from ", known->second.info.path));
      }
      if (known == entries_.end() && entries_.size() >= kMaxPlugins) {
        return absl::ResourceExhaustedError(
            absl::StrCat("plugins: too many files, ", entries_.size()));
      }
      if (known == entries_.end() || known->second.plugin == nullptr) {
        entries_[name].info.path = file;
        entries_[name].info.name = name;
      }
    }
  }
  VD_RETURN_IF_ERROR(Acquire(name).status());
  return Describe(name);
}

absl::StatusOr<std::shared_ptr<const Plugin>> PluginRegistry::Acquire(std::string_view name) {
  absl::MutexLock loading(&loading_);
  std::string path;
  {
    absl::MutexLock lock(&mutex_);
    const auto known = entries_.find(std::string(name));
    if (known == entries_.end()) return UnknownPlugin(name);
    if (known->second.plugin != nullptr) return known->second.plugin;
    path = known->second.info.path;
  }
  // What lies there now may be another file than the one that was listed, and a failure may have
  // passed. Costs a stat where the verdict still holds.
  PluginInfo info = Check(path);
  verdicts_->Save().IgnoreError();  // Said by the next scan.
  auto plugin = info.failure.ok() ? LoadFile(std::string(name), path) : info.failure;
  info.state = plugin.ok() ? PluginState::kLoaded : PluginState::kFailed;
  info.failure = plugin.status();
  if (plugin.ok()) Fill((*plugin)->info(), &info);
  absl::MutexLock lock(&mutex_);
  Entry& entry = entries_[std::string(name)];
  entry.info = std::move(info);
  entry.plugin = plugin.ok() ? *plugin : nullptr;
  return plugin;
}

absl::StatusOr<PluginInfo> PluginRegistry::Reload(std::string_view name) {
  absl::MutexLock loading(&loading_);
  std::string path;
  bool loaded = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto known = entries_.find(std::string(name));
    if (known == entries_.end()) return UnknownPlugin(name);
    path = known->second.info.path;
    loaded = known->second.plugin != nullptr;
  }
  PluginInfo info = Check(path);
  VD_RETURN_IF_ERROR(info.failure);
  std::shared_ptr<const Plugin> old;  // Unloaded after the lock is given back.
  std::shared_ptr<const Plugin> next;
  if (loaded) {
    VD_ASSIGN_OR_RETURN(next, LoadFile(std::string(name), path));
    info.state = PluginState::kLoaded;
    Fill(next->info(), &info);
  }
  absl::MutexLock lock(&mutex_);
  Entry& entry = entries_[std::string(name)];
  old = std::exchange(entry.plugin, std::move(next));
  entry.info = info;
  return info;
}

absl::Status PluginRegistry::Unload(std::string_view name) {
  absl::MutexLock loading(&loading_);
  std::shared_ptr<const Plugin> old;
  absl::MutexLock lock(&mutex_);
  const auto known = entries_.find(std::string(name));
  if (known == entries_.end()) return UnknownPlugin(name);
  Entry& entry = known->second;
  // Only the registry hands out new references, under this lock: one means nobody else has any.
  if (entry.plugin.use_count() > 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("plugin: ", AbslView(name), " is in use, stop its instances first"));
  }
  old = std::move(entry.plugin);
  entry.plugin = nullptr;
  if (entry.info.state == PluginState::kLoaded) entry.info.state = PluginState::kAvailable;
  return absl::OkStatus();
}

std::vector<PluginInfo> PluginRegistry::List() const {
  std::vector<PluginInfo> plugins;
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, entry] : entries_) {
    plugins.push_back(entry.info);
    plugins.back().in_use = entry.plugin.use_count() > 1;
  }
  return plugins;
}

absl::StatusOr<PluginInfo> PluginRegistry::Describe(std::string_view name) const {
  absl::MutexLock lock(&mutex_);
  const auto known = entries_.find(std::string(name));
  if (known == entries_.end()) return UnknownPlugin(name);
  PluginInfo info = known->second.info;
  info.in_use = known->second.plugin.use_count() > 1;
  return info;
}

}  // namespace viaduct
