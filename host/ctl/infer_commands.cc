#include "host/ctl/infer_commands.h"

#include <cctype>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "host/ctl/arguments.h"
#include "host/ctl/format.h"
#include "viaduct/gateway/v1/gateway.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::gateway::v1;
namespace fs = std::filesystem;
using Json = nlohmann::json;

struct InferArguments {
  std::vector<std::string> files;
  std::string instance;
  std::string options;
  std::string crops;  // Folder.
  std::string format = "JPEG";
  uint32_t width = 0;
  uint32_t height = 0;
  bool submit = false;
};

// A name of the node's plugin as that of a file in this folder.
std::string FileName(const std::string& picture, const pb::InferCrop& crop) {
  std::string name = crop.name();
  for (char& c : name) {
    const auto letter = static_cast<unsigned char>(c);
    if (std::isalnum(letter) == 0 && c != '_' && c != '-') c = '_';
  }
  const std::string& type = crop.media_type();
  const char* const extension = type == "image/png"    ? ".png"
                                : type == "image/webp" ? ".webp"
                                : type == "image/jpeg" ? ".jpg"
                                                       : ".bin";
  return absl::StrCat(fs::path(picture).stem().string(), "_", name, extension);
}

bool SaveCrops(const std::string& picture, const std::string& folder,
               const pb::InferResponse& response) {
  std::error_code error;
  fs::create_directories(folder, error);
  for (const pb::InferCrop& crop : response.crops()) {
    const fs::path path = fs::path(folder) / FileName(picture, crop);
    std::ofstream file(path, std::ios::binary);
    file << crop.data();
    file.close();
    if (file) continue;
    std::cerr << "viaductctl: " << path.string() << ": cannot be written\n";
    return false;
  }
  return true;
}

// "1AB2345 (0.97)" of each reading.
std::string PlatesText(const std::string& result_json) {
  const Json result = Json::parse(result_json, nullptr, false);
  std::vector<std::string> plates;
  const Json readings = result.is_object() ? result.value("ocr_results", Json()) : Json();
  for (const Json& reading : readings) {
    if (reading.is_string()) plates.push_back(reading.get<std::string>());
    if (!reading.is_object()) continue;
    const Json text = reading.value("text", Json());
    const Json confidence = reading.value("confidence", Json());
    if (!text.is_string()) continue;
    plates.push_back(text.get<std::string>());
    if (confidence.is_number()) absl::StrAppend(&plates.back(), " (", confidence.dump(), ")");
  }
  return absl::StrJoin(plates, ", ");
}

std::string StagesText(const pb::InferResponse& response) {
  std::vector<std::string> stages;
  for (const pb::InferStage& stage : response.stages()) {
    stages.push_back(absl::StrCat(stage.name(), " ", DurationText(stage.time())));
  }
  return absl::StrJoin(stages, ", ");
}

ExitCode InferOne(Session* session, const InferArguments& arguments, const std::string& path,
                  pb::InferResponse* response) {
  pb::InferRequest request;
  if (!ReadInput(path, request.mutable_picture()->mutable_data())) return kInvalid;
  request.set_instance(arguments.instance);
  if (!arguments.options.empty()) request.set_options_json(arguments.options);
  request.mutable_picture()->set_format(arguments.format);
  request.mutable_picture()->set_width(arguments.width);
  request.mutable_picture()->set_height(arguments.height);
  request.set_submit(arguments.submit);
  request.set_omit_crops(arguments.crops.empty());
  const ExitCode code = session->Call<pb::Gateway>(&pb::Gateway::Stub::Infer, request, response);
  if (code != kOk || arguments.crops.empty()) return code;
  if (response->omitted_crops() > 0) {
    std::cerr << "viaductctl: " << path << ": " << response->omitted_crops()
              << " crops had no room in the answer\n";
  }
  return SaveCrops(path, arguments.crops, *response) ? kOk : kFailed;
}

// All files, whatever becomes of one; the first error decides.
ExitCode Infer(Session* session, const InferArguments& arguments) {
  ExitCode first = kOk;
  bool shown = false;
  Table table({"PICTURE", "INSTANCE", "PLATES", "STAGES", "MESSAGE"});
  for (const std::string& path : arguments.files) {
    pb::InferResponse response;
    const ExitCode code = InferOne(session, arguments, path, &response);
    if (first == kOk) first = code;
    if (code != kOk) {
      if (arguments.files.size() > 1) std::cerr << "viaductctl: " << path << ": no result\n";
      continue;
    }
    shown = true;
    if (session->json()) {
      Session::PrintJsonLine(response);
      continue;
    }
    table.Add({Cell(path), Cell(response.instance()), Cell(PlatesText(response.result_json())),
               Cell(StagesText(response)), Cell(response.submitted().message_id())});
  }
  if (shown && !session->json()) table.Print(std::cout);
  return first;
}

}  // namespace

void AddInferCommand(CLI::App* gateway, Session* session) {
  auto arguments = std::make_shared<InferArguments>();
  CLI::App* infer =
      AddCommand(gateway, session, "infer", "what an inference instance of the node sees",
                 [=] { return Infer(session, *arguments); });
  infer->add_option("files", arguments->files, "pictures")->required();
  infer->add_option("--instance", arguments->instance, "name; needed where there are several");
  infer->add_option("--options", arguments->options, "JSON object for the plugin");
  infer->add_option("--save-crops", arguments->crops, "write what was cut out into this folder");
  infer->add_option("--format", arguments->format, "FourCC of raw pictures, e.g. NV12")
      ->capture_default_str();
  infer->add_option("--width", arguments->width, "of raw pictures");
  infer->add_option("--height", arguments->height, "of raw pictures");
  infer->add_flag("--submit", arguments->submit, "make it a detection of the node, too");
}

}  // namespace viaduct::ctl
