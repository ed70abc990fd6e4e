// The routes of the application. Internal to core/lpr.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "core/base/executor.h"
#include "core/lpr/application.h"
#include "core/lpr/communication_meter.h"
#include "core/lpr/json_writer.h"
#include "core/lpr/masking.h"
#include "core/lpr/payload.h"
#include "core/lpr/query_params.h"
#include "core/lpr/refusal_tally.h"
#include "core/lpr/replies.h"
#include "core/lpr/router.h"
#include "core/lpr/sessions.h"
#include "core/lpr/thumbnail.h"
#include "core/message/envelope_batch.h"

namespace viaduct {

class JsonFields;  // core/lpr/json_fields.h

// A request that found its route.
struct RoutedRequest {
  CallRequest call;
  std::string parameter;  // Of the path.
};

// Thread-safe.
struct Application::Impl {
 public:
  Impl(ApplicationOptions options, ApplicationParts parts);
  ~Impl();

  void Handle(CallRequest request, ReplyFn reply);
  void IngestEnvelopes(std::vector<Envelope> batch, const Sender& sender, Sink::AcceptFn done);
  void PublishElsewhere(const ElsewhereMessage& message);
  bool HasRoom(std::string_view room) const { return sessions_.HasRoom(room); }
  bool HasAnyRoom() const { return sessions_.HasAnyRoom(); }
  void ForgetThumbnails() { thumbnails_.Clear(); }
  void ForgetSessions(std::string_view instance);
  void NoteElsewhere(const std::vector<CameraPresence>& changes);
  void FindSilent();

 private:
  using Handler = void (Impl::*)(RoutedRequest request, ReplyFn reply);
  enum class RouteKind : uint8_t {
    kPlain,
    kFlat,   // Its body becomes a payload.
    kStore,  // Works on the store and the images.
    kPage,   // Shows nothing that is stored: there is nothing to mask.
    kDesk,   // Asks the node itself, which knows of no plates either.
  };
  struct Route {
    RoutePattern pattern;
    Handler handler;
    RouteKind kind;
  };
  static const Route kRoutes[];
  static std::vector<RoutePattern> Patterns();
  static std::vector<const security::Permission*> RoutePermissions();
  static const security::Permission* PermissionOf(const Route& route);

  size_t MaxBodyBytes(const Route& route) const;
  size_t MaxFlatBytes() const;
  void Read(const Route& route, RoutedRequest request, ReplyFn reply);

  // What a batch of messages was before the sink took it.
  struct Exchange;

  // ingest_routes.cc
  void PostRegistration(RoutedRequest request, ReplyFn reply);
  void PostDetection(RoutedRequest request, ReplyFn reply);
  void PostHealth(RoutedRequest request, ReplyFn reply);
  void PostStatistics(RoutedRequest request, ReplyFn reply);
  void PostEnvelopes(RoutedRequest request, ReplyFn reply);
  void IngestDetection(RoutedRequest request, bool alias, ReplyFn reply);
  void IngestHealth(RoutedRequest request, bool alias, ReplyFn reply);
  void AnswerFlat(const CallRequest& call, Arrival arrival, std::string_view message,
                  std::string_view id_name, ReplyFn reply);
  Envelope MakeEnvelope(const CallRequest& call, PayloadHeader header, DataType type,
                        std::string payload) const;
  PayloadOptions payload_options() const;

