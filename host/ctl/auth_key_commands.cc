#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/descriptor.h"
#include "core/base/durable_file.h"
#include "host/ctl/arguments.h"
#include "host/ctl/auth_commands.h"
#include "host/ctl/format.h"
#include "viaduct/control/v1/auth.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = control::v1;
using Stub = pb::Auth::Stub;

constexpr int64_t kSecondsPerDay = 86'400;
constexpr int kMaxDays = 36'500;

std::string StateText(pb::ApiKeyState state) {
  return EnumText(pb::ApiKeyState_Name(state), "API_KEY_STATE_");
}

void AddRow(const pb::ApiKey& key, Table* table) {
  const pb::Principal& principal = key.principal();
  table->Add({key.key_id(), StateText(key.state()),
              absl::StrCat(KindText(principal.kind()), " ", Cell(principal.id())),
              RoleText(principal.role()), ScopesText(principal),
              Cell(absl::StrJoin(principal.devices(), " ")), TimeText(key.created_at()),
              TimeText(key.expires_at()), TimeText(key.last_used_at()), Cell(key.note())});
}

Table KeyTable() {
  return Table({"KEY", "STATE", "PRINCIPAL", "ROLE", "SCOPES", "SPEAKS FOR", "CREATED", "EXPIRES",
                "LAST USED", "NOTE"});
}

// Where a new key goes that is not to be shown. Made before the key is, so that none is lost.
class KeyFile {
 public:
  // False after having said why: it is there already, or can not be made.
  bool Open(const std::string& path) {
    path_ = path;
    file_ = std::make_unique<Descriptor>(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file_->get() >= 0) return true;
    std::cerr << "viaductctl: " << path << ": cannot make it, " << std::strerror(errno) << "\n";
    return false;
  }
  bool is_open() const { return file_ != nullptr && file_->get() >= 0; }
  const std::string& path() const { return path_; }
  bool Write(const std::string& key) {
    const absl::Status status = WriteAll(file_->get(), path_, key + "\n");
    if (status.ok() && ::fsync(file_->get()) == 0) return true;
    std::cerr << "viaductctl: " << path_ << ": cannot write the key, revoke it\n";
    return false;
  }
  void Remove() {
    if (is_open()) static_cast<void>(::unlink(path_.c_str()));
  }

 private:
  std::string path_;
  std::unique_ptr<Descriptor> file_;
};

struct KeyArguments {
  std::string device;
  std::string user;
  std::string tool;
  PrincipalArguments principal;
  std::string note;
  int days = 0;
  std::string overlap = "24h";
  std::string key_id;
  bool forget = false;
  std::string out;
};
using Arguments = std::shared_ptr<KeyArguments>;

// Calls for a new key and shows it once, or writes it into the file.
template <typename Request, typename Response>
ExitCode Make(Session* session, const KeyArguments& arguments,
              Session::UnaryMethod<Stub, Request, Response> method, const Request& request) {
  KeyFile file;
  if (!arguments.out.empty() && !file.Open(arguments.out)) return kConflict;
  Response response;
  const ExitCode code = session->Call<pb::Auth>(method, request, &response);
  if (code != kOk) {
    file.Remove();
    return code;
  }
  if (file.is_open()) {
    if (!file.Write(response.key())) return kFailed;
    response.clear_key();
  }
  if (session->json()) {
    Session::PrintJson(response);
    return kOk;
  }
  Table table = KeyTable();
  AddRow(response.record(), &table);
  table.Print(std::cout);
  if (file.is_open()) {
    std::cout << "\nThe key is in " << file.path() << "\n";
  } else {
    std::cout << "\n" << response.key() << "\n\nThe key is shown this once.\n";
  }
  return kOk;
}

void SetDays(int days, google::protobuf::Duration* valid_for) {
  valid_for->set_seconds(days * kSecondsPerDay);
}

ExitCode Create(Session* session, const KeyArguments& arguments) {
  pb::AuthCreateKeyRequest request;
  pb::Principal* principal = request.mutable_principal();
  principal->set_kind(!arguments.device.empty() ? pb::PRINCIPAL_KIND_DEVICE
                      : !arguments.user.empty() ? pb::PRINCIPAL_KIND_USER
                                                : pb::PRINCIPAL_KIND_TOOL);
  principal->set_id(absl::StrCat(arguments.device, arguments.user, arguments.tool));
  if (!arguments.device.empty()) principal->set_role(pb::ROLE_DEVICE);
  FillPrincipal(arguments.principal, principal);
  if (principal->id().empty() || principal->role() == pb::ROLE_UNSPECIFIED) {
    std::cerr << "viaductctl: want --device ID, --user NAME --role ROLE or --tool NAME --role "
                 "ROLE\n";
    return kUsage;
  }
  request.set_note(arguments.note);
  if (arguments.days > 0) SetDays(arguments.days, request.mutable_valid_for());
  return Make(session, arguments, &Stub::CreateKey, request);
}

