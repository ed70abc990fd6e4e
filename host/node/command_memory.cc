#include "host/node/command_memory.h"

#include <algorithm>
#include <utility>

#include "core/lpr/replies.h"

namespace viaduct {
namespace {

constexpr int kNotDone = 503;  // It may be given once more.

// What is kept of an answer.
CallReply Kept(const CallReply& answer) {
  if (answer.body.size() <= CommandMemory::kMaxAnswerBytes) return answer;
  const bool success = answer.status < 300;
  return JsonReply(answer.status, success ? R"({"success":true,"message":"was answered before"})"
                                          : R"({"success":false,"message":"was answered before"})");
}

}  // namespace

ReplyFn CommandMemory::Enter(const std::string& key, ReplyFn reply) {
  CallReply answer;
  {
    absl::MutexLock lock(&mutex_);
    KnownPtr& known = known_[key];
    if (known == nullptr) {
      known = std::make_shared<Known>();
      order_.push_back(key);
      ReplyFn first = [this, key, entered = known, reply = std::move(reply)](CallReply result) {
        End(key, entered, result);
        reply(std::move(result));
      };
      if (order_.size() > kMaxCommands) {
        known_.erase(order_.front());
        order_.pop_front();
      }
      return first;
    }
    if (!known->answered && known->waiting.size() < kMaxWaiting) {
      known->waiting.push_back(std::move(reply));
      return nullptr;
    }
    answer = known->answered ? known->answer
                             : ErrorReply(kNotDone, "the same command is being carried out");
  }
  reply(std::move(answer));
  return nullptr;
}

void CommandMemory::End(const std::string& key, const KnownPtr& known, const CallReply& answer) {
  std::vector<ReplyFn> waiting;
  {
    absl::MutexLock lock(&mutex_);
    known->answered = true;
    known->answer = Kept(answer);
    waiting.swap(known->waiting);
    const auto found = known_.find(key);
    if (answer.status == kNotDone && found != known_.end() && found->second == known) {
      known_.erase(found);
      order_.erase(std::remove(order_.begin(), order_.end(), key), order_.end());
    }
  }
  for (const ReplyFn& reply : waiting) reply(answer);
}

}  // namespace viaduct
