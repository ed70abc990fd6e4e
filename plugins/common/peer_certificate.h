// What a client has proved of itself by its certificate.
#pragma once

#include <string>
#include <vector>

namespace viaduct {

// Of a certificate whose chain leads to the listener's client_ca.
struct PeerCertificate {
  std::string sha256;   // 64 hexadecimal digits, of the whole certificate.
  std::string subject;  // As RFC 2253 writes it.
  std::vector<std::string>
      names;  // "DNS:cam1.site", "URI:urn:viaduct:device:CAM001", "IP:10.0.0.7"
};

}  // namespace viaduct
