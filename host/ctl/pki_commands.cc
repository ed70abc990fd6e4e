#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/security/pki.h"
#include "host/ctl/format.h"
#include "host/ctl/local_commands.h"

namespace viaduct::ctl {
namespace {

using security::CertificateFacts;
using security::CertificateOptions;
using security::PkiFiles;
using security::PkiKeyType;

struct PkiArguments {
  std::string folder = "pki";
  std::string out;
  std::string name = security::AuthorityOptions().name;
  std::string device_id;
  std::string file;
  std::vector<std::string> domains;
  std::vector<std::string> names;
  int days = 397;
  int authority_days = 3650;
  bool ed25519 = false;
  bool force = false;
};
using Arguments = std::shared_ptr<PkiArguments>;

absl::Duration Days(int days) { return absl::Hours(24) * days; }

ExitCode Fail(const absl::Status& status) {
  std::cerr << "viaductctl: " << status.message() << "\n";
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return kInvalid;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      return kConflict;
    default:
      return kFailed;
  }
}

nlohmann::json JsonOf(const CertificateFacts& facts) {
  return {{"subject", facts.subject},
          {"issuer", facts.issuer},
          {"names", facts.names},
          {"serial", facts.serial},
          {"sha256", facts.sha256},
          {"key", facts.key},
          {"not_before", absl::FormatTime(facts.not_before, absl::UTCTimeZone())},
          {"not_after", absl::FormatTime(facts.not_after, absl::UTCTimeZone())},
          {"authority", facts.is_authority}};
}

std::string DateText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

void PrintFacts(const CertificateFacts& facts) {
  const auto line = [](const char* label, const std::string& text) {
    std::cout << label << Cell(text) << "\n";
  };
  line("subject:   ", facts.subject);
  line("issuer:    ", facts.issuer);
  for (const std::string& name : facts.names) line("name:      ", name);
  line("serial:    ", facts.serial);
  line("sha256:    ", facts.sha256);
  line("key:       ", facts.key);
  line("from:      ", DateText(facts.not_before));
  const bool over = facts.not_after <= absl::Now();
  const int64_t days = (facts.not_after - absl::Now()) / absl::Hours(24);
  line("until:     ", absl::StrCat(DateText(facts.not_after),
                                   over ? " (expired)" : absl::StrCat(" (", days, " days)")));
  if (facts.is_authority) line("authority: ", "yes");
}

ExitCode Show(Session* session, const std::string& file) {
  const auto facts = security::ReadCertificate(file);
  if (!facts.ok()) return Fail(facts.status());
  if (session->json()) {
    std::cout << JsonOf(*facts).dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
              << "\n";
  } else {
    PrintFacts(*facts);
  }
  return kOk;
}

ExitCode Made(Session* session, const absl::StatusOr<PkiFiles>& files) {
  if (!files.ok()) {
    if (absl::IsAlreadyExists(files.status())) std::cerr << "viaductctl: --force overwrites\n";
    return Fail(files.status());
  }
  if (session->json()) {
    std::cout << nlohmann::json{{"certificate", files->certificate}, {"key", files->key}}.dump()
              << "\n";
  } else {
    std::cout << "certificate: " << files->certificate << "\nkey:         " << files->key << "\n";
  }
  return kOk;
}

CertificateOptions OptionsOf(const PkiArguments& arguments) {
  CertificateOptions options;
  options.key_type = arguments.ed25519 ? PkiKeyType::kEd25519 : PkiKeyType::kP256;
  options.lifetime = Days(arguments.days);
  options.overwrite = arguments.force;
  options.out_folder = arguments.out;
  return options;
}

void AddKeyOptions(CLI::App* command, const Arguments& arguments) {
  command->add_flag("--ed25519", arguments->ed25519, "a key of Ed25519 instead of P-256");
  command->add_flag("--force", arguments->force, "overwrite what is there");
}

void AddIssueOptions(CLI::App* command, const Arguments& arguments) {
  command->add_option("--days", arguments->days, "how long it holds")->capture_default_str();
  command->add_option("--out", arguments->out, "folder for the files (default: the authority's)");
  AddKeyOptions(command, arguments);
}

void AddInit(CLI::App* pki, Session* session, const Arguments& arguments) {
  CLI::App* init = AddCommand(pki, session, "init", "make the authority of a site", [=] {
    security::AuthorityOptions options;
    options.name = arguments->name;
    options.domains = arguments->domains;
    options.lifetime = Days(arguments->authority_days);
    options.key_type = arguments->ed25519 ? PkiKeyType::kEd25519 : PkiKeyType::kP256;
    return Made(session,
                security::InitAuthority(arguments->folder, options, arguments->force, absl::Now()));
  });
  init->add_option("--name", arguments->name, "what it is called")->capture_default_str();
  init->add_option("--domain", arguments->domains,
                   "a domain that it may sign for, beside localhost, local, lan, internal, "
                   "home.arpa and private addresses; may be repeated");
  init->add_option("--days", arguments->authority_days, "how long it holds")->capture_default_str();
  AddKeyOptions(init, arguments);
}

void AddIssue(CLI::App* pki, Session* session, const Arguments& arguments) {
  CLI::App* device = AddCommand(pki, session, "device", "certificate of a device", [=] {
    return Made(session, security::IssueDevice(arguments->folder, arguments->device_id,
                                               OptionsOf(*arguments), absl::Now()));
  });
  device->add_option("id", arguments->device_id, "device id")->required();
  AddIssueOptions(device, arguments);
  CLI::App* server = AddCommand(pki, session, "server", "certificate of a server", [=] {
    return Made(session, security::IssueServer(arguments->folder, arguments->names,
                                               OptionsOf(*arguments), absl::Now()));
  });
  server->add_option("name", arguments->names, "host names and addresses")->required();
  AddIssueOptions(server, arguments);
}

}  // namespace

void AddPkiCommands(CLI::App* app, Session* session) {
  auto arguments = std::make_shared<PkiArguments>();
  CLI::App* pki = app->add_subcommand("pki", "a small certificate authority of a site's own");
  pki->require_subcommand(1);
  pki->add_option("--folder", arguments->folder, "where the authority is")->capture_default_str();
  AddInit(pki, session, arguments);
  AddIssue(pki, session, arguments);
  CLI::App* renew = AddCommand(pki, session, "renew", "the same certificate, valid anew", [=] {
    const auto facts = security::RenewCertificate(arguments->folder, arguments->file,
                                                  Days(arguments->days), absl::Now());
    return facts.ok() ? Show(session, arguments->file) : Fail(facts.status());
  });
  renew->add_option("file", arguments->file, "the certificate; its key is kept")->required();
  renew->add_option("--days", arguments->days, "how long it holds")->capture_default_str();
  AddCommand(pki, session, "show", "what a certificate says",
             [=] { return Show(session, arguments->file); })
      ->add_option("file", arguments->file, "a file in PEM")
      ->required();
}

}  // namespace viaduct::ctl
