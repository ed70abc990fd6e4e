// The inside of Server. Internal to the plugin.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "plugins/common/address_counts.h"
#include "plugins/common/http_engine.h"
#include "plugins/common/listener_tls.h"
#include "plugins/websocket/budget.h"
#include "plugins/websocket/connection.h"
#include "plugins/websocket/deadlines.h"
#include "plugins/websocket/server.h"
#include "plugins/websocket/session.h"

namespace viaduct::websocket {

// Thread-safe where Server is; the rest lives on the server's thread.
class Server::Impl final : public ConnectionOwner, public SessionOwner, public Timed {
 public:
  using Tcp = boost::asio::ip::tcp;
  static constexpr size_t kReadBytes = 64u << 10;

  Impl(ServerOptions options, ServerHandler* handler)
      : options_(std::move(options)),
        handler_(handler),
        http_(options_.max_payload_bytes, [](int) {}),
        budget_(options_.max_buffered_bytes),
        buffer_(kReadBytes),
        acceptor_(loop_),
        accept_timer_(loop_),
        deadlines_(loop_),
        addresses_(static_cast<size_t>(options_.max_connections_per_address)),
        session_addresses_(static_cast<size_t>(options_.max_connections_per_address)) {
    if (options_.tls.enabled()) tls_ = std::make_unique<ListenerTls>(options_.tls);
  }

  absl::Status Start();
  void Drain();
  void Stop();
  void Post(std::function<void()> task) {
    boost::asio::post(loop_, [this, task = std::move(task)] {
      BeginStep();
      task();
      EndStep();
    });
  }
  void AnswerHttp(uint64_t ticket, const HttpReply& reply);

  Session* Find(uint64_t id);
  Session* FindBySid(std::string_view sid);
  void Join(Session& session, const std::string& room);
  size_t Publish(std::string_view route, std::string_view event, std::string_view body);
  bool Ask(uint64_t id, std::string_view event, std::string_view body, uint64_t ack_id);

  int port() const { return port_; }
  ListenerTls* tls() const { return tls_.get(); }

  // ---- ConnectionOwner
  void OnRequest(const ConnectionPtr& connection, HttpRequest request, bool is_upgrade) override;
  void OnClosed(Connection* connection) override;
  void BeginStep() override { ++steps_; }
  void EndStep() override;
  bool FlushLater(const ConnectionPtr& connection) override {
    if (steps_ > 0) flushes_.push_back(connection);
    return steps_ > 0;
  }
  HttpEngine& http() override { return http_; }

  // ---- SessionOwner
  void OnSessionConnect(Session* session, std::string_view nsp, std::string_view auth) override {
    handler_->OnConnect(*session, nsp, auth);
  }
  void OnSessionEvent(Session* session, const SessionEvent& event) override {
    handler_->OnEvent(*session, event);
  }
  void OnSessionMessage(Session* session, bool binary, std::string_view payload) override {
    handler_->OnMessage(*session, binary, payload);
  }
  void OnSessionAck(Session* session, uint64_t id, std::string_view answer) override {
    handler_->OnAck(*session, id, answer);
  }
  void OnSessionClosed(Session* session) override;

  // ---- both
  const ServerOptions& options() const override { return options_; }
  ServerStats& stats() override { return stats_; }
  Deadlines& deadlines() override { return deadlines_; }
  Budget& budget() override { return budget_; }
  // The time for goodbyes is over.
  void OnDeadline() override { AbortAll(); }

 private:
  // A plain request whose answer the handler gives.
  class Waiting final : public Receiver {
   public:
    Waiting(Impl* owner, uint64_t ticket, ConnectionPtr connection)
        : owner_(owner), ticket_(ticket), connection_(std::move(connection)) {}
    const ConnectionPtr& connection() const { return connection_; }
    void OnMessage(bool, std::string) override {}
    void OnGone(Connection*) override { owner_->OnHttpGone(ticket_); }

   private:
    Impl* const owner_;
    const uint64_t ticket_;
    const ConnectionPtr connection_;
  };
  // Answers itself when the handler does not in time.
  struct Ticket final : public Timed {
    Ticket(Impl* o, uint64_t t, ConnectionPtr c)
        : owner(o), number(t), waiting(o, t, std::move(c)) {}
    void OnDeadline() override {
      owner->AnswerHttp(number, Problem(504, "the answer took too long"));
    }
    Impl* const owner;
    const uint64_t number;
    Waiting waiting;
  };

  absl::Status Bind();
  void Accept();
  void OnAccept(Tcp::socket socket);
  void Ask(const ConnectionPtr& connection, HttpRequest request);
  void OnEngine(const ConnectionPtr& connection, HttpRequest request, bool is_upgrade);
  void OnNewSession(const ConnectionPtr& connection, const HttpRequest& request, bool is_upgrade);
  void OnKnownSession(const ConnectionPtr& connection, const HttpRequest& request, Session* session,
                      bool is_upgrade);
  SessionPtr MakeSession(Session::Kind kind, const ConnectionPtr& connection,
                         const HttpRequest& request);
  void OnHttpGone(uint64_t ticket);
  bool IsEnginePath(const std::string& path) const;
  bool IsOfSession(const HttpRequest& request, bool is_upgrade) const;
  std::vector<SessionPtr> AllSessions() const;
  void CloseIfDrained();
  void Goodbye();
  void AbortAll();

  const ServerOptions options_;
  ServerHandler* const handler_;
  ServerStats stats_;
  HttpEngine http_;
  Budget budget_;
  SharedBuffer buffer_;
  boost::asio::io_context loop_{1};
  // While draining there may be neither acceptor nor connection, and still something to do.
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  std::unique_ptr<ListenerTls> tls_;  // Null: plain.
  Tcp::acceptor acceptor_;
  boost::asio::steady_timer accept_timer_;
  Deadlines deadlines_;
  std::thread thread_;
  int port_ = 0;
  int max_connections_ = 0;
  std::atomic<bool> draining_{false};
  bool stopped_ = false;

  // The loop's own.
  AddressCounts addresses_;          // Of connections.
  AddressCounts session_addresses_;  // Of sessions: those that poll hold no connection.
  std::unordered_map<Connection*, ConnectionPtr> connections_;
  std::unordered_map<uint64_t, std::unique_ptr<Ticket>> tickets_;
  std::unordered_map<uint64_t, SessionPtr> sessions_;
  std::unordered_map<std::string_view, Session*> by_sid_;  // Keys are the sessions' own.
  std::unordered_map<std::string, std::unordered_set<Session*>> rooms_;
  uint64_t last_id_ = 0;
  std::vector<ConnectionPtr> flushes_;  // At the end of this step.
  int steps_ = 0;                       // In one another.
  bool ending_ = false;
};

}  // namespace viaduct::websocket
