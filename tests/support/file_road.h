// The client of a road for files, and what it has told.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "plugins/common/file_job.h"
#include "tests/support/digest.h"
#include "tests/support/test_folder.h"

namespace viaduct::support {

// `Greeting` is what `Client` says of the server when it is ready. Thread-safe.
template <typename Client, typename Options, typename Greeting>
class FileRoad {
 public:
  explicit FileRoad(const Options& options) {
    typename Client::Events events;
    events.on_ready = [this](const Greeting& greeting) {
      absl::MutexLock lock(&mutex_);
      greeting_ = greeting;
      ready_ = true;
    };
    events.on_ended = [this](const absl::Status& why) {
      absl::MutexLock lock(&mutex_);
      ended_ = why;
    };
    events.on_progress = [this](uint64_t token, uint64_t moved, uint64_t durable) {
      absl::MutexLock lock(&mutex_);
      progress_[token] = {moved, durable};
    };
    events.on_end = [this](const FileEnd& end) {
      absl::MutexLock lock(&mutex_);
      EXPECT_TRUE(ends_.emplace(end.token, end).second) << "ended twice";
    };
    client = std::make_unique<Client>(options, std::move(events));
    EXPECT_TRUE(client->Start().ok());
  }
  ~FileRoad() { client.reset(); }  // Before what it tells.
  FileRoad(const FileRoad&) = delete;
  FileRoad& operator=(const FileRoad&) = delete;

  bool Ready() {
    return Eventually([this] { return ready() || !ended().ok(); }) && ready();
  }
  // How the session ended by itself.
  absl::Status End() {
    EXPECT_TRUE(Eventually([this] { return !ended().ok(); }));
    return ended();
  }
  FileJob JobOf(const std::string& path, const std::string& name, uint64_t offset = 0) {
    const std::string content = ReadFile(path);
    FileJob job;
    job.token = ++last_token_;
    job.local_path = path;
    job.remote_name = name;
    job.sha256 = Sha256Hex(content);
    job.size = content.size();
    job.offset = offset;
    return job;
  }
  FileEnd Send(const FileJob& job) {
    const absl::Status begun = client->Begin(job);
    EXPECT_TRUE(begun.ok()) << begun;
    return begun.ok() ? EndOf(job.token) : FileEnd();
  }
  FileEnd Send(const std::string& path, const std::string& name) { return Send(JobOf(path, name)); }
  bool HasEnded(uint64_t token) const {
    absl::MutexLock lock(&mutex_);
    return ends_.count(token) > 0;
  }
  FileEnd EndOf(uint64_t token) {
    EXPECT_TRUE(Eventually([&] { return HasEnded(token); })) << "file " << token;
    absl::MutexLock lock(&mutex_);
    return ends_[token];
  }
  uint64_t moved(uint64_t token) const { return ProgressOf(token).first; }
  uint64_t durable(uint64_t token) const { return ProgressOf(token).second; }
  Greeting greeting() const {
    absl::MutexLock lock(&mutex_);
    return greeting_;
  }
  bool ready() const {
    absl::MutexLock lock(&mutex_);
    return ready_;
  }
  absl::Status ended() const {
    absl::MutexLock lock(&mutex_);
    return ended_;
  }

  std::unique_ptr<Client> client;

 private:
  std::pair<uint64_t, uint64_t> ProgressOf(uint64_t token) const {
    absl::MutexLock lock(&mutex_);
    const auto it = progress_.find(token);
    return it == progress_.end() ? std::pair<uint64_t, uint64_t>() : it->second;
  }

  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  Greeting greeting_ ABSL_GUARDED_BY(mutex_){};
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, FileEnd> ends_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> progress_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_token_ = 0;
};

}  // namespace viaduct::support
