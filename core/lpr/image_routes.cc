// Images as files, whole or in parts.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/byte_range.h"

namespace viaduct {
namespace {

std::string_view FieldOf(const CallRequest& call, std::string_view name) {
  for (const auto& [key, value] : call.attributes) {
    if (key == name) return value;
  }
  return "";
}

// What is asked for with "if-range" is a part only of the very same file.
ByteRange WantedRange(const CallRequest& call, const ImageFile& file, std::string_view tag) {
  if (call.method != "GET") return {};
  const std::string_view same = FieldOf(call, "if-range");
  if (!same.empty() && same != tag) return {};
  return ParseByteRange(FieldOf(call, "range"), file.size);
}

absl::StatusOr<CallReply> AnswerImage(const CallRequest& call, const ImageFile& file,
                                      std::string_view content_type) {
  CallReply reply;
  const std::string tag = absl::StrCat("\"", file.tag, "\"");
  reply.attributes.emplace_back("etag", tag);
  reply.attributes.emplace_back("accept-ranges", "bytes");
  reply.attributes.emplace_back("cache-control", "private, max-age=31536000, immutable");
  if (NamesTag(FieldOf(call, "if-none-match"), file.tag)) {
    reply.status = 304;
    return reply;
  }
  const ByteRange range = WantedRange(call, file, tag);
  if (range.kind == ByteRange::Kind::kUnsatisfiable) {
    reply = ErrorReply(
        416, absl::StrCat("range: nothing of it is there, the image has ", file.size, " octets"));
    reply.attributes.emplace_back("content-range", absl::StrCat("bytes */", file.size));
    return reply;
  }
  const bool part = range.kind == ByteRange::Kind::kPart;
  const uint64_t size = part ? range.size : file.size;
  VD_ASSIGN_OR_RETURN(reply.body, ImageFolder::ReadPart(file, range.first, size));
  if (part) {
    reply.status = 206;
    reply.attributes.emplace_back(
        "content-range",
        absl::StrCat("bytes ", range.first, "-", range.first + size - 1, "/", file.size));
  }
  reply.attributes.emplace_back("content-type", std::string(content_type));
  reply.attributes.emplace_back("x-content-type-options", "nosniff");
  return reply;
}

}  // namespace

void Application::Impl::GetImage(RoutedRequest request, ReplyFn reply) {
  if (parts_.images == nullptr) return reply(ErrorReply(404, "this node keeps no images"));
  const absl::StatusOr<ImageFile> file = parts_.images->OpenFile(request.parameter);
  if (!file.ok()) return reply(Failed(file.status()));
  absl::StatusOr<CallReply> image =
      AnswerImage(request.call, *file, ImageContentType(request.parameter));
  if (!image.ok()) return reply(Failed(image.status()));
  reply(*std::move(image));
}

}  // namespace viaduct
