#include "core/gateway/link_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace viaduct {
namespace {

constexpr double kUnitBytes = 64e3;  // Bytes in which the slope is fitted.
constexpr double kMinPerByte = 1e-10;
constexpr double kMaxPerByte = 1e-1;
constexpr double kMinBase = 1e-5;
constexpr double kMaxBase = 1e5;
constexpr double kMinVariance = 1e-12;
constexpr double kMaxVariance = 100;
constexpr double kMaxCorrelation = 0.999;
constexpr double kShareStep = 0.05;
constexpr double kFailedStep = 0.2;
constexpr double kProbeStep = 0.2;
constexpr double kLeastSuccess = 0.02;
constexpr double kFailureMemorySeconds = 10;
// One confirmation that took very long must not outweigh all before it; several do.
constexpr double kSurprise = 4;
constexpr double kSurpriseSeconds = 0.2;
constexpr double kFirstDeviation = 0.5;
constexpr double kUsualStep = 0.05;
constexpr double kLateDeviations = 2;
// Twice the standard error, for a mean absolute deviation.
constexpr double kDoubt = 2.5;
// What may hold up a busy machine.
constexpr double kLeastLateSeconds = 0.05;

double Bounded(double seconds, double expected) {
  return std::min(seconds, expected * kSurprise + kSurpriseSeconds);
}

}  // namespace

// One step of recursive least squares. Where one of the two would leave what is possible it is held
// there, and the other takes the rest of what is expected of this message: held alone, it would let
// each step push the other away.
void TimeFit::Add(double bytes, double seconds) {
  const double x = bytes / kUnitBytes;
  seconds = Bounded(seconds, Expected(bytes));
  const double g0 = p00_ + p01_ * x;
  const double g1 = p01_ + p11_ * x;
  const double scale = 1 / (forget_ + g0 + g1 * x);
  const double error = seconds - Expected(bytes);
  double base = base_ + g0 * scale * error;
  double slope = per_byte_ * kUnitBytes + g1 * scale * error;
  const double expected = base + slope * x;
  base = std::clamp(base, kMinBase, kMaxBase);
  if (x > 0) slope = (expected - base) / x;
  slope = std::clamp(slope, kMinPerByte * kUnitBytes, kMaxPerByte * kUnitBytes);
  base_ = std::clamp(expected - slope * x, kMinBase, kMaxBase);
  per_byte_ = slope / kUnitBytes;
  // Forgetting lets the variance of what is never seen grow for ever, and rounding may make it
  // negative: both are held within what is possible.
  p00_ = std::clamp((p00_ - g0 * scale * g0) / forget_, kMinVariance, kMaxVariance);
  p11_ = std::clamp((p11_ - g1 * scale * g1) / forget_, kMinVariance, kMaxVariance);
  const double limit = kMaxCorrelation * std::sqrt(p00_ * p11_);
  p01_ = std::clamp((p01_ - g0 * scale * g1) / forget_, -limit, limit);
}

void TimeFit::Forget(double idle_seconds) {
  const double growth = std::min(std::pow(forget_, -idle_forget_ * idle_seconds), kMaxVariance);
  p00_ = std::min(p00_ * growth, kMaxVariance);
  p11_ = std::min(p11_ * growth, kMaxVariance);
  const double limit = kMaxCorrelation * std::sqrt(p00_ * p11_);
  p01_ = std::clamp(p01_ * growth, -limit, limit);
}

void LinkModel::OnConfirmed(uint64_t bytes, double seconds, uint64_t ahead) {
  if (!(seconds >= 0) || !std::isfinite(seconds)) return;
  success_ += kShareStep * (1 - success_);
  idle_ = false;
  if (!learnt_) quick_.Begin(seconds);
  if (!confirmed_) lasting_.Begin(seconds);
  const double expected = lasting_.Expected(static_cast<double>(bytes));
  const double deviation =
      std::min(std::abs(Bounded(seconds, expected) - expected) / expected, kSurprise);
  deviation_ = confirmed_ ? deviation_ + kUsualStep * (deviation - deviation_) : kFirstDeviation;
  usual_ahead_ += kUsualStep * (static_cast<double>(ahead) - usual_ahead_);
  most_ahead_ = std::max(most_ahead_, static_cast<double>(ahead));
  learnt_ = true;
  confirmed_ = true;
  quick_.Add(static_cast<double>(bytes), seconds);
  lasting_.Add(static_cast<double>(bytes), seconds);
}

void LinkModel::OnFailed(double seconds) {
  success_ -= kShareStep * success_;
  failed_seconds_ += kFailedStep * (seconds - failed_seconds_);
}

void LinkModel::OnProbe(double round_trip_seconds) {
  success_ += kShareStep * (1 - success_);
  quick_.Approach(round_trip_seconds, learnt_ ? kProbeStep : 1);
  learnt_ = true;
}

void LinkModel::OnTime(double seconds) {
  success_ = 1 - (1 - success_) * std::exp(-seconds / kFailureMemorySeconds);
  if (idle_) {
    quick_.Forget(seconds);
    lasting_.Forget(seconds);
  }
  idle_ = true;
}

double LinkModel::FailureSeconds() const {
  const double success = std::max(success_, kLeastSuccess);
  return (1 - success) / success * failed_seconds_;
}

double LinkModel::ExpectedSeconds(uint64_t bytes) const {
  return quick_.Expected(static_cast<double>(bytes)) + FailureSeconds();
}

double LinkModel::LastingDoubtSeconds(uint64_t bytes) const {
  const double expected = lasting_.Expected(static_cast<double>(bytes));
  return kDoubt * deviation_ * expected * std::sqrt(lasting_.variance());
}

double LinkModel::LateSeconds(uint64_t bytes) const {
  if (!confirmed_ || lasting_.variance() >= kLastingCertain)
    return std::numeric_limits<double>::infinity();
  const auto size = static_cast<double>(bytes);
  const double expected = std::max(quick_.Expected(size), lasting_.Expected(size));
  return expected + std::max(expected * kLateDeviations * deviation_, kLeastLateSeconds);
}

double LinkModel::LastingSeconds(uint64_t bytes) const {
  const TimeFit& fit = confirmed_ ? lasting_ : quick_;
  return fit.Expected(static_cast<double>(bytes)) + FailureSeconds();
}

}  // namespace viaduct
