#include "host/node/access.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/durable_file.h"
#include "core/base/status_macros.h"
#include "core/base/string_view.h"
#include "core/config/members.h"
#include "core/config/open_listeners.h"
#include "core/security/secret_octets.h"

namespace viaduct {
namespace {

using nlohmann::json;
namespace sec = security;

constexpr char kComponent[] = "auth";
constexpr size_t kMaxKeyFileBytes = 65'536;
constexpr absl::Duration kFlushInterval = absl::Minutes(1);

absl::Status Named(std::string_view section, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(AbslView(section), ": ", status.message()));
}

// Of mode 0700.
absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (mkdir(path.c_str(), S_IRWXU) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, path);
}

std::vector<std::string> Texts(const json& list) {
  std::vector<std::string> texts;
  for (const json& one : list) texts.push_back(one.get<std::string>());
  return texts;
}

sec::BucketRate RateOf(const json& limits, std::string_view key) {
  const json& rate = members::At(limits, key);
  return {members::Real(rate, "per_second"), members::Real(rate, "burst")};
}

absl::StatusOr<sec::JwtKey> ReadKey(const json& entry, const std::string& data_dir) {
  sec::JwtKey key;
  key.kid = members::Text(entry, "kid");
  const std::string algorithm = members::Text(entry, "algorithm");
  const std::string path = members::Below(data_dir, members::Text(entry, "file"));
  if (algorithm == "HS256") {
    key.algorithm = sec::JwtAlgorithm::kHs256;
    VD_ASSIGN_OR_RETURN(key.key, sec::ReadProtected(path, kMaxKeyFileBytes));
    while (!key.key.empty() && (key.key.back() == '\n' || key.key.back() == '\r')) {
      key.key.pop_back();
    }
    return key;
  }
  key.algorithm = algorithm == "RS256" ? sec::JwtAlgorithm::kRs256 : sec::JwtAlgorithm::kEs256;
  VD_ASSIGN_OR_RETURN(key.key, ReadWholeFile(path, kMaxKeyFileBytes));
  return key;
}

absl::StatusOr<std::unique_ptr<sec::JwtVerifier>> ReadTokens(const json& section,
                                                             const std::string& data_dir,
                                                             const Clock* clock) {
  if (!section.is_object()) return nullptr;
  sec::JwtOptions options;
  options.issuer = members::Text(section, "issuer");
  options.audience = members::Text(section, "audience");
  options.leeway = members::Time(section, "leeway");
  options.max_lifetime = members::Time(section, "max_lifetime");
  for (const json& entry : members::At(section, "keys")) {
    VD_ASSIGN_OR_RETURN(sec::JwtKey key, ReadKey(entry, data_dir));
    options.keys.push_back(std::move(key));
  }
  return sec::JwtVerifier::Create(std::move(options), clock);
}

sec::CertificateRule ReadRule(const json& entry) {
  using Match = sec::CertificateRule::Match;
  sec::CertificateRule rule;
  for (const auto& [match, key] :
       {std::pair(Match::kSha256, "sha256"), {Match::kSan, "san"}, {Match::kSubject, "subject"}}) {
    const std::string value = members::Text(entry, key);
    if (value.empty()) continue;
    rule.match = match;
    rule.value = value;
  }
  rule.id = members::Text(entry, "device");
  rule.devices = Texts(members::At(entry, "devices"));
  if (!rule.id.empty()) return rule;
  rule.kind = sec::PrincipalKind::kUser;
  rule.id = members::Text(entry, "user");
  rule.role = sec::ParseRole(members::Text(entry, "role")).value_or(sec::Role::kViewer);
  return rule;
}

// The control socket's file lets in these two and nobody else.
std::vector<sec::UnixPeerRule> UnixPeers() {
  std::vector<sec::UnixPeerRule> rules = {{0, sec::Role::kAdmin}};
  if (getuid() != 0) rules.push_back({getuid(), sec::Role::kAdmin});
  return rules;
}

