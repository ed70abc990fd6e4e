// What a listener's instance says of its certificate: in health, metrics and log. It knows the ABI.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "plugins/common/listener_tls.h"
#include "viaduct/cpp/plugin.h"

namespace viaduct {

// Lives on one lane.
class CertificateReport {
 public:
  explicit CertificateReport(const sdk::Host& host) : host_(host) {}

  sdk::Status AddMetrics() {
    return host_.AddGauge("certificate_expiry_seconds",
                          "Seconds until the certificate of this listener expires", &expiry_);
  }

  absl::Time Now() const { return absl::FromUnixNanos(host_.WallNs()); }

  // Looks at the files and says what is new. Call it every now and then; `tls` is loaded.
  void Look(ListenerTls* tls) {
    const absl::Time now = Now();
    const ListenerTls::Seen seen = tls->Look(now);
    const std::string problem = tls->Problem(now);
    expiry_.Set(absl::ToDoubleSeconds(tls->not_after() - now));
    if (seen == ListenerTls::Seen::kTaken) {
      host_.Info("new certificate",
                 {sdk::Attr("until", absl::FormatTime(tls->not_after(), absl::UTCTimeZone()))});
    }
    if (problem == said_) return;
    said_ = problem;
    if (problem.empty()) return host_.SetHealth(sdk::Health::kHealthy);
    host_.Warning("certificate", {sdk::Attr("problem", problem)});
    host_.SetHealth(sdk::Health::kDegraded, problem);
  }

 private:
  const sdk::Host host_;
  sdk::Metric expiry_;
  std::string said_;
};

}  // namespace viaduct
