// How viaductctl shows values to people.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace viaduct::ctl {

// Columns as wide as they need, header in capitals. Thread-compatible.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void Print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// "started" for INSTANCE_STATE_STARTED with prefix "INSTANCE_STATE_".
std::string EnumText(std::string_view name, std::string_view prefix);
std::string TimeText(const google::protobuf::Timestamp& time);
std::string DurationText(const google::protobuf::Duration& duration);
std::string BytesText(uint64_t bytes);
// "-" for nothing. Control characters of a foreign text never reach the terminal.
std::string Cell(std::string_view text);

// True when standard output is a terminal that can be redrawn.
bool OutputIsTerminal();
// Clears the terminal for the next picture of a watch view; nothing on a pipe.
void BeginPicture();

}  // namespace viaduct::ctl
