// Events of sessions as listeners hand them over: answers, rooms, broadcasts, who is online.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/synchronization/mutex.h"
#include "core/lpr/testing/application_fixture.h"
#include "core/lpr/testing/wrapped_store.h"

namespace viaduct {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SessionTest : public ApplicationTest {
 protected:
  Reply Tell(const std::string& session, const std::string& method, const std::string& event,
             const std::string& body, const std::string& protocol = "socketio",
             const std::string& path = "/socket.io/") {
    CallRequest request;
    request.protocol = protocol;
    request.method = method;
    request.path = event;
    request.body = body;
    request.attributes = {{"session", session}, {"path", path}};
    request.peer.instance = "sockets";
    request.peer.address = "127.0.0.1:50000";
    absl::Notification done;
    Reply out;
    application_->Handle(std::move(request), [&](CallReply reply) {
      out = Reply{reply.status, reply.attributes, reply.body};
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline)) << event;
    return out;
  }
  Reply Event(const std::string& event, const Json& body, const std::string& session = "s1") {
    return Tell(session, "EVENT", event, body.dump());
  }
  Json Raw(const Json& body) {
    return Tell("r1", "MESSAGE", "", body.is_string() ? body.get<std::string>() : body.dump(),
                "websocket", "/")
        .json();
  }
  std::vector<std::string> Published() {
    std::vector<std::string> seen;
    for (const auto& it : publisher_.Take()) seen.push_back(it.event + "@" + it.room);
    return seen;
  }
  std::string StatusOf(const std::string& camera) {
    const Json cameras = Get("/api/cameras").json()["cameras"];
    for (const Json& it : cameras) {
      if (it["camera_id"] == camera) return it["status"];
    }
    return "unknown";
  }
  // The store is told beside the answer.
  std::string AwaitStatus(const std::string& camera, const std::string& wanted) {
    const absl::Time deadline = absl::Now() + kDeadline;
    std::string status = StatusOf(camera);
    while (status != wanted && absl::Now() < deadline) status = StatusOf(camera);
    return status;
  }
};

TEST_F(SessionTest, RegistersAndPutsTheSessionIntoTheCamerasRoom) {
  Tell("s1", "OPEN", "", "");
  const Reply reply =
      Event("camera_register", {{"camera_id", "CAM001"}, {"checkpoint_id", "CP01"}});
  EXPECT_EQ(reply.attribute("event"), "camera_register");
  EXPECT_EQ(reply.attribute("join-room"), "camera_CAM001_CP01");
  EXPECT_EQ(reply.json()["message"], "Camera CAM001 registered successfully");
  EXPECT_EQ(reply.attribute("emit:camera_registered"), "");
  EXPECT_THAT(Published(), ElementsAre("camera_status@dashboard"));
  EXPECT_TRUE(application_->HasRoom("camera_CAM001_CP01"));
  const Reply production =
      Tell("s1", "EVENT", "camera_register",
           Json{{"camera_id", "CAM001"}, {"checkpoint_id", "CP01"}}.dump(), "socketio", "/ws/");
  EXPECT_EQ(Json::parse(production.attribute("emit:camera_registered"))["camera_id"], "CAM001");
}

TEST_F(SessionTest, IsOfflineWhenItsLastSessionEnds) {
  for (const char* session : {"s1", "s2"}) {
    Tell(session, "OPEN", "", "");
    Event("camera_register", {{"camera_id", "CAM001"}, {"checkpoint_id", "CP01"}}, session);
  }
  clock_.Advance(absl::Hours(24));  // It says nothing, but it is there.
  EXPECT_EQ(StatusOf("CAM001"), "online");
  Tell("s1", "CLOSE", "", "");
  EXPECT_EQ(StatusOf("CAM001"), "online");
  publisher_.Take();
  Tell("s2", "CLOSE", "", "");
  const auto seen = publisher_.Take();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event, "camera_status");
  EXPECT_EQ(seen[0].body["status"], "offline");
  EXPECT_EQ(AwaitStatus("CAM001", "offline"), "offline");
  EXPECT_FALSE(application_->HasRoom("camera_CAM001_CP01"));
  Post("/api/detection", Detection());
  EXPECT_EQ(StatusOf("CAM001"), "online");
}

