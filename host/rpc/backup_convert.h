// Backups as messages: the node and viaductctl read the same folders.
#pragma once

#include "core/backup/backups.h"
#include "viaduct/control/v1/backup.pb.h"

namespace viaduct::rpc {

control::v1::BackupInfo ToProto(const backup::BackupManifest& manifest);
// With the reason, where it is none.
control::v1::BackupInfo ToProto(const backup::BackupEntry& entry);

}  // namespace viaduct::rpc
