// What of a node has to do with the files that devices send it.
#include <memory>
#include <utility>

#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/config/incoming_options.h"
#include "host/node/file_answers.h"
#include "host/node/node.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "node";

ReceiverOptions MakeReceiverOptions(const IncomingOptionsConfig& config) {
  ReceiverOptions options;
  options.folder.root = config.folder;
  options.folder.inside = config.inside;
  options.files = config.files;
  options.arrivals.max_checks = config.parallel;
  options.cleanup.keep = config.keep;
  options.cleanup.max_bytes_per_device = config.max_bytes_per_device;
  options.cleanup.min_free_bytes = config.min_free_bytes;
  options.settle = config.settle;
  options.rescan = config.rescan;
  options.wait = config.wait;
  options.keep_parts = config.keep_parts;
  return options;
}

}  // namespace

absl::Status Node::OpenImages() {
  Log* log = foundation_->log.get();
  ImageFolderOptions folder;
  folder.root = foundation_->config.store.images;
  if (keys_ != nullptr) {
    folder.cipher = std::make_shared<const security::FileCipher>(*keys_, "images");
    folder.encrypt = foundation_->config.store.encrypt_images;
  }
  VD_ASSIGN_OR_RETURN(images_, ImageFolder::Open(folder, log));
  const absl::Status cleaned =
      images_->CleanUp([this](const MessageKey& key) -> absl::StatusOr<bool> {
        absl::StatusOr<bool> stored = store_->HasDetection(key);
        if (!stored.ok()) return absl::UnavailableError(stored.status().message());
        return stored;
      });
  // A database that does not answer must not keep the node from starting. What a crash left stays
  // until the next start; the same message sent again replaces it.
  if (cleaned.code() != absl::StatusCode::kUnavailable) return cleaned;
  log->Warning(kComponent, "images of a crash are left, the database cannot be asked",
               {{"reason", StdView(cleaned.message())}});
  return absl::OkStatus();
}

// Before anything listens: what is announced finds it.
absl::Status Node::StartReceiver() {
  const std::optional<IncomingOptionsConfig> config = ReadIncomingOptions(foundation_->config);
  if (!config.has_value()) return absl::OkStatus();
  if (store_ == nullptr) {
    foundation_->log->Error(kComponent, "incoming: no files are taken in, this node has no store",
                            {});
    return absl::OkStatus();
  }
  file_answers_ = std::make_unique<FileAnswers>([this](Order order, Fleet::OrderFn done) {
    fleet_->Send(std::move(order), std::move(done));
  });
  Receiver::Deps deps;
  deps.clock = &foundation_->clock;
  deps.log = foundation_->log.get();
  deps.store = store_.get();
  deps.images = images_.get();
  deps.answer = [this](const FileAnswer& answer) { file_answers_->Post(answer); };
  VD_ASSIGN_OR_RETURN(receiver_, Receiver::Start(MakeReceiverOptions(*config), std::move(deps)));
  return absl::OkStatus();
}

void Node::OnFileAnnounced(const FileAnnouncement& announcement, bool known) {
  if (receiver_ != nullptr) receiver_->OnAnnounced(announcement, known);
}

}  // namespace viaduct