  // topic_routes.cc, topic_control.cc
  struct TopicMessage;
  void HandleTopic(CallRequest request, ReplyFn reply);
  void TopicData(TopicMessage message, ReplyFn reply);
  void TopicEnvelopes(TopicMessage message, bool array, ParsedEnvelopes parsed, ReplyFn reply);
  void TopicFlat(TopicMessage message, ReplyFn reply);
  void TopicStatus(TopicMessage message, ReplyFn reply);
  void TopicControl(CallRequest request, ReplyFn reply);
  void AskSelf(std::string path, ReplyFn reply);
  absl::Status ReadFlat(const TopicMessage& message, PayloadHeader* header, DataType* type) const;
  void RefuseTopic(const TopicMessage& message, const std::string& message_id,
                   const absl::Status& status, ReplyFn reply);
  bool TakeFileStatus(CallRequest* call, ReplyFn* reply);
  void AnswerFile(const TopicMessage& message, const std::string& message_id,
                  const AcceptResult& result, ReplyFn reply);
  void AnswerTopic(const TopicMessage& message, const std::string& message_id,
                   const AcceptResult& result, ReplyFn reply);
  // session_events.cc
  struct EventRoute;
  static const EventRoute kEventRoutes[];
  void HandleSession(CallRequest call, ReplyFn reply);
  void HandleEvent(CallRequest call, ReplyFn reply);
  void EventRegister(CallRequest call, ReplyFn reply);
  void EventDetection(CallRequest call, ReplyFn reply);
  void EventHealth(CallRequest call, ReplyFn reply);
  void EventPing(CallRequest call, ReplyFn reply);
  void EventJoinDashboard(CallRequest call, ReplyFn reply);
  void EventJoinHealth(CallRequest call, ReplyFn reply);
  void EventEnvelope(CallRequest call, ReplyFn reply);
  CallReply Joined(const CallRequest& call, std::string_view name, std::string_view message);
  // One envelope on behalf of a session, whose camera is online from then on.
  void AcceptOne(const CallRequest& call, Arrival arrival, std::string checkpoint_id,
                 std::function<void(const AcceptResult&)> done);

  // presence.cc
  void NoteOffline(const std::vector<SessionCamera>& cameras);
  void NotePresence(const SessionCamera& camera);
  void AddOffline(const SessionCamera& camera, std::vector<StoreRecord>* records);
  void StoreOffline(std::vector<StoreRecord> records);
  void PublishStatus(std::string_view camera_id, std::string_view checkpoint_id,
                     std::string_view status);

  // silence.cc
  static constexpr int kMaxSilentAtOnce = 1000;  // Found in one look.
  static constexpr size_t kMaxSilent = 65'536;   // Of more, nobody is told that they are back.
  bool BeginLook(int64_t* after);
  void EndLook(const std::vector<SilentDevice>& silent, const std::vector<AppendResult>& results);
  void ListenAnew();
  void TellSilent(const CameraPresence& device);
  bool IsSilent(std::string_view camera_id);
  bool EndSilence(std::string_view camera_id);
  void NoteHeard(std::string_view camera_id, std::string_view checkpoint_id);
  void AwaitLook();

  // session_content.cc
  void EventMessage(CallRequest call, ReplyFn reply);
  void EventImage(CallRequest call, ReplyFn reply);
  absl::StatusOr<Envelope> ReadContent(const CallRequest& call, std::string* checkpoint_id) const;
  absl::StatusOr<Envelope> ReadImage(const CallRequest& call, std::string* path) const;

  // raw_messages.cc
  void HandleRaw(CallRequest call, ReplyFn reply);
  struct RawMessage;
  absl::StatusOr<Arrival> ReadRaw(const CallRequest& call, RawMessage* message) const;
  absl::Status ReadTable(RawMessage* message) const;

  // What PostRegistration and camera_register have in common.
  absl::StatusOr<Envelope> ReadRegistrationCall(const CallRequest& call,
                                                std::string* checkpoint_id) const;
  // A flat body, which becomes the payload.
  absl::StatusOr<Arrival> ReadFlat(CallRequest* call, DataType type,
                                   std::string* checkpoint_id) const;
  // Somebody listens, be it to one camera only.
  bool AnyWanted() const {
    return Wanted("dashboard") || Wanted("health_monitoring") ||
           (parts_.publisher != nullptr && sessions_.HasAnyRoom());
  }
  bool Wanted(std::string_view room) const {
    return parts_.publisher != nullptr && parts_.publisher->Wanted(room);
  }

  // ingest.cc's counterpart for whole batches: ingest_batch.cc
  void Accept(std::vector<Arrival> batch, const Sender& sender, Sink::AcceptFn done);
  // Makes readable what is encrypted, and says whether its sender may say it.
  absl::Status Admit(const Sender& sender, Arrival* arrival) const;
  void AcceptAdmitted(std::vector<Arrival> batch, const Sender& sender, Sink::AcceptFn done);
  static Sender SenderOf(const CallRequest& call);
  Exchange BeginExchange(const Sender& sender) const;
  void NoteExchange(const Exchange& exchange, const std::vector<AcceptResult>& results);
  void NoteRefusal(const CallRequest& call, std::string_view type, const absl::Status& status);
  void PublishAll(const Exchange& exchange, const std::vector<AcceptResult>& results);
  void PublishDetection(const Envelope& envelope, const std::string& id);
  void PublishHealth(const Envelope& envelope, const std::string& id);
  void PublishRegistration(const Envelope& envelope);
  // published_elsewhere.cc
  void PublishAlerts(const Envelope& envelope, const std::string& id,
                     const std::vector<PlateAlert>& alerts);
  absl::Status CheckPayload(const Envelope& envelope) const;

