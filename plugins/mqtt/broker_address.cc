#include "plugins/mqtt/broker_address.h"

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace viaduct::mqtt {
namespace {

constexpr int kMaxPort = 65535;
constexpr size_t kMaxHostBytes = 255;

struct Scheme {
  std::string_view name;
  bool tls;
};
constexpr std::array<Scheme, 5> kSchemes = {
    {{"mqtt", false}, {"tcp", false}, {"mqtts", true}, {"ssl", true}, {"tls", true}}};

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("broker_url: ", absl::string_view(what.data(), what.size())));
}

// Takes "scheme://" off the front of *rest.
absl::Status TakeScheme(std::string_view* rest, BrokerAddress* out) {
  const size_t mark = rest->find("://");
  if (mark == std::string_view::npos) return absl::OkStatus();
  const std::string name = absl::AsciiStrToLower(absl::string_view(rest->data(), mark));
  *rest = rest->substr(mark + 3);
  for (const Scheme& scheme : kSchemes) {
    if (name != scheme.name) continue;
    out->tls = scheme.tls;
    return absl::OkStatus();
  }
  return Bad(absl::StrCat("unknown scheme, \"", name, "\", there are mqtt and mqtts"));
}

// "[v6]", "[v6]:port", "host" or "host:port"; a bare v6 address has more than one colon.
absl::Status TakeHost(std::string_view rest, BrokerAddress* out) {
  std::string_view port;
  if (!rest.empty() && rest.front() == '[') {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return Bad("expected ] after the address");
    out->host = std::string(rest.substr(1, end - 1));
    port = rest.substr(end + 1);
    if (!port.empty() && port.front() != ':') return Bad("expected :port after ]");
  } else {
    const size_t colon = rest.find(':');
    const bool bare_v6 = colon != std::string_view::npos && rest.rfind(':') != colon;
    out->host = std::string(bare_v6 ? rest : rest.substr(0, colon));
    if (!bare_v6 && colon != std::string_view::npos) port = rest.substr(colon);
  }
  out->port = out->tls ? kTlsPort : kPlainPort;
  if (port.empty()) return absl::OkStatus();
  port.remove_prefix(1);
  if (absl::SimpleAtoi(absl::string_view(port.data(), port.size()), &out->port) && out->port >= 1 &&
      out->port <= kMaxPort) {
    return absl::OkStatus();
  }
  return Bad("expected a port from 1 to 65535");
}

bool IsHostByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return absl::ascii_isalnum(byte) || c == '-' || c == '.' || c == '_' || c == ':' || c == '%';
}

}  // namespace

absl::StatusOr<BrokerAddress> ParseBrokerAddress(std::string_view url, bool tls_wanted) {
  BrokerAddress out;
  out.tls = tls_wanted;
  std::string_view rest = url;
  const absl::Status scheme = TakeScheme(&rest, &out);
  if (!scheme.ok()) return scheme;
  if (tls_wanted && !out.tls) {
    return Bad("the scheme says plain, but files for TLS are given; write mqtts://");
  }
  if (rest.find('@') != std::string_view::npos) {
    return Bad("no user in it please, there are username and password for that");
  }
  if (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  if (rest.find('/') != std::string_view::npos) return Bad("expected no path");
  const absl::Status host = TakeHost(rest, &out);
  if (!host.ok()) return host;
  if (out.host.empty() || out.host.size() > kMaxHostBytes) return Bad("expected a host");
  for (const char c : out.host) {
    if (!IsHostByte(c)) return Bad("expected a host, it has a letter that no host has");
  }
  return out;
}

}  // namespace viaduct::mqtt
