// Arguments of viaductctl: checks and conversions.
#pragma once

#include <google/protobuf/duration.pb.h>

#include <cstdint>
#include <string>

namespace viaduct::ctl {

// A check for CLI11: "" when it is one, else what is wrong.
std::string IsDuration(const std::string& text);

// False after having said why on stderr.
bool SetDuration(const std::string& text, google::protobuf::Duration* duration);

// Makes the deadline of a call at least as long as what it asks the node to wait.
void OutlastWait(const std::string& wait, std::string* timeout);

// Reads a file, or standard input for "-". False after having said why on stderr.
bool ReadInput(const std::string& path, std::string* text);

}  // namespace viaduct::ctl