TEST_F(SessionTest, StaysOnlineWhereItSpokeByAnotherWayLater) {
  Tell("s1", "OPEN", "", "");
  Event("camera_register", {{"camera_id", "CAM001"}, {"checkpoint_id", "CP01"}});
  clock_.Advance(absl::Seconds(2));
  Post("/api/detection", Detection());
  Tell("s1", "CLOSE", "", "");
  // The store works in order: what it is told next is answered after the end of the session.
  Post("/api/detection", Detection());
  EXPECT_EQ(StatusOf("CAM001"), "online");
}

CameraPresence Elsewhere(const std::string& camera, bool online, absl::Time at) {
  return CameraPresence{camera, "CP01", online, false, at};
}

TEST_F(SessionTest, ACameraOfAnotherNodeComesAndGoes) {
  Post("/api/cameras/register", Json{{"camera_id", "CAM001"}, {"checkpoint_id", "CP01"}});
  clock_.Advance(absl::Hours(1));  // So long silent, it would be offline.
  publisher_.Take();
  application_->NoteElsewhere({Elsewhere("CAM001", true, clock_.Now())});
  EXPECT_EQ(StatusOf("CAM001"), "online");
  application_->NoteElsewhere({Elsewhere("CAM001", true, clock_.Now())});
  application_->NoteElsewhere({Elsewhere("CAM001", false, clock_.Now())});
  const std::vector<Json> told = publisher_.Bodies("camera_status");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0]["status"], "online");
  EXPECT_EQ(told[1]["status"], "offline");
  EXPECT_EQ(told[1]["camera_id"], "CAM001");
  EXPECT_EQ(told[1]["checkpoint_id"], "CP01");
  EXPECT_EQ(AwaitStatus("CAM001", "offline"), "offline");
}

TEST_F(SessionTest, ACameraWithSessionsAtTwoNodesIsOfflineWhenBothAreGone) {
  Tell("s1", "OPEN", "", "");
  Event("camera_register", {{"camera_id", "CAM001"}, {"checkpoint_id", "CP01"}});
  publisher_.Take();
  application_->NoteElsewhere({Elsewhere("CAM001", true, clock_.Now())});
  Tell("s1", "CLOSE", "", "");
  EXPECT_THAT(Published(), IsEmpty());
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(StatusOf("CAM001"), "online");
  application_->NoteElsewhere({Elsewhere("CAM001", false, clock_.Now())});
  EXPECT_THAT(Published(), ElementsAre("camera_status@dashboard"));
  EXPECT_EQ(AwaitStatus("CAM001", "offline"), "offline");
  // And the other way round.
  Tell("s1", "OPEN", "", "");
  Event("camera_register", {{"camera_id", "CAM001"}, {"checkpoint_id", "CP01"}});
  application_->NoteElsewhere({Elsewhere("CAM001", true, clock_.Now())});
  publisher_.Take();
  application_->NoteElsewhere({Elsewhere("CAM001", false, clock_.Now())});
  EXPECT_THAT(Published(), IsEmpty());
  Tell("s1", "CLOSE", "", "");
  EXPECT_THAT(Published(), ElementsAre("camera_status@dashboard"));
}

// What it said by another way after its node was last heard counts for more.
TEST_F(SessionTest, ACameraThatSpokeSinceIsNotMarkedOffline) {
  application_->NoteElsewhere({Elsewhere("CAM001", true, clock_.Now())});
  const absl::Time heard = clock_.Now();
  clock_.Advance(absl::Seconds(5));
  Post("/api/detection", Detection());
  application_->NoteElsewhere({Elsewhere("CAM001", false, heard)});
  Post("/api/detection", Detection());  // The store works in order.
  EXPECT_EQ(StatusOf("CAM001"), "online");
}

