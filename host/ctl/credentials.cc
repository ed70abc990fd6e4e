#include "host/ctl/credentials.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/security/secret_octets.h"

namespace viaduct::ctl {
namespace {

using grpc::experimental::ClientInterceptorFactoryInterface;
using grpc::experimental::ClientRpcInfo;
using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using Metadata = std::vector<std::pair<std::string, std::string>>;

class AddMetadata final : public Interceptor {
 public:
  explicit AddMetadata(const Metadata* metadata) : metadata_(metadata) {}
  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      for (const auto& [name, value] : *metadata_) {
        methods->GetSendInitialMetadata()->emplace(name, value);
      }
    }
    methods->Proceed();
  }

 private:
  const Metadata* const metadata_;
};

class AddMetadataFactory final : public ClientInterceptorFactoryInterface {
 public:
  explicit AddMetadataFactory(Metadata metadata) : metadata_(std::move(metadata)) {}
  Interceptor* CreateClientInterceptor(ClientRpcInfo* /*info*/) override {
    return std::make_unique<AddMetadata>(&metadata_).release();  // gRPC owns it.
  }

 private:
  const Metadata metadata_;
};

absl::StatusOr<std::string> ReadSecret(const std::string& path) {
  VD_ASSIGN_OR_RETURN(std::string text, security::ReadProtected(path, kMaxCredentialFileBytes));
  absl::StripAsciiWhitespace(&text);
  const bool printable = std::all_of(text.begin(), text.end(), absl::ascii_isgraph);
  if (text.empty() || !printable) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": want one key or token"));
  }
  return text;
}

}  // namespace

absl::StatusOr<Interceptors> ReadCredentials(const CredentialFiles& files) {
  Metadata metadata;
  if (!files.token.empty()) {
    VD_ASSIGN_OR_RETURN(const std::string token, ReadSecret(files.token));
    metadata.emplace_back("authorization", absl::StrCat("Bearer ", token));
  }
  if (!files.api_key.empty()) {
    VD_ASSIGN_OR_RETURN(std::string key, ReadSecret(files.api_key));
    metadata.emplace_back("x-api-key", std::move(key));
  }
  Interceptors interceptors;
  if (!metadata.empty()) {
    interceptors.push_back(std::make_unique<AddMetadataFactory>(std::move(metadata)));
  }
  return interceptors;
}

}  // namespace viaduct::ctl
