// What to expect of a link: learnt from every confirmation, failure and probe.
#pragma once

#include <cstdint>

namespace viaduct {

// How long until a message is confirmed: a + b * bytes, fitted by least squares with exponential
// forgetting.
class TimeFit {
 public:
  // Each confirmation leaves so much of the weight of those before it, and a second without any as
  // much as so many would.
  TimeFit(double forget, double idle_forget) : forget_(forget), idle_forget_(idle_forget) {}

  void Begin(double seconds) { base_ = seconds; }
  void Add(double bytes, double seconds);
  void Approach(double base, double share) { base_ += share * (base - base_); }
  void Forget(double idle_seconds);

  double Expected(double bytes) const { return base_ + per_byte_ * bytes; }
  double base() const { return base_; }          // Seconds.
  double per_byte() const { return per_byte_; }  // Seconds.
  double variance() const { return p00_; }       // Of the base, where one confirmation has 1.

 private:
  static constexpr double kVague = 100;

  double forget_;
  double idle_forget_;
  double base_ = 0.05;
  double per_byte_ = 1e-6;
  // Covariance of the two, for the unit of bytes that keeps both of one size.
  double p00_ = kVague;
  double p01_ = 0;
  double p11_ = kVague;
};

// The bytes are a message's own and those that were under way before it. Besides: how often a
// delivery fails and what that costs. Constant work and memory. Lives on one thread.
class LinkModel {
 public:
  // Of these, so many were under way before it.
  void OnConfirmed(uint64_t bytes, double seconds, uint64_t ahead = 0);
  void OnFailed(double seconds);
  // A probe tells of the time without bytes, where there is no traffic to learn it from.
  void OnProbe(double round_trip_seconds);
  // Time has passed: failures are forgotten, and of a link without confirmations meanwhile the next
  // one counts the more, so that a road which was bad once is not held to it.
  void OnTime(double seconds);

  // Expected until `bytes` are confirmed, in seconds: failures and what follows them included.
  double ExpectedSeconds(uint64_t bytes) const;
  // The same by what was confirmed over minutes: one bad moment more or less changes it little.
  double LastingSeconds(uint64_t bytes) const;
  // The mean of the last minutes may be so much longer in truth: few confirmations say little, and
  // less where they are far from each other.
  double LastingDoubtSeconds(uint64_t bytes) const;
  // What takes longer than this is late: a few of a hundred are. Infinite while that is not known.
  double LateSeconds(uint64_t bytes) const;
  // Usually under way before one that is confirmed, and at most so far: beyond that what is
  // expected is a guess.
  double usual_ahead() const { return usual_ahead_; }
  double most_ahead() const { return most_ahead_; }
  double base_seconds() const { return quick_.base(); }
  double bytes_per_second() const { return 1 / quick_.per_byte(); }
  double success_share() const { return success_; }
  // Anything was learnt: otherwise all is a guess.
  bool learnt() const { return learnt_; }
  // A message was ever confirmed. Until then it is a probe's word, which asks less of the peer.
  bool confirmed() const { return confirmed_; }
  // Some were, and lately: one alone, or two, may have been slow ones, or lucky ones.
  bool certain() const {
    return confirmed_ && quick_.variance() < kCertain && lasting_.variance() < kLastingCertain;
  }

 private:
  double FailureSeconds() const;

  TimeFit quick_{0.98, 6};     // Half after 34 confirmations, or 6 s without one.
  TimeFit lasting_{0.995, 1};  // Half after 138 of either.
  double deviation_ =
      0;  // Of what was confirmed from what was expected, in shares of that; a mean.
  double usual_ahead_ = 0;  // Bytes.
  double most_ahead_ = 0;
  double success_ = 1;
  double failed_seconds_ = 1;
  bool learnt_ = false;
  bool confirmed_ = false;
  bool idle_ = false;  // Nothing was confirmed since the last OnTime.

  static constexpr double kCertain = 0.4;          // The variance after three,
  static constexpr double kLastingCertain = 0.15;  // and after seven.
};

}  // namespace viaduct
