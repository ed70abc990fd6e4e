#include "plugins/common/tls_options.h"

namespace viaduct {
namespace {

template <typename Options>
void ReadPair(OptionMembers* config, Options* options) {
  config->Read("certificate", &options->certificate);
  config->Read("key", &options->key);
  if (options->certificate.empty() != options->key.empty()) {
    config->Mistake(options->key.empty() ? "key" : "certificate",
                    "missing, a certificate and its key go together");
  }
  std::string oldest = options->min_version == TlsVersion::k13 ? "1.3" : "1.2";
  config->Read("tls_min_version", &oldest);
  options->min_version = oldest == "1.3" ? TlsVersion::k13 : TlsVersion::k12;
}

}  // namespace

void ReadTlsListener(OptionMembers* config, TlsListenerOptions* options) {
  ReadPair(config, options);
  if (config->Has("ca_file")) config->Mistake("ca_file", "only a road has it, say client_ca");
  config->Read("client_ca", &options->client_ca);
  // An authority that is of no use would be believed to keep strangers out.
  std::string asked = options->client_ca.empty() ? "none" : "required";
  config->Read("client_certificate", &asked);
  if (asked == "optional") options->client_certificate = ClientCertificate::kOptional;
  if (asked == "required") options->client_certificate = ClientCertificate::kRequired;
  const bool asks = options->client_certificate != ClientCertificate::kNone;
  if (asks && options->client_ca.empty()) {
    config->Mistake("client_ca", "missing, client certificates are checked against it");
  } else if (!asks && !options->client_ca.empty()) {
    config->Mistake("client_ca", "of no effect, client_certificate is none");
  } else if (!options->client_ca.empty() && options->certificate.empty()) {
    config->Mistake("certificate", "missing, without it the listener speaks no TLS");
  }
}

void ReadTlsRoad(OptionMembers* config, TlsRoadOptions* options) {
  ReadPair(config, options);
  config->Read("ca_file", &options->ca_file);
  for (const char* const key : {"client_ca", "client_certificate"}) {
    if (config->Has(key)) config->Mistake(key, "only a listener has it, this is a road");
  }
}

}  // namespace viaduct