ExitCode Rotate(Session* session, const KeyArguments& arguments) {
  pb::AuthRotateKeyRequest request;
  request.set_key_id(arguments.key_id);
  if (arguments.overlap == "0") {
    request.mutable_overlap();  // At once.
  } else if (!SetDuration(arguments.overlap, request.mutable_overlap())) {
    return kUsage;
  }
  if (arguments.days > 0) SetDays(arguments.days, request.mutable_valid_for());
  return Make(session, arguments, &Stub::RotateKey, request);
}

ExitCode Revoke(Session* session, const KeyArguments& arguments) {
  pb::AuthRevokeKeyRequest request;
  request.set_key_id(arguments.key_id);
  request.set_forget(arguments.forget);
  pb::AuthRevokeKeyResponse response;
  const ExitCode code = session->Call<pb::Auth>(&Stub::RevokeKey, request, &response);
  if (code != kOk) return code;
  if (session->json()) {
    Session::PrintJson(response);
  } else {
    std::cout << "key " << response.record().key_id() << " of "
              << Cell(response.record().principal().id()) << " holds no more\n";
  }
  return kOk;
}

struct ListArguments {
  std::string principal;
  std::string state;
  uint32_t limit = 1000;
};

// All pages, up to the limit.
ExitCode List(Session* session, const ListArguments& arguments) {
  pb::AuthListKeysRequest request;
  request.set_principal_id(arguments.principal);
  if (arguments.state == "active") request.set_state(pb::API_KEY_STATE_ACTIVE);
  if (arguments.state == "expired") request.set_state(pb::API_KEY_STATE_EXPIRED);
  if (arguments.state == "revoked") request.set_state(pb::API_KEY_STATE_REVOKED);
  pb::AuthListKeysResponse all;
  do {
    const auto left = arguments.limit - static_cast<uint32_t>(all.keys_size());
    request.set_page_size(std::min<uint32_t>(left, 1000));
    request.set_page_token(all.next_page_token());
    pb::AuthListKeysResponse page;
    const ExitCode code = session->Call<pb::Auth>(&Stub::ListKeys, request, &page);
    if (code != kOk) return code;
    all.mutable_keys()->MergeFrom(page.keys());
    all.set_next_page_token(page.next_page_token());
  } while (!all.next_page_token().empty() &&
           static_cast<uint32_t>(all.keys_size()) < arguments.limit);
  if (session->json()) {
    Session::PrintJson(all);
    return kOk;
  }
  Table table = KeyTable();
  for (const pb::ApiKey& key : all.keys()) AddRow(key, &table);
  table.Print(std::cout);
  if (!all.next_page_token().empty()) std::cout << "There are more: --limit\n";
  return kOk;
}

void AddNewKeyOptions(CLI::App* command, const Arguments& arguments) {
  command->add_option("--days", arguments->days, "how long it holds")
      ->check(CLI::Range(1, kMaxDays));
  command->add_option("--out", arguments->out,
                      "write the key into this new file of mode 0600 and show it not at all");
}

void AddCreate(CLI::App* key, Session* session) {
  auto arguments = std::make_shared<KeyArguments>();
  CLI::App* create = AddCommand(key, session, "create", "a new key, shown once",
                                [=] { return Create(session, *arguments); });
  auto* device = create->add_option("--device", arguments->device, "for this device");
  auto* user = create->add_option("--user", arguments->user, "for a person of this name");
  auto* tool = create->add_option("--tool", arguments->tool, "for a program of this name");
  device->excludes(user)->excludes(tool);
  user->excludes(tool);
  AddPrincipalOptions(create, &arguments->principal);
  create->add_option("--note", arguments->note, "for people");
  AddNewKeyOptions(create, arguments);
}

void AddRotate(CLI::App* key, Session* session) {
  auto arguments = std::make_shared<KeyArguments>();
  CLI::App* rotate = AddCommand(key, session, "rotate", "a new key in place of an old one",
                                [=] { return Rotate(session, *arguments); });
  rotate->add_option("id", arguments->key_id, "of the old one")->required();
  rotate
      ->add_option("--overlap", arguments->overlap,
                   "how long the old one holds still, e.g. 30m; 0: not at all")
      ->capture_default_str();
  AddNewKeyOptions(rotate, arguments);
}

}  // namespace

void AddAuthKeyCommands(CLI::App* auth, Session* session) {
  CLI::App* key = auth->add_subcommand("key", "API keys of devices, people and programs");
  key->require_subcommand(1);
  AddCreate(key, session);
  auto list = std::make_shared<ListArguments>();
  CLI::App* command = AddCommand(key, session, "list", "who has which, and when it was last used",
                                 [=] { return List(session, *list); });
  command->add_option("--principal", list->principal, "only of this one");
  command->add_option("--state", list->state, "only these")
      ->check(CLI::IsMember({"active", "expired", "revoked"}));
  command->add_option("--limit", list->limit, "at most so many")
      ->check(CLI::Range(1u, 100'000u))
      ->capture_default_str();
  AddRotate(key, session);
  auto arguments = std::make_shared<KeyArguments>();
  CLI::App* revoke = AddCommand(key, session, "revoke", "a key that holds no more from now on",
                                [=] { return Revoke(session, *arguments); });
  revoke->add_option("id", arguments->key_id)->required();
  revoke->add_flag("--forget", arguments->forget, "take it out of the list, too");
}

}  // namespace viaduct::ctl
