// Which cameras are online, at this node or at another one of the same database.
#include <algorithm>
#include <iterator>
#include <utility>

#include "core/lpr/application_impl.h"

namespace viaduct {
namespace {

constexpr std::string_view kDashboard = "dashboard";

}  // namespace

void Application::Impl::PublishStatus(std::string_view camera_id, std::string_view checkpoint_id,
                                      std::string_view status) {
  if (!Wanted(kDashboard)) return;
  JsonWriter json;
  json.BeginObject().Field("camera_id", camera_id).Field("checkpoint_id", checkpoint_id);
  json.Field("status", status).Field("timestamp", parts_.clock->Now()).EndObject();
  parts_.publisher->Publish(Publication{"camera_status", kDashboard, json.text()});
}

// Its last session anywhere has ended.
void Application::Impl::AddOffline(const SessionCamera& camera, std::vector<StoreRecord>* records) {
  DeviceRecord record;
  record.mode = DeviceRecord::Mode::kUpdate;
  record.device_id = camera.camera_id;
  record.at = parts_.clock->Now();
  record.seen = false;
  record.status = "offline";
  // It may speak to another node by now, or by another protocol.
  record.silent_since = camera.active;
  records->emplace_back(std::move(record));
  PublishStatus(camera.camera_id, camera.checkpoint_id, "offline");
}

// What is noted last was looked up last, whichever of two threads comes first. The store only
// remembers it.
void Application::Impl::NotePresence(const SessionCamera& camera) {
  if (parts_.store == nullptr) return;
  const absl::MutexLock lock(&presence_mutex_);
  CameraPresence presence;
  presence.camera_id = camera.camera_id;
  presence.checkpoint_id = camera.checkpoint_id;
  presence.online = sessions_.IsHere(camera.camera_id);
  presence.at = parts_.clock->Now();
  parts_.store->NotePresence(presence);
}

void Application::Impl::NoteElsewhere(const std::vector<CameraPresence>& changes) {
  std::vector<StoreRecord> records;
  for (const CameraPresence& change : changes) {
    if (change.announced && !change.online) {
      if (!sessions_.IsOnline(change.camera_id)) TellSilent(change);
    } else if (change.announced) {
      EndSilence(change.camera_id);
      PublishStatus(change.camera_id, change.checkpoint_id, "online");
    } else if (sessions_.SetElsewhere(change.camera_id, change.online)) {
      if (change.online) {
        EndSilence(change.camera_id);
        PublishStatus(change.camera_id, change.checkpoint_id, "online");
      } else {
        AddOffline(SessionCamera{change.camera_id, change.checkpoint_id, change.at}, &records);
      }
    }
  }
  StoreOffline(std::move(records));
}

void Application::Impl::NoteOffline(const std::vector<SessionCamera>& cameras) {
  std::vector<StoreRecord> records;
  for (const SessionCamera& camera : cameras) {
    NotePresence(camera);
    if (camera.elsewhere) continue;  // Whoever hears that it is nowhere any longer says so.
    AddOffline(camera, &records);
  }
  StoreOffline(std::move(records));
}

// The store is told where there is one; whoever forwards only forwards what cameras say themselves.
// A camera that no row knows, or a store that is busy: its silence says the same a little later.
void Application::Impl::StoreOffline(std::vector<StoreRecord> records) {
  if (parts_.store == nullptr) return;
  for (size_t begin = 0; begin < records.size(); begin += kMaxAppendRecords) {
    const size_t end = std::min(records.size(), begin + kMaxAppendRecords);
    std::vector<StoreRecord> some(
        std::make_move_iterator(records.begin() + static_cast<std::ptrdiff_t>(begin)),
        std::make_move_iterator(records.begin() + static_cast<std::ptrdiff_t>(end)));
    parts_.store->Append(std::move(some), [](const std::vector<AppendResult>&) {});
  }
}

void Application::Impl::ForgetSessions(std::string_view instance) {
  NoteOffline(sessions_.CloseAll(instance));
}

}  // namespace viaduct
