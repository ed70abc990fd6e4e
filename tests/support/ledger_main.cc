// ledger: the judge.
//   ledger read --db store.db --images images --out stored.log     rows of a stopped server's store
//   ledger judge run1.log run2.log stored.log [--max-lost N] [--fresh-mark faults-over]
// judge exits 0 when every obligation is stored exactly once and unchanged, 1 when not.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/ledger.h"
#include "tests/support/stored_rows.h"

namespace viaduct::support {
namespace {

constexpr int kGuilty = 1, kCannotJudge = 2;

int Complain(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return kCannotJudge;
}

int Judge(const std::vector<std::string>& logs, const LedgerRules& rules, bool json) {
  Ledger ledger;
  for (const std::string& log : logs) {
    const absl::Status status = ledger.ReadFile(log);
    if (!status.ok()) return Complain(status);
  }
  const Verdict verdict = ledger.Judge(rules);
  std::printf("%s%s", (json ? verdict.ToJson() : verdict.ToText()).c_str(), json ? "\n" : "");
  return verdict.ok() ? 0 : kGuilty;
}

int Read(const StoreFiles& files, const std::string& out) {
  const absl::Status status = WriteStoredRows(files, out);
  return status.ok() ? 0 : Complain(status);
}

}  // namespace

int Main(int argc, char** argv) {
  CLI::App app("ledger: says whether every accepted message is stored exactly once and unchanged");
  app.require_subcommand(1);

  LedgerRules rules;
  std::vector<std::string> logs;
  bool json = false;
  CLI::App* judge = app.add_subcommand("judge", "Hold what is stored against what was accepted");
  judge->add_option("logs", logs, "Logs of generators and of `read`, in the order of time")
      ->required();
  judge->add_option("--max-lost", rules.max_lost, "Losses that the node itself has counted");
  judge->add_option("--max-altered", rules.max_altered, "Rows that damage may have changed");
  judge->add_option("--min-stored", rules.min_stored);
  judge->add_option("--fresh-mark", rules.fresh_mark, "Messages must have flowed after this mark");
  judge->add_option("--min-fresh", rules.min_fresh);
  judge->add_flag("--json", json);

  StoreFiles files;
  std::string out;
  CLI::App* read = app.add_subcommand("read", "List the rows of a stopped server's store");
  read->add_option("--db", files.database, "Its SQLite file")->required();
  read->add_option("--images", files.images, "Its image folder");
  read->add_option("--source", files.source, "Name in the log");
  read->add_option("--out", out, "Log to write")->required();
  CLI11_PARSE(app, argc, argv);

  return *judge ? Judge(logs, rules, json) : Read(files, out);
}

}  // namespace viaduct::support

int main(int argc, char** argv) { return viaduct::support::Main(argc, argv); }
