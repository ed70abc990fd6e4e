// One connection to a broker, on libmosquitto, driven by a thread of its own.
//
// libmosquitto 2.0 queues the PUBACK of an arrival before it hands the arrival over, and writes its
// queue only in mosquitto_loop_write as long as it believes that several threads use it. So the
// handler decides with may_write() when acknowledgements leave: docs/adr/0006.
//
// A session connects once. When the connection ends it tells why and is done: whether and when
// there is another is the host's affair.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plugins/common/tls_options.h"
#include "plugins/common/waking_thread.h"
#include "plugins/mqtt/answer_watch.h"
#include "plugins/mqtt/broker_address.h"
#include "plugins/mqtt/broker_socket.h"

struct mosquitto;

namespace viaduct::mqtt {

inline constexpr size_t kMaxPacketBytes = 68u << 20;  // What a host takes in one call, and a frame.

// Of a clock that does not jump: for deadlines.
int64_t MonotonicNs();

struct Publication {
  std::string topic;
  std::string payload;
  int qos = 1;
  bool retain = false;
  std::string correlation;  // MQTT 5: correlation data; "" for none.
  uint32_t expiry_s = 0;    // MQTT 5: the broker keeps it no longer; 0: for ever.
};

// What came in; everything is borrowed.
struct Arrival {
  std::string_view topic;
  std::string_view payload;
  int qos = 0;
  bool retain = false;  // It lay at the broker when we subscribed.
  std::string_view correlation;
};

struct SessionOptions {
  BrokerAddress broker;
  bool version_5 = false;  // Else 3.1.1.
  std::string client_id;
  bool keep_session = true;  // The broker keeps what it has for us while we are away.
  std::string username;      // "": none.
  std::string password;
  TlsRoadOptions tls;
  int keepalive_s = 60;
  absl::Duration connect_timeout = absl::Seconds(10);  // To the CONNACK, over all addresses.
  // From CONNACK to SUBACK. What the broker has kept for us comes between the two: each arrival,
  // and each time that the handler holds the session back, begins it anew.
  absl::Duration subscribe_timeout = absl::Seconds(30);
  absl::Duration session_expiry = absl::Hours(24 * 7);  // MQTT 5; a 3.1.1 session has no end.
  int receive_maximum = 64;                             // MQTT 5: arrivals that await their PUBACK.
  Publication will;                                     // Without a topic: none.
  BrokerSocket::ResolveFn resolve = &ResolveBroker;
};

// The functions are called on the session's thread and must not block.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  // The broker has taken us: the time to subscribe.
  virtual void OnConnected() = 0;
  // Every filter of every Subscribe was granted, but for optional ones.
  virtual void OnSubscribed() = 0;
  virtual void OnArrival(const Arrival& arrival) = 0;
  // A publication with QoS 1 or 2 has ended. `reason` is that of MQTT 5, 0 with 3.1.1.
  virtual void OnPublished(int id, int reason) = 0;
  virtual void OnUnsubscribed(int id) { static_cast<void>(id); }
  // Between reading and writing: what other threads left to do. Returns how long it can wait for
  // the next turn.
  virtual absl::Duration OnTurn() = 0;
  virtual bool may_read() const = 0;   // More arrivals are welcome.
  virtual bool may_write() const = 0;  // What is queued may leave, acknowledgements among it.
  // The last words of a session that ends in order.
  virtual void OnFarewell() = 0;
  // Once, the last call. OK: Stop was called.
  virtual void OnEnded(const absl::Status& why) = 0;
};

// Start, Stop and Wake from any thread, the others on the session's thread, from the handler.
class Session {
 public:
  Session(SessionOptions options, SessionHandler* handler);
  ~Session();  // Stops.

  absl::Status Start();
  // Says farewell where may_write() allows it, disconnects, joins. Bounded by kFarewell and, while
  // the name of the broker is being looked up, by the resolver.
  void Stop();
  void Wake();

  // The id that OnPublished will name. RESOURCE_EXHAUSTED: larger than the broker takes.
  absl::StatusOr<int> Publish(const Publication& publication);
  // `optional`: a broker that grants it not is as good. Else its refusal ends the session.
  absl::Status Subscribe(const std::vector<std::string>& filters, int qos, bool optional = false);
  // The id that OnUnsubscribed will name.
  absl::StatusOr<int> Unsubscribe(const std::string& filter);
  // Ends the connection at once and writes nothing more: what was not acknowledged comes again.
  void Fail(absl::Status why);

 private:
  struct Callbacks;

  absl::Status MakeClient();
  absl::Status SetCredentials();
  absl::Status SetTls();
  absl::Status Connect();
  void Run();
  void Turn();
  void Poll(absl::Duration wait);
  void OnReady(short events);
  // The first sign of life of the socket.
  void WatchConnecting();
  // What one address has said, or that it has said nothing for its share of the time.
  void TryNextAddress(int error);
  // CONNACK and SUBACK in time.
  void CheckDeadline();
  void ArmSubscribeDeadline();
  // The broker acknowledges what we publish.
  void CheckAnswers();
  bool WantsWrite() const;
  void Check(int code, const char* doing);
  void SayFarewell();

  const SessionOptions options_;
  SessionHandler* const handler_;
  struct mosquitto* client_ = nullptr;
  bool library_ready_ = false;
  std::atomic<bool> stopping_{false};
  WakingThread thread_;

  // Of the thread alone.
  bool tcp_up_ = false;
  std::unique_ptr<BrokerSocket> addresses_;  // Until tcp_up_.
  bool connected_ = false;
  bool subscribed_ = false;
  int subscriptions_ = 0;    // Without their SUBACK.
  std::set<int> optional_;   // Ids of those that may be refused.
  int64_t deadline_ns_ = 0;  // Until subscribed_.
  AnswerWatch answers_;
  int64_t next_answer_check_ns_ = 0;
  absl::Status ended_;
  std::string library_error_;  // What libmosquitto said last.
};

}  // namespace viaduct::mqtt
