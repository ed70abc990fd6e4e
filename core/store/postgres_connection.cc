#include "core/store/postgres_connection.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/store/libpq.h"

namespace viaduct {
namespace {

constexpr int kBinary = 1;
constexpr size_t kMaxPrepared = 256;
constexpr absl::Duration kStopSlice = absl::Milliseconds(200);  // A stop is noticed within it.
constexpr size_t kMaxMessageBytes = 512;
constexpr int64_t kMinConnectSeconds = 2;  // libpq makes 1 to 2, and 0 to no end at all.

// Of the machine itself: a test's clock stands still while a socket does not.
int64_t NowNanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t DeadlineIn(absl::Duration patience) {
  return NowNanos() + absl::ToInt64Nanoseconds(patience);
}

int PollMillis(int64_t deadline_ns) {
  const int64_t left = (deadline_ns - NowNanos()) / 1'000'000 + 1;
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
}

// libpq's messages have several lines and end with one.
std::string OneLine(const char* message) {
  std::string line(absl::StripAsciiWhitespace(message == nullptr ? "" : message));
  absl::StrReplaceAll({{"\n\t", "; "}, {"\n", "; "}, {"\t", " "}}, &line);
  if (line.size() > kMaxMessageBytes) line.resize(kMaxMessageBytes);
  return line;
}

// Whole seconds as libpq counts them.
int64_t ConnectSeconds(absl::Duration timeout) {
  return std::max(kMinConnectSeconds, absl::ToInt64Seconds(absl::Ceil(timeout, absl::Seconds(1))));
}

// Keywords and values for PQconnectdbParams.
class Keywords {
 public:
  explicit Keywords(const PgConnection::Options& options) {
    const PostgresAddress& a = options.address;
    Add("dbname", a.url);
    Add("host", a.host);
    Add("port", a.port > 0 ? absl::StrCat(a.port) : "");
    Add("dbname", a.database);
    Add("user", a.user);
    Add("password", a.password);
    Add("sslmode", a.ssl_mode);
    Add("sslrootcert", a.ssl_ca);
    Add("sslcert", a.ssl_certificate);
    Add("sslkey", a.ssl_key);
    Add("application_name", options.application_name);
    Add("connect_timeout", absl::StrCat(ConnectSeconds(options.connect_timeout)));
    Add("client_encoding", "UTF8");
    // A server that vanished without a word is noticed.
    Add("keepalives_idle", "15");
    Add("keepalives_interval", "5");
    Add("keepalives_count", "3");
    Add("tcp_user_timeout", "30000");
    keys_.push_back(nullptr);
    pointers_.reserve(values_.size() + 1);
    for (const std::string& value : values_) pointers_.push_back(value.c_str());
    pointers_.push_back(nullptr);
  }
  const char* const* keys() const { return keys_.data(); }
  const char* const* values() const { return pointers_.data(); }

 private:
  void Add(const char* key, std::string value) {
    if (value.empty()) return;
    keys_.push_back(key);
    values_.push_back(std::move(value));
  }
  std::vector<const char*> keys_;
  std::vector<std::string> values_;
  std::vector<const char*> pointers_;
};

bool IsAny(std::string_view state, std::initializer_list<std::string_view> classes) {
  return std::any_of(classes.begin(), classes.end(),
                     [state](std::string_view c) { return state.substr(0, c.size()) == c; });
}

}  // namespace

absl::Status CheckPostgresAddress(const PostgresAddress& address) {
  VD_RETURN_IF_ERROR(LoadLibpq());
  if (address.url.empty()) return absl::OkStatus();
  char* error = nullptr;
  PQconninfoOption* options = PQconninfoParse(address.url.c_str(), &error);
  const bool good = options != nullptr;
  bool open_password = false;
  for (const PQconninfoOption* o = options; good && o->keyword != nullptr; ++o) {
    open_password =
        open_password || (o->val != nullptr && std::strcmp(o->keyword, "password") == 0);
  }
  PQconninfoFree(options);
  PQfreemem(error);  // It may quote the password.
  if (open_password) {
    return absl::InvalidArgumentError(
        "store.postgresql.url: has a password in it, give it as store.postgresql.password");
  }
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "store.postgresql.url: not a connection URL or string as libpq reads them");
}

