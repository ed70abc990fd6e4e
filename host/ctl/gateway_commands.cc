#include <google/protobuf/util/json_util.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "host/ctl/arguments.h"
#include "host/ctl/format.h"
#include "host/ctl/infer_commands.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/stats.grpc.pb.h"
#include "viaduct/gateway/v1/gateway.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::gateway::v1;
using Stub = pb::Gateway::Stub;
using Json = nlohmann::json;

constexpr int kFrameMessages = 256;

std::string TextOf(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

pb::DataType TypeOf(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  pb::DataType type = pb::DATA_TYPE_UNSPECIFIED;
  pb::DataType_Parse("DATA_TYPE_" + text, &type);
  return type;
}

pb::Priority PriorityOf(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  pb::Priority priority = pb::PRIORITY_UNSPECIFIED;
  pb::Priority_Parse("PRIORITY_" + text, &priority);
  return priority;
}

struct SendArguments {
  std::string input = "-";
  std::string type = "detection";
  std::string priority = "normal";
};

// One line: an envelope of docs/WIRE.md, or a bare payload that gets the arguments' type.
bool FillEnvelope(const std::string& line, const SendArguments& arguments, pb::Envelope* envelope) {
  Json document = Json::parse(line, nullptr, false);
  if (!document.is_object()) return false;
  auto payload = document.find("payload");
  const bool whole = payload != document.end() && document.contains("data_type");
  const std::string type = TextOf(document, "data_type");
  envelope->set_data_type(TypeOf(whole ? type : arguments.type));
  envelope->set_payload_json(whole ? payload->dump() : line);
  envelope->mutable_metadata()->set_priority(PriorityOf(arguments.priority));
  if (!whole) return true;
  envelope->set_message_id(TextOf(document, "message_id"));
  envelope->set_edge_device_id(TextOf(document, "edge_device_id"));
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, TextOf(document, "timestamp"), &time, &error)) {
    envelope->mutable_timestamp()->set_seconds(absl::ToUnixSeconds(time));
    envelope->mutable_timestamp()->set_nanos(static_cast<int32_t>(
        absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(absl::ToUnixSeconds(time)))));
  }
  auto metadata = document.find("metadata");
  if (metadata != document.end() && metadata->is_object() && metadata->contains("priority")) {
    envelope->mutable_metadata()->set_priority(PriorityOf(TextOf(*metadata, "priority")));
  }
  return true;
}

ExitCode SendOne(Session* session, const SendArguments& arguments) {
  std::string text;
  if (!ReadInput(arguments.input, &text)) return kInvalid;
  pb::SendMetadataRequest request;
  if (!FillEnvelope(text, arguments, request.mutable_envelope())) {
    std::cerr << "viaductctl: " << arguments.input << ": not a JSON object\n";
    return kInvalid;
  }
  pb::SendMetadataResponse response;
  ExitCode code = session->Call<pb::Gateway>(&Stub::SendMetadata, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    std::cout << response.result().message_id() << "  "
              << EnumText(pb::ResultStatus_Name(response.result().status()), "RESULT_STATUS_")
              << "\n";
  }
  return kOk;
}

// Writes a frame for each `kFrameMessages` lines; returns the first line that is no JSON object,
// or 0.
size_t WriteLines(std::istream* lines, const SendArguments& arguments,
                  grpc::ClientReaderWriter<pb::SendMetadataStreamRequest,
                                           pb::SendMetadataStreamResponse>* stream) {
  pb::SendMetadataStreamRequest frame;
  std::string line;
  for (size_t number = 1; std::getline(*lines, line); ++number) {
    if (line.empty()) continue;
    if (!FillEnvelope(line, arguments, frame.add_envelopes())) {
      frame.mutable_envelopes()->RemoveLast();  // What came before it is sent.
      if (frame.envelopes_size() > 0) stream->Write(frame);
      return number;
    }
    if (frame.envelopes_size() < kFrameMessages) continue;
    if (!stream->Write(frame)) return 0;
    frame.Clear();
  }
  if (frame.envelopes_size() > 0) stream->Write(frame);
  return 0;
}

ExitCode SendMany(Session* session, const SendArguments& arguments) {
  std::string text;
  if (!ReadInput(arguments.input, &text)) return kInvalid;
  auto channel = session->Channel();
  if (channel == nullptr) return kUsage;
  auto stub = pb::Gateway::NewStub(channel);
  grpc::ClientContext context;
  auto stream = stub->SendMetadataStream(&context);
  uint64_t counts[pb::ResultStatus_ARRAYSIZE] = {};
  std::thread reader([&] {
    pb::SendMetadataStreamResponse response;
    while (stream->Read(&response)) {
      if (session->json()) Session::PrintJsonLine(response);
      for (const auto& result : response.results()) {
        if (pb::ResultStatus_IsValid(result.status())) ++counts[result.status()];
        if (result.status() == pb::RESULT_STATUS_REJECTED) {
          std::cerr << "viaductctl: message " << result.index() << " (" << result.message_id()
                    << "): " << result.error() << "\n";
        }
      }
    }
  });
  std::istringstream lines(text);
  const size_t bad_line = WriteLines(&lines, arguments, stream.get());
  stream->WritesDone();
  reader.join();
  ExitCode code = session->Report(stream->Finish());
  if (!session->json()) {
    std::cout << counts[pb::RESULT_STATUS_STORED] << " stored, "
              << counts[pb::RESULT_STATUS_DUPLICATE] << " duplicate, "
              << counts[pb::RESULT_STATUS_REJECTED] << " rejected\n";
  }
  if (bad_line > 0) {
    std::cerr << "viaductctl: " << arguments.input << ":" << bad_line << ": not a JSON object\n";
    return kInvalid;
  }
  if (code == kOk && counts[pb::RESULT_STATUS_REJECTED] > 0) return kInvalid;
  return code;
}

