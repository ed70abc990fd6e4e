// A road for tests: copies into a folder as a plugin would, and fails in the ways that are asked.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/sha256.h"
#include "core/transfer/transfer_road.h"
#include "core/transfer/transfer_test_support.h"

namespace viaduct {

// Thread-safe. One file after the other.
class FolderRoad final : public TransferRoad {
 public:
  static constexpr uint64_t kBlock = 4096;

  explicit FolderRoad(std::string folder) : folder_(std::move(folder)) {
    thread_ = std::thread([this] { Loop(); });
  }
  ~FolderRoad() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  // Each holds for the next attempt only, but the states below them.
  std::atomic<int64_t> cut_at{-1};
  std::atomic<bool> wrong_digest{false};
  std::atomic<bool> up{true};
  std::atomic<bool> lies{false};  // Of the digest.
  std::atomic<bool> deaf{false};  // Ends nothing that is cancelled.
  std::atomic<size_t> room{32};
  void RefuseNext(Outcome outcome, absl::Status status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    refusals_.emplace_back(outcome, std::move(status));
  }
  // The next attempts end there, one after the other.
  void CutNext(uint64_t at, Outcome outcome) {
    const std::lock_guard<std::mutex> lock(mutex_);
    cuts_.emplace_back(at, outcome);
  }
  void Deafen(bool value) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      deaf = value;
    }
    changed_.notify_all();
  }
  void Hold(bool hold) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      hold_ = hold;
    }
    changed_.notify_all();
  }

  // Begin does not return while it holds; what it was given is among the jobs.
  void HoldBegin(bool hold) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      hold_begin_ = hold;
    }
    changed_.notify_all();
  }

  uint64_t ended() const { return ended_.load(); }  // Attempts whose end has been told.
  std::vector<FileJob> jobs() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return begun_;
  }
  uint64_t written() const { return written_.load(); }
  int reads() const { return reads_.load(); }  // Of local files, whole.
  std::string Content(const std::string& name) const { return ReadText(folder_ + "/" + name); }

  bool ready() const override { return up.load(); }
  size_t credit() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t used = queue_.size() + (busy_ ? 1 : 0);
    return room.load() > used ? room.load() - used : 0;
  }
  absl::StatusOr<uint64_t> Begin(FileJob job, FileProgressFn progress, FileDoneFn done) override {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      begun_.push_back(job);
      changed_.wait(lock, [this] { return !hold_begin_; });
      queue_.push_back({++tickets_, std::move(job), std::move(progress), std::move(done)});
    }
    changed_.notify_all();
    return tickets_.load();
  }
  void Cancel(uint64_t ticket) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      cancelled_.insert(ticket);
    }
    changed_.notify_all();
  }
  absl::Status Discard(FileLeftover leftover) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    discarded_.push_back(leftover.remote_name);
    std::filesystem::remove(folder_ + "/" + leftover.remote_name + ".part");
    return absl::OkStatus();
  }
  std::vector<std::string> discarded() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return discarded_;
  }

 private:
  struct Work {
    uint64_t ticket = 0;
    FileJob job;
    FileProgressFn progress;
    FileDoneFn done;
  };

  void Loop() {
    while (true) {
      Work work;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
        if (queue_.empty()) return;
        work = std::move(queue_.front());
        queue_.pop_front();
        busy_ = true;
      }
      FileResult result = Move(work);
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        busy_ = false;
      }
      work.done(std::move(result));
      ++ended_;
    }
  }

  static FileResult Ended(Outcome outcome, absl::Status status, uint64_t durable) {
    FileResult result;
    result.outcome = outcome;
    result.status = std::move(status);
    result.durable_offset = durable;
    return result;
  }

  bool WaitWhileHeld(uint64_t ticket) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto cancelled = [&] { return cancelled_.count(ticket) != 0 && !deaf.load(); };
    changed_.wait(lock, [&] { return ending_ || !hold_ || cancelled(); });
    return !cancelled() && !ending_;
  }

  std::pair<int64_t, Outcome> NextCut() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (cuts_.empty()) return {cut_at.exchange(-1), Outcome::kRetry};
    const auto cut = cuts_.front();
    cuts_.pop_front();
    return cut;
  }

  std::optional<FileResult> Refusal() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (refusals_.empty()) return std::nullopt;
    FileResult result = Ended(refusals_.front().first, refusals_.front().second, 0);
    refusals_.pop_front();
    return result;
  }

  FileResult Move(const Work& work) {
    if (auto refusal = Refusal()) return *refusal;
    const std::filesystem::path final_name = folder_ + "/" + work.job.remote_name;
    std::filesystem::create_directories(final_name.parent_path());
    const std::string part = final_name.string() + ".part";
    const auto [cut, cut_outcome] = NextCut();
    std::string text = ReadText(work.job.local_path);
    ++reads_;
    // A part that is gone or shorter (an attempt was confirmed, and nobody heard it) goes on there.
    const uint64_t begin = std::min<uint64_t>(work.job.offset, ReadText(part).size());
    std::ofstream out(part, std::ios::binary | (begin > 0 ? std::ios::in | std::ios::out
                                                          : std::ios::out | std::ios::trunc));
    out.seekp(static_cast<std::streamoff>(begin));
    for (uint64_t at = begin; at < text.size(); at += kBlock) {
      if (!WaitWhileHeld(work.ticket)) {
        return Ended(Outcome::kCancelled, absl::CancelledError("cancelled"), at);
      }
      if (cut >= 0 && at >= static_cast<uint64_t>(cut)) {
        return Ended(cut_outcome, absl::UnavailableError("cut"), at);
      }
      out << text.substr(at, kBlock);
      out.flush();
      written_ += std::min<uint64_t>(kBlock, text.size() - at);
      const uint64_t now = std::min<uint64_t>(at + kBlock, text.size());
      work.progress(now, now);
    }
    if (!WaitWhileHeld(work.ticket)) {
      return Ended(Outcome::kCancelled, absl::CancelledError("cancelled"), text.size());
    }
    out.close();
    const std::string digest = HexSha256(ReadText(part));
    if (digest != work.job.sha256) {
      std::filesystem::remove(part);
      return Ended(Outcome::kReject, absl::AbortedError("the file was changed"), 0);
    }
    std::filesystem::rename(part, final_name);
    FileResult result = Ended(Outcome::kDurable, absl::OkStatus(), text.size());
    result.sha256 = wrong_digest.exchange(false) || lies.load() ? HexSha256("other") : digest;
    return result;
  }

  const std::string folder_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> queue_;
  std::vector<FileJob> begun_;
  std::vector<std::string> discarded_;
  std::set<uint64_t> cancelled_;
  std::deque<std::pair<Outcome, absl::Status>> refusals_;
  std::deque<std::pair<int64_t, Outcome>> cuts_;
  bool hold_ = false;
  bool hold_begin_ = false;
  bool busy_ = false;
  bool ending_ = false;
  std::atomic<uint64_t> tickets_{0};
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> ended_{0};
  std::atomic<int> reads_{0};
  std::thread thread_;
};

}  // namespace viaduct
