// TLS as every listener and every road is told to speak it: the same words in each plugin.
#pragma once

#include <cstdint>
#include <string>

#include "plugins/common/option_members.h"

namespace viaduct {

enum class TlsVersion : uint8_t { k12, k13 };  // The oldest that is spoken.

enum class ClientCertificate : uint8_t {
  kNone,      // Is not asked for.
  kOptional,  // Who shows one shows a good one.
  kRequired,
};

struct TlsListenerOptions {
  std::string certificate;  // PEM file with the chain; "": no TLS.
  std::string key;          // PEM file that nobody else may read.
  std::string client_ca;    // PEM file with the authorities of clients.
  ClientCertificate client_certificate = ClientCertificate::kNone;
  TlsVersion min_version = TlsVersion::k12;

  bool enabled() const { return !certificate.empty(); }
};

struct TlsRoadOptions {
  std::string ca_file;  // PEM file with the authorities to trust, and no others; "": the system's.
  std::string certificate;  // PEM file with this node's own chain; "": shows none.
  std::string key;
  TlsVersion min_version = TlsVersion::k12;
};

// What the schema cannot say is a mistake of `config`.
void ReadTlsListener(OptionMembers* config, TlsListenerOptions* options);
void ReadTlsRoad(OptionMembers* config, TlsRoadOptions* options);

}  // namespace viaduct
