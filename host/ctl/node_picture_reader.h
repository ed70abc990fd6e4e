// An inference instance of a node, through Gateway.Infer.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "host/ctl/session.h"
#include "host/eval/picture_reader.h"

namespace viaduct::ctl {

// Lives on one thread.
class NodePictureReader final : public eval::PictureReader {
 public:
  // `instance` "": the only one that infers. `request`: JSON object that goes with each picture.
  NodePictureReader(Session* session, std::string instance, std::string request)
      : session_(session), instance_(std::move(instance)), request_(std::move(request)) {}

  absl::StatusOr<std::string> Read(std::string_view picture) override;

 private:
  Session* const session_;
  const std::string instance_;
  const std::string request_;
};

}  // namespace viaduct::ctl
