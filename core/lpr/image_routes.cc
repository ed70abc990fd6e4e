// Images as files, whole or in parts, and smaller copies of them.
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/byte_range.h"
#include "core/lpr/call_fields.h"
#include "core/lpr/query_params.h"
#include "core/lpr/thumbnail.h"
#include "core/store/image_data.h"

namespace viaduct {
namespace {

constexpr int kMaxWantedWidth = 65'535;
constexpr std::string_view kJpeg = "image/jpeg";

// What is answered, whole or in part: a file, or a smaller copy of it.
struct Picture {
  const ImageFile* file = nullptr;
  std::shared_ptr<const std::string> thumbnail;  // Null: the file itself.
  std::string tag;
  std::string_view content_type;

  uint64_t size() const { return thumbnail == nullptr ? file->size : thumbnail->size(); }
  absl::StatusOr<std::string> Read(uint64_t first, uint64_t octets) const {
    if (thumbnail == nullptr) return ImageFolder::ReadPart(*file, first, octets);
    return thumbnail->substr(first, octets);
  }
};

// What is asked for with "if-range" is a part only of the very same picture.
ByteRange WantedRange(const CallRequest& call, const Picture& picture, std::string_view tag) {
  if (call.method != "GET") return {};
  const std::string_view same = FieldOf(call, "if-range");
  if (!same.empty() && same != tag) return {};
  return ParseByteRange(FieldOf(call, "range"), picture.size());
}

absl::StatusOr<CallReply> AnswerImage(const CallRequest& call, const Picture& picture) {
  CallReply reply;
  const std::string tag = absl::StrCat("\"", picture.tag, "\"");
  reply.attributes.emplace_back("etag", tag);
  reply.attributes.emplace_back("accept-ranges", "bytes");
  reply.attributes.emplace_back("cache-control", "private, max-age=31536000, immutable");
  if (NamesTag(FieldOf(call, "if-none-match"), picture.tag)) {
    reply.status = 304;
    return reply;
  }
  const ByteRange range = WantedRange(call, picture, tag);
  if (range.kind == ByteRange::Kind::kUnsatisfiable) {
    reply = ErrorReply(416, absl::StrCat("range: nothing of it is there, the image has ",
                                         picture.size(), " octets"));
    reply.attributes.emplace_back("content-range", absl::StrCat("bytes */", picture.size()));
    return reply;
  }
  const bool part = range.kind == ByteRange::Kind::kPart;
  const uint64_t size = part ? range.size : picture.size();
  VD_ASSIGN_OR_RETURN(reply.body, picture.Read(range.first, size));
  if (part) {
    reply.status = 206;
    reply.attributes.emplace_back(
        "content-range",
        absl::StrCat("bytes ", range.first, "-", range.first + size - 1, "/", picture.size()));
  }
  reply.attributes.emplace_back("content-type", std::string(picture.content_type));
  reply.attributes.emplace_back("x-content-type-options", "nosniff");
  return reply;
}

// 0: none was asked for.
absl::StatusOr<int> WantedWidth(const CallRequest& call) {
  VD_ASSIGN_OR_RETURN(const QueryParams params, QueryParams::Parse(call.query));
  VD_ASSIGN_OR_RETURN(const int wanted, params.Int("width", 0, 1, kMaxWantedWidth));
  return wanted == 0 ? 0 : ThumbnailWidth(wanted);
}

}  // namespace

// Null: the picture is not wider.
absl::StatusOr<std::shared_ptr<const std::string>> Application::Impl::Thumbnail(
    const ImageFile& file, int width) {
  const std::string key = absl::StrCat(width, " ", file.tag, " ", file.path);
  std::shared_ptr<const std::string> made = thumbnails_.Get(key);
  if (made == nullptr) {
    VD_ASSIGN_OR_RETURN(const std::string octets, ImageFolder::ReadPart(file, 0, file.size));
    VD_ASSIGN_OR_RETURN(std::string smaller, MakeThumbnail(octets, width, ThumbnailLimits()));
    made = std::make_shared<const std::string>(std::move(smaller));
    thumbnails_.Put(key, made);
  }
  return made->empty() ? nullptr : made;
}

void Application::Impl::GetImage(RoutedRequest request, ReplyFn reply) {
  if (parts_.images == nullptr) return reply(ErrorReply(404, "this node keeps no images"));
  const absl::Status permitted = PermitImage(request.call, request.parameter);
  if (!permitted.ok()) return reply(Failed(permitted));
  const absl::StatusOr<ImageFile> file = parts_.images->OpenFile(request.parameter);
  if (!file.ok()) return reply(Failed(file.status()));
  const absl::StatusOr<int> width = WantedWidth(request.call);
  if (!width.ok()) return reply(Failed(width.status()));
  Picture picture{&*file, nullptr, file->tag, ImageContentType(request.parameter)};
  if (*width > 0 && picture.content_type == kJpeg) {
    auto thumbnail = Thumbnail(*file, *width);
    if (absl::IsUnavailable(thumbnail.status())) return reply(Failed(thumbnail.status()));
    if (!thumbnail.ok()) return reply(ErrorReply(422, StdView(thumbnail.status().message())));
    picture.thumbnail = *std::move(thumbnail);
    if (picture.thumbnail != nullptr) absl::StrAppend(&picture.tag, "-w", *width);
  }
  absl::StatusOr<CallReply> image = AnswerImage(request.call, picture);
  if (!image.ok()) return reply(Failed(image.status()));
  reply(*std::move(image));
}

}  // namespace viaduct
