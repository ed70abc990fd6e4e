#include "core/lpr/sealing.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/lpr/partial_batch.h"

namespace viaduct {
namespace {

security::PayloadCipherOptions CipherOptions(const SealingOptions& options) {
  security::PayloadCipherOptions cipher;
  cipher.accept_unbound = options.accept_unbound;
  return cipher;
}

}  // namespace

Sealing::Sealing(SealingOptions options, std::shared_ptr<const security::KeyRing> keys)
    : options_(options), cipher_(std::move(keys), CipherOptions(options)) {}

absl::Status Sealing::Open(Arrival* arrival) {
  Envelope& envelope = arrival->envelope;
  if (!envelope.metadata.encryption) return absl::OkStatus();
  SealedForm sealed{envelope.payload_json, envelope.metadata.extra_json};
  const absl::Status opened = cipher_.OpenEnvelope(&envelope);
  if (opened.ok()) {
    ++opened_;
    if (options_.forwards) arrival->sealed = std::move(sealed);
    return absl::OkStatus();
  }
  if (absl::IsNotFound(opened) && options_.forwards) {
    ++passed_;
    return absl::OkStatus();
  }
  ++refused_;
  // Whoever sent it cannot mend it by sending it again.
  return absl::InvalidArgumentError(absl::StrCat("payload: ", opened.message()));
}

absl::Status Sealing::Seal(Arrival* arrival) {
  Envelope& envelope = arrival->envelope;
  if (arrival->sealed.has_value()) {
    envelope.payload_json = std::move(arrival->sealed->payload_json);
    envelope.metadata.extra_json = std::move(arrival->sealed->extra_json);
    envelope.metadata.encryption = true;
    arrival->sealed.reset();
    return absl::OkStatus();
  }
  if (!options_.seal || envelope.metadata.encryption) return absl::OkStatus();
  absl::Status status = SealNow(&envelope);
  ++(status.ok() ? sealed_ : refused_);
  return status;
}

absl::Status Sealing::SealNow(Envelope* envelope) {
  const absl::Status sealed = cipher_.SealEnvelope(envelope);
  if (absl::IsResourceExhausted(sealed)) {
    return absl::InvalidArgumentError(absl::StrCat("payload: too large, ", sealed.message()));
  }
  // The key is used up, or there is no randomness: a key can be added, the message must not be
  // lost.
  if (!sealed.ok()) return absl::UnavailableError(sealed.message());
  const absl::Status fits = CheckWrittenSize(*envelope, options_.max_message_bytes);
  if (fits.ok()) return fits;
  return absl::InvalidArgumentError(absl::StrCat("payload: too large encrypted, ", fits.message()));
}

SealingCounts Sealing::counts() const {
  SealingCounts counts;
  counts.sealed = sealed_.load();
  counts.opened = opened_.load();
  counts.refused = refused_.load();
  counts.passed = passed_.load();
  return counts;
}

void SealSink::Accept(std::vector<Arrival> batch, AcceptFn done) {
  PartialBatch parts(batch.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    absl::Status status = sealing_->Seal(&batch[i]);
    if (status.ok()) {
      parts.Pass(i, std::move(batch[i]));
    } else {
      parts.Refuse(i, std::move(status));
    }
  }
  std::vector<Arrival> passed = parts.Take();
  AcceptFn joined = parts.Joined(std::move(done));
  if (passed.empty()) return joined({});
  next_->Accept(std::move(passed), std::move(joined));
}

}  // namespace viaduct
