#include "host/ctl/session.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host/ctl/credentials.h"
#include "host/rpc/status.h"

namespace viaduct::ctl {
namespace {

constexpr int kMaxMessageBytes = 64 << 20;

bool ReadFile(const std::string& path, std::string* text) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::cerr << "viaductctl: " << path << ": cannot be read\n";
    return false;
  }
  std::stringstream buffer;
  buffer << file.rdbuf();
  *text = buffer.str();
  return true;
}

std::string ToJson(const google::protobuf::Message& message, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = pretty;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  return status.ok() ? text : "{}";
}

}  // namespace

ExitCode ExitCodeOf(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return kOk;
    case grpc::StatusCode::UNAVAILABLE:
      // A node that answers says in details why it cannot: it drains, or its disk is full.
      return status.error_details().empty() ? kUnreachable : kConflict;
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::OUT_OF_RANGE:
      return kNotFound;
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::FAILED_PRECONDITION:
      return kConflict;
    case grpc::StatusCode::INVALID_ARGUMENT:
      return kInvalid;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return kTimeout;
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
      return kDenied;
    default:
      return kFailed;
  }
}

std::shared_ptr<grpc::Channel> Session::Channel() {
  if (channel_ != nullptr) return channel_;
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  const std::string key = options.api_key_file.empty() && options.token_file.empty()
                              ? DefaultApiKeyFile()
                              : options.api_key_file;
  auto interceptors = ReadCredentials({options.token_file, key});
  if (!interceptors.ok()) {
    std::cerr << "viaductctl: " << interceptors.status().message() << "\n";
    return nullptr;
  }
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  target_ = options.socket.empty() ? DefaultSocket() : options.socket;
  if (!options.address.empty()) {
    target_ = options.address;
    grpc::SslCredentialsOptions tls;
    if (!ReadFile(options.ca_file, &tls.pem_root_certs) ||
        !ReadFile(options.certificate_file, &tls.pem_cert_chain) ||
        !ReadFile(options.key_file, &tls.pem_private_key)) {
      return nullptr;
    }
    credentials = grpc::SslCredentials(tls);
  }
  channel_ = grpc::experimental::CreateCustomChannelWithInterceptors(
      options.address.empty() ? "unix:" + target_ : target_, credentials, arguments,
      *std::move(interceptors));
  return channel_;
}

void Session::SetDeadline(grpc::ClientContext* context) const {
  absl::Duration timeout;
  if (absl::ParseDuration(options.timeout, &timeout)) {
    context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }
}

ExitCode Session::Report(const grpc::Status& status) const {
  if (status.ok()) return kOk;
  std::cerr << "viaductctl: ";
  // A node that answers UNAVAILABLE sends details; gRPC's own refusal to connect has none.
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && status.error_details().empty()) {
    std::cerr << "no node answers at " << target_;
    if (options.address.empty() && access(target_.c_str(), F_OK) != 0) {
      std::cerr << " (there is no such socket; is viaduct-host running? --socket names another)";
    } else if (options.address.empty() && access(target_.c_str(), R_OK | W_OK) != 0) {
      std::cerr << " (no permission to use this socket)";
    } else {
      std::cerr << " (" << status.error_message() << ")";
    }
    std::cerr << "\n";
    return kUnreachable;
  }
  std::cerr << status.error_message() << "\n";
  for (const auto& line : rpc::DescribeDetails(status)) std::cerr << "  " << line << "\n";
  return ExitCodeOf(status);
}

void Session::PrintJson(const google::protobuf::Message& message) {
  std::cout << ToJson(message, true);
}

void Session::PrintJsonLine(const google::protobuf::Message& message) {
  std::cout << ToJson(message, false) << std::endl;  // Flushed: somebody is watching.
}

std::string DefaultSocket() {
  const char* from_environment = std::getenv("VIADUCT_SOCKET");
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  const std::string run = "/run/viaduct/control.sock";
  if (access(run.c_str(), F_OK) == 0) return run;
  return "/var/lib/viaduct/control.sock";
}

std::string DefaultApiKeyFile() {
  const char* from_environment = std::getenv("VIADUCT_API_KEY_FILE");
  return from_environment == nullptr ? "" : from_environment;
}

CLI::App* AddCommand(CLI::App* parent, Session* session, const std::string& name,
                     const std::string& description, Session::Action action) {
  CLI::App* command = parent->add_subcommand(name, description);
  command->callback([session, action = std::move(action)] { session->action = action; });
  return command;
}

}  // namespace viaduct::ctl
