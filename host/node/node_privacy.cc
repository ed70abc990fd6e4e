// What of a node has to do with what it must not keep.
#include <utility>

#include "core/base/string_view.h"
#include "core/config/privacy_options.h"
#include "core/lpr/privacy.h"
#include "host/node/node.h"

namespace viaduct {
namespace {

constexpr char kComponent[] = "privacy";
constexpr absl::Duration kFirstSweep = absl::Minutes(1);
constexpr absl::Duration kSweepEvery = absl::Minutes(10);
constexpr absl::Duration kSweepAgain = absl::Seconds(1);  // While there is more.

RetentionOptions ReadRetention(const NodeConfig& config) {
  const PrivacyOptionsConfig::Retention kept = ReadPrivacyOptions(config).retention;
  return RetentionOptions{kept.detections,         kept.images,        kept.health, kept.messages,
                          kept.communication_logs, kept.file_transfers};
}

}  // namespace

void Node::BuildPrivacy() {
  Privacy::Deps deps;
  deps.clock = &foundation_->clock;
  deps.log = foundation_->log.get();
  deps.store = store_.get();
  deps.images = images_.get();
  deps.spool = spool_.get();
  if (sealing_ != nullptr) {
    deps.open = [this](Envelope* envelope) { return sealing_->Peek(envelope); };
  }
  deps.forget_thumbnails = [this] { application_->ForgetThumbnails(); };
  if (receiver_ != nullptr) {
    deps.remove_file = [this](const std::string& id) { return receiver_->RemoveKept(id); };
  }
  privacy_ = std::make_unique<Privacy>(ReadRetention(foundation_->config), std::move(deps));
  if (store_ != nullptr && privacy_->has_retention()) ArmSweep(kFirstSweep);
}

void Node::ArmSweep(absl::Duration after) {
  timers_.ArmAfter(after, [this] {
    const bool taken = pools_.privacy.Submit([this] {
      bool more = false;
      const absl::StatusOr<ForgottenCounts> counts = privacy_->Sweep(/*dry_run=*/false, &more);
      // Somebody else's is under way, or the node is stopping: neither is worth a word.
      if (!counts.ok() && !absl::IsAborted(counts.status()) &&
          !absl::IsCancelled(counts.status())) {
        foundation_->log->Warning(kComponent, "what is too old cannot be removed now",
                                  {{"reason", StdView(counts.status().message())}});
      }
      ArmSweep(more ? kSweepAgain : kSweepEvery);
    });
    if (!taken) ArmSweep(kSweepEvery);
  });
}

}  // namespace viaduct
