// The certificate of control.tcp: read when the node starts, looked at while it runs, and exchanged
// without a restart. What does not fit together is kept out, and the one before goes on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/config/node_config.h"
#include "core/security/pki.h"

namespace viaduct {

// Thread-safe.
class ControlCertificates {
 public:
  static constexpr absl::Duration kWarnBefore = absl::Hours(14 * 24);  // Of the end.

  // FAILED_PRECONDITION names the file that cannot be used. One that has expired can: a node does
  // more than being administered.
  static absl::StatusOr<std::unique_ptr<ControlCertificates>> Load(ControlTcpOptions options);

  // Looks at the files; call it now and then.
  void Look(absl::Time now);

  // For whoever serves: what is there, the first time and whenever others were taken since.
  std::optional<security::ListenerPem> TakeNew();
  absl::Time not_after() const;
  // What an operator should know; "" for nothing.
  std::string Problem(absl::Time now) const;

 private:
  using Stamps = std::vector<std::vector<int64_t>>;

  explicit ControlCertificates(ControlTcpOptions options) : options_(std::move(options)) {}
  absl::Status Read(absl::Time now, bool at_start);
  Stamps Stamp() const;

  const ControlTcpOptions options_;
  mutable absl::Mutex mutex_;
  security::ListenerPem pem_ ABSL_GUARDED_BY(mutex_);
  bool is_new_ ABSL_GUARDED_BY(mutex_) = false;  // Not given to the server yet.
  absl::Time not_after_ ABSL_GUARDED_BY(mutex_);
  Stamps stamps_ ABSL_GUARDED_BY(mutex_);         // Of what was taken.
  std::string kept_out_ ABSL_GUARDED_BY(mutex_);  // Why what is there now was not; "": it was.
};

}  // namespace viaduct
