#include "plugins/sftp/packet.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"

namespace viaduct::sftp {
namespace {

constexpr size_t kLengthBytes = 4;
constexpr uint32_t kProtocolVersion = 3;
constexpr uint32_t kAttrSize = 0x01;
constexpr uint32_t kAttrOwner = 0x02;
constexpr uint32_t kAttrMode = 0x04;
constexpr uint32_t kAttrTimes = 0x08;

// ---- reading

// Takes fields off the front; once one is missing ok() stays false and all fields are empty.
class Fields {
 public:
  explicit Fields(std::string_view text) : text_(text) {}
  bool ok() const { return ok_; }
  std::string_view rest() const { return text_; }
  uint8_t Octet() {
    const std::string_view field = Take(1);
    return field.empty() ? 0 : static_cast<uint8_t>(field[0]);
  }
  uint32_t Number32() { return static_cast<uint32_t>(Number(4)); }
  uint64_t Number64() { return Number(8); }
  std::string_view Text() {
    const uint32_t size = Number32();
    return Take(size);
  }

 private:
  std::string_view Take(size_t size) {
    if (size > text_.size()) {
      ok_ = false;
      text_ = {};
      return {};
    }
    const std::string_view field = text_.substr(0, size);
    text_.remove_prefix(size);
    return field;
  }
  uint64_t Number(size_t octets) {
    uint64_t value = 0;
    for (const char c : Take(octets)) value = value << 8 | static_cast<uint8_t>(c);
    return value;
  }

  std::string_view text_;
  bool ok_ = true;
};

absl::Status Malformed(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("server: sent a malformed ", what));
}

Attributes ReadAttributes(Fields* fields) {
  Attributes out;
  const uint32_t flags = fields->Number32();
  if ((flags & kAttrSize) != 0) {
    out.has_size = true;
    out.size = fields->Number64();
  }
  if ((flags & kAttrOwner) != 0) fields->Number64();
  if ((flags & kAttrMode) != 0) {
    out.has_mode = true;
    out.mode = fields->Number32();
  }
  if ((flags & kAttrTimes) != 0) fields->Number64();
  return out;  // Extended attributes may follow; nobody asks for them.
}

// ---- writing

void AppendNumber(uint64_t value, size_t octets, std::string* out) {
  for (size_t i = octets; i-- > 0;) out->push_back(static_cast<char>(value >> (8 * i)));
}

void AppendText(std::string_view text, std::string* out) {
  AppendNumber(text.size(), 4, out);
  out->append(text.data(), text.size());
}

// A packet that gets its length when it is whole; `more` octets follow it.
class Packet {
 public:
  Packet(RequestType type, std::string* out) : out_(out), begin_(out->size()) {
    AppendNumber(0, kLengthBytes, out);
    out->push_back(static_cast<char>(type));
  }
  void Finish(size_t more = 0) {
    const size_t size = out_->size() - begin_ - kLengthBytes + more;
    for (size_t i = 0; i < kLengthBytes; ++i) {
      (*out_)[begin_ + i] = static_cast<char>(size >> (8 * (kLengthBytes - 1 - i)));
    }
  }

 private:
  std::string* const out_;
  const size_t begin_;
};

}  // namespace

bool Attributes::is_folder() const { return has_mode && S_ISDIR(mode); }
bool Attributes::is_link() const { return has_mode && S_ISLNK(mode); }
bool Attributes::is_file() const { return has_mode && S_ISREG(mode); }

absl::StatusOr<Answer> ParseAnswer(std::string_view packet) {
  Fields fields(packet);
  Answer answer;
  answer.type = static_cast<AnswerType>(fields.Octet());
  answer.id = fields.Number32();
  switch (answer.type) {
    case AnswerType::kStatus:
      answer.status = static_cast<StatusCode>(fields.Number32());
      // Old servers leave the message out.
      if (fields.ok() && !fields.rest().empty()) answer.text = fields.Text();
      break;
    case AnswerType::kHandle:
      answer.text = fields.Text();
      if (answer.text.empty() || answer.text.size() > kMaxHandleBytes) return Malformed("handle");
      break;
    case AnswerType::kName:
      if (fields.Number32() == 0) return Malformed("name");
      answer.text = fields.Text();
      break;
    case AnswerType::kAttributes:
      answer.attributes = ReadAttributes(&fields);
      break;
    case AnswerType::kVersion:
    case AnswerType::kData:
    case AnswerType::kExtendedReply:
      answer.text = fields.rest();
      break;
    default:
      return Malformed("answer");
  }
  if (!fields.ok()) return Malformed("answer");
  return answer;
}

