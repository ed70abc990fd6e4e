// The inside of Client. Internal to the plugin.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "plugins/websocket/client.h"
#include "plugins/websocket/deadlines.h"
#include "plugins/websocket/frame_codec.h"
#include "plugins/websocket/stream.h"

namespace viaduct::websocket {

// Thread-safe where Client is; the rest lives on the client's thread.
class Client::Impl final : public Timed {
 public:
  using Tcp = boost::asio::ip::tcp;
  using Error = boost::system::error_code;

  Impl(ClientOptions options, Events events)
      : options_(std::move(options)),
        events_(std::move(events)),
        buffer_(64u << 10),
        resolver_(loop_),
        deadlines_(loop_),
        answer_timer_(this),
        redial_(this),
        introduce_again_(this) {}

  absl::Status Start();
  size_t credit() const;
  bool Take(Delivery delivery);
  void Cancel(absl::Span<const uint64_t> tokens);
  bool Drain(absl::Duration timeout);
  void Stop();
  bool Probe(absl::Duration timeout, ProbeFn done);
  void Answer(uint64_t ticket, std::string body);
  void Introduce(std::string event, std::string body);

  void OnDeadline() override;

 private:
  enum class Phase : uint8_t {
    kIdle,
    kConnecting,
    kHandshake,
    kOpening,
    kJoining,
    kReady,
    kEnded,
  };
  struct Sent {
    Delivery delivery;  // Without its envelope, which is on its way.
    size_t bytes = 0;
    uint64_t end = 0;  // Where it ends among all octets of messages on this connection.
  };
  // The oldest message must be answered in time.
  struct AnswerTimer final : public Timed {
    explicit AnswerTimer(Impl* o) : owner(o) {}
    void OnDeadline() override { owner->OnAnswerDue(); }
    Impl* const owner;
  };

  // Without anything to send the connection is made anew a few times.
  struct Redial final : public Timed {
    explicit Redial(Impl* o) : owner(o) {}
    void OnDeadline() override { owner->Connect(); }
    Impl* const owner;
  };
  // The server has refused it.
  struct AgainTimer final : public Timed {
    explicit AgainTimer(Impl* o) : owner(o) {}
    void OnDeadline() override { owner->SayIntroduction(); }
    Impl* const owner;
  };
  // Of this connection, until the server has taken it.
  struct Introduction {
    std::string event;
    std::string body;
    uint64_t id = 0;  // Of its acknowledgement; 0: none is due.
  };

  using SentMap = std::unordered_map<uint64_t, Sent>;  // By acknowledgement id, which grows.

  // On the loop's thread.
  void Connect();
  void Dial(uint64_t number, const Tcp::resolver::results_type& all);
  void OnConnected(Tcp::socket socket);
  void SendHandshake();
  void Read();
  void OnRead(const Error& error, uint8_t* data, size_t size);
  bool ReadHandshake();
  void OnFrame(const ReceivedFrame& frame);
  void TakeText(const std::string& text);
  void OnOpen(const std::string& json);
  void OnSocketIo(const std::string& text);
  void OnRawAnswer(const std::string& text);
  void OnCommand(std::optional<uint64_t> ack_id, const std::string& body);
  void Ready();
  void SayIntroduction();
  void OnIntroduced(const std::string& json);
  void TakeMail();
  void SendDelivery(Delivery delivery);
  void OnAnswer(uint64_t id, const std::string& json);
  void RejectLargest();
  void Settle(SentMap::iterator sent, DeliveryResult result);
  void OnAnswerDue();
  void FindOldest();
  SteadyTime OldestDue() const;
  void ArmAnswerTimer();
  void AwaitServer();
  void SendText(std::string_view text);
  void Flush();
  void EndProbe(const absl::Status& status);
  void Lose(const absl::Status& why);
  void SendProbe();
  void CancelSome(const std::vector<uint64_t>& tokens);
  void EndAll(DeliveryOutcome outcome, const absl::Status& why);
  void Report(const std::vector<DeliveryResult>& results, size_t bytes);
  void CloseAll();

  const ClientOptions options_;
  const Events events_;
  ServerAddress address_;
  SharedBuffer buffer_;
  boost::asio::io_context loop_{1};
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  Tcp::resolver resolver_;
  std::thread thread_;

  mutable absl::Mutex mutex_;
  std::deque<Delivery> mail_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> cancelled_ ABSL_GUARDED_BY(mutex_);
  size_t held_ ABSL_GUARDED_BY(mutex_) = 0;  // Taken and not ended.
  size_t held_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t telling_ ABSL_GUARDED_BY(mutex_) = 0;  // Groups that have ended and are being told.
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool probe_asked_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;

  // The loop's own.
  Deadlines deadlines_;
  AnswerTimer answer_timer_;
  Redial redial_;
  AgainTimer introduce_again_;
  Phase phase_ = Phase::kIdle;
  uint64_t connection_ = 0;  // Counts them, so that an end that comes late finds nothing.
  int attempts_left_ = 0;
  std::shared_ptr<Tcp::socket> connecting_;
  std::shared_ptr<Stream> stream_;
  std::unique_ptr<FrameCodec> codec_;
  std::string in_;  // The answer to the handshake.
  std::string out_;
  bool writing_ = false;
  std::deque<Delivery> waiting_;  // For the connection.
  SentMap sent_;
  std::unordered_map<std::string, uint64_t> by_message_;
  uint64_t last_id_ = 0;
  uint64_t oldest_ = 1;           // Of those that wait for an answer; over last_id_: none does.
  SteadyTime oldest_since_;       // It was sent or became the oldest.
  uint64_t sent_end_ = 0;         // Octets of messages sent on this connection,
  uint64_t answered_end_ = 0;     // and up to where the server has answered.
  size_t unconfirmed_bytes_ = 0;  // Of sent_.
  size_t largest_given_up_ = 0;   // Cancelled after it was sent on this connection.
  // Commands without an answer, with the id that the server's event asked it under.
  std::unordered_map<uint64_t, std::optional<uint64_t>> commands_;
  uint64_t last_command_ = 0;
  Introduction introduction_;
  size_t max_payload_ = SIZE_MAX;
  absl::Duration silence_ = absl::Seconds(20);  // How long the server may say nothing.
  bool pinged_ = false;
  uint64_t pings_ = 0;
  uint64_t probes_ = 0;
  bool probing_ = false;  // The probe is on its way.
  ProbeFn probe_;
  ProbeCost probe_cost_;
  SteadyTime probe_began_;
  SteadyTime probe_due_;
};

}  // namespace viaduct::websocket
