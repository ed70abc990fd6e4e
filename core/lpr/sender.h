// Whose messages they are.
#pragma once

#include <memory>
#include <string>

namespace viaduct {

namespace security {
struct Permission;
struct Principal;
}  // namespace security

struct Sender {
  std::string protocol;  // Shown in the communication log, as is `source`.
  std::string source;
  std::shared_ptr<const security::Principal> principal;  // As of a CallRequest.
  const security::Permission* permission = nullptr;
  bool own_part = false;  // A part of this node, which needs neither.
};

}  // namespace viaduct