absl::Status ReadExtensions(std::string_view text,
                            absl::FunctionRef<void(std::string_view, std::string_view)> each) {
  Fields fields(text);
  while (!fields.rest().empty()) {
    const std::string_view name = fields.Text();
    const std::string_view value = fields.Text();
    if (!fields.ok()) return Malformed("list of extensions");
    each(name, value);
  }
  return absl::OkStatus();
}

absl::StatusOr<Limits> ReadLimits(std::string_view text) {
  Fields fields(text);
  Limits limits;
  limits.max_packet_bytes = fields.Number64();
  limits.max_read_bytes = fields.Number64();
  limits.max_write_bytes = fields.Number64();
  limits.max_open_handles = fields.Number64();
  if (!fields.ok()) return Malformed("answer to limits@openssh.com");
  return limits;
}

absl::Status PacketReader::Feed(std::string_view octets, PacketFn on_packet) {
  pending_.append(octets.data(), octets.size());
  std::string_view rest = pending_;
  absl::Status status;
  while (rest.size() >= kLengthBytes && status.ok()) {
    Fields fields(rest);
    const uint32_t size = fields.Number32();
    if (size == 0 || size > kMaxAnswerBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("server: announces an answer of ", size, " bytes, is this SFTP?"));
    }
    if (rest.size() - kLengthBytes < size) break;
    status = on_packet(rest.substr(kLengthBytes, size));
    rest.remove_prefix(kLengthBytes + size);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return status;
}

void AppendInit(std::string* out) {
  Packet packet(RequestType::kInit, out);
  AppendNumber(kProtocolVersion, 4, out);
  packet.Finish();
}

void AppendPath(RequestType type, uint32_t id, std::string_view path, std::string* out) {
  Packet packet(type, out);
  AppendNumber(id, 4, out);
  AppendText(path, out);
  packet.Finish();
}

void AppendHandle(RequestType type, uint32_t id, std::string_view handle, std::string* out) {
  AppendPath(type, id, handle, out);  // Of the same form.
}

void AppendOpen(uint32_t id, std::string_view path, uint32_t flags, std::string* out) {
  Packet packet(RequestType::kOpen, out);
  AppendNumber(id, 4, out);
  AppendText(path, out);
  AppendNumber(flags, 4, out);
  AppendNumber(0, 4, out);  // No attributes: rights are the server's affair.
  packet.Finish();
}

void AppendMkdir(uint32_t id, std::string_view path, std::string* out) {
  Packet packet(RequestType::kMkdir, out);
  AppendNumber(id, 4, out);
  AppendText(path, out);
  AppendNumber(0, 4, out);
  packet.Finish();
}

void AppendRename(uint32_t id, std::string_view from, std::string_view to, std::string* out) {
  Packet packet(RequestType::kRename, out);
  AppendNumber(id, 4, out);
  AppendText(from, out);
  AppendText(to, out);
  packet.Finish();
}

void AppendWriteHead(uint32_t id, std::string_view handle, uint64_t offset, uint32_t size,
                     std::string* out) {
  Packet packet(RequestType::kWrite, out);
  AppendNumber(id, 4, out);
  AppendText(handle, out);
  AppendNumber(offset, 8, out);
  AppendNumber(size, 4, out);
  packet.Finish(size);
}

void AppendExtended(uint32_t id, std::string_view name, std::initializer_list<std::string_view> of,
                    std::string* out) {
  Packet packet(RequestType::kExtended, out);
  AppendNumber(id, 4, out);
  AppendText(name, out);
  for (const std::string_view argument : of) AppendText(argument, out);
  packet.Finish();
}

}  // namespace viaduct::sftp
