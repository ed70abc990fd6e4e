// Who is connected to the listeners: sessions, the rooms they are in, the cameras behind them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace viaduct {

struct SessionCamera {
  std::string camera_id;
  std::string checkpoint_id;
  absl::Time active = absl::InfinitePast();  // When it last spoke through any session.
  bool elsewhere = false;                    // It has a session at another node.
};

// Of the events of one camera, "camera_<camera>_<checkpoint>". '_' in the first is escaped, so that
// "CAM" at "1_A" is not "CAM_1" at "A".
std::string CameraRoom(std::string_view camera_id, std::string_view checkpoint_id);

// A session is named by its listener and the listener's name for it. What it is told of a session
// that is not open (its end came first) is forgotten at once. Thread-safe.
class Sessions {
 public:
  static constexpr size_t kMaxRooms = 64;      // Of one session.
  static constexpr size_t kMaxCameras = 4096;  // Of one session: an edge node speaks for many.

  void Open(std::string_view instance, std::string_view session);
  // Returns the cameras whose last session at this node it was.
  std::vector<SessionCamera> Close(std::string_view instance, std::string_view session);
  // The same for all sessions of a listener.
  std::vector<SessionCamera> CloseAll(std::string_view instance);

  // False: not open, or in too many rooms.
  bool Join(std::string_view instance, std::string_view session, std::string_view room);
  // The camera speaks through this session. True: its first at this node.
  bool AddCamera(std::string_view instance, std::string_view session, SessionCamera camera);
  // It came to another node, or is at no other any longer. True: it is online now where it was not,
  // or the reverse.
  bool SetElsewhere(std::string_view camera_id, bool online);
  // The first that spoke through it; empty names where none did.
  SessionCamera CameraOf(std::string_view instance, std::string_view session) const;

  bool HasRoom(std::string_view room) const;
  bool HasAnyRoom() const;
  bool IsOnline(std::string_view camera_id) const;  // At this node or another.
  bool IsHere(std::string_view camera_id) const;    // At this node.
  int64_t size() const;

 private:
  using Key = std::pair<std::string, std::string>;
  struct Session {
    std::vector<std::string> rooms;
    std::vector<SessionCamera> cameras;
  };
  // Ordered, so that those of one listener stand together.
  using Table = std::map<Key, Session, std::less<>>;

  void Leave(const Session& session, std::vector<SessionCamera>* offline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteActive(const std::string& camera_id, absl::Time at)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Session* Find(std::string_view instance, std::string_view session)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  Table sessions_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, size_t> rooms_ ABSL_GUARDED_BY(mutex_);    // Sessions in it.
  absl::flat_hash_map<std::string, size_t> cameras_ ABSL_GUARDED_BY(mutex_);  // Sessions of it.
  absl::flat_hash_map<std::string, absl::Time> active_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> elsewhere_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace viaduct
