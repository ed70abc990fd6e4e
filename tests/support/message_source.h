// Detections as cameras send them (docs/WIRE.md section 2), each with an id of its own that the
// server keeps: the text of its one plate.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace viaduct::support {

struct MessageSpec {
  std::string prefix;  // First letters of every id; one prefix a run.
  std::string camera_id = "CAM001";
  std::string checkpoint_id = "CP01";
  std::string priority;                   // Of envelopes: high, normal or low; empty: not said.
  std::string image;                      // JPEG bytes sent as annotated_image; empty: none.
  int64_t start_unix_ms = 1705314600000;  // Capture time of the first one; one more ms each.
};

struct Message {
  std::string id;          // "<prefix><number>", also the plate text.
  std::string message_id;  // A UUID made of the same prefix and number.
  std::string timestamp;
  std::string digest;  // As PayloadDigest() of digest.h.
};

// Renders by joining prepared pieces: some hundred nanoseconds a message. Thread-compatible.
class MessageSource {
 public:
  explicit MessageSource(MessageSpec spec);

  // The digest is left empty unless asked for; it costs more than all the rest.
  Message Next(bool with_digest);

  // The payload of a message, keys sorted, without a line end. Appends.
  void AppendPayload(const Message& message, std::string* out) const;
  // A whole envelope (docs/WIRE.md section 1) around it. Appends.
  void AppendEnvelope(const Message& message, std::string* out) const;

  const MessageSpec& spec() const { return spec_; }

 private:
  // Text between the slots for timestamp and id, in this order of the slots.
  struct Template {
    std::vector<std::string> pieces;
    std::vector<char> slots;  // 'i' id, 't' timestamp; one fewer than the pieces.
  };
  static Template Cut(const std::string& text);
  static void Render(const Template& t, const Message& m, std::string* out);

  MessageSpec spec_;
  Template payload_;
  Template view_;  // The payload as DigestView() shows it.
  std::string uuid_head_;
  uint64_t next_ = 0;
};

}  // namespace viaduct::support
