// Shared by the spool's tests: folders, messages, and waiting for what the writer thread does.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/test_folder.h"
#include "core/spool/spool.h"

namespace viaduct {

inline Envelope TestEnvelope(const std::string& id, Priority priority = Priority::kNormal,
                             size_t payload_bytes = 100, DataType type = DataType::kDetection) {
  Envelope envelope;
  envelope.message_id = id;
  envelope.timestamp = absl::FromUnixMillis(1705314600123);
  envelope.protocol = "rest";
  envelope.edge_device_id = "CAM001";
  envelope.data_type = type;
  envelope.metadata.priority = priority;
  envelope.payload_json =
      absl::StrCat(R"({"id":")", id, R"(","fill":")", std::string(payload_bytes, 'x'), "\"}");
  return envelope;
}

// Appends and waits for the verdicts; an error of the call itself counts for every message.
inline std::vector<absl::Status> AppendAll(Spool* spool, std::vector<Envelope> envelopes) {
  const size_t count = envelopes.size();
  auto promise = std::make_shared<std::promise<std::vector<absl::Status>>>();
  auto future = promise->get_future();
  const absl::Status status = spool->Append(
      std::move(envelopes),
      [promise](std::vector<absl::Status> results) { promise->set_value(std::move(results)); });
  if (!status.ok()) return std::vector<absl::Status>(count, status);
  return future.get();
}

inline absl::Status AppendOne(Spool* spool, Envelope envelope) {
  std::vector<Envelope> one;
  one.push_back(std::move(envelope));
  return AppendAll(spool, std::move(one)).front();
}

inline std::vector<OutboxMessage> ClaimAll(Spool* spool, size_t max = 100'000) {
  std::vector<OutboxMessage> messages;
  while (messages.size() < max && spool->Claim({max - messages.size(), 64u << 20}, &messages) > 0) {
  }
  return messages;
}

inline std::vector<std::string> Ids(const std::vector<OutboxMessage>& messages) {
  std::vector<std::string> ids;
  for (const OutboxMessage& message : messages) ids.push_back(message.message_id);
  return ids;
}

inline void SettleAll(Spool* spool, const std::vector<OutboxMessage>& messages, SettleKind kind,
                      int64_t delay_ns = 0, const std::string& reason = "") {
  std::vector<Settlement> settlements;
  for (const OutboxMessage& message : messages) {
    settlements.push_back({message.key, kind, delay_ns, reason});
  }
  spool->Settle(settlements);
}

// Looks again until `done` holds; the deadline only bounds a failing test.
template <typename Fn>
bool WaitFor(Fn done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace viaduct
