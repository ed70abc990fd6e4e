#include "plugins/common/listener_tls.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct {

ListenerTls::Stamps ListenerTls::Stamp() const {
  Stamps stamps = {StampOf(options_.certificate), StampOf(options_.key)};
  if (!options_.client_ca.empty()) stamps.push_back(StampOf(options_.client_ca));
  return stamps;
}

absl::Status ListenerTls::Load(absl::Time now) {
  // Before they are read: what is written meanwhile is seen at the next look.
  Stamps stamps = Stamp();
  absl::StatusOr<ListenerContext> made = MakeListenerContext(options_, now);
  if (!made.ok()) return made.status();
  absl::MutexLock lock(&mutex_);
  current_ = *std::move(made);
  stamps_ = std::move(stamps);
  kept_out_.clear();
  return absl::OkStatus();
}

ListenerTls::Seen ListenerTls::Look(absl::Time now) {
  const Stamps stamps = Stamp();
  {
    absl::MutexLock lock(&mutex_);
    if (kept_out_.empty() && stamps == stamps_) return Seen::kSame;
  }
  // What was kept out is read again even with the same stamps: clocks of files are coarse.
  const absl::Status status = Load(now);
  if (status.ok()) return Seen::kTaken;
  absl::MutexLock lock(&mutex_);
  std::string why(status.message());
  if (why == kept_out_) return Seen::kSame;
  kept_out_ = std::move(why);
  return Seen::kKeptOut;
}

TlsContext ListenerTls::context() const {
  absl::MutexLock lock(&mutex_);
  return current_.context;
}

absl::Time ListenerTls::not_after() const {
  absl::MutexLock lock(&mutex_);
  return current_.not_after;
}

std::string ListenerTls::Problem(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  std::string problem;
  if (now >= current_.not_after) {
    problem = absl::StrCat("certificate: expired ",
                           absl::FormatTime(current_.not_after, absl::UTCTimeZone()));
  } else if (now >= current_.not_after - kWarnBefore) {
    // The day and not what is left of it: the words change when something happens.
    problem = absl::StrCat("certificate: expires ",
                           absl::FormatTime(current_.not_after, absl::UTCTimeZone()));
  }
  if (kept_out_.empty()) return problem;
  return absl::StrCat("new certificate not taken, ", kept_out_, problem.empty() ? "" : "; ",
                      problem);
}

}  // namespace viaduct
