#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "host/ctl/format.h"
#include "host/ctl/session.h"
#include "viaduct/control/v1/plugins.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = viaduct::control::v1;

std::string StateText(const pb::Plugin& plugin) {
  return EnumText(pb::PluginState_Name(plugin.state()), "PLUGIN_STATE_");
}

void PrintPlugins(const pb::PluginsListResponse& response) {
  Table table({"NAME", "VERSION", "ABI", "STATE", "INSTANCES", "PATH", "REASON"});
  for (const auto& plugin : response.plugins()) {
    table.Add({Cell(plugin.name()), Cell(plugin.version()),
               absl::StrCat(plugin.abi().major(), ".", plugin.abi().minor()), StateText(plugin),
               Cell(absl::StrJoin(plugin.instances(), ",")), Cell(plugin.path()),
               Cell(plugin.failure().text())});
  }
  table.Print(std::cout);
}

void PrintPlugin(const pb::Plugin& plugin) {
  Table table({"PLUGIN", Cell(plugin.name())});
  table.Add({"version", Cell(plugin.version())});
  table.Add({"summary", Cell(plugin.summary())});
  table.Add({"licence", Cell(plugin.licence())});
  table.Add({"state", StateText(plugin)});
  if (!plugin.failure().text().empty()) table.Add({"reason", Cell(plugin.failure().text())});
  table.Add({"ABI", absl::StrCat(plugin.abi().major(), ".", plugin.abi().minor())});
  table.Add({"interfaces", Cell(absl::StrJoin(plugin.interfaces(), ", "))});
  table.Add({"instances", Cell(absl::StrJoin(plugin.instances(), ", "))});
  table.Add({"path", Cell(plugin.path())});
  table.Print(std::cout);
}

// Load, Reload and Describe all answer with a plugin.
template <typename Request, typename Response>
ExitCode ShowOne(Session* session,
                 Session::UnaryMethod<pb::Plugins::Stub, Request, Response> method,
                 const Request& request) {
  Response response;
  ExitCode code = session->Call<pb::Plugins>(method, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  PrintPlugin(response.plugin());
  if constexpr (std::is_same_v<Response, pb::PluginsDescribeResponse>) {
    std::cout << "\n" << response.config_schema() << "\n";
  }
  return kOk;
}

}  // namespace

void AddPluginCommands(CLI::App* app, Session* session) {
  CLI::App* plugins = app->add_subcommand("plugins", "plugin files, also those that did not load");
  plugins->require_subcommand(1);
  AddCommand(plugins, session, "list", "all of them", [session] {
    pb::PluginsListResponse response;
    ExitCode code =
        session->Call<pb::Plugins>(&pb::Plugins::Stub::List, pb::PluginsListRequest(), &response);
    if (code != kOk) return code;
    session->json() ? Session::PrintJson(response) : PrintPlugins(response);
    return kOk;
  });
  auto name = std::make_shared<std::string>();
  auto add = [=](const char* command, const char* description, const char* argument,
                 Session::Action action) {
    AddCommand(plugins, session, command, description, std::move(action))
        ->add_option(argument, *name)
        ->required();
  };
  add("describe", "one plugin with its configuration schema", "name", [=] {
    pb::PluginsDescribeRequest request;
    request.set_name(*name);
    return ShowOne(session, &pb::Plugins::Stub::Describe, request);
  });
  add("load", "load a plugin file", "path", [=] {
    pb::PluginsLoadRequest request;
    request.set_path(*name);
    return ShowOne(session, &pb::Plugins::Stub::Load, request);
  });
  add("reload", "load the present file in place of the old one", "name", [=] {
    pb::PluginsReloadRequest request;
    request.set_name(*name);
    return ShowOne(session, &pb::Plugins::Stub::Reload, request);
  });
  add("unload", "forget a plugin that nothing uses", "name", [=] {
    pb::PluginsUnloadRequest request;
    request.set_name(*name);
    pb::PluginsUnloadResponse response;
    ExitCode code = session->Call<pb::Plugins>(&pb::Plugins::Stub::Unload, request, &response);
    if (code == kOk && session->json()) Session::PrintJson(response);
    return code;
  });
}

}  // namespace viaduct::ctl
