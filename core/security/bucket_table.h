// Token buckets by name, in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace viaduct::security {

struct BucketRate {
  double per_second = 0;  // 0: no limit.
  double burst = 1;       // At once, after a pause. At least 1.
};

// Thread-compatible. Times are of Clock::MonotonicNanos.
//
// There are at most `max_buckets`. A bucket that is full again is forgotten first: a new one would
// be the same. Where none is, whoever is new shares one more bucket with all that are new: nobody
// who has used up what is theirs gets it anew because others come in crowds.
class BucketTable {
 public:
  BucketTable(BucketRate rate, size_t max_buckets);

  // How long until `cost` tokens are there; zero: now. More than the burst is waited for as the
  // burst.
  absl::Duration WaitFor(std::string_view name, double cost, int64_t now_ns);
  // Takes them, also into debt: WaitFor has been asked.
  void Take(std::string_view name, double cost, int64_t now_ns);

  size_t size() const { return buckets_.size(); }
  bool limits() const { return rate_.per_second > 0; }

 private:
  struct Bucket {
    double tokens;
    int64_t filled_ns;
    std::list<std::string>::iterator place;  // In used_.
  };

  void Fill(Bucket* bucket, int64_t now_ns) const;
  bool IsFull(const Bucket& bucket, int64_t now_ns) const;
  Bucket* Get(std::string_view name, int64_t now_ns);
  bool MakeRoom(int64_t now_ns);

  const BucketRate rate_;
  const size_t max_buckets_;
  absl::flat_hash_map<std::string, Bucket> buckets_;
  std::list<std::string> used_;  // The one that was asked for last is first.
  Bucket shared_;
};

}  // namespace viaduct::security
