#include "plugins/websocket/socketio_packet.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace viaduct::websocket {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxIdDigits = 18;  // Fits 64 bits.
constexpr size_t kMaxPlaceholderBytes = 64;
constexpr std::string_view kPlaceholderMark = "_placeholder";

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

// Takes digits from the front; false: none, or too many.
bool TakeNumber(std::string_view* text, uint64_t* out) {
  size_t digits = 0;
  *out = 0;
  while (digits < text->size() && IsDigit((*text)[digits])) {
    if (++digits > kMaxIdDigits) return false;
    *out = *out * 10 + static_cast<uint64_t>((*text)[digits - 1] - '0');
  }
  text->remove_prefix(digits);
  return digits > 0;
}

bool IsBinary(SocketIoType type) {
  return type == SocketIoType::kBinaryEvent || type == SocketIoType::kBinaryAck;
}

bool IsEvent(SocketIoType type) {
  return type == SocketIoType::kEvent || type == SocketIoType::kBinaryEvent;
}

// What stands before the JSON.
bool ReadHead(std::string_view* rest, SocketIoPacket* out, std::string* why) {
  const auto wrong = [why](const char* what) {
    *why = what;
    return false;
  };
  if (rest->empty() || rest->front() < '0' || rest->front() > '6') {
    return wrong("packet: unknown type");
  }
  out->type = static_cast<SocketIoType>(rest->front());
  rest->remove_prefix(1);
  if (IsBinary(out->type)) {
    uint64_t count = 0;
    if (!TakeNumber(rest, &count) || rest->empty() || rest->front() != '-') {
      return wrong("packet: no number of attachments");
    }
    rest->remove_prefix(1);
    if (count > kMaxAttachments) return wrong("packet: too many attachments");
    out->attachments = static_cast<size_t>(count);
  }
  if (!rest->empty() && rest->front() == '/') {
    const size_t end = std::min(rest->find(','), rest->size());
    if (end > kMaxNamespaceBytes) return wrong("packet: the namespace is too long");
    out->nsp = rest->substr(0, end);
    rest->remove_prefix(std::min(end + 1, rest->size()));
  }
  if (!rest->empty() && IsDigit(rest->front())) {
    uint64_t id = 0;
    if (!TakeNumber(rest, &id)) return wrong("packet: the acknowledgement id is too long");
    out->id = id;
  }
  return true;
}

bool IsObject(std::string_view data) {
  return !data.empty() && data.front() == '{' && IsJson(data);
}

bool ReadElements(SocketIoPacket* packet, std::string* why) {
  switch (ScanJsonArray(packet->data, kMaxArguments, &packet->elements)) {
    case ArrayScan::kGood:
      return true;
    case ArrayScan::kTooMany:
      *why = "packet: too many arguments";
      return false;
    case ArrayScan::kNoArray:
      break;
  }
  *why = "packet: not the data of its type";
  return false;
}

bool ReadData(SocketIoPacket* packet, std::string* why) {
  const auto wrong = [why](const char* what) {
    *why = what;
    return false;
  };
  const std::string_view data = packet->data;
  bool good = false;
  switch (packet->type) {
    case SocketIoType::kConnect:
      if (data.size() > kMaxAuthBytes) return wrong("packet: the auth object is too large");
      good = data.empty() || IsObject(data);
      break;
    case SocketIoType::kDisconnect:
      good = data.empty();
      break;
    case SocketIoType::kConnectError:
      good = IsObject(data);
      break;
    default:
      if (!ReadElements(packet, why)) return false;
      good = IsEvent(packet->type) || packet->id.has_value();
  }
  if (!good) return wrong("packet: not the data of its type");
  if (!IsEvent(packet->type)) return true;
  good = !packet->elements.empty() && packet->elements.front().front() == '"' &&
         packet->elements.front().size() <= kMaxEventBytes;
  return good || wrong("packet: no name of an event");
}

// The number of the placeholder that `object` is; -1: it is none.
int64_t PlaceholderOf(std::string_view object) {
  if (object.size() > kMaxPlaceholderBytes) return -1;
  const Json json = Json::parse(object, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("_placeholder") || !json.contains("num")) return -1;
  if (json["_placeholder"] != true || !json["num"].is_number_unsigned()) return -1;
  return json["num"].get<int64_t>();
}

// The innermost object around `mark`; "": none that is short enough. Looks no further than that:
// there may be as many marks as the text has room for.
std::string_view ObjectAround(std::string_view json, size_t mark) {
  const size_t from = mark - std::min(mark, kMaxPlaceholderBytes);
  const size_t open = json.substr(from, mark - from).rfind('{');
  const size_t close = json.substr(mark, kMaxPlaceholderBytes).find('}');
  if (open == std::string_view::npos || close == std::string_view::npos) return {};
  return json.substr(from + open, mark + close + 1 - (from + open));
}

}  // namespace

bool ReadSocketIoPacket(std::string_view text, SocketIoPacket* out, std::string* why) {
  if (!ReadHead(&text, out, why)) return false;
  out->data = text;
  return ReadData(out, why);
}

std::string SocketIoHead(const SocketIoPacket& packet) {
  std::string out(1, static_cast<char>(packet.type));
  if (IsBinary(packet.type)) absl::StrAppend(&out, packet.attachments, "-");
  if (packet.nsp != "/") out.append(packet.nsp).append(",");
  if (packet.id.has_value()) absl::StrAppend(&out, *packet.id);
  return out;
}

bool ReadJsonString(std::string_view json, std::string* out) {
  if (json.size() < 2 || json.front() != '"') return false;
  if (json.find('\\') == std::string_view::npos) {
    out->assign(json.substr(1, json.size() - 2));
    return true;
  }
  const Json text = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!text.is_string()) return false;
  *out = text.get<std::string>();
  return true;
}

std::string QuoteJson(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
  });
  if (plain) return std::string("\"").append(text).append("\"");
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool InlineAttachments(std::string_view json, const std::vector<std::string>& attachments,
                       size_t max_bytes, std::string* out) {
  out->clear();
  size_t done = 0;
  size_t bytes = json.size();
  std::vector<bool> used(attachments.size(), false);
  for (size_t mark = json.find(kPlaceholderMark); mark != std::string_view::npos;
       mark = json.find(kPlaceholderMark, mark + 1)) {
    const std::string_view object = ObjectAround(json, mark);
    const auto begin = static_cast<size_t>(object.data() - json.data());
    if (object.empty() || begin < done) continue;
    const int64_t number = PlaceholderOf(object);
    if (number < 0) continue;
    const auto index = static_cast<size_t>(number);
    if (index >= attachments.size() || used[index]) return false;
    used[index] = true;
    bytes += attachments[index].size();
    if (bytes > max_bytes) return false;
    absl::StrAppend(out, absl::string_view(json.data() + done, begin - done), "\"",
                    absl::Base64Escape(attachments[index]), "\"");
    done = begin + object.size();
  }
  out->append(json.substr(done));
  return true;
}

}  // namespace viaduct::websocket