// Keeps what the store is told for the other nodes.
class PresenceStore final : public WrappedStore {
 public:
  using WrappedStore::WrappedStore;
  void NotePresence(const CameraPresence& change) override {
    const absl::MutexLock lock(&mutex_);
    noted_.push_back(change.camera_id + (change.announced ? " announced"
                                         : change.online  ? " online"
                                                          : " offline"));
  }
  std::vector<std::string> Take() {
    const absl::MutexLock lock(&mutex_);
    return std::move(noted_);
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> noted_;
};

TEST_F(SessionTest, TellsTheStoreOfItsCamerasForTheOtherNodes) {
  PresenceStore store(store_.get());
  publisher_.only_room = "nobody";  // Whether anybody listens here does not matter.
  MakeApplication(sink_.get(), &store);
  for (const char* session : {"s1", "s2"}) {
    Tell(session, "OPEN", "", "");
    Event("lpr_data", Detection(), session);
  }
  EXPECT_THAT(store.Take(), ElementsAre("CAM001 online"));
  Tell("s1", "CLOSE", "", "");
  EXPECT_THAT(store.Take(), IsEmpty());
  Tell("s2", "CLOSE", "", "");
  EXPECT_THAT(store.Take(), ElementsAre("CAM001 offline"));
  Post("/api/cameras/register", Json{{"camera_id", "CAM002"}, {"checkpoint_id", "CP01"}});
  EXPECT_THAT(store.Take(), ElementsAre("CAM002 announced"));
  application_.reset();
}

TEST_F(SessionTest, ForgetsEverySessionOfAListenerThatIsGone) {
  for (int i = 0; i < 3; ++i) {
    const std::string camera = "CAM00" + std::to_string(i);
    Tell(camera, "OPEN", "", "");
    Event(
        "lpr_data",
        [&] {
          auto d = Detection();
          d["camera_id"] = camera;
          return d;
        }(),
        camera);
  }
  publisher_.Take();
  application_->OnListenerGone("another");
  EXPECT_THAT(Published(), IsEmpty());
  application_->OnListenerGone("sockets");
  EXPECT_EQ(Published().size(), 3u);
  EXPECT_EQ(AwaitStatus("CAM002", "offline"), "offline");
}

TEST_F(SessionTest, AnswersDetectionsAndHealthReports) {
  Tell("s1", "OPEN", "", "");
  const Reply stored = Event("lpr_data", Detection());
  EXPECT_EQ(stored.attribute("event"), "lpr_response");
  EXPECT_EQ(stored.json()["message"], "LPR data received successfully");
  EXPECT_EQ(stored.json()["detection_id"], FirstRecord()["detection_id"]);
  EXPECT_THAT(Published(),
              ElementsAre("new_detection@dashboard", "lpr_event_received@dashboard",
                          "lpr_event_processed@dashboard", "new_detection@camera_CAM001_CP01"));
  // Over HTTP it is the same detection, and nobody is told again.
  EXPECT_EQ(Post("/api/detection", Detection()).json()["detection_id"],
            stored.json()["detection_id"]);
  EXPECT_THAT(Published(), IsEmpty());
  const Reply health = Event("health_status", Health());
  EXPECT_EQ(health.attribute("event"), "health_response");
  EXPECT_EQ(health.json()["message"], "Health status received successfully");
  EXPECT_THAT(Published(), ElementsAre("health_update@health_monitoring"));
}

TEST_F(SessionTest, SaysWhatIsWrongInBothForms) {
  Tell("s1", "OPEN", "", "");
  const struct {
    const char* event;
    std::string body;
    const char* message;
  } cases[] = {
      {"lpr_data", "{}", "Missing required field: type"},
      {"lpr_data", "", "at byte 0"},
      {"lpr_data", "[1]", "object"},
      {"health_status", R"({"type":"health_check","camera_id":"A"})",
       "Missing required field: checkpoint_id"},
      {"camera_register", R"({"camera_id":"A"})", "camera_id and checkpoint_id are required"},
      {"nothing", "{}", "no such event, \"nothing\""},
      {"lpr_data", std::string(2 << 20, ' '), "too large"},
  };
  for (const auto& c : cases) {
    const Reply reply = Tell("s1", "EVENT", c.event, c.body);
    EXPECT_EQ(reply.attribute("event"), "error") << c.event;
    EXPECT_THAT(reply.json()["message"].get<std::string>(), HasSubstr(c.message));
    EXPECT_EQ(reply.attribute("emit:lpr_event_error"), reply.body);
    EXPECT_GE(reply.status, 400);
  }
}

TEST_F(SessionTest, TakesContentInEveryWrapping) {
  Tell("s1", "OPEN", "", "");
  Json inner = Detection();
  inner.erase("camera_id");
  EXPECT_THAT(Event("message", {{"content", inner}}).json()["error"].get<std::string>(),
              HasSubstr("camera_id"));
  for (const Json& body : {Detection(), Json{{"content", inner}, {"camera_id", "CAM002"}},
                           Json{{"content", inner.dump()}, {"device_id", "CAM003"}},
                           Json{{"content", "a car"}, {"camera_id", "CAM004"}}, Json("words")}) {
    const Reply reply = Event("message", body);
    EXPECT_EQ(reply.attribute("event"), "message_saved") << reply.body;
    EXPECT_EQ(reply.json()["message"], "message_saved");
    EXPECT_EQ(FirstRecord()["detection_id"], reply.json()["record_id"]);
  }
  EXPECT_EQ(FirstRecord()["camera_id"], "CAM001");  // Words belong to the session's camera.
  EXPECT_EQ(Event("message", {{"content", inner}, {"camera_id", "CAM002"}}).json()["success"],
            true);
}

TEST_F(SessionTest, ContentAndImagesBelongToTheRegisteredCheckpoint) {
  Tell("s1", "OPEN", "", "");
  Event("camera_register", {{"camera_id", "CAM001"}, {"checkpoint_id", "CP07"}});
  for (const Json& body : {Json("words"), Json{{"content", "a car"}, {"camera_id", "CAM001"}},
                           Json{{"content", Json::object()}}}) {
    const Reply reply = Event("message", body);
    ASSERT_EQ(reply.attribute("event"), "message_saved") << reply.body;
    EXPECT_EQ(FirstRecord()["checkpoint_id"], "CP07") << body;
    clock_.Advance(absl::Seconds(1));
  }
  ASSERT_EQ(Event("image", {{"data", absl::Base64Escape(TinyJpeg())}}).attribute("event"),
            "image_saved");
  EXPECT_EQ(FirstRecord()["checkpoint_id"], "CP07");
  clock_.Advance(absl::Seconds(1));
  Event("message", {{"content", "a car"}, {"camera_id", "CAM002"}});
  EXPECT_EQ(FirstRecord()["checkpoint_id"], "");  // Of another camera nothing is known.
}

TEST_F(SessionTest, KeepsImagesUnderTheirDay) {
  Tell("s1", "OPEN", "", "");
  const Json body{{"data", absl::Base64Escape(TinyJpeg())},
                  {"filename", "detection_20240115_103000.jpg"},
                  {"camera_id", "CAM001"}};
  const Reply saved = Event("image", body);
  EXPECT_EQ(saved.attribute("event"), "image_saved") << saved.body;
  const std::string path = saved.json()["path"];
  EXPECT_THAT(path, HasSubstr("/2024/01/15/detection_"));  // The zone is seven hours ahead.
  EXPECT_EQ(Get("/" + path).body, TinyJpeg());
  EXPECT_EQ(Event("image", {{"data", "eA=="}, {"camera_id", "A"}}).attribute("event"),
            "image_error");
  EXPECT_EQ(Event("image", {{"camera_id", "A"}}).attribute("event"), "image_error");
}

TEST_F(SessionTest, AcknowledgesEnvelopesByTheirId) {
  Tell("s1", "OPEN", "", "");
  const Json envelope =
      EnvelopeOf("11111111-1111-4111-8111-111111111111", Detection(), "detection");
  EXPECT_EQ(Event("envelope", envelope).json()["status"], "stored");
  const Reply again = Event("envelope", envelope);
  EXPECT_EQ(again.json()["status"], "duplicate");
  EXPECT_EQ(again.json()["message_id"], "11111111-1111-4111-8111-111111111111");
  EXPECT_EQ(again.attribute("event"), "");
  EXPECT_EQ(Event("envelope", {{"message_id", "x"}}).json()["status"], "rejected");
  RefusingSink full(absl::UnavailableError("the store is busy"));
  MakeApplication(&full, store_.get());
  const Json later = Event("envelope", envelope).json();
  EXPECT_EQ(later["status"], "retry");
  EXPECT_EQ(later["retry_after"], 2);
  Tell("r1", "OPEN", "", "", "websocket", "/");
  EXPECT_EQ(Raw(Detection())["retry_after"], 2);
}

TEST_F(SessionTest, AnswersPlainMessagesOfEveryGeneration) {
  Tell("r1", "OPEN", "", "", "websocket", "/");
  const Json stored = Raw(Detection());
  EXPECT_EQ(stored["status"], "success");
  EXPECT_EQ(stored["type"], "detection_response");
  EXPECT_EQ(stored["result"], "stored");
  EXPECT_EQ(Raw(Detection())["result"], "duplicate");
  EXPECT_EQ(Raw(Health())["type"], "health_response");
  EXPECT_EQ(Raw(EnvelopeOf("e-1", Detection(), "detection"))["message_id"], "e-1");
  const Json row = Raw({{"table", "lpr_detection"}, {"action", "insert"}, {"data", Detection()}});
  EXPECT_EQ(row["status"], "success");
  EXPECT_EQ(row["table"], "lpr_detection");
  EXPECT_EQ(row["record_id"], stored["detection_id"]);
  for (const Json& bad :
       {Json("no json"), Json("[]"), Json::object(), Json{{"type", "x"}},
        Json{{"table", "users"}, {"action", "insert"}, {"data", Json::object()}},
        Json{{"table", "lpr_detection"}, {"action", "drop"}, {"data", Json::object()}},
        Json{{"table", "lpr_detection"}, {"action", "insert"}}}) {
    const Json refused = Raw(bad);
    EXPECT_EQ(refused["status"], "error") << bad;
    EXPECT_FALSE(refused["message"].get<std::string>().empty());
  }
}

// As an envelope it would be too large for the next node.
TEST_F(SessionTest, RefusesAPlainMessageThatCannotBeForwarded) {
  Tell("r1", "OPEN", "", "", "websocket", "/");
  Json large = Detection();
  large["pad"] = std::string((1 << 20) - large.dump().size() - 16, 'x');
  const Json refused = Raw(large);
  EXPECT_EQ(refused["status"], "error");
  EXPECT_EQ(refused["result"], "rejected");
}

// A camera's own room is told also while no dashboard is there.
TEST_F(SessionTest, KnowsWhetherAnybodyListens) {
  EXPECT_FALSE(application_->HasAnyRoom());
  Tell("s1", "OPEN", "", "");
  EXPECT_FALSE(application_->HasAnyRoom());
  publisher_.only_room = "camera_CAM001_CP01";
  Event("camera_register", {{"camera_id", "CAM001"}, {"checkpoint_id", "CP01"}});
  EXPECT_TRUE(application_->HasAnyRoom());
  publisher_.Take();
  Event("lpr_data", Detection());
  EXPECT_THAT(Published(), Contains("new_detection@camera_CAM001_CP01"));
  Tell("s1", "CLOSE", "", "");
  EXPECT_FALSE(application_->HasAnyRoom());
}

TEST_F(SessionTest, JoinsRoomsAndAnswersPings) {
  EXPECT_EQ(Event("join_dashboard", nullptr, "never opened").status, 429);
  Tell("s1", "OPEN", "", "");
  const Reply joined = Event("join_dashboard", nullptr);
  EXPECT_EQ(joined.attribute("join-room"), "dashboard");
  EXPECT_EQ(joined.json()["message"], "Joined dashboard room");
  EXPECT_EQ(Event("join_health_room", nullptr).attribute("join-room"), "health_monitoring");
  EXPECT_TRUE(application_->HasRoom("dashboard"));
  EXPECT_EQ(Event("ping", {{"a", 1}}).json()["original_message"], (Json{{"a", 1}}));
  EXPECT_EQ(Tell("s1", "EVENT", "ping", "").json()["original_message"], nullptr);
  Tell("s1", "CLOSE", "", "");
  EXPECT_FALSE(application_->HasRoom("dashboard"));
}

}  // namespace
}  // namespace viaduct