absl::Status PostgresStatus(std::string_view sqlstate, std::string_view what,
                            std::string_view message) {
  const std::string text =
      absl::StrCat("store: ", AbslView(what), ", ", AbslView(message),
                   sqlstate.empty() ? "" : absl::StrCat(" (", AbslView(sqlstate), ")"));
  if (sqlstate.empty()) return absl::UnavailableError(text);
  if (IsAny(sqlstate, {"53100"})) return absl::ResourceExhaustedError(text);
  if (IsAny(sqlstate, {"40"})) return absl::AbortedError(text);
  if (IsAny(sqlstate, {"57014"})) return absl::DeadlineExceededError(text);
  // Also a standby (25006), a lock that was not given in time (55P03), and what an administrator
  // or a damaged disk did (57P, 58, XX001, XX002).
  if (IsAny(sqlstate, {"08", "25006", "53", "55P03", "57", "58", "XX001", "XX002"})) {
    return absl::UnavailableError(text);
  }
  if (IsAny(sqlstate, {"22", "23", "54"})) return absl::InvalidArgumentError(text);
  if (IsAny(sqlstate, {"28", "3D", "3F", "42"})) return absl::FailedPreconditionError(text);
  return absl::InternalError(text);
}

absl::StatusOr<std::unique_ptr<PgConnection>> PgConnection::Open(const Options& options) {
  auto connection = absl::WrapUnique(new PgConnection(options));
  VD_RETURN_IF_ERROR(connection->Connect());
  VD_RETURN_IF_ERROR(connection->Configure());
  return connection;
}

// libpq waits, as only then a host that says nothing costs its share of time and the next is tried:
// PQconnectPoll ignores connect_timeout. The calling thread is held for that time per host.
absl::Status PgConnection::Connect() {
  VD_RETURN_IF_ERROR(LoadLibpq());
  const Keywords words(options_);
  conn_.reset(PQconnectdbParams(words.keys(), words.values(), /*expand_dbname=*/1));
  if (conn_ == nullptr) return absl::UnavailableError("store: cannot connect, no memory");
  PQsetNoticeProcessor(
      conn_.get(), [](void*, const char*) {}, nullptr);
  if (PQstatus(conn_.get()) != CONNECTION_OK) {
    return absl::UnavailableError(
        absl::StrCat("store: cannot connect, ", OneLine(PQerrorMessage(conn_.get()))));
  }
  return PQsetnonblocking(conn_.get(), 1) == 0
             ? absl::OkStatus()
             : absl::UnavailableError("store: cannot connect, no non-blocking mode");
}

// A server or role with synchronous_commit off would have us acknowledge what is not durable. To
// compile a statement takes longer than any of ours should run.
absl::Status PgConnection::Configure() {
  return Exec(absl::StrCat(
      "SET statement_timeout = ", absl::ToInt64Milliseconds(options_.statement_timeout),
      "; SET idle_in_transaction_session_timeout = 60000; SET TimeZone = 'UTC'",
      "; SET client_min_messages = warning; SET jit = off",
      options_.read_only ? "; SET default_transaction_read_only = on" : "",
      "; SELECT set_config('synchronous_commit', 'on', false) WHERE "
      "current_setting('synchronous_commit') = 'off'"));
}

absl::Status PgConnection::Lost(std::string_view what) {
  broken_ = true;
  return PostgresStatus("", what, OneLine(PQerrorMessage(conn_.get())));
}

absl::Status PgConnection::Wait(bool write, int64_t deadline_ns) {
  struct pollfd fd {};
  fd.fd = PQsocket(conn_.get());
  fd.events = static_cast<short>(POLLIN | (write ? POLLOUT : 0));
  while (fd.fd >= 0) {
    const int ready = poll(&fd, 1, PollMillis(deadline_ns));
    if (ready > 0) return absl::OkStatus();
    if (ready == 0) return absl::DeadlineExceededError("no answer in time");
    if (errno != EINTR) break;
  }
  return absl::UnavailableError("no socket");
}

