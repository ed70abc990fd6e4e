#include "core/store/libpq.h"

#include <dlfcn.h>
#include <libpq-fe.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"

namespace viaduct {
namespace {

constexpr char kLibrary[] = "libpq.so.5";

// Each function of libpq that the store calls, under its own name.
#define VD_LIBPQ_CALLS(X) \
  X(PQclear)              \
  X(PQcmdTuples)          \
  X(PQconnectdbParams)    \
  X(PQconninfoFree)       \
  X(PQconninfoParse)      \
  X(PQconsumeInput)       \
  X(PQenterPipelineMode)  \
  X(PQerrorMessage)       \
  X(PQexitPipelineMode)   \
  X(PQfinish)             \
  X(PQflush)              \
  X(PQfreemem)            \
  X(PQgetResult)          \
  X(PQgetisnull)          \
  X(PQgetlength)          \
  X(PQgetvalue)           \
  X(PQisBusy)             \
  X(PQnotifies)           \
  X(PQntuples)            \
  X(PQping)               \
  X(PQpipelineSync)       \
  X(PQputCopyData)        \
  X(PQputCopyEnd)         \
  X(PQresultErrorField)   \
  X(PQresultErrorMessage) \
  X(PQresultStatus)       \
  X(PQsendPrepare)        \
  X(PQsendQuery)          \
  X(PQsendQueryPrepared)  \
  X(PQsetNoticeProcessor) \
  X(PQsetnonblocking)     \
  X(PQsocket)             \
  X(PQstatus)             \
  X(PQtransactionStatus)

struct LibpqCalls {
#define VD_MEMBER(name) decltype(&::name) name = nullptr;
  VD_LIBPQ_CALLS(VD_MEMBER)
#undef VD_MEMBER
};

struct Libpq {
  LibpqCalls calls;
  absl::Status loaded;
};

template <typename Function>
void Find(void* library, const char* name, Function* function, absl::Status* status) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  if (*function == nullptr && status->ok()) {
    *status = absl::FailedPreconditionError(
        absl::StrCat("store: ", kLibrary, " is too old, it has no ", name));
  }
}

Libpq Load() {
  Libpq libpq;
  // Never closed: its threads' data and OpenSSL's live as long as the process.
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    libpq.loaded = absl::FailedPreconditionError(absl::StrCat("store: PostgreSQL needs ", kLibrary,
                                                              ", install the package libpq5, ",
                                                              why == nullptr ? "not found" : why));
    return libpq;
  }
#define VD_FIND(name) Find(library, #name, &libpq.calls.name, &libpq.loaded);
  VD_LIBPQ_CALLS(VD_FIND)
#undef VD_FIND
  return libpq;
}

const Libpq& TheLibpq() {
  static const Libpq* const libpq = new Libpq(Load());  // Once in a process, as the library is.
  return *libpq;
}

// Who calls has asked LoadLibpq: a call without the library is a mistake of ours.
const LibpqCalls& Calls() {
  if (!TheLibpq().loaded.ok()) std::abort();
  return TheLibpq().calls;
}

}  // namespace

absl::Status LoadLibpq() { return TheLibpq().loaded; }

}  // namespace viaduct

