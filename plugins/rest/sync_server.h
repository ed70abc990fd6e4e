// For tests: a listener whose handler simply returns the answer, and may block.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "plugins/rest/http_server.h"

namespace viaduct::rest {

// Each request gets a thread, joined at the end.
class SyncServer {
 public:
  using Handler = std::function<HttpReply(const HttpRequest&)>;

  SyncServer(HttpServerOptions options, Handler handler)
      : handler_(std::move(handler)),
        server_(
            std::move(options),
            [this](uint64_t ticket, HttpRequest request) { Spawn(ticket, std::move(request)); },
            [this](uint64_t) { ++cancelled_; }) {}
  ~SyncServer() {
    server_.Stop();
    for (std::thread& thread : threads_) thread.join();
  }

  HttpServer& operator*() { return server_; }
  HttpServer* operator->() { return &server_; }
  int cancelled() const { return cancelled_; }

 private:
  // On the server's one thread.
  void Spawn(uint64_t ticket, HttpRequest request) {
    threads_.emplace_back([this, ticket, request = std::move(request)] {
      server_.Answer(ticket, handler_(request));
    });
  }

  const Handler handler_;
  std::atomic<int> cancelled_{0};
  std::vector<std::thread> threads_;
  HttpServer server_;
};

}  // namespace viaduct::rest
