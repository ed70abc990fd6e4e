// The members of one envelope, field by field. Internal to core/message.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/message/envelope.h"
#include "core/message/json_scanner.h"

namespace viaduct {

// Thread-compatible; `options` must outlive it.
class EnvelopeReader {
 public:
  // `pointer` is the JSON pointer of the envelope in its document: "" or "/3".
  EnvelopeReader(const ParseOptions& options, std::string_view pointer);

  // On an error `out->message_id` still holds the message id where it could be read.
  absl::Status Read(const std::vector<JsonMember>& members, Envelope* out);

  // "envelope: <pointer><field>: <text of status>".
  absl::Status Prefix(std::string_view field, const absl::Status& status) const;
  absl::Status WrongType(std::string_view field, std::string_view expected, JsonType got) const;

  // Extra metadata must be an object without the members that Metadata has as fields.
  absl::Status CheckExtra(std::string_view extra_json) const;

  // For a value one level inside the envelope.
  JsonScanLimits InnerLimits() const;

 private:
  enum Seen : uint8_t { kTimestamp = 1, kDataType = 2, kPayload = 4 };

  absl::Status ReadMember(const JsonMember& member, Envelope* out);
  absl::Status ReadIdentity(int rank, std::string_view field, const JsonSlice& value,
                            Envelope* out);
  absl::Status ReadMessageId(const JsonSlice& value, Envelope* out);
  absl::Status ReadTimestamp(const JsonSlice& value, Envelope* out);
  absl::Status ReadProtocol(const JsonSlice& value, Envelope* out);
  absl::Status ReadDataType(const JsonSlice& value, Envelope* out);
  absl::Status ReadMetadata(const JsonSlice& value, Metadata* out) const;
  absl::Status ReadMetadataText(std::string_view text, Metadata* out) const;
  absl::Status ReadMetadataField(const JsonMember& member, Metadata* out) const;
  absl::Status ReadText(std::string_view field, const JsonSlice& value, std::string* out) const;
  absl::Status ReadBool(std::string_view field, const JsonSlice& value, bool* out) const;
  absl::Status ReadObjectText(std::string_view field, const JsonSlice& value,
                              std::string* out) const;
  absl::Status CheckComplete(Envelope* out) const;

  const ParseOptions& options_;
  const std::string pointer_;
  int identity_rank_ = -1;
  uint8_t seen_ = 0;
};

}  // namespace viaduct
