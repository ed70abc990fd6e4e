#include "host/ctl/arguments.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

#include "absl/time/time.h"

namespace viaduct::ctl {

std::string IsDuration(const std::string& text) {
  absl::Duration duration;
  if (absl::ParseDuration(text, &duration) && duration > absl::ZeroDuration()) return "";
  return "not a duration, \"" + text + "\" (e.g. 500ms, 10s, 2m)";
}

bool SetDuration(const std::string& text, google::protobuf::Duration* duration) {
  std::string problem = IsDuration(text);
  if (!problem.empty()) {
    std::cerr << "viaductctl: " << problem << "\n";
    return false;
  }
  absl::Duration value;
  if (!absl::ParseDuration(text, &value)) return false;
  duration->set_seconds(absl::IDivDuration(value, absl::Seconds(1), &value));
  duration->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(value)));
  return true;
}

void OutlastWait(const std::string& wait, std::string* timeout) {
  constexpr absl::Duration kMargin = absl::Seconds(5);  // For the answer to come.
  absl::Duration waited;
  absl::Duration allowed;
  if (!absl::ParseDuration(wait, &waited) || !absl::ParseDuration(*timeout, &allowed)) return;
  *timeout = absl::FormatDuration(std::max(allowed, waited + kMargin));
}

bool ReadInput(const std::string& path, std::string* text) {
  if (path == "-") {
    text->assign(std::istreambuf_iterator<char>(std::cin), {});
    return true;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::cerr << "viaductctl: " << path << ": cannot be read\n";
    return false;
  }
  text->assign(std::istreambuf_iterator<char>(file), {});
  return true;
}

}  // namespace viaduct::ctl
