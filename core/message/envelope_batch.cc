#include "core/message/envelope_batch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/message/envelope_reader.h"
#include "core/message/json_scanner.h"

namespace viaduct {
namespace {

JsonScanLimits ScanLimits(const ParseOptions& options) {
  JsonScanLimits limits;
  limits.max_bytes = options.limits.max_bytes;
  limits.max_depth = options.limits.max_depth;
  return limits;
}

ParsedEnvelope ReadElement(size_t index, const JsonElement& element, const ParseOptions& options) {
  EnvelopeReader reader(options, absl::StrCat("/", index));
  ParsedEnvelope result{absl::UnknownError(""), ""};
  if (element.value.type != JsonType::kObject) {
    result.envelope = reader.WrongType("", "an object", element.value.type);
    return result;
  }
  Envelope envelope;
  absl::Status status = reader.Read(element.members, &envelope);
  result.message_id = envelope.message_id;
  if (status.ok()) {
    result.envelope = std::move(envelope);
  } else {
    result.envelope = std::move(status);
  }
  return result;
}

}  // namespace

absl::StatusOr<ParsedEnvelopes> ParseEnvelopes(std::string_view json, const ParseOptions& options,
                                               size_t max_items) {
  const EnvelopeReader subject(options, "");
  JsonScanner scanner(json, ScanLimits(options));
  ParsedEnvelopes result;
  result.array = scanner.Peek() == '[';
  if (result.array) {
    std::vector<JsonElement> elements;
    const absl::Status status = scanner.ScanArray(max_items, &elements);
    if (!status.ok()) return subject.Prefix("", status);
    result.items.reserve(elements.size());
    for (size_t i = 0; i < elements.size(); ++i) {
      result.items.push_back(ReadElement(i, elements[i], options));
    }
    return result;
  }
  std::vector<JsonMember> members;
  members.reserve(8);
  absl::Status status = scanner.ScanObject(&members);
  if (!status.ok()) return subject.Prefix("", status);
  EnvelopeReader reader(options, "");
  Envelope envelope;
  status = reader.Read(members, &envelope);
  ParsedEnvelope item{absl::UnknownError(""), envelope.message_id};
  if (status.ok()) {
    item.envelope = std::move(envelope);
  } else {
    item.envelope = std::move(status);
  }
  result.items.push_back(std::move(item));
  return result;
}

}  // namespace viaduct
