// Certificates and keys that the configuration names: their end, their chain, their names.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/durable_file.h"
#include "core/base/string_view.h"
#include "core/config/members.h"
#include "core/security/pki.h"
#include "host/doctor/diagnosis.h"

namespace viaduct::doctor {
namespace {

using nlohmann::json;

constexpr absl::Duration kSoon = absl::Hours(24 * 30);
constexpr size_t kMaxText = 1u << 20;

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string DayOf(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d", time, absl::UTCTimeZone());
}

void CheckEnd(const std::string& path, const security::CertificateFacts& facts, absl::Time now,
              Diagnoses* out) {
  const std::string renew = "renew it: viaductctl pki renew, or ask who issued it";
  if (facts.not_after < now) {
    return out->Fail(path, absl::StrCat("expired on ", DayOf(facts.not_after)), renew);
  }
  if (facts.not_before > now) {
    return out->Fail(path, absl::StrCat("not valid before ", DayOf(facts.not_before)),
                     "look at the clock");
  }
  if (facts.not_after - now < kSoon) {
    return out->Warn(path, absl::StrCat("expires on ", DayOf(facts.not_after)), renew);
  }
  out->Ok(path, absl::StrCat("until ", DayOf(facts.not_after), ", ", facts.subject));
}

// A listener's own: peers ask for this machine by one of these.
void CheckNames(const std::string& path, const security::CertificateFacts& facts, Diagnoses* out) {
  const std::string host = HostName();
  const auto fits = [&host](const std::string& name) {
    return name == "DNS:" + host || absl::StartsWith(name, absl::StrCat("DNS:", host, ".")) ||
           absl::StartsWith(name, "DNS:*.") || absl::StartsWith(name, "IP");
  };
  if (std::any_of(facts.names.begin(), facts.names.end(), fits)) return;
  out->Warn(path,
            absl::StrCat("is for ", absl::StrJoin(facts.names, ", "), ", this machine is ", host),
            "fine where peers use such a name; else viaductctl pki issue for the name they use");
}

void CheckControl(const ControlTcpOptions& tcp, Diagnoses* out) {
  security::ListenerPem pem;
  for (const auto& [path, to] : {std::pair(&tcp.certificate, &pem.certificate),
                                 {&tcp.key, &pem.key},
                                 {&tcp.client_ca, &pem.client_ca}}) {
    absl::StatusOr<std::string> text = ReadWholeFile(*path, kMaxText);
    if (!text.ok()) {
      return out->Fail(*path, StdView(text.status().message()),
                       "put the file there, or mend control.tcp");
    }
    *to = *std::move(text);
  }
  const absl::Status fits = security::CheckListenerPem(pem).status();
  if (fits.ok()) return out->Ok("control.tcp", "certificate, key and authorities fit together");
  out->Fail("control.tcp", StdView(fits.message()), "use the files of one issue");
}

// Every text of an object that names a file, with the name of its member.
void EachFile(const json& node, const std::string& member,
              const std::function<void(const std::string&, const std::string&)>& each) {
  if (node.is_string()) {
    const std::string& path = node.get_ref<const std::string&>();
    struct stat info {};
    if (!path.empty() && path[0] == '/' && stat(path.c_str(), &info) == 0 &&
        S_ISREG(info.st_mode) && info.st_size <= static_cast<off_t>(kMaxText)) {
      each(member, path);
    }
    return;
  }
  if (node.is_object()) {
    for (const auto& [name, value] : node.items()) EachFile(value, name, each);
  } else if (node.is_array()) {
    for (const json& value : node) EachFile(value, member, each);
  }
}

void CheckFile(const Patient& patient, const std::string& path, bool listener, Diagnoses* out) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path, kMaxText);
  if (!text.ok()) {
    if (absl::IsNotFound(text.status())) return;
    return out->Fail(path, StdView(text.status().message()), "give it to the node's user: chown");
  }
  if (absl::StrContains(*text, "PRIVATE KEY-----")) {
    struct stat info {};
    const bool open = stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    return open ? out->Fail(path, "a private key that others may read", "chmod 600")
                : out->Ok(path, "a private key, for its user alone");
  }
  if (!absl::StrContains(*text, "-----BEGIN CERTIFICATE-----")) return;
  const auto facts = security::ParseCertificate(*text);
  if (!facts.ok()) {
    return out->Fail(path, StdView(facts.status().message()), "replace the file");
  }
  CheckEnd(path, *facts, patient.clock->Now(), out);
  if (listener && !facts->is_authority) CheckNames(path, *facts, out);
}

}  // namespace

void CheckCertificates(const Patient& patient, Diagnoses* out) {
  out->BeginArea("certificates");
  const NodeConfig& config = *patient.config;
  std::set<std::string> seen;
  const auto check = [&](const std::string& path, bool listener) {
    if (seen.insert(path).second) CheckFile(patient, path, listener, out);
  };
  if (config.control.tcp.has_value()) {
    CheckControl(*config.control.tcp, out);
    check(config.control.tcp->certificate, true);
    check(config.control.tcp->key, false);
    check(config.control.tcp->client_ca, false);
  }
  EachFile(json::parse(config.sections_json, nullptr, false), "",
           [&](const std::string&, const std::string& path) { check(path, false); });
  for (const InstanceOptions& instance : config.instances) {
    const json options = json::parse(instance.redacted_json, nullptr, false);
    const bool listens = !members::Text(options, "listen").empty();
    EachFile(options, "", [&](const std::string& member, const std::string& path) {
      check(path, listens && member == "certificate");
    });
  }
}

}  // namespace viaduct::doctor
