// The pages of the dashboard, and how people sign in to them.
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/lpr/application_impl.h"
#include "core/lpr/byte_range.h"
#include "core/lpr/call_fields.h"
#include "core/lpr/dashboard_files.h"
#include "core/lpr/json_fields.h"
#include "core/lpr/own_page.h"
#include "core/security/user_store.h"

namespace viaduct {
namespace {

constexpr size_t kMaxLoginBytes = 4096;
constexpr std::string_view kCookie = "viaduct_session";
// Scripts, styles and everything else of this node alone, nothing within the page itself, and the
// page within no other. Pictures also as records hold them with images=inline.
constexpr std::string_view kContentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

// Whether a list as that of the fields "accept" and "accept-encoding" has `wanted`, and not with
// the weight 0.
bool Lists(std::string_view header, std::string_view wanted) {
  for (const absl::string_view entry : absl::StrSplit(AbslView(header), ',')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(entry, absl::MaxSplits(';', 1));
    if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts.first), AbslView(wanted))) {
      continue;
    }
    const std::string weight = absl::StrReplaceAll(parts.second, {{" ", ""}});
    return weight.substr(0, 3) != "q=0" || weight.find_first_not_of("0.", 3) != std::string::npos;
  }
  return false;
}

CallReply DashboardReply(const CallRequest& call, const DashboardFile& file) {
  const bool packed = !file.gzip.empty() && Lists(FieldOf(call, "accept-encoding"), "gzip");
  const std::string tag = absl::StrCat(file.tag, packed ? "-gz" : "");
  CallReply reply;
  reply.attributes.emplace_back("etag", absl::StrCat("\"", tag, "\""));
  reply.attributes.emplace_back(
      "cache-control", file.immutable ? "public, max-age=31536000, immutable" : "no-cache");
  reply.attributes.emplace_back("vary", "accept, accept-encoding");
  reply.attributes.emplace_back("content-security-policy", std::string(kContentPolicy));
  reply.attributes.emplace_back("x-content-type-options", "nosniff");
  reply.attributes.emplace_back("x-frame-options", "DENY");
  reply.attributes.emplace_back("referrer-policy", "no-referrer");
  reply.attributes.emplace_back("cross-origin-opener-policy", "same-origin");
  if (NamesTag(FieldOf(call, "if-none-match"), tag)) {
    reply.status = 304;
    return reply;
  }
  reply.attributes.emplace_back("content-type", std::string(file.content_type));
  if (packed) reply.attributes.emplace_back("content-encoding", "gzip");
  reply.body = packed ? file.gzip : file.body;
  return reply;
}

// What the browser itself says of how it has reached us: a proxy in front may end TLS.
bool IsOverTls(const CallRequest& call) {
  return absl::StartsWithIgnoreCase(AbslView(FieldOf(call, "origin")), "https://") ||
         absl::EqualsIgnoreCase(AbslView(FieldOf(call, "x-forwarded-proto")), "https");
}

void SetCookie(const CallRequest& call, std::string_view value, std::string_view more,
               CallReply* reply) {
  reply->attributes.emplace_back(
      "set-cookie",
      absl::StrCat(AbslView(kCookie), "=", AbslView(value), "; Path=/; HttpOnly; SameSite=Strict",
                   AbslView(more), IsOverTls(call) ? "; Secure" : ""));
  reply->attributes.emplace_back("cache-control", "no-store");
}

CallReply Login(const CallRequest& call, const SignedIn& login) {
  const security::Principal& who = *login.principal;
  JsonWriter json;
  json.BeginObject().Field("success", true).Field("name", std::string_view(who.id));
  json.Field("role", security::RoleName(who.role)).Field("expires_at", who.expires).EndObject();
  CallReply reply = JsonReply(200, json.Take());
  SetCookie(call, login.token, "", &reply);
  return reply;
}

}  // namespace

