#include "fixture.h"

#include <unistd.h>

#include <algorithm>

namespace viaduct::check {

const char* LevelName(Level level) {
  switch (level) {
    case Level::kLoad:
      return "load";
    case Level::kLifecycle:
      return "lifecycle";
    case Level::kData:
      return "data";
  }
  return "?";
}

void Fixture::Phase(const std::string& what) { Tell('p', what); }

void Fixture::Fail(const std::string& why) {
  Tell('f', why);
  _exit(1);
}

void Fixture::Skip(const std::string& why) {
  Tell('s', why);
  _exit(0);
}

void Fixture::Pass() {
  Tell('o', "");
  _exit(0);
}

// One line a message, so that the parent always knows where a text ends.
void Fixture::Tell(char kind, const std::string& text) const {
  std::string line = kind + text;
  std::replace(line.begin(), line.end(), '\n', ' ');
  line.push_back('\n');
  if (write(result_fd_, line.data(), line.size()) < 0) _exit(3);
}

}  // namespace viaduct::check
