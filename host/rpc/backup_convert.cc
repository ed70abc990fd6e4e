#include "host/rpc/backup_convert.h"

#include <string>

#include "host/rpc/convert.h"

namespace viaduct::rpc {

namespace pb = control::v1;

pb::BackupInfo ToProto(const backup::BackupManifest& manifest) {
  pb::BackupInfo info;
  info.set_name(manifest.name);
  *info.mutable_began() = ToProto(manifest.began);
  *info.mutable_ended() = ToProto(manifest.ended);
  info.set_files(manifest.files);
  info.set_bytes(manifest.bytes);
  info.set_shared_files(manifest.shared_files);
  info.set_missing_images(manifest.missing_images);
  info.set_database(manifest.database);
  info.set_secrets(manifest.secrets);
  return info;
}

pb::BackupInfo ToProto(const backup::BackupEntry& entry) {
  if (entry.manifest.ok()) return ToProto(*entry.manifest);
  pb::BackupInfo info;
  info.set_name(entry.name);
  info.set_problem(std::string(entry.manifest.status().message()));
  return info;
}

}  // namespace viaduct::rpc
