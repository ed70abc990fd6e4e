// One server node and one edge node for fuzzers, with the check of what they answer.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/lpr/application.h"
#include "core/lpr/store_sink.h"
#include "core/message/json_scanner.h"
#include "core/observe/log.h"
#include "core/store/sqlite_store.h"

namespace viaduct {

inline constexpr size_t kMaxPassesPerStore =
    50'000;  // Then a fresh one, so that no run grows for ever.

// The edge node's sink takes everything. Thread-compatible.
class FuzzNodes {
 public:
  FuzzNodes() {
    char folder[] = "/tmp/viaduct-fuzz-XXXXXX";
    folder_ = mkdtemp(folder);
    SqliteStoreOptions options;
    options.path = folder_ + "/store.db";
    auto store = OpenSqliteStore(options, &clock_, &log_);
    if (!store.ok()) std::abort();
    store_ = std::move(*store);
    auto images = ImageFolder::Open(ImageFolderOptions{folder_ + "/images"}, &log_);
    if (!images.ok()) std::abort();
    images_ = std::move(*images);
    sink_ = std::make_unique<StoreSink>(StoreSinkOptions(), store_.get(), images_.get(), &clock_,
                                        &log_);
    server_ = MakeApplication(sink_.get(), store_.get());
    edge_ = MakeApplication(&accepting_, nullptr);
  }
  ~FuzzNodes() {
    server_.reset();
    sink_.reset();
    store_.reset();
    const std::string command = "rm -rf " + folder_;
    if (std::system(command.c_str()) != 0) std::abort();
  }

  FuzzNodes(const FuzzNodes&) = delete;
  FuzzNodes& operator=(const FuzzNodes&) = delete;

  // The nodes of this process, made anew now and then.
  static FuzzNodes* Get() {
    static std::unique_ptr<FuzzNodes> nodes;
    static size_t passes = 0;
    if (nodes == nullptr || ++passes % kMaxPassesPerStore == 0) {
      nodes.reset();
      nodes = std::make_unique<FuzzNodes>();
    }
    return nodes.get();
  }

  void Pass(const CallRequest& request) {
    Check(server_.get(), request);
    Check(edge_.get(), request);
  }

 private:
  class AcceptingSink final : public Sink {
   public:
    void Accept(std::vector<Arrival> batch, AcceptFn done) override {
      for (const Arrival& arrival : batch) {
        if (!ValidateEnvelope(arrival.envelope, ParseOptions()).ok()) std::abort();
      }
      done(std::vector<AcceptResult>(batch.size(), AcceptResult{absl::OkStatus(), false, "id"}));
    }
  };

  std::unique_ptr<Application> MakeApplication(Sink* sink, Store* store) {
    ApplicationParts parts;
    parts.clock = &clock_;
    parts.log = &log_;
    parts.sink = sink;
    parts.store = store;
    parts.images = images_.get();
    ApplicationOptions options;
    options.node_id = "fuzz";
    options.max_body_bytes = 1 << 20;
    return std::make_unique<Application>(options, parts);
  }

  // Exactly one reply, a status we know, and JSON that parses; at a topic there may be no answer.
  static void Check(Application* application, const CallRequest& request) {
    auto done = std::make_shared<absl::Notification>();
    auto reply = std::make_shared<CallReply>();
    application->Handle(request, [done, reply](CallReply answered) {
      *reply = std::move(answered);
      done->Notify();  // Aborts when it was notified before.
    });
    done->WaitForNotification();
    if (reply->status < 200 || reply->status >= 600 || reply->status == 500) std::abort();
    if (request.method == "PUBLISH" && reply->body.empty()) return;
    for (const auto& [name, value] : reply->attributes) {
      JsonSlice slice;
      if (name == "content-type" && value == "application/json" &&
          !JsonScanner(reply->body, JsonScanLimits()).ScanDocument(&slice).ok()) {
        std::fprintf(stderr, "no JSON: %s\n", reply->body.c_str());
        std::abort();
      }
    }
  }

  FakeClock clock_;
  NullLog log_;
  std::string folder_;
  AcceptingSink accepting_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ImageFolder> images_;
  std::unique_ptr<StoreSink> sink_;
  std::unique_ptr<Application> server_;
  std::unique_ptr<Application> edge_;
};

}  // namespace viaduct
