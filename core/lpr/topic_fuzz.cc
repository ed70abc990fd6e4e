// Application::Handle with what comes at an MQTT topic. The first line of the input is the topic,
// the rest is the payload; a retained one where the line ends with "\r".
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/lpr/testing/fuzz_nodes.h"

namespace viaduct {
namespace {

CallRequest ReadPublication(const std::string& input) {
  CallRequest request;
  request.protocol = "mqtt";
  request.method = "PUBLISH";
  request.peer.address = "mqtt:broker:1883";
  const size_t line = input.find('\n');
  request.path = input.substr(0, line);
  if (line != std::string::npos) request.body = input.substr(line + 1);
  if (!request.path.empty() && request.path.back() == '\r') {
    request.path.pop_back();
    request.attributes = {{"retain", "1"}};
  }
  return request;
}

}  // namespace
}  // namespace viaduct

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  viaduct::FuzzNodes::Get()->Pass(viaduct::ReadPublication(input));
  return 0;
}
