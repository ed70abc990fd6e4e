// What the audit is told of changing calls that were refused: anybody can cause them in any number,
// and full files of the audit go, the oldest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/security/audit_chain.h"
#include "core/security/bucket_table.h"

namespace viaduct {

// Some are written down one by one, the others counted, and their number is a record of its own.
// Thread-safe.
class RefusalTally {
 public:
  static constexpr absl::Duration kInterval = absl::Minutes(1);
  // One by one in an interval, on the long run: of each principal, and of each listener those of
  // nobody known.
  static constexpr int kOfPrincipal = 10;
  static constexpr int kOfNobody = 1;
  static constexpr size_t kMaxBuckets = 1'024;
  static constexpr size_t kMaxCounted = 32;  // By name in an interval; the rest is "others".

  // What is to be written now: the refusal itself where it is one of the few, then the numbers of
  // the interval before, where it has passed. `listener` is empty where somebody known was refused.
  std::vector<security::AuditRecord> Note(const security::AuditRecord& refusal,
                                          const std::string& listener, int64_t now_ns);
  // The numbers that have not been written.
  std::vector<security::AuditRecord> Rest();

 private:
  std::vector<security::AuditRecord> Numbers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  security::BucketTable principals_ ABSL_GUARDED_BY(mutex_){
      {kOfPrincipal / absl::ToDoubleSeconds(kInterval), kOfPrincipal}, kMaxBuckets};
  security::BucketTable nobody_ ABSL_GUARDED_BY(mutex_){
      {kOfNobody / absl::ToDoubleSeconds(kInterval), kOfNobody}, kMaxBuckets};
  absl::flat_hash_map<std::string, uint64_t> counted_ ABSL_GUARDED_BY(mutex_);
  int64_t counting_since_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace viaduct
