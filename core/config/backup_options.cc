#include "core/config/backup_options.h"

#include <nlohmann/json.hpp>

#include "core/config/encryption_options.h"
#include "core/config/members.h"

namespace viaduct {

using nlohmann::json;

std::optional<BackupOptionsConfig> ReadBackupOptions(const NodeConfig& config) {
  const json section = members::SectionOf(config, "backup");
  if (!section.is_object()) return std::nullopt;
  const std::string& data_dir = config.node.data_dir;
  BackupOptionsConfig options;
  options.path = members::FileBelow(data_dir, section, "path");
  options.every = members::Time(section, "every", absl::InfiniteDuration());
  options.keep = members::Number(section, "keep");
  options.bytes_per_second = members::Bytes(section, "rate");
  options.min_free_bytes = members::Bytes(section, "min_free_bytes");
  options.keys = members::FileBelow(data_dir, section, "keys");
  for (const json& file : members::At(section, "files")) {
    if (file.is_string()) {
      options.files.push_back(members::Below(data_dir, file.get<std::string>()));
    }
  }
  return options;
}

std::vector<std::string> SecretFilesOf(const NodeConfig& config) {
  std::vector<std::string> files;
  const auto add = [&files](const std::string& path) {
    if (!path.empty()) files.push_back(path);
  };
  if (const auto encryption = ReadEncryptionOptions(config)) add(encryption->keys);
  if (config.control.tcp.has_value()) {
    add(config.control.tcp->certificate);
    add(config.control.tcp->key);
    add(config.control.tcp->client_ca);
  }
  if (config.store.postgresql.has_value()) {
    add(config.store.postgresql->ssl_ca);
    add(config.store.postgresql->ssl_certificate);
    add(config.store.postgresql->ssl_key);
  }
  const json auth = members::SectionOf(config, "auth");
  for (const json& key : members::At(members::At(auth, "tokens"), "keys")) {
    add(members::FileBelow(config.node.data_dir, key, "file"));
  }
  return files;
}

}  // namespace viaduct
