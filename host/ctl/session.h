// One run of viaductctl: where the node is, how to print, and the call itself.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "host/ctl/exit_code.h"

namespace viaduct::ctl {

struct Options {
  std::string socket;   // Path of the control socket; empty: see DefaultSocket().
  std::string address;  // host:port; then the three files below are needed.
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  std::string token_file;    // Of a bearer token,
  std::string api_key_file;  // or of an API key; empty: see DefaultApiKeyFile().
  std::string timeout = "30s";
  bool json = false;
};

// Lives on the main thread.
class Session {
 public:
  // A parsed command leaves its work here; main runs it once.
  using Action = std::function<ExitCode()>;

  Options options;
  Action action;

  bool json() const { return options.json; }

  template <typename Stub, typename Request, typename Response>
  using UnaryMethod = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

  // Calls and prints the error if there is one.
  template <typename Service, typename Stub, typename Request, typename Response>
  ExitCode Call(UnaryMethod<Stub, Request, Response> method, const Request& request,
                Response* response) {
    auto channel = Channel();
    if (channel == nullptr) return kUsage;
    auto stub = Service::NewStub(channel);
    grpc::ClientContext context;
    SetDeadline(&context);
    return Report(((*stub).*method)(&context, request, response));
  }

  // Reads a server stream to its end; `each` returns false to leave early.
  template <typename Service, typename Stub, typename Request, typename Response>
  ExitCode Stream(std::unique_ptr<grpc::ClientReader<Response>> (Stub::*method)(
                      grpc::ClientContext*, const Request&),
                  const Request& request, const std::function<bool(const Response&)>& each) {
    auto channel = Channel();
    if (channel == nullptr) return kUsage;
    auto stub = Service::NewStub(channel);
    grpc::ClientContext context;
    auto reader = ((*stub).*method)(&context, request);
    Response response;
    bool left = false;
    while (!left && reader->Read(&response)) {
      if (json()) {
        PrintJsonLine(response);
      }
      left = !each(response);
    }
    if (left) context.TryCancel();
    grpc::Status status = reader->Finish();
    return left ? kOk : Report(status);
  }

  // Null after having said why.
  std::shared_ptr<grpc::Channel> Channel();
  void SetDeadline(grpc::ClientContext* context) const;
  // Prints an error for people on stderr; returns its exit code.
  ExitCode Report(const grpc::Status& status) const;

  static void PrintJson(const google::protobuf::Message& message);
  static void PrintJsonLine(const google::protobuf::Message& message);

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::string target_;
};

// $VIADUCT_SOCKET, else the first that exists of /run/viaduct/control.sock and
// /var/lib/viaduct/control.sock, else the last of them.
std::string DefaultSocket();

// $VIADUCT_API_KEY_FILE, or none.
std::string DefaultApiKeyFile();

// Adds a subcommand whose work returns an exit code.
CLI::App* AddCommand(CLI::App* parent, Session* session, const std::string& name,
                     const std::string& description, Session::Action action);

void AddNodeCommands(CLI::App* app, Session* session);
void AddPluginCommands(CLI::App* app, Session* session);
void AddInstanceCommands(CLI::App* app, Session* session);
void AddConfigCommands(CLI::App* app, Session* session);
void AddStatsCommands(CLI::App* app, Session* session);
void AddSpoolCommands(CLI::App* app, Session* session);
void AddTransferCommands(CLI::App* app, Session* session);
void AddPrivacyCommands(CLI::App* app, Session* session);
void AddLogCommands(CLI::App* app, Session* session);
void AddGatewayCommands(CLI::App* app, Session* session);
void AddAuthCommands(CLI::App* app, Session* session);
void AddAlertCommands(CLI::App* app, Session* session);
void AddLprCommands(CLI::App* app, Session* session);
void AddHealthCommands(CLI::App* app, Session* session);
void AddCompletionCommands(CLI::App* app, Session* session);

}  // namespace viaduct::ctl
