// What is wrong with the configuration of an instance.
#pragma once

#include <string>

namespace viaduct {

struct OptionsError {
  std::string pointer;  // JSON pointer of the offending value.
  std::string message;
};

}  // namespace viaduct
