// Principals, keys, users and audit entries as messages and back.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "core/security/api_key_store.h"
#include "core/security/audit_reader.h"
#include "core/security/principal.h"
#include "core/security/user_store.h"
#include "host/rpc/status.h"
#include "viaduct/control/v1/auth.pb.h"

namespace viaduct::rpc {

control::v1::Principal ToProto(const security::Principal& principal);
// Whether it holds is judged by `now`.
control::v1::ApiKey ToProto(const security::ApiKeyRecord& record, absl::Time now);
control::v1::User ToProto(const security::UserRecord& record);
control::v1::AuditEntry ToProto(const security::AuditEntry& entry);
control::v1::ApiKeyState StateOf(const security::ApiKeyRecord& record, absl::Time now);

// Violations of `field` name what is wrong. What the core checks is left to it.
security::Principal ReadPrincipal(const control::v1::Principal& message, std::string_view field,
                                  Violations* violations);

// "device CAM001, role device, scopes ingest read": what a key or user is given, for the audit.
std::string Grant(const security::Principal& principal);

}  // namespace viaduct::rpc
