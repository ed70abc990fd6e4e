#include "core/plugin/verdict_cache.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace viaduct {
namespace {

using Json = nlohmann::json;

// Raised whenever the rules of CheckModule or CheckLibraryFile become stricter.
constexpr int kRules = 1;
constexpr size_t kMaxCacheBytes = 64u << 20;
constexpr char kFileName[] = "verdicts.json";

std::string Stamp(const std::string& path) {
  struct stat s {};
  if (stat(path.c_str(), &s) != 0) return "";
  return absl::StrCat(s.st_dev, ":", s.st_ino, ":", s.st_size, ":", s.st_mtim.tv_sec, ".",
                      s.st_mtim.tv_nsec, ":", s.st_ctim.tv_sec, ".", s.st_ctim.tv_nsec);
}

std::string AbiVersion() { return absl::StrCat(VD_ABI_MAJOR, ".", VD_ABI_MINOR); }

Json ToJson(const ModuleInfo& info) {
  return Json{{"name", info.name},
              {"version", info.version},
              {"summary", info.summary},
              {"licence", info.licence},
              {"config_schema", info.config_schema},
              {"abi_major", info.abi_major},
              {"abi_minor", info.abi_minor},
              {"min_host_minor", info.min_host_minor},
              {"max_lanes", info.max_lanes},
              {"interfaces", info.interfaces}};
}

ModuleInfo FromJson(const Json& json) {  // Throws on anything unexpected.
  ModuleInfo info;
  info.name = json.at("name").get<std::string>();
  info.version = json.at("version").get<std::string>();
  info.summary = json.at("summary").get<std::string>();
  info.licence = json.at("licence").get<std::string>();
  info.config_schema = json.at("config_schema").get<std::string>();
  info.abi_major = json.at("abi_major").get<uint16_t>();
  info.abi_minor = json.at("abi_minor").get<uint16_t>();
  info.min_host_minor = json.at("min_host_minor").get<uint16_t>();
  info.max_lanes = json.at("max_lanes").get<uint32_t>();
  info.interfaces = json.at("interfaces").get<std::vector<std::string>>();
  return info;
}

// A plugin's texts may be any octets; what is not UTF-8 is replaced.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ReadFile(const std::string& path) {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > kMaxCacheBytes) return "";
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

}  // namespace

std::string WriteModuleInfo(const ModuleInfo& info) { return Dump(ToJson(info)); }

absl::StatusOr<ModuleInfo> ReadModuleInfo(std::string_view json) {
  try {
    return FromJson(Json::parse(json));
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("module info: ", error.what()));
  }
}

VerdictCache::VerdictCache(std::string folder) : folder_(std::move(folder)) {
  if (!folder_.empty()) Load();
}

void VerdictCache::Load() {
  const std::string text = ReadFile(absl::StrCat(folder_, "/", kFileName));
  absl::MutexLock lock(&mutex_);
  try {
    const Json json = Json::parse(text);
    if (json.at("rules") != kRules || json.at("abi") != AbiVersion()) return;
    for (const auto& [path, verdict] : json.at("files").items()) {
      if (verdicts_.size() >= kMaxVerdicts) return;
      verdicts_[path] = {verdict.at("stamp").get<std::string>(), FromJson(verdict.at("info"))};
    }
  } catch (const Json::exception&) {
    verdicts_.clear();
  }
}

std::optional<ModuleInfo> VerdictCache::Find(const std::string& path) const {
  const std::string stamp = Stamp(path);
  absl::MutexLock lock(&mutex_);
  const auto found = verdicts_.find(path);
  if (found == verdicts_.end() || stamp.empty() || found->second.stamp != stamp) {
    return std::nullopt;
  }
  return found->second.info;
}

void VerdictCache::Put(const std::string& path, const ModuleInfo& info) {
  std::string stamp = Stamp(path);
  if (stamp.empty()) return;
  absl::MutexLock lock(&mutex_);
  if (verdicts_.size() >= kMaxVerdicts && verdicts_.count(path) == 0) return;
  verdicts_[path] = {std::move(stamp), info};
  changed_ = true;
}

absl::Status VerdictCache::Save() {
  Json files = Json::object();
  {
    absl::MutexLock lock(&mutex_);
    if (folder_.empty() || !std::exchange(changed_, false)) return absl::OkStatus();
    for (const auto& [path, verdict] : verdicts_) {
      files[path] = {{"stamp", verdict.stamp}, {"info", ToJson(verdict.info)}};
    }
  }
  const std::string text = Dump({{"rules", kRules}, {"abi", AbiVersion()}, {"files", files}});
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  const std::string path = absl::StrCat(folder_, "/", kFileName);
  const std::string next = absl::StrCat(path, ".new");
  std::ofstream out(next, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (!out || std::rename(next.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("plugins: can not write ", path));
  }
  return absl::OkStatus();
}

}  // namespace viaduct
