// The certificate that a listener shows: read when it starts, looked at while it serves, and
// exchanged without a pause. Connections that are open go on with what they began with.
#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plugins/common/tls_context.h"
#include "plugins/common/tls_files.h"
#include "plugins/common/tls_options.h"

namespace viaduct {

// Thread-safe.
class ListenerTls {
 public:
  static constexpr absl::Duration kWarnBefore = absl::Hours(14 * 24);  // Of the end.

  explicit ListenerTls(TlsListenerOptions options) : options_(std::move(options)) {}

  // The first time. FAILED_PRECONDITION says which file cannot be used, and why.
  absl::Status Load(absl::Time now);

  enum class Seen {
    kSame,
    kTaken,    // Others, which are shown from now on.
    kKeptOut,  // Others, which are not usable together: see problem.
  };
  // Looks at the files; call it now and then.
  Seen Look(absl::Time now);

  // For the next connection; null before Load.
  TlsContext context() const;
  absl::Time not_after() const;
  // What an operator should know; "" for nothing.
  std::string Problem(absl::Time now) const;

 private:
  using Stamps = std::vector<FileStamp>;
  Stamps Stamp() const;

  const TlsListenerOptions options_;
  mutable absl::Mutex mutex_;
  ListenerContext current_ ABSL_GUARDED_BY(mutex_);
  Stamps stamps_ ABSL_GUARDED_BY(mutex_);         // Of what was taken.
  std::string kept_out_ ABSL_GUARDED_BY(mutex_);  // Why what is there now was not; "": it was.
};

}  // namespace viaduct
