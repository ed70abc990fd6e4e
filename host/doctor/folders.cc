// Permissions of what holds secrets, and of what the node writes.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/string_view.h"
#include "core/config/backup_options.h"
#include "core/config/members.h"
#include "core/config/transfer_options.h"
#include "host/doctor/diagnosis.h"

namespace viaduct::doctor {
namespace {

constexpr mode_t kOthersWrite = S_IWOTH;
constexpr mode_t kAnybodyElse = S_IRWXG | S_IRWXO;

std::string ModeText(const struct stat& info) {
  return absl::StrFormat("mode %04o", info.st_mode & 07777U);
}

// A folder that the node writes; `secret`: nobody else may look into it.
void CheckFolder(const std::string& path, bool secret, Diagnoses* out) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return out->Ok(path, "is not there yet, the node makes it");
    return out->Fail(path, absl::StrCat("cannot be looked at, ", std::strerror(errno)),
                     "give it to the node's user");
  }
  if (!S_ISDIR(info.st_mode)) {
    return out->Fail(path, "is no folder", "move it away");
  }
  if (access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
    return out->Fail(path, absl::StrCat("cannot be written, ", std::strerror(errno)),
                     "give it to the node's user: chown");
  }
  if (secret && (info.st_mode & kAnybodyElse) != 0) {
    return out->Fail(path, absl::StrCat(ModeText(info), ", others may look into it"), "chmod 700");
  }
  if ((info.st_mode & kOthersWrite) != 0) {
    return out->Fail(path, absl::StrCat(ModeText(info), ", everybody may write"), "chmod o-w");
  }
  out->Ok(path, ModeText(info));
}

void CheckSecretFile(const std::string& path, Diagnoses* out) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return out->Fail(path, absl::StrCat("cannot be looked at, ", std::strerror(errno)),
                     "put the file there, or mend the configuration");
  }
  if (access(path.c_str(), R_OK) != 0) {
    return out->Fail(path, "cannot be read", "give it to the node's user: chown");
  }
  if ((info.st_mode & kAnybodyElse) == 0) return out->Ok(path, ModeText(info));
  out->Fail(path, absl::StrCat(ModeText(info), ", others may read or change it"), "chmod 600");
}

void CheckConfigFile(const Patient& patient, Diagnoses* out) {
  struct stat info {};
  if (stat(patient.config_path.c_str(), &info) != 0) return;
  if ((info.st_mode & kOthersWrite) != 0) {
    return out->Fail(patient.config_path,
                     absl::StrCat(ModeText(info), ", everybody may change what the node does"),
                     "chmod o-w");
  }
  out->Ok(patient.config_path, ModeText(info));
}

void CheckSocket(const Patient& patient, Diagnoses* out) {
  const std::string& path = patient.config->control.socket;
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    if (patient.node_pid == 0) return;
    return out->Fail(path, "is not there, and the node runs", "restart the node");
  }
  if (!S_ISSOCK(info.st_mode)) {
    return out->Fail(path, "is no socket", "move it away, the node does not start otherwise");
  }
  if ((info.st_mode & kAnybodyElse) != 0) {
    return out->Fail(path, absl::StrCat(ModeText(info), ", others may steer the node"),
                     "chmod 600, or restart the node");
  }
  out->Ok(path, ModeText(info));
}

}  // namespace

void CheckFolders(const Patient& patient, Diagnoses* out) {
  out->BeginArea("permissions");
  const NodeConfig& config = *patient.config;
  const std::string& data_dir = config.node.data_dir;
  CheckConfigFile(patient, out);
  CheckFolder(data_dir, /*secret=*/false, out);
  CheckFolder(data_dir + "/config", /*secret=*/true, out);
  CheckFolder(members::FileBelow(data_dir, members::SectionOf(config, "audit"), "folder"), true,
              out);
  const auto auth = members::SectionOf(config, "auth");
  if (auth.is_object()) CheckFolder(members::FileBelow(data_dir, auth, "folder"), true, out);
  if (config.node.sink_store) CheckFolder(config.store.images, /*secret=*/false, out);
  if (config.node.sink_uplink) {
    CheckFolder(ReadTransferOptions(config).folder, /*secret=*/false, out);
  }
  if (const auto backup = ReadBackupOptions(config)) {
    CheckFolder(backup->path, /*secret=*/true, out);
    if (!backup->keys.empty()) CheckSecretFile(backup->keys, out);
  }
  const auto encryption = members::SectionOf(config, "encryption");
  if (encryption.is_object()) {
    CheckSecretFile(members::FileBelow(data_dir, encryption, "keys"), out);
  }
  CheckSocket(patient, out);
}

}  // namespace viaduct::doctor
