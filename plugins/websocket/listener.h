// The listener as an instance of the host: what peers say becomes calls, what the host publishes
// becomes events. Free of the plugin's entry.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plugins/common/certificate_report.h"
#include "plugins/websocket/server.h"
#include "viaduct/cpp/plugin.h"

namespace viaduct::websocket {

// Thread-safe.
class Listener final : public ServerHandler {
 public:
  static constexpr uint32_t kMaxPublishing = 1024;  // Events on their way to the server's thread.
  static constexpr size_t kMaxLives = 65'536;

  // `max_lives`: beginnings and ends of sessions that the host has no room for yet. Beyond them no
  // session begins, or whoever comes and goes meanwhile would fill the memory.
  Listener(const sdk::Host& host, const ServerOptions& options, size_t max_lives = kMaxLives);

  const sdk::Host& host() const { return host_; }
  sdk::Status AddMetrics();
  sdk::Status Start();
  bool Drain(absl::Duration timeout);
  void Stop();

  void OnReply(const vd_reply& reply);
  uint32_t Credit() const;
  void Deliver(const sdk::MessageList& batch, size_t* taken);
  sdk::Status OnCall(const vd_call& call);
  void OnCallCancel(uint64_t token);
  void PublishStats();  // Every now and then, on the lane.

  // ---- ServerHandler, on the server's thread
  void OnHttp(uint64_t ticket, HttpRequest request) override;
  void OnHttpGone(uint64_t ticket) override;
  void OnConnect(Session& session, std::string_view nsp, std::string_view auth) override;
  void OnEvent(Session& session, const SessionEvent& event) override;
  void OnMessage(Session& session, bool binary, std::string_view payload) override;
  void OnAck(Session& session, uint64_t id, std::string_view answer) override;
  void OnClose(Session& session) override;

 private:
  // What the answer to a call is for.
  struct Asked {
    enum class Kind : uint8_t { kNothing, kHttp, kOpen, kEvent, kMessage };
    Kind kind = Kind::kNothing;
    uint64_t ticket = 0;   // Of a request.
    uint64_t session = 0;  // Of an event or message, or the one that opens.
    std::string nsp;
    bool wants_ack = false;
    uint64_t ack_id = 0;
    size_t bytes = 0;
  };
  // The beginning or the end of a session, until the host has taken it.
  struct Life {
    bool opens = false;
    uint64_t session = 0;
    std::string nsp;
    std::string sid;
    std::string protocol;
    std::string path;
    std::string peer;
  };
  // The host's, kept until the server's thread has used it.
  struct Answer {
    std::vector<std::pair<std::string, std::string>> events;  // Name and body.
    std::vector<std::string> rooms;
    std::string body;
    std::string close;                                  // Why the session must end; "": it goes on.
    absl::Duration expires = absl::InfiniteDuration();  // After that it must end.
  };
  struct Answered {
    Asked asked;
    Answer answer;
  };

  sdk::Status Ask(Asked asked, vd_call* call);
  void Forget(uint64_t token);
  void AskSession(Session& session, Asked asked, std::string_view method, std::string_view path,
                  std::string_view body);
  void ApplyLater(Asked asked, Answer answer);
  void ApplyAll();
  void Apply(const Asked& asked, const Answer& answer);
  std::vector<vd_attr> CredentialsOf(const Session& session) const;
  void TellLives();
  void EndExpired();
  void NoteSessionsOver();

  const sdk::Host host_;
  const ServerOptions options_;
  const size_t max_lives_;
  CertificateReport certificate_;
  std::unique_ptr<Server> server_;  // From Start to Stop.
  std::atomic<uint32_t> publishing_{0};

  mutable absl::Mutex mutex_;
  std::unordered_map<uint64_t, Asked> asked_ ABSL_GUARDED_BY(mutex_);  // By token.
  uint64_t last_token_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Answered> answered_ ABSL_GUARDED_BY(mutex_);
  bool sessions_over_ ABSL_GUARDED_BY(mutex_) = false;  // Draining, and all have ended.

  // The server's thread's own.
  bool draining_ = false;
  std::deque<Life> lives_;
  std::unordered_set<uint64_t> opened_;  // Sessions whose beginning is told, or waits in lives_.
  std::unordered_map<uint64_t, std::string> tokens_;  // Of Socket.IO's auth objects, by session.
  std::unordered_map<uint64_t, uint64_t> calls_;      // Of the host to a session, by token.
  std::unordered_map<uint64_t, int64_t> expire_ns_;   // By session: when its credentials do.

  sdk::Metric connections_, sessions_;
  struct Counted {
    const char* name;
    const char* help;
    const std::atomic<uint64_t> ServerStats::*value;
    sdk::Metric metric;
    uint64_t last = 0;
  };
  std::vector<Counted> counted_;
};

}  // namespace viaduct::websocket
