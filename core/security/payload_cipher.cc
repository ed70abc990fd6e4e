#include "core/security/payload_cipher.h"

#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/message/json_scanner.h"
#include "core/security/secret_octets.h"

namespace viaduct::security {
namespace {

constexpr std::string_view kPayloadMember = "encrypted";
constexpr std::string_view kKeyMember = "encryption_key";

absl::Status NotThat(std::string_view what) {
  return absl::DataLossError(absl::StrCat("encryption: ", AbslView(what)));
}

// No id has a line break, and a time has one form.
std::string BoundOf(const Envelope& envelope, std::string_view key_id) {
  return absl::StrCat("viaduct payload 1\n", envelope.message_id, "\n", envelope.edge_device_id,
                      "\n", AbslView(DataTypeName(envelope.data_type)), "\n",
                      FormatTimestamp(envelope.timestamp), "\n", AbslView(key_id));
}

absl::StatusOr<std::vector<JsonMember>> MembersOf(std::string_view object) {
  std::vector<JsonMember> members;
  const absl::Status status = JsonScanner(object, {}).ScanObject(&members);
  if (!status.ok()) return NotThat("the envelope is none");
  return members;
}

// The object without `name`; with it, where `value` is JSON.
std::string With(const std::vector<JsonMember>& members, std::string_view name,
                 std::string_view value) {
  std::string out = "{";
  const auto add = [&](std::string_view key, std::string_view text) {
    if (out.size() > 1) out.push_back(',');
    AppendJsonString(key, &out);
    absl::StrAppend(&out, ":", AbslView(text));
  };
  for (const JsonMember& member : members) {
    if (member.key != name) add(member.key, member.value.text);
  }
  if (!value.empty()) add(name, value);
  return out + "}";
}

absl::StatusOr<std::string> TextMember(const std::vector<JsonMember>& members,
                                       std::string_view name) {
  for (const JsonMember& member : members) {
    if (member.key != name) continue;
    if (member.value.type == JsonType::kString) return DecodeJsonString(member.value.text);
    return NotThat(absl::StrCat(AbslView(name), " is no text"));
  }
  return absl::NotFoundError("encryption: no such member");
}

}  // namespace

absl::Status NonceSource::Begin() {
  VD_ASSIGN_OR_RETURN(const std::string start, RandomOctets(kGcmNonceBytes));
  std::memcpy(&high_, start.data(), sizeof(high_));
  std::memcpy(&low_, start.data() + sizeof(high_), sizeof(low_));
  pid_ = ::getpid();
  return absl::OkStatus();
}

absl::StatusOr<std::string> NonceSource::Next() {
  absl::MutexLock lock(&mutex_);
  if (pid_ != ::getpid()) VD_RETURN_IF_ERROR(Begin());
  if (given_ >= max_nonces_) {
    return absl::FailedPreconditionError(
        absl::StrCat("encryption: the key has been used ", max_nonces_, " times, make a new one"));
  }
  ++given_;
  if (++low_ == 0) ++high_;
  std::string nonce(kGcmNonceBytes, '\0');
  std::memcpy(nonce.data(), &high_, sizeof(high_));
  std::memcpy(nonce.data() + sizeof(high_), &low_, sizeof(low_));
  return nonce;
}

absl::StatusOr<std::string> PayloadCipher::Seal(std::string_view plain, std::string_view bound) {
  if (plain.size() > options_.max_plain_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("encryption: ", plain.size(), " bytes, limit ", options_.max_plain_bytes));
  }
  VD_ASSIGN_OR_RETURN(const std::string nonce, nonces_.Next());
  VD_ASSIGN_OR_RETURN(const std::string sealed,
                      SealAesGcm(keys_->active_key(), nonce, bound, plain));
  return absl::Base64Escape(sealed);
}

absl::StatusOr<std::string> PayloadCipher::Open(std::string_view text, std::string_view key_id,
                                                std::string_view bound) const {
  const std::string* key = keys_->Find(key_id);
  if (key == nullptr) {
    return absl::NotFoundError(absl::StrCat("encryption: no key with the id ", ShownText(key_id)));
  }
  std::string sealed;
  const size_t max_text = (options_.max_plain_bytes + kGcmFrameBytes + 2) / 3 * 4;
  if (text.size() > max_text || !DecodeBase64(text, &sealed)) return NotThat("no base64");
  return OpenAesGcm(*key, sealed, bound);
}

absl::StatusOr<std::string> PayloadCipher::OpenUnbound(std::string_view text) const {
  if (!options_.accept_unbound) return NotThat("the envelope names no key");
  for (const std::string& id : keys_->ids()) {
    absl::StatusOr<std::string> plain = Open(text, id, "");
    if (plain.ok()) return plain;
  }
  return NotThat("changed on the way, or of another key");
}

absl::Status PayloadCipher::SealEnvelope(Envelope* envelope) {
  if (envelope->metadata.encryption) {
    return absl::FailedPreconditionError("encryption: the payload is encrypted already");
  }
  VD_ASSIGN_OR_RETURN(const auto metadata, MembersOf(envelope->metadata.extra_json));
  VD_ASSIGN_OR_RETURN(const std::string text,
                      Seal(envelope->payload_json, BoundOf(*envelope, keys_->active_id())));
  std::string id;
  AppendJsonString(keys_->active_id(), &id);
  envelope->metadata.extra_json = With(metadata, kKeyMember, id);
  envelope->metadata.encryption = true;
  envelope->payload_json = absl::StrCat("{\"", AbslView(kPayloadMember), "\":\"", text, "\"}");
  return absl::OkStatus();
}

absl::Status PayloadCipher::CheckForm(const Envelope& envelope) {
  const absl::StatusOr<std::vector<JsonMember>> payload = MembersOf(envelope.payload_json);
  const bool good = payload.ok() && payload->size() == 1 &&
                    payload->front().key == kPayloadMember &&
                    payload->front().value.type == JsonType::kString;
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "payload: not an encrypted one, though metadata.encryption says so");
}

absl::Status PayloadCipher::OpenEnvelope(Envelope* envelope) const {
  if (!envelope->metadata.encryption) return absl::OkStatus();
  VD_ASSIGN_OR_RETURN(const auto payload, MembersOf(envelope->payload_json));
  VD_ASSIGN_OR_RETURN(const auto metadata, MembersOf(envelope->metadata.extra_json));
  const absl::StatusOr<std::string> text = TextMember(payload, kPayloadMember);
  if (!text.ok() || payload.size() != 1) return NotThat("the payload has no encrypted text alone");
  const absl::StatusOr<std::string> id = TextMember(metadata, kKeyMember);
  if (!id.ok() && !absl::IsNotFound(id.status())) return id.status();
  VD_ASSIGN_OR_RETURN(std::string plain,
                      id.ok() ? Open(*text, *id, BoundOf(*envelope, *id)) : OpenUnbound(*text));
  JsonSlice value;
  if (!JsonScanner(plain, {}).ScanDocument(&value).ok() || value.type != JsonType::kObject) {
    return NotThat("what was encrypted is no JSON object");
  }
  envelope->metadata.extra_json = With(metadata, kKeyMember, "");
  envelope->metadata.encryption = false;
  envelope->payload_json = std::string(value.text);
  return absl::OkStatus();
}

}  // namespace viaduct::security