// What the store calls in the place of the library's own.
extern "C" {
void PQclear(PGresult* res) { return viaduct::Calls().PQclear(res); }
char* PQcmdTuples(PGresult* res) { return viaduct::Calls().PQcmdTuples(res); }
PGconn* PQconnectdbParams(const char* const* keywords, const char* const* values,
                          int expand_dbname) {
  return viaduct::Calls().PQconnectdbParams(keywords, values, expand_dbname);
}
void PQconninfoFree(PQconninfoOption* connOptions) {
  return viaduct::Calls().PQconninfoFree(connOptions);
}
PQconninfoOption* PQconninfoParse(const char* conninfo, char** errmsg) {
  return viaduct::Calls().PQconninfoParse(conninfo, errmsg);
}
int PQconsumeInput(PGconn* conn) { return viaduct::Calls().PQconsumeInput(conn); }
int PQenterPipelineMode(PGconn* conn) { return viaduct::Calls().PQenterPipelineMode(conn); }
char* PQerrorMessage(const PGconn* conn) { return viaduct::Calls().PQerrorMessage(conn); }
int PQexitPipelineMode(PGconn* conn) { return viaduct::Calls().PQexitPipelineMode(conn); }
void PQfinish(PGconn* conn) { return viaduct::Calls().PQfinish(conn); }
int PQflush(PGconn* conn) { return viaduct::Calls().PQflush(conn); }
void PQfreemem(void* ptr) { return viaduct::Calls().PQfreemem(ptr); }
PGresult* PQgetResult(PGconn* conn) { return viaduct::Calls().PQgetResult(conn); }
int PQgetisnull(const PGresult* res, int tup_num, int field_num) {
  return viaduct::Calls().PQgetisnull(res, tup_num, field_num);
}
int PQgetlength(const PGresult* res, int tup_num, int field_num) {
  return viaduct::Calls().PQgetlength(res, tup_num, field_num);
}
char* PQgetvalue(const PGresult* res, int tup_num, int field_num) {
  return viaduct::Calls().PQgetvalue(res, tup_num, field_num);
}
int PQisBusy(PGconn* conn) { return viaduct::Calls().PQisBusy(conn); }
PGnotify* PQnotifies(PGconn* conn) { return viaduct::Calls().PQnotifies(conn); }
int PQntuples(const PGresult* res) { return viaduct::Calls().PQntuples(res); }
PGPing PQping(const char* conninfo) { return viaduct::Calls().PQping(conninfo); }
int PQpipelineSync(PGconn* conn) { return viaduct::Calls().PQpipelineSync(conn); }
int PQputCopyData(PGconn* conn, const char* buffer, int nbytes) {
  return viaduct::Calls().PQputCopyData(conn, buffer, nbytes);
}
int PQputCopyEnd(PGconn* conn, const char* errormsg) {
  return viaduct::Calls().PQputCopyEnd(conn, errormsg);
}
char* PQresultErrorField(const PGresult* res, int fieldcode) {
  return viaduct::Calls().PQresultErrorField(res, fieldcode);
}
char* PQresultErrorMessage(const PGresult* res) {
  return viaduct::Calls().PQresultErrorMessage(res);
}
ExecStatusType PQresultStatus(const PGresult* res) { return viaduct::Calls().PQresultStatus(res); }
int PQsendPrepare(PGconn* conn, const char* stmtName, const char* query, int nParams,
                  const Oid* paramTypes) {
  return viaduct::Calls().PQsendPrepare(conn, stmtName, query, nParams, paramTypes);
}
int PQsendQuery(PGconn* conn, const char* query) {
  return viaduct::Calls().PQsendQuery(conn, query);
}
int PQsendQueryPrepared(PGconn* conn, const char* stmtName, int nParams,
                        const char* const* paramValues, const int* paramLengths,
                        const int* paramFormats, int resultFormat) {
  return viaduct::Calls().PQsendQueryPrepared(conn, stmtName, nParams, paramValues, paramLengths,
                                              paramFormats, resultFormat);
}
PQnoticeProcessor PQsetNoticeProcessor(PGconn* conn, PQnoticeProcessor proc, void* arg) {
  return viaduct::Calls().PQsetNoticeProcessor(conn, proc, arg);
}
int PQsetnonblocking(PGconn* conn, int arg) { return viaduct::Calls().PQsetnonblocking(conn, arg); }
int PQsocket(const PGconn* conn) { return viaduct::Calls().PQsocket(conn); }
ConnStatusType PQstatus(const PGconn* conn) { return viaduct::Calls().PQstatus(conn); }
PGTransactionStatusType PQtransactionStatus(const PGconn* conn) {
  return viaduct::Calls().PQtransactionStatus(conn);
}
}
