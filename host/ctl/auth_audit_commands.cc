#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/security/audit_chain.h"
#include "host/ctl/auth_commands.h"
#include "host/ctl/format.h"
#include "host/rpc/convert.h"
#include "viaduct/control/v1/auth.grpc.pb.h"

namespace viaduct::ctl {
namespace {

namespace pb = control::v1;
using security::AuditHead;
using Stub = pb::Auth::Stub;

struct ListArguments {
  std::string who;
  std::string what;
  std::string subject;
  std::string since;
  uint32_t limit = 100;
};

// A time, or how long ago.
bool ReadSince(const std::string& text, google::protobuf::Timestamp* since) {
  absl::Time time;
  absl::Duration ago;
  if (absl::ParseDuration(text, &ago)) {
    *since = rpc::ToProto(absl::Now() - ago);
    return true;
  }
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) return false;
  *since = rpc::ToProto(time);
  return true;
}

std::string IsSince(const std::string& text) {
  google::protobuf::Timestamp since;
  if (ReadSince(text, &since)) return "";
  return "not a time, \"" + text + "\" (e.g. 2h, 2024-01-15T10:30:00Z)";
}

void Print(const pb::AuthListAuditResponse& all) {
  Table table({"NUMBER", "TIME", "WHO", "WHAT", "SUBJECT", "FROM", "RESULT"});
  for (const pb::AuditEntry& entry : all.entries()) {
    table.Add({absl::StrCat(entry.sequence()), TimeText(entry.time()), Cell(entry.who()),
               Cell(entry.what()), Cell(entry.subject()), Cell(entry.from()),
               Cell(entry.result())});
  }
  table.Print(std::cout);
  if (!all.next_page_token().empty()) std::cout << "There may be more: --limit\n";
  if (all.unreadable() > 0) {
    std::cout << all.unreadable() << " lines are no records: viaductctl auth audit verify\n";
  }
}

// Pages up to the limit, also those with nothing in them.
ExitCode List(Session* session, const ListArguments& arguments) {
  pb::AuthListAuditRequest request;
  request.set_who(arguments.who);
  request.set_what(arguments.what);
  request.set_subject(arguments.subject);
  if (!arguments.since.empty()) ReadSince(arguments.since, request.mutable_since());
  pb::AuthListAuditResponse all;
  do {
    const auto left = arguments.limit - static_cast<uint32_t>(all.entries_size());
    request.set_page_size(std::min<uint32_t>(left, 1000));
    request.set_page_token(all.next_page_token());
    pb::AuthListAuditResponse page;
    const ExitCode code = session->Call<pb::Auth>(&Stub::ListAudit, request, &page);
    if (code != kOk) return code;
    all.mutable_entries()->MergeFrom(page.entries());
    all.set_next_page_token(page.next_page_token());
    all.set_unreadable(all.unreadable() + page.unreadable());
  } while (!all.next_page_token().empty() &&
           static_cast<uint32_t>(all.entries_size()) < arguments.limit);
  if (session->json()) {
    Session::PrintJson(all);
  } else {
    Print(all);
  }
  return kOk;
}

struct VerifyArguments {
  std::string folder;
  std::string head;
};

// "42:9f2c...", as verify prints it.
std::optional<AuditHead> ReadHead(const std::string& text) {
  const size_t colon = text.find(':');
  AuditHead head;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(0, colon), &head.sequence)) {
    return std::nullopt;
  }
  head.hash = text.substr(colon + 1);
  return head;
}

std::string IsHead(const std::string& text) {
  return ReadHead(text).has_value() ? "" : "not a head, \"" + text + "\" (e.g. 42:9f2c...)";
}

void PrintVerified(Session* session, const pb::AuthVerifyAuditResponse& response) {
  if (session->json()) return Session::PrintJson(response);
  Table table({"RECORDS", absl::StrCat(response.records())});
  table.Add({"first", absl::StrCat(response.first())});
  table.Add({"head", absl::StrCat(response.head().sequence(), ":", response.head().hash())});
  if (response.dropped() > 0) table.Add({"not written", absl::StrCat(response.dropped())});
  table.Print(std::cout);
}

// The files themselves, without a node.
ExitCode VerifyFolder(Session* session, const VerifyArguments& arguments) {
  const auto report = security::VerifyAudit(arguments.folder, ReadHead(arguments.head));
  if (!report.ok()) {
    std::cerr << "viaductctl: " << report.status().message() << "\n";
    return kFailed;
  }
  pb::AuthVerifyAuditResponse response;
  response.set_records(report->records);
  response.set_first(report->first);
  response.mutable_head()->set_sequence(report->head.sequence);
  response.mutable_head()->set_hash(report->head.hash);
  PrintVerified(session, response);
  return kOk;
}

ExitCode Verify(Session* session, const VerifyArguments& arguments) {
  if (!arguments.folder.empty()) return VerifyFolder(session, arguments);
  pb::AuthVerifyAuditRequest request;
  const auto head = ReadHead(arguments.head);
  if (head.has_value()) {
    request.mutable_noted()->set_sequence(head->sequence);
    request.mutable_noted()->set_hash(head->hash);
  }
  pb::AuthVerifyAuditResponse response;
  const ExitCode code = session->Call<pb::Auth>(&Stub::VerifyAudit, request, &response);
  if (code == kOk) PrintVerified(session, response);
  return code;
}

}  // namespace

void AddAuthAuditCommands(CLI::App* auth, Session* session) {
  CLI::App* audit = auth->add_subcommand("audit", "who did what from where");
  audit->require_subcommand(1);
  auto list = std::make_shared<ListArguments>();
  CLI::App* command = AddCommand(audit, session, "list", "what was done, the newest first",
                                 [=] { return List(session, *list); });
  command->add_option("--who", list->who, "a part of it");
  command->add_option("--what", list->what, "a part of it, e.g. login, Config/Apply");
  command->add_option("--subject", list->subject, "a part of it");
  command->add_option("--since", list->since, "a time, or how long ago, e.g. 2h")->check(IsSince);
  command->add_option("-n,--limit", list->limit, "at most so many")
      ->check(CLI::Range(1u, 1'000'000u))
      ->capture_default_str();
  auto verify = std::make_shared<VerifyArguments>();
  command = AddCommand(audit, session, "verify", "whether anything was changed or taken out",
                       [=] { return Verify(session, *verify); });
  command->add_option("folder", verify->folder, "files to look at without a node");
  command->add_option("--head", verify->head, "that was noted before and must still be in it")
      ->check(IsHead);
}

}  // namespace viaduct::ctl
