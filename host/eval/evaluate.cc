#include "host/eval/evaluate.h"

#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::eval {
namespace {

constexpr std::string_view kJpegMagic = "\xff\xd8\xff";
constexpr std::string_view kPngMagic = "\x89PNG\r\n\x1a\n";

absl::StatusOr<std::string> LoadPicture(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return absl::InvalidArgumentError("cannot be read");
  const std::streamoff size = file.tellg();
  if (size <= 0) return absl::InvalidArgumentError("is empty");
  if (size > static_cast<std::streamoff>(kMaxPictureBytes)) {
    return absl::InvalidArgumentError("is larger than 64 MiB");
  }
  std::string octets(static_cast<size_t>(size), '\0');
  file.seekg(0);
  if (!file.read(octets.data(), size)) return absl::InvalidArgumentError("cannot be read");
  return octets;
}

absl::StatusOr<Answer> Ask(const TruePicture& picture, PictureReader* reader) {
  absl::StatusOr<std::string> octets = LoadPicture(picture.path);
  if (!octets.ok()) return octets.status();
  absl::StatusOr<std::string> result = reader->Read(*octets);
  if (!result.ok()) return result.status();
  return ParseAnswer(*result);
}

}  // namespace

absl::StatusOr<std::string> PictureFormat(std::string_view picture) {
  if (picture.substr(0, kJpegMagic.size()) == kJpegMagic) return "JPEG";
  if (picture.substr(0, kPngMagic.size()) == kPngMagic) return "PNG ";
  return absl::InvalidArgumentError("picture: neither JPEG nor PNG");
}

Tally Total(const std::vector<SetResult>& sets) {
  Tally total;
  for (const SetResult& set : sets) total.Add(set.tally);
  return total;
}

absl::StatusOr<SetResult> Evaluate(const PictureSet& set, PictureReader* reader, bool keep_list) {
  SetResult out;
  out.name = set.name;
  out.without = set.without;
  out.bad = set.bad;
  for (const TruePicture& picture : set.pictures) {
    const absl::StatusOr<Answer> answer = Ask(picture, reader);
    PictureVerdict verdict;
    if (answer.ok()) {
      verdict = Compare(picture, *answer, &out.tally);
    } else if (absl::IsUnavailable(answer.status())) {
      return answer.status();
    } else {
      ++out.tally.unreadable;
      verdict.name = picture.name;
      verdict.problem = std::string(answer.status().message());
      out.unreadable.push_back(absl::StrCat(picture.name, ": ", verdict.problem));
    }
    if (keep_list) out.pictures.push_back(std::move(verdict));
  }
  return out;
}

}  // namespace viaduct::eval
