// What an operator can set; config.schema.json describes the same fields.
#pragma once

#include <cstdint>
#include <string>

namespace line_json {

struct Options {
  std::string host = "127.0.0.1";      // Name or address of the peer.
  uint16_t port = 7007;                // TCP port of the peer.
  uint32_t window = 256;               // How many messages may wait for their answer at once.
  uint32_t connect_timeout_ms = 3000;  // How long to wait for a connection.
  uint32_t answer_timeout_ms = 10000;  // How long the peer may be silent while it owes an answer.
};

}  // namespace line_json