  // read_routes.cc
  void GetStatistics(RoutedRequest request, ReplyFn reply);
  void GetRecords(RoutedRequest request, ReplyFn reply);
  absl::StatusOr<RecordsPage> FindRecords(const CallRequest& call, const QueryParams& params,
                                          const RecordsQuery& query, bool* counted) const;
  void GetRecord(RoutedRequest request, ReplyFn reply);
  void GetCameras(RoutedRequest request, ReplyFn reply);
  void GetImage(RoutedRequest request, ReplyFn reply);  // image_routes.cc
  absl::StatusOr<std::shared_ptr<const std::string>> Thumbnail(const ImageFile& file, int width);
  std::string_view ShownStatus(const DeviceRow& device) const;

  // report_routes.cc
  void GetSeries(RoutedRequest request, ReplyFn reply);
  void GetCameraHealth(RoutedRequest request, ReplyFn reply);
  void UpdateCamera(RoutedRequest request, ReplyFn reply);

  // gateway_routes.cc
  void ListNodes(RoutedRequest request, ReplyFn reply);

  // desk_routes.cc
  void GetLinks(RoutedRequest request, ReplyFn reply);
  void ListTransfers(RoutedRequest request, ReplyFn reply);
  void ListAlerts(RoutedRequest request, ReplyFn reply);
  void AcknowledgeAlert(RoutedRequest request, ReplyFn reply);
  void GetConfig(RoutedRequest request, ReplyFn reply);
  void PlanConfig(RoutedRequest request, ReplyFn reply);
  void ApplyConfig(RoutedRequest request, ReplyFn reply);
  void ConfirmConfig(RoutedRequest request, ReplyFn reply);
  void RollBackConfig(RoutedRequest request, ReplyFn reply);
  // False: it has been refused.
  bool MayChangeConfig(const CallRequest& call, ReplyFn* reply) const;

  // event_routes.cc
  void ListEvents(RoutedRequest request, ReplyFn reply);
  void CreateEvent(RoutedRequest request, ReplyFn reply);
  void GetEvent(RoutedRequest request, ReplyFn reply);
  void UpdateEvent(RoutedRequest request, ReplyFn reply);
  void DeleteEvent(RoutedRequest request, ReplyFn reply);
  void WriteEvent(EventRecord record, ReplyFn reply);

  // blacklist_routes.cc
  void ListBlacklist(RoutedRequest request, ReplyFn reply);
  void AddToBlacklist(RoutedRequest request, ReplyFn reply);
  void RemoveFromBlacklist(RoutedRequest request, ReplyFn reply);
  void WriteBlacklist(BlacklistRecord record, ReplyFn reply);

  // file_routes.cc
  void ListFileTransfers(RoutedRequest request, ReplyFn reply);
  void ListUnannouncedFiles(RoutedRequest request, ReplyFn reply);

  // device_routes.cc
  void ListDevices(RoutedRequest request, ReplyFn reply);
  void CreateDevice(RoutedRequest request, ReplyFn reply);
  void GetDevice(RoutedRequest request, ReplyFn reply);
  void UpdateDevice(RoutedRequest request, ReplyFn reply);
  using ReadDeviceFn = absl::Status (*)(const JsonFields& fields, DeviceRecord* record);
  // Of one that is known. The answer names it by `id_name`, a literal.
  void ChangeDevice(RoutedRequest request, ReadDeviceFn read, std::string_view id_name,
                    ReplyFn reply);
  void WriteDevice(DeviceRecord record, std::string_view id_name, ReplyFn reply);
  void AppendDevice(const DeviceRow& device, JsonWriter* json) const;

