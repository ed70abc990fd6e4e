#include "core/lpr/sessions.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/string_view.h"

namespace viaduct {
namespace {

// True: it was the last.
bool Release(absl::flat_hash_map<std::string, size_t>* counts, const std::string& name) {
  const auto found = counts->find(name);
  if (found == counts->end() || --found->second > 0) return false;
  counts->erase(found);
  return true;
}

}  // namespace

std::string CameraRoom(std::string_view camera_id, std::string_view checkpoint_id) {
  const std::string camera = absl::StrReplaceAll(AbslView(camera_id), {{"%", "%25"}, {"_", "%5F"}});
  return absl::StrCat("camera_", camera, "_", AbslView(checkpoint_id));
}

void Sessions::Open(std::string_view instance, std::string_view session) {
  absl::MutexLock lock(&mutex_);
  sessions_.try_emplace(Key(instance, session));
}

Sessions::Session* Sessions::Find(std::string_view instance, std::string_view session) {
  const auto found = sessions_.find(Key(instance, session));
  return found == sessions_.end() ? nullptr : &found->second;
}

void Sessions::Leave(const Session& session, std::vector<SessionCamera>* offline) {
  for (const std::string& room : session.rooms) Release(&rooms_, room);
  for (const SessionCamera& camera : session.cameras) {
    if (!Release(&cameras_, camera.camera_id)) continue;
    offline->push_back(camera);
    const auto active = active_.extract(camera.camera_id);
    if (!active.empty()) offline->back().active = active.mapped();
    offline->back().elsewhere = elsewhere_.contains(camera.camera_id);
  }
}

std::vector<SessionCamera> Sessions::Close(std::string_view instance, std::string_view session) {
  std::vector<SessionCamera> offline;
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(Key(instance, session));
  if (found == sessions_.end()) return offline;
  Leave(found->second, &offline);
  sessions_.erase(found);
  return offline;
}

std::vector<SessionCamera> Sessions::CloseAll(std::string_view instance) {
  std::vector<SessionCamera> offline;
  absl::MutexLock lock(&mutex_);
  auto at = sessions_.lower_bound(Key(instance, ""));
  while (at != sessions_.end() && at->first.first == instance) {
    Leave(at->second, &offline);
    at = sessions_.erase(at);
  }
  return offline;
}

bool Sessions::Join(std::string_view instance, std::string_view session, std::string_view room) {
  absl::MutexLock lock(&mutex_);
  Session* const found = Find(instance, session);
  if (found == nullptr) return false;
  std::vector<std::string>& rooms = found->rooms;
  if (std::find(rooms.begin(), rooms.end(), room) != rooms.end()) return true;
  if (rooms.size() >= kMaxRooms) return false;
  rooms.emplace_back(room);
  ++rooms_[rooms.back()];
  return true;
}

bool Sessions::AddCamera(std::string_view instance, std::string_view session,
                         SessionCamera camera) {
  absl::MutexLock lock(&mutex_);
  Session* const found = Find(instance, session);
  if (found == nullptr) return false;
  const absl::Time at = camera.active;
  for (SessionCamera& known : found->cameras) {
    if (known.camera_id != camera.camera_id) continue;
    if (!camera.checkpoint_id.empty()) known.checkpoint_id = std::move(camera.checkpoint_id);
    NoteActive(known.camera_id, at);
    return false;
  }
  if (found->cameras.size() >= kMaxCameras) return false;
  const bool first = ++cameras_[camera.camera_id] == 1;
  NoteActive(camera.camera_id, at);
  found->cameras.push_back(std::move(camera));
  return first;
}

bool Sessions::SetElsewhere(std::string_view camera_id, bool online) {
  absl::MutexLock lock(&mutex_);
  const bool changed =
      online ? elsewhere_.emplace(camera_id).second : elsewhere_.erase(AbslView(camera_id)) > 0;
  return changed && !cameras_.contains(AbslView(camera_id));
}

void Sessions::NoteActive(const std::string& camera_id, absl::Time at) {
  absl::Time& active = active_.try_emplace(camera_id, at).first->second;
  active = std::max(active, at);
}

SessionCamera Sessions::CameraOf(std::string_view instance, std::string_view session) const {
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(Key(instance, session));
  if (found == sessions_.end() || found->second.cameras.empty()) return {};
  return found->second.cameras.front();
}

bool Sessions::HasRoom(std::string_view room) const {
  absl::MutexLock lock(&mutex_);
  return rooms_.contains(AbslView(room));
}

bool Sessions::HasAnyRoom() const {
  absl::MutexLock lock(&mutex_);
  return !rooms_.empty();
}

bool Sessions::IsOnline(std::string_view camera_id) const {
  absl::MutexLock lock(&mutex_);
  return cameras_.contains(AbslView(camera_id)) || elsewhere_.contains(AbslView(camera_id));
}

bool Sessions::IsHere(std::string_view camera_id) const {
  absl::MutexLock lock(&mutex_);
  return cameras_.contains(AbslView(camera_id));
}

int64_t Sessions::size() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(sessions_.size());
}

}  // namespace viaduct
