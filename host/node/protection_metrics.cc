// What the node encrypts and forgets, in its metrics.
#include "host/node/node_monitor.h"

namespace viaduct {

void NodeMonitor::AddProtectionMetrics() {
  const auto counter = [this](const char* name, const char* help) {
    MetricSpec spec;
    spec.kind = MetricKind::kCounter;
    spec.name = name;
    spec.help = help;
    return Seen{deps_.metrics->Add(spec).value_or(0), 0};
  };
  if (deps_.sealing != nullptr) {
    sealing_totals_ = {
        counter("viaduct_encryption_sealed_total", "Payloads encrypted before the spool."),
        counter("viaduct_encryption_opened_total", "Payloads decrypted as they came in."),
        counter("viaduct_encryption_refused_total",
                "Payloads refused: they did not open, or could not be encrypted."),
        counter("viaduct_encryption_passed_total",
                "Payloads sent on as they came, by a key that this node does not have."),
        Seen()};
  }
  if (deps_.store_sink != nullptr) {
    sealing_totals_[4] =
        counter("viaduct_store_unreadable_total", "Encrypted messages that passed by the store.");
    privacy_totals_ = {
        counter("viaduct_privacy_removed_rows_total", "Rows removed for their age."),
        counter("viaduct_privacy_removed_images_total", "Images removed for their age.")};
  }
}

void NodeMonitor::CountUp(uint64_t now, Seen* total) {
  deps_.metrics->Increase(total->number, static_cast<double>(now - total->seen));
  total->seen = now;
}

void NodeMonitor::LookAtProtection() {
  if (deps_.sealing != nullptr) {
    const SealingCounts counts = deps_.sealing->counts();
    CountUp(counts.sealed, &sealing_totals_[0]);
    CountUp(counts.opened, &sealing_totals_[1]);
    CountUp(counts.refused, &sealing_totals_[2]);
    CountUp(counts.passed, &sealing_totals_[3]);
  }
  if (deps_.store_sink == nullptr) return;
  CountUp(deps_.store_sink->unreadable(), &sealing_totals_[4]);
  const ForgottenCounts swept = deps_.privacy->swept();
  uint64_t rows = 0;
  for (const int64_t n : swept.rows) rows += static_cast<uint64_t>(n);
  CountUp(rows, &privacy_totals_[0]);
  CountUp(static_cast<uint64_t>(swept.images), &privacy_totals_[1]);
}

}  // namespace viaduct