  // dashboard_routes.cc
  bool AnswerFirstPage(const CallRequest& call, ReplyFn* reply) const;
  void GetDashboard(RoutedRequest request, ReplyFn reply);
  void PostLogin(RoutedRequest request, ReplyFn reply);
  void PostLogout(RoutedRequest request, ReplyFn reply);
  void GetWhoAmI(RoutedRequest request, ReplyFn reply);

  // node_routes.cc
  void GetRoot(RoutedRequest request, ReplyFn reply);
  void GetWebsocket(RoutedRequest request, ReplyFn reply);
  void GetTest(RoutedRequest request, ReplyFn reply);
  void GetHealth(RoutedRequest request, ReplyFn reply);
  void GetMetrics(RoutedRequest request, ReplyFn reply);
  void GetOpenApi(RoutedRequest request, ReplyFn reply);
  void GetCommunicationStats(RoutedRequest request, ReplyFn reply);
  void GetCommunicationLogs(RoutedRequest request, ReplyFn reply);

  // access.cc: what a guarded application allows; OK where it is not guarded.
  //
  // Whether the caller may ask for this at all. What a device may do with its own needs one of the
  // others as well, once it is known whose it is.
  absl::Status PermitAction(const CallRequest& call) const;
  // `subject_device`: whom it is about.
  absl::Status Permit(const CallRequest& call, std::string_view subject_device) const;
  // `opened`: this node has decrypted it.
  absl::Status PermitMessage(const Sender& sender, const Arrival& arrival, bool opened) const;
  // Whose rows a list shows: those of the device asked for; a device's own where it asks for none.
  absl::Status PermitList(const CallRequest& call, std::string* device) const;
  absl::Status PermitImage(const CallRequest& call, std::string_view path) const;
  // Somebody who is shown plates masked.
  bool SeesMasked(const CallRequest& call) const {
    return options_.guarded && mask_.AppliesTo(call.principal.get());
  }
  std::string RoomFor(const CallRequest& call, std::string_view room) const {
    return SeesMasked(call) ? MaskedRoom(room) : std::string(room);
  }
  // A command to this node: the row of that command.
  absl::Status PermitCommand(const CallRequest& call, std::string_view command) const;
  // What is asked for by plate would tell that it is there.
  absl::Status PermitPlate(const CallRequest& call, std::string_view plate) const;
  ReplyFn Masked(const CallRequest& call, ReplyFn reply) const;
  // `reply` for a script: a 401 that makes no browser ask for a password.
  static ReplyFn ForScript(const CallRequest& call, ReplyFn reply);
  // `reply`, which also writes down how a call that changes something ended.
  ReplyFn Audited(const CallRequest& call, std::string_view subject, ReplyFn reply);

  std::string Host(const CallRequest& call) const;
  CallReply Failed(const absl::Status& status) const {
    return StatusReply(status, options_.retry_after);
  }

  const ApplicationOptions options_;
  const ApplicationParts parts_;
  const Router router_;
  const std::vector<const security::Permission*> permissions_;  // Of kRoutes.
  const PlateMask mask_;
  CommunicationMeter meter_;
  ThumbnailCache thumbnails_;
  Sessions sessions_;
  RefusalTally refusals_;
  absl::Mutex presence_mutex_;  // Orders what the store is told of a camera.
  absl::Mutex silence_mutex_;
  bool telling_ ABSL_GUARDED_BY(silence_mutex_) = false;        // The store has not answered yet.
  int64_t looked_to_ ABSL_GUARDED_BY(silence_mutex_) = 0;       // SilentDevice::number.
  int64_t listening_since_ns_ ABSL_GUARDED_BY(silence_mutex_);  // Who speaks is heard since then.
  absl::flat_hash_set<std::string> silent_ ABSL_GUARDED_BY(silence_mutex_);
  ThreadPool reads_;  // Last: its threads use the rest.
};

// True for those whose peers stay: their calls are events of sessions, not requests.
bool IsSessionProtocol(std::string_view listener_protocol);
// Of those the ones that know no events: their messages are answered by messages.
bool IsPlainSession(std::string_view listener_protocol);

// "rest" for "http", "websocket" for "socketio": the names that envelopes use.
std::string_view EnvelopeProtocol(std::string_view listener_protocol);

}  // namespace viaduct