std::vector<BrokerRule> ReadBrokers(const json& list) {
  std::vector<BrokerRule> rules;
  for (const json& entry : list) {
    BrokerRule rule;
    rule.instance = members::Text(entry, "instance");
    rule.role = sec::ParseRole(members::Text(entry, "role")).value_or(sec::Role::kDevice);
    rule.devices = Texts(members::At(entry, "devices"));
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Access>> Access::Open(const NodeConfig& config, const Deps& deps) {
  std::unique_ptr<Access> access(new Access(deps));
  const absl::Status audit = access->OpenAudit(config);
  if (!audit.ok()) return Named("audit", audit);
  const absl::Status auth = access->OpenAuth(config);
  if (!auth.ok()) return Named("auth", auth);
  Gatekeeper::AddMetrics(deps.metrics);
  access->TellHealth(config);
  if (access->guarded()) access->KeepLastUse();
  return access;
}

absl::Status Access::OpenAudit(const NodeConfig& config) {
  const json section = members::SectionOf(config, "audit");
  const std::string folder = members::FileBelow(config.node.data_dir, section, "folder");
  VD_RETURN_IF_ERROR(MakeFolder(folder));
  sec::AuditFileOptions options;
  options.max_file_bytes = members::Bytes(section, "max_file_bytes");
  options.max_files = members::Number(section, "max_files");
  VD_ASSIGN_OR_RETURN(audit_, sec::AuditLog::Open(folder, options, deps_.clock));
  return absl::OkStatus();
}

absl::Status Access::OpenAuth(const NodeConfig& config) {
  const json section = members::SectionOf(config, "auth");
  if (members::Text(section, "mode") != "required") return absl::OkStatus();
  const std::string& data_dir = config.node.data_dir;
  const std::string folder = members::FileBelow(data_dir, section, "folder");
  VD_RETURN_IF_ERROR(MakeFolder(folder));
  VD_ASSIGN_OR_RETURN(keys_, sec::ApiKeyStore::Open(folder, deps_.clock));
  VD_ASSIGN_OR_RETURN(users_, sec::UserStore::Open(folder, deps_.clock));
  logins_ = std::make_unique<sec::Logins>(users_.get(), deps_.clock);
  VD_ASSIGN_OR_RETURN(tokens_, ReadTokens(members::At(section, "tokens"), data_dir, deps_.clock));
  sec::AuthenticatorParts parts;
  parts.api_keys = keys_.get();
  parts.users = users_.get();
  parts.tokens = tokens_.get();
  parts.logins = logins_.get();
  const json& certificates = members::At(section, "certificates");
  parts.device_certificates = members::Flag(certificates, "devices");
  for (const json& rule : members::At(certificates, "rules")) {
    parts.certificates.push_back(ReadRule(rule));
  }
  parts.unix_peers = UnixPeers();
  VD_ASSIGN_OR_RETURN(sec::Authenticator made, sec::Authenticator::Create(std::move(parts)));
  const json& limits = members::At(section, "limits");
  sec::RateLimits rates;
  rates.device = RateOf(limits, "device");
  rates.credential = RateOf(limits, "identity");
  rates.address = RateOf(limits, "address");
  rates.failure = RateOf(limits, "failures");
  limiter_ = std::make_unique<sec::RateLimiter>(rates, deps_.clock);
  brokers_ = ReadBrokers(members::At(section, "brokers"));
  authenticator_.emplace(std::move(made));
  return absl::OkStatus();
}

Gatekeeper* Access::Guard(CallHandler* next) {
  if (!guarded()) return nullptr;
  Gatekeeper::Parts parts;
  parts.clock = deps_.clock;
  parts.authenticator = &*authenticator_;
  parts.keys = keys_.get();
  parts.users = users_.get();
  parts.logins = logins_.get();
  parts.limiter = limiter_.get();
  parts.audit = audit_.get();
  parts.metrics = deps_.metrics;
  parts.next = next;
  parts.brokers = brokers_;
  gatekeeper_ = std::make_unique<Gatekeeper>(std::move(parts));
  return gatekeeper_.get();
}

int Access::StopGuard(absl::Duration limit) {
  return gatekeeper_ != nullptr ? gatekeeper_->Stop(limit) : 0;
}

void Access::TellHealth(const NodeConfig& config) {
  std::vector<std::string> open;  // "http (0.0.0.0:8000)"
  if (!guarded()) {
    for (const OpenListener& one : OpenListeners(config)) {
      open.push_back(absl::StrCat(one.instance, " (", one.listen, ")"));
    }
  }
  if (open.empty()) return deps_.health->Set(kComponent, HealthState::kHealthy);
  deps_.health->Set(kComponent, HealthState::kDegraded,
                    absl::StrCat("auth: none, and other machines reach ", absl::StrJoin(open, ", "),
                                 ": whoever does may do everything"));
}

// When a key was last used is for people: a minute late, and lost with kill -9, is good enough.
void Access::KeepLastUse() {
  deps_.timers->ArmAfter(kFlushInterval, [this] {
    deps_.writes->Submit([this] {
      const absl::Status kept = keys_->FlushLastUse();
      if (kept.ok()) return;
      deps_.log->Warning(kComponent, "cannot note when keys were used",
                         {{"reason", StdView(kept.message())}});
    });
    KeepLastUse();
  });
}

}  // namespace viaduct
