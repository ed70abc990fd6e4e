#include "plugins/rsync/allowed_options.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace viaduct::rsync {
namespace {

constexpr size_t kMaxOptionBytes = 64;

struct Allowed {
  char letter;  // 0: none.
  std::string_view name;
  std::string_view argument;  // "": so anyway, or of no effect.
};
constexpr Allowed kAllowed[] = {
    {'a', "--archive", "--perms"},  // Times always, links never, folders by name.
    {'z', "--compress", "--compress"},
    {'p', "--perms", "--perms"},
    {'t', "--times", ""},
    {'r', "--recursive", ""},
    {'c', "--checksum", ""},  // Content is always compared.
    {'v', "--verbose", ""},
    {'h', "--human-readable", ""},
    {'q', "--quiet", ""},
    {'i', "--itemize-changes", ""},
    {'P', "--progress", ""},
    {0, "--partial", ""},
    {0, "--stats", ""},
    {0, "--fsync", ""},
    {0, "--mkpath", ""},
    // Nothing but the files of the queue is ever touched: there is nothing more to delete.
    {0, "--delete", ""},
};

struct WithNumber {
  std::string_view name;
  int least;
  int most;
};
constexpr WithNumber kWithNumber[] = {
    {"--compress-level", 0, 22}, {"--bwlimit", 1, 100'000'000}, {"--timeout", 1, 3600}};

constexpr std::string_view kCompressors[] = {"zstd", "lz4", "zlibx", "zlib", "none"};

struct Refused {
  std::string_view name;
  std::string_view instead;
};
constexpr Refused kRefused[] = {
    {"-e", "use port, key_file, known_hosts"},
    {"--rsh", "use port, key_file, known_hosts"},
    {"--port", "use port"},
    {"--password-file", "use password"},
    {"--rsync-path", "the server's own rsync is started"},
    {"--remove-source-files", "use the node's retention of files"},
    {"--inplace", "it would leave half a file under its final name"},
    {"--append", "it would leave half a file under its final name"},
    {"--append-verify", "it would leave half a file under its final name"},
    {"--whole-file", "a transfer that broke would begin anew"},
    {"-W", "a transfer that broke would begin anew"},
    {"--update", "what was there before would stay"},
    {"-u", "what was there before would stay"},
    {"--delete-after", "use --delete"},
    {"--delete-before", "use --delete"},
    {"--delete-excluded", "use --delete"},
    {"--contimeout", "use connect_timeout"},
    {"--partial-dir", "it is .viaduct-partial"},
    {"--temp-dir", "it is .viaduct-partial"},
};

std::string Escaped(std::string_view text) {
  return absl::CHexEscape(absl::string_view(text.data(), std::min(text.size(), kMaxOptionBytes)));
}

absl::Status Refuse(std::string_view option) {
  const std::string_view name = option.substr(0, option.find('='));
  for (const Refused& row : kRefused) {
    if (row.name == name) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", Escaped(option),
          "\" is not allowed: ", absl::string_view(row.instead.data(), row.instead.size())));
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", Escaped(option), "\" is not allowed: use -a, -z, --partial, --delete, ",
                   "--compress-choice=, --compress-level=, --bwlimit= or --timeout="));
}

void Add(std::string_view argument, std::vector<std::string>* arguments) {
  if (argument.empty()) return;
  const bool there = std::find(arguments->begin(), arguments->end(), argument) != arguments->end();
  if (!there) arguments->emplace_back(argument);
}

absl::Status AddLetters(std::string_view option, std::vector<std::string>* arguments) {
  for (const char letter : option.substr(1)) {
    const auto* row = std::find_if(std::begin(kAllowed), std::end(kAllowed),
                                   [&](const Allowed& r) { return r.letter == letter; });
    if (row == std::end(kAllowed)) {
      return Refuse(option.size() == 2 ? option : std::string{'-', letter});
    }
    Add(row->argument, arguments);
  }
  return absl::OkStatus();
}

bool IsNumberBetween(std::string_view text, int least, int most) {
  int number = 0;
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos &&
         absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &number) &&
         number >= least && number <= most;
}

bool IsAllowedValue(std::string_view name, std::string_view value) {
  if (name == "--compress-choice") {
    return std::find(std::begin(kCompressors), std::end(kCompressors), value) !=
           std::end(kCompressors);
  }
  return std::any_of(std::begin(kWithNumber), std::end(kWithNumber), [&](const WithNumber& row) {
    return row.name == name && IsNumberBetween(value, row.least, row.most);
  });
}

}  // namespace

absl::Status AddAllowedOption(std::string_view option, std::vector<std::string>* arguments) {
  if (option.size() < 2 || option[0] != '-' || option == "--") return Refuse(option);
  if (option[1] != '-') return AddLetters(option, arguments);
  const size_t equals = option.find('=');
  if (equals == std::string_view::npos) {
    for (const Allowed& row : kAllowed) {
      if (row.name != option) continue;
      Add(row.argument, arguments);
      return absl::OkStatus();
    }
    return Refuse(option);
  }
  if (!IsAllowedValue(option.substr(0, equals), option.substr(equals + 1))) return Refuse(option);
  Add(option, arguments);
  return absl::OkStatus();
}

}  // namespace viaduct::rsync
