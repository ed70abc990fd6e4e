// Application::Handle with any method, path, query and body, on a store and on an edge node. The
// first line of the input is "METHOD path?query", the rest is the body.
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/lpr/testing/fuzz_nodes.h"

namespace viaduct {
namespace {

CallRequest ReadRequest(const std::string& input) {
  CallRequest request;
  request.protocol = "http";
  const size_t line = input.find('\n');
  const std::string first = input.substr(0, line);
  if (line != std::string::npos) request.body = input.substr(line + 1);
  const size_t space = first.find(' ');
  request.method = first.substr(0, space);
  std::string target = space == std::string::npos ? "/" : first.substr(space + 1);
  const size_t mark = target.find('?');
  if (mark != std::string::npos) request.query = target.substr(mark + 1);
  request.path = target.substr(0, mark);
  return request;
}

}  // namespace
}  // namespace viaduct

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  viaduct::FuzzNodes::Get()->Pass(viaduct::ReadRequest(input));
  return 0;
}