absl::StatusOr<PGresult*> PgConnection::NextResult(int64_t deadline_ns) {
  int unsent = PQflush(conn_.get());
  while (unsent > 0 || PQisBusy(conn_.get()) != 0) {
    const absl::Status ready =
        unsent < 0 ? absl::UnavailableError("") : Wait(unsent > 0, deadline_ns);
    if (!ready.ok() || PQconsumeInput(conn_.get()) == 0) {
      broken_ = true;
      const std::string message = OneLine(PQerrorMessage(conn_.get()));
      return PostgresStatus("", "the connection is lost",
                            message.empty() ? StdView(ready.message()) : message);
    }
    unsent = PQflush(conn_.get());
  }
  return PQgetResult(conn_.get());
}

absl::Status PgConnection::CheckResult(const PGresult* result, std::string_view what) {
  const ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return absl::OkStatus();
  if (PQstatus(conn_.get()) == CONNECTION_BAD) broken_ = true;
  if (status == PGRES_PIPELINE_ABORTED) {
    return absl::InternalError(absl::StrCat("store: ", AbslView(what), ", not run"));
  }
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  return PostgresStatus(state == nullptr ? "" : state, what,
                        OneLine(message == nullptr ? PQresultErrorMessage(result) : message));
}

// The last result of the statement that was sent; the connection is idle afterwards.
absl::StatusOr<PgResult> PgConnection::AwaitOne(std::string_view what, absl::Duration patience) {
  const int64_t deadline = DeadlineIn(patience);
  PgResult last(nullptr);
  absl::Status status;
  while (true) {
    VD_ASSIGN_OR_RETURN(PGresult* const next, NextResult(deadline));
    if (next == nullptr) break;
    last = PgResult(next);
    if (status.ok()) status = CheckResult(next, what);
  }
  if (!status.ok()) return status;
  if (last.get() == nullptr) return Lost(what);
  return last;
}

absl::Status PgConnection::Exec(const std::string& sql, absl::Duration patience) {
  if (PQsendQuery(conn_.get(), sql.c_str()) == 0) return Lost("cannot send");
  return AwaitOne("cannot run a statement", patience).status();
}

absl::Status PgConnection::ExecLong(const std::string& sql, absl::Duration limit,
                                    const absl::Notification& stopping) {
  const int64_t deadline = DeadlineIn(limit);
  if (PQsendQuery(conn_.get(), sql.c_str()) == 0) return Lost("cannot send");
  int unsent = PQflush(conn_.get());
  while (unsent > 0 || PQisBusy(conn_.get()) != 0) {
    if (stopping.HasBeenNotified() || NowNanos() > deadline) {
      broken_ = true;
      return absl::CancelledError("store: not waited for any longer");
    }
    const absl::Status ready = Wait(unsent > 0, DeadlineIn(kStopSlice));
    if (ready.code() == absl::StatusCode::kDeadlineExceeded) continue;
    if (!ready.ok() || PQconsumeInput(conn_.get()) == 0) return Lost("the connection is lost");
    unsent = PQflush(conn_.get());
  }
  return AwaitOne("cannot run a statement", options_.reply_timeout).status();
}

absl::StatusOr<std::string> PgConnection::PreparedName(std::string_view sql,
                                                       const PgParams& params) {
  const auto known = prepared_.find(AbslView(sql));
  if (known != prepared_.end()) return known->second;
  if (prepared_.size() >= kMaxPrepared) {
    VD_RETURN_IF_ERROR(Exec("DEALLOCATE ALL"));
    prepared_.clear();
  }
  const std::string name = absl::StrCat("s", prepared_.size());
  if (PQsendPrepare(conn_.get(), name.c_str(), std::string(sql).c_str(), params.size(),
                    params.types().data()) == 0) {
    return Lost("cannot prepare");
  }
  VD_RETURN_IF_ERROR(AwaitOne("cannot prepare", options_.reply_timeout).status());
  prepared_.emplace(sql, name);
  return name;
}

absl::StatusOr<PgResult> PgConnection::Run(std::string_view sql, const PgParams& params,
                                           std::string_view what) {
  VD_ASSIGN_OR_RETURN(const std::string name, PreparedName(sql, params));
  VD_RETURN_IF_ERROR(SendQueued(Queued{sql, params, what}, name));
  return AwaitOne(what, options_.reply_timeout);
}

