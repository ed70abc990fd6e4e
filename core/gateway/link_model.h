// What to expect of a link: learnt from every confirmation, failure and probe.
#pragma once

#include <cstdint>

namespace viaduct {

// How long until a message is confirmed: a + b * bytes, where the bytes are its own and those that
// were under way before it, fitted by least squares with exponential forgetting; and how often a
// delivery fails and what that costs. Constant work and memory. Lives on one thread.
class LinkModel {
 public:
  void OnConfirmed(uint64_t bytes, double seconds);
  void OnFailed(double seconds);
  // A probe tells of the time without bytes, where there is no traffic to learn it from.
  void OnProbe(double round_trip_seconds);
  // Time has passed: failures are forgotten, and of a link without confirmations meanwhile the next
  // one counts the more, so that a road which was bad once is not held to it.
  void OnTime(double seconds);

  // Expected until `bytes` are confirmed, in seconds: failures and what follows them included.
  double ExpectedSeconds(uint64_t bytes) const;
  double base_seconds() const { return base_; }
  double bytes_per_second() const { return 1 / per_byte_; }
  double success_share() const { return success_; }
  // Anything was learnt: otherwise all is a guess.
  bool learnt() const { return learnt_; }
  // A message was ever confirmed. Until then it is a probe's word, which asks less of the peer.
  bool confirmed() const { return confirmed_; }
  // Some were, and lately: one alone may have been a slow one.
  bool certain() const { return confirmed_ && p00_ < kCertain; }

 private:
  void Fit(double bytes, double seconds);

  double base_ = 0.05;      // Seconds.
  double per_byte_ = 1e-6;  // Seconds.
  double success_ = 1;
  double failed_seconds_ = 1;
  bool learnt_ = false;
  bool confirmed_ = false;
  bool idle_ = false;  // Nothing was confirmed since the last OnTime.
  // Covariance of the two, for the unit of bytes that keeps both of one size.
  double p00_ = kVague;
  double p01_ = 0;
  double p11_ = kVague;

  static constexpr double kVague = 100;
  static constexpr double kCertain = 0.4;  // The variance after three.
};

}  // namespace viaduct
