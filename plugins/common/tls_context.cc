#include "plugins/common/tls_context.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "plugins/common/tls_files.h"

namespace viaduct {
namespace {

// What is not of these has no fresh keys, or is not authenticated, or is known to be weak.
constexpr char kSuites12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr char kSuites13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr char kGroups[] = "X25519:P-256:P-384";
constexpr int kSecurityLevel = 2;  // 112 bits: RSA from 2048, no SHA-1 in signatures.
constexpr int kMaxChainDepth = 8;
constexpr long kMaxPeerChainBytes = 32 << 10;
constexpr size_t kMaxAuthorities = 1024;

absl::Status Failed(const std::string& what) {
  return absl::FailedPreconditionError(absl::StrCat(what, ", ", TakeTlsError()));
}

absl::Status Restrict(TlsVersion oldest, SSL_CTX* context) {
  SSL_CTX_set_security_level(context, kSecurityLevel);
  const int version = oldest == TlsVersion::k13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (SSL_CTX_set_min_proto_version(context, version) != 1 ||
      SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context, kSuites12) != 1 ||
      SSL_CTX_set_ciphersuites(context, kSuites13) != 1 ||
      SSL_CTX_set1_groups_list(context, kGroups) != 1) {
    return Failed("tls: not offered by this OpenSSL");
  }
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // A session that is kept, here or in a ticket, is a key that lives on.
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  // An idle connection keeps no buffers of OpenSSL's.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify_depth(context, kMaxChainDepth);
  SSL_CTX_set_max_cert_list(context, kMaxPeerChainBytes);
  return absl::OkStatus();
}

absl::Status Show(const CertifiedKey& pair, const std::string& path, SSL_CTX* context) {
  if (SSL_CTX_use_certificate(context, pair.chain.front().get()) != 1 ||
      SSL_CTX_clear_chain_certs(context) != 1) {
    return Failed(absl::StrCat("certificate: ", path));
  }
  for (size_t i = 1; i < pair.chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, pair.chain[i].get()) != 1) {
      return Failed(absl::StrCat("certificate: ", path));
    }
  }
  if (SSL_CTX_use_PrivateKey(context, pair.key.get()) != 1) return Failed("key: cannot be used");
  return absl::OkStatus();
}

// `context` is that of a listener, which also names them to its clients, or of a road.
absl::Status Trust(const char* what, const std::string& path, bool of_clients, SSL_CTX* context) {
  const auto authorities = ReadCertificates(what, path, kMaxAuthorities);
  if (!authorities.ok()) return authorities.status();
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  for (const X509Owner& one : *authorities) {
    if (X509_STORE_add_cert(store, one.get()) != 1 ||
        (of_clients && SSL_CTX_add_client_CA(context, one.get()) != 1)) {
      return Failed(absl::StrCat(what, ": ", path));
    }
  }
  return absl::OkStatus();
}

absl::Status AskClients(const TlsListenerOptions& options, SSL_CTX* context) {
  if (options.client_certificate == ClientCertificate::kNone) {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
    return absl::OkStatus();
  }
  const bool required = options.client_certificate == ClientCertificate::kRequired;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  return Trust("client_ca", options.client_ca, /*of_clients=*/true, context);
}

// The name is looked at together with the chain: a connection cannot be made without it.
absl::Status ExpectHost(const std::string& host, SSL_CTX* context) {
  X509_VERIFY_PARAM* const parameters = SSL_CTX_get0_param(context);
  if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) == 1) return absl::OkStatus();
  ERR_clear_error();
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (host.empty() || X509_VERIFY_PARAM_set1_host(parameters, host.data(), host.size()) != 1) {
    return Failed(absl::StrCat("tls: no name of a host, \"", host, "\""));
  }
  return absl::OkStatus();
}

}  // namespace

const char* TlsSuites12() { return kSuites12; }

absl::StatusOr<ListenerContext> MakeListenerContext(const TlsListenerOptions& options,
                                                    absl::Time now) {
  const auto pair = ReadCertifiedKey(options.certificate, options.key, now);
  if (!pair.ok()) return pair.status();
  if (X509_check_purpose(pair->chain.front().get(), X509_PURPOSE_SSL_SERVER, 0) != 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("certificate: ", options.certificate, ", is not for a server"));
  }
  TlsContext context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  if (context == nullptr) return Failed("tls: no context");
  absl::Status status = Restrict(options.min_version, context.get());
  if (status.ok()) status = Show(*pair, options.certificate, context.get());
  if (status.ok()) status = AskClients(options, context.get());
  if (!status.ok()) return status;
  // A client that has no AES in hardware says so by its order.
  SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  return ListenerContext{std::move(context), pair->not_after};
}

absl::Status SetUpRoad(const TlsRoadOptions& options, const std::string& host, absl::Time now,
                       SSL_CTX* context) {
  absl::Status status = Restrict(options.min_version, context);
  if (!status.ok()) return status;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  status = ExpectHost(host, context);
  if (!status.ok()) return status;
  if (options.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1) return Failed("ca_file: the system's");
  } else {
    status = Trust("ca_file", options.ca_file, /*of_clients=*/false, context);
  }
  if (!status.ok() || options.certificate.empty()) return status;
  const auto pair = ReadCertifiedKey(options.certificate, options.key, now);
  return pair.ok() ? Show(*pair, options.certificate, context) : pair.status();
}

absl::StatusOr<TlsContext> MakeRoadContext(const TlsRoadOptions& options, const std::string& host,
                                           absl::Time now) {
  TlsContext context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  if (context == nullptr) return Failed("tls: no context");
  const absl::Status status = SetUpRoad(options, host, now, context.get());
  if (!status.ok()) return status;
  return context;
}

absl::Status CheckRoad(const TlsRoadOptions& options, absl::Time now) {
  return MakeRoadContext(options, "localhost", now).status();
}

}  // namespace viaduct
