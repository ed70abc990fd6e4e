// Stands between the listeners and the application: learns from what passes by which ways devices
// can be reached, takes what nodes say beside their messages, and brings commands to this node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/lpr/fleet.h"
#include "core/message/exchange.h"
#include "core/store/store.h"

namespace viaduct {

// Thread-safe. Everything else is passed on to the application as it comes.
class FleetCalls final : public CallHandler {
 public:
  static constexpr size_t kMaxIntroductionBytes = 16u << 10;
  // Devices that the store is told of at once, so that messages find room in its queue: whoever
  // goes on every kInterval of FleetEvents has told of all sessions within a minute.
  static constexpr size_t kMaxToldAtOnce = 8192;
  static constexpr size_t kMaxGone = DeviceRoads::kMaxSessions;  // That wait for it.
  // After that a node that could not be registered now says again who it is.
  static constexpr absl::Duration kRegisterAgain = absl::Seconds(5);

  struct Parts {  // All outlive it.
    const Clock* clock = nullptr;
    Store* store = nullptr;  // May be null.
    Fleet* fleet = nullptr;
    CallHandler* application = nullptr;
    // What this node tells its own server.
    std::string node_id;
    DeviceFacts facts;
    bool guarded = false;  // As the application's.
  };

  explicit FleetCalls(Parts parts) : parts_(std::move(parts)) {}

  void Handle(CallRequest request, ReplyFn reply) override;
  void OnListenerGone(std::string_view instance) override;
  // Nodes that are connected count as seen now. Called every now and then. True: they were too many
  // for once, the next call goes on with the others.
  bool KeepSeen();
  // Goes on with devices that have gone, when they were too many for once. Called more often.
  void TellGone();

 private:
  struct Introduction {
    std::string device_id;
    DeviceFacts facts;
  };
  // A device that has a session.
  struct Connected {
    std::string device_id;
    absl::Time seen;
    bool is_node = false;  // It has said so; else it is a camera.
  };
  using Key = std::pair<std::string, std::string>;  // Listener; session.

  static absl::StatusOr<Introduction> ReadIntroduction(std::string_view body);
  absl::Status Permit(const CallRequest& request, std::string_view event,
                      std::string_view device) const;
  void HandleSession(CallRequest request, ReplyFn reply);
  bool HandleMessage(const CallRequest& request, ReplyFn* reply);
  void Register(const CallRequest& request, ReplyFn reply);
  void NoteCamera(const CallRequest& request);
  // False: too many devices can be reached.
  bool OpenSession(const CallRequest& request, const Introduction& device, bool is_node);
  void CloseSession(const CallRequest& request);
  void NoteGone(std::vector<Connected> gone);
  std::vector<Connected> TakeGone();
  CallReply Introduce() const;
  void RunCommand(CallRequest request, ReplyFn reply);
  // How often each listener has gone, so that what began before opens nothing after it.
  class ListenerLives {
   public:
    uint64_t Of(const std::string& instance) const;
    void End(const std::string& instance);

   private:
    mutable absl::Mutex mutex_;
    std::map<std::string, uint64_t> ended_ ABSL_GUARDED_BY(mutex_);
  };
  // What a message by topic tells of the way to a device.
  struct TopicNews {
    std::string device_id;
    DeviceFacts facts;
    DeviceRoad road;
    bool system = false;  // A status; else data of a camera.
    bool closes = false;  // It says that it goes.
    bool untold = false;  // Nobody keeps its status.
    uint64_t life = 0;    // Of the listener.
  };

  void HandleTopic(CallRequest request, ReplyFn reply);
  bool ReadTopic(const CallRequest& request, TopicNews* news) const;
  static void ReadStatus(const std::string& body, TopicNews* news);
  static void TakeTopic(Fleet* fleet, const ListenerLives& lives, const TopicNews& news);

  const Parts parts_;
  const std::shared_ptr<ListenerLives> lives_ = std::make_shared<ListenerLives>();
  absl::Mutex mutex_;
  // Ordered, so that those of one listener stand together.
  std::map<Key, Connected> connected_ ABSL_GUARDED_BY(mutex_);
  Key kept_ ABSL_GUARDED_BY(mutex_);  // Up to here they count as seen; empty: all of them.
  std::deque<Connected> gone_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