absl::Status PgConnection::BeginCopy(const std::string& sql, const std::string& rows,
                                     std::string_view what) {
  if (PQsendQuery(conn_.get(), sql.c_str()) == 0) return Lost(what);
  VD_ASSIGN_OR_RETURN(PGresult* const begun, NextResult(DeadlineIn(options_.reply_timeout)));
  const PgResult owned(begun);
  if (begun == nullptr) return Lost(what);
  if (PQresultStatus(begun) != PGRES_COPY_IN) {
    const absl::Status refused = CheckResult(begun, what);
    if (!broken_) AwaitOne(what, options_.reply_timeout).status().IgnoreError();
    return refused.ok() ? absl::InternalError(absl::StrCat("store: ", AbslView(what))) : refused;
  }
  // What the socket does not take yet goes out while the answer is awaited.
  if (PQputCopyData(conn_.get(), rows.data(), static_cast<int>(rows.size())) != 1 ||
      PQputCopyEnd(conn_.get(), nullptr) != 1 || PQflush(conn_.get()) < 0) {
    return Lost(what);
  }
  return absl::OkStatus();
}

absl::Status PgConnection::EndCopy(std::string_view what) {
  return AwaitOne(what, options_.reply_timeout).status();
}

absl::Status PgConnection::Copy(const std::string& sql, const std::string& rows,
                                std::string_view what) {
  VD_RETURN_IF_ERROR(BeginCopy(sql, rows, what));
  return EndCopy(what);
}

absl::StatusOr<int64_t> PgConnection::QueryInt(std::string_view sql) {
  VD_ASSIGN_OR_RETURN(const PgResult result, Run(sql, PgParams(), "cannot query"));
  if (result.rows() == 0) return absl::NotFoundError("store: no row");
  return result.Int(0, 0);
}

absl::Status PgConnection::SendQueued(const Queued& statement, const std::string& name) {
  const std::vector<int> formats(static_cast<size_t>(statement.params.size()), kBinary);
  if (PQsendQueryPrepared(conn_.get(), name.c_str(), statement.params.size(),
                          statement.params.Pointers().data(), statement.params.Lengths().data(),
                          formats.data(), kBinary) == 0) {
    return Lost(statement.what);
  }
  return absl::OkStatus();
}

absl::Status PgConnection::RunAll(const std::vector<Queued>& statements) {
  std::vector<std::string> names;
  for (const Queued& statement : statements) {
    VD_ASSIGN_OR_RETURN(std::string name, PreparedName(statement.sql, statement.params));
    names.push_back(std::move(name));
  }
  if (PQenterPipelineMode(conn_.get()) == 0) return Lost("cannot begin a pipeline");
  for (size_t i = 0; i < statements.size(); ++i) {
    VD_RETURN_IF_ERROR(SendQueued(statements[i], names[i]));
  }
  if (PQpipelineSync(conn_.get()) == 0) return Lost("cannot end a pipeline");
  return CollectAll(statements);
}

absl::Status PgConnection::CollectAll(const std::vector<Queued>& statements) {
  const int64_t deadline = DeadlineIn(options_.reply_timeout);
  absl::Status status;
  for (const Queued& statement : statements) {
    while (true) {
      VD_ASSIGN_OR_RETURN(PGresult* const next, NextResult(deadline));
      if (next == nullptr) break;
      const PgResult owned(next);
      if (status.ok()) status = CheckResult(next, statement.what);
      if (broken_) return status;
    }
  }
  VD_ASSIGN_OR_RETURN(PGresult* const sync, NextResult(deadline));
  const PgResult owned(sync);
  if (PQresultStatus(sync) != PGRES_PIPELINE_SYNC || PQexitPipelineMode(conn_.get()) == 0) {
    return status.ok() ? Lost("cannot leave a pipeline") : (broken_ = true, status);
  }
  return status;
}

absl::StatusOr<bool> PgConnection::AwaitNotification(absl::Duration patience,
                                                     std::string* payload) {
  const int64_t deadline = DeadlineIn(patience);
  while (true) {
    if (PGnotify* const note = PQnotifies(conn_.get())) {
      payload->assign(note->extra);
      PQfreemem(note);
      return true;
    }
    const absl::Status ready = Wait(/*write=*/false, deadline);
    if (ready.code() == absl::StatusCode::kDeadlineExceeded) return false;
    if (!ready.ok() || PQconsumeInput(conn_.get()) == 0) return Lost("the connection is lost");
  }
}

}  // namespace viaduct
