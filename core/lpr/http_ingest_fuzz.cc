// Application::Handle with any method, path, query and body, on a store and on an edge node. The
// first line of the input is "METHOD path?query", the rest is the body.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/lpr/application.h"
#include "core/lpr/store_sink.h"
#include "core/message/json_scanner.h"
#include "core/observe/log.h"
#include "core/store/sqlite_store.h"

namespace viaduct {
namespace {

constexpr size_t kMaxPassesPerStore = 50'000;  // Then a fresh one, so that no run grows for ever.

// One server node and one edge node, whose sink takes everything.
class Nodes {
 public:
  Nodes() {
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
  ~Nodes() {
    server_.reset();
    sink_.reset();
    store_.reset();
    const std::string command = "rm -rf " + folder_;
    if (std::system(command.c_str()) != 0) std::abort();
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

  // Exactly one reply, a status we know, and JSON that parses.
  static void Check(Application* application, const CallRequest& request) {
    auto done = std::make_shared<absl::Notification>();
    auto reply = std::make_shared<CallReply>();
    application->Handle(request, [done, reply](CallReply answered) {
      *reply = std::move(answered);
      done->Notify();  // Aborts when it was notified before.
    });
    done->WaitForNotification();
    if (reply->status < 200 || reply->status >= 600 || reply->status == 500) std::abort();
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

CallRequest ReadRequest(const std::string& input) {
  CallRequest request;
  request.protocol = "http";
  const size_t line = input.find('\n');
  const std::string first = input.substr(0, line);
  if (line != std::string::npos) request.body = input.substr(line + 1);
  const size_t space = first.find(' ');
  request.method = first.substr(0, space);
  std::string target = space == std::string::npos ? "/" : first.substr(space + 1);
  const size_t mark = target.find('?');
  if (mark != std::string::npos) request.query = target.substr(mark + 1);
  request.path = target.substr(0, mark);
  return request;
}

}  // namespace
}  // namespace viaduct

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::unique_ptr<viaduct::Nodes> nodes;
  static size_t passes = 0;
  if (nodes == nullptr || ++passes % viaduct::kMaxPassesPerStore == 0) {
    nodes.reset();
    nodes = std::make_unique<viaduct::Nodes>();
  }
  nodes->Pass(viaduct::ReadRequest(std::string(reinterpret_cast<const char*>(data), size)));
  return 0;
}