bool PrintMessage(const pb::SubscribeResponse& response) {
  if (response.has_lagged()) {
    std::cout << "... " << response.lagged().missed() << " messages missed" << std::endl;
  }
  if (!response.has_envelope()) return true;
  const auto& envelope = response.envelope();
  std::cout << TimeText(envelope.timestamp()) << "  " << Cell(envelope.message_id()) << "  "
            << Cell(envelope.edge_device_id()) << "  "
            << EnumText(pb::DataType_Name(envelope.data_type()), "DATA_TYPE_") << "  "
            << Cell(envelope.payload_json()) << std::endl;
  return true;
}

ExitCode Subscribe(Session* session, const std::vector<std::string>& types,
                   const std::vector<std::string>& devices, uint64_t count) {
  pb::SubscribeRequest request;
  for (const auto& type : types) request.add_data_types(TypeOf(type));
  for (const auto& device : devices) request.add_edge_device_ids(device);
  uint64_t seen = 0;
  return session->Stream<pb::Gateway, Stub, pb::SubscribeRequest, pb::SubscribeResponse>(
      &Stub::Subscribe, request, [&](const pb::SubscribeResponse& response) {
        if (!session->json()) PrintMessage(response);
        if (response.has_envelope()) ++seen;
        return count == 0 || seen < count;
      });
}

struct ExplainArguments {
  uint64_t bytes = 1000;
  std::string priority = "normal";
  bool file = false;
  bool backlog = false;
};

ExitCode Explain(Session* session, const ExplainArguments& arguments) {
  control::v1::StatsExplainRequest request;
  request.set_bytes(arguments.bytes);
  request.set_priority(PriorityOf(arguments.priority));
  request.set_file(arguments.file);
  request.set_backlog(arguments.backlog);
  control::v1::StatsExplainResponse response;
  const ExitCode code =
      session->Call<control::v1::Stats>(&control::v1::Stats::Stub::Explain, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  std::cout << (response.link().empty() ? "none" : Cell(response.link())) << ": " << response.why()
            << "\n\n";
  Table table({"LINK", "CAN TAKE IT", "EXPECTED", "PRICE", "WHY"});
  for (const auto& link : response.links()) {
    table.Add({Cell(link.link()), link.eligible() ? "yes" : "no", DurationText(link.expected()),
               DurationText(link.price()), Cell(link.why())});
  }
  table.Print(std::cout);
  return kOk;
}

void AddSendOptions(CLI::App* command, SendArguments* arguments) {
  command->add_option("input", arguments->input, "file, - for standard input")
      ->capture_default_str();
  command->add_option("--type", arguments->type, "of a bare payload")
      ->capture_default_str()
      ->check(CLI::IsMember({"detection", "health", "config", "control"}));
  command->add_option("--priority", arguments->priority, "when the message names none")
      ->capture_default_str()
      ->check(CLI::IsMember({"high", "normal", "low"}));
}

void AddExplainCommand(CLI::App* gateway, Session* session) {
  auto arguments = std::make_shared<ExplainArguments>();
  CLI::App* explain =
      AddCommand(gateway, session, "explain", "which link a message or file would take, and why",
                 [=] { return Explain(session, *arguments); });
  explain->add_option("--bytes", arguments->bytes, "its size")->capture_default_str();
  explain->add_option("--priority", arguments->priority)
      ->capture_default_str()
      ->check(CLI::IsMember({"high", "normal", "low"}));
  explain->add_flag("--file", arguments->file, "a file, over the roads for files");
  explain->add_flag("--backlog", arguments->backlog, "a message that has waited already");
}

}  // namespace

void AddGatewayCommands(CLI::App* app, Session* session) {
  auto arguments = std::make_shared<SendArguments>();
  AddSendOptions(AddCommand(app, session, "send", "hand one message (JSON) to the node",
                            [=] { return SendOne(session, *arguments); }),
                 arguments.get());
  AddSendOptions(AddCommand(app, session, "send-stream", "hand over many, one JSON object a line",
                            [=] { return SendMany(session, *arguments); }),
                 arguments.get());
  CLI::App* gateway =
      app->add_subcommand("gateway", "which road messages take, and pictures that are looked at");
  gateway->require_subcommand(1);
  AddInferCommand(gateway, session);
  AddExplainCommand(gateway, session);
  auto types = std::make_shared<std::vector<std::string>>();
  auto devices = std::make_shared<std::vector<std::string>>();
  auto count = std::make_shared<uint64_t>(0);
  CLI::App* subscribe =
      AddCommand(app, session, "subscribe", "messages as they become durable on the node",
                 [=] { return Subscribe(session, *types, *devices, *count); });
  subscribe->add_option("--type", *types)
      ->check(CLI::IsMember({"detection", "health", "config", "control"}));
  subscribe->add_option("--device", *devices, "edge_device_id");
  subscribe->add_option("-n,--count", *count, "leave after so many");
}

}  // namespace viaduct::ctl
