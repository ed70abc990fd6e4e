#include "core/lpr/file_status.h"

#include "core/lpr/json_writer.h"

namespace viaduct {

std::string FileStatusJson(const FileAnswer& answer) {
  JsonWriter json;
  json.BeginObject().Field("type", kFileStatusCommand);
  json.Field("transfer_id", std::string_view(answer.transfer_id));
  json.Field("camera_id", std::string_view(answer.device_id));
  json.Field("status", FileStateName(answer.state));
  json.Field("sha256", std::string_view(answer.sha256));
  json.Field("detail", std::string_view(answer.detail)).EndObject();
  return json.Take();
}

}  // namespace viaduct