// A client that wants a page gets the dashboard; programs get what they always got.
bool Application::Impl::AnswerFirstPage(const CallRequest& call, ReplyFn* reply) const {
  if (parts_.dashboard == nullptr || !Lists(FieldOf(call, "accept"), "text/html")) return false;
  (*reply)(DashboardReply(call, *parts_.dashboard->Find(DashboardFiles::kFirstPage)));
  return true;
}

void Application::Impl::GetDashboard(RoutedRequest request, ReplyFn reply) {
  const DashboardFile* const file =
      parts_.dashboard == nullptr ? nullptr : parts_.dashboard->Find(request.parameter);
  if (file != nullptr) return reply(DashboardReply(request.call, *file));
  reply(ErrorReply(404, parts_.dashboard == nullptr ? "this node has no dashboard"
                                                    : "no such file of the dashboard"));
}

void Application::Impl::PostLogin(RoutedRequest request, ReplyFn reply) {
  const CallRequest& call = request.call;
  if (OriginOf(call) == PageOrigin::kForeign) {
    return reply(ErrorReply(403, "origin: a page of another site"));
  }
  if (call.body.size() > kMaxLoginBytes) return reply(ErrorReply(413, "body: too large"));
  if (!parts_.signing_in.log_in) return reply(ErrorReply(501, "login: nobody is asked here"));
  std::string name;
  std::string password;
  const auto read = [&]() -> absl::Status {
    VD_ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::Parse(call.body, kMaxLoginBytes));
    VD_ASSIGN_OR_RETURN(auto user, fields.Text({"user"}, security::kMaxPrincipalIdBytes));
    VD_ASSIGN_OR_RETURN(auto said,
                        fields.Text({"password"}, security::UserStore::kMaxPasswordBytes));
    if (!user.has_value()) return absl::InvalidArgumentError("Missing required field: user");
    if (!said.has_value()) return absl::InvalidArgumentError("Missing required field: password");
    name = *std::move(user);
    password = *std::move(said);
    return absl::OkStatus();
  };
  const absl::Status status = read();
  if (!status.ok()) return reply(Failed(status));
  parts_.signing_in.log_in(call.peer, std::move(name), std::move(password),
                           [this, call, reply = std::move(reply)](
                               const absl::StatusOr<SignedIn>& login, absl::Duration retry_after) {
                             if (login.ok()) return reply(Login(call, *login));
                             if (!absl::IsResourceExhausted(login.status()))
                               return reply(Failed(login.status()));
                             CallReply often = ErrorReply(429, StdView(login.status().message()));
                             AddRetryAfter(retry_after, &often);
                             reply(std::move(often));
                           });
}

void Application::Impl::PostLogout(RoutedRequest request, ReplyFn reply) {
  const security::Principal* const who = request.call.principal.get();
  if (who != nullptr && parts_.signing_in.log_out)
    parts_.signing_in.log_out(request.call.peer, *who);
  JsonWriter json;
  json.BeginObject().Field("success", true).EndObject();
  CallReply answer = JsonReply(200, json.Take());
  SetCookie(request.call, "", "; Max-Age=0", &answer);
  reply(std::move(answer));
}

void Application::Impl::GetWhoAmI(RoutedRequest request, ReplyFn reply) {
  const security::Principal* const who = request.call.principal.get();
  JsonWriter json;
  json.BeginObject().Field("success", true);
  json.Field("auth", std::string_view(options_.guarded ? "required" : options_.unguarded));
  json.Key("name");
  who == nullptr ? json.Null() : json.String(who->id);
  json.Key("role");
  who == nullptr ? json.Null() : json.String(security::RoleName(who->role));
  json.Field("node_id", std::string_view(options_.node_id));
  json.Field("version", std::string_view(options_.version));
  json.Field("masked", SeesMasked(request.call)).EndObject();
  CallReply answer = JsonReply(200, json.Take());
  answer.attributes.emplace_back("cache-control", "no-store");
  reply(std::move(answer));
}

}  // namespace viaduct
