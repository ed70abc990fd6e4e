// Who is told of devices that fall silent, on every kind of store and at several nodes of one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/lpr/device_roads.h"
#include "core/lpr/testing/application_fixture.h"
#include "core/store/postgres_store.h"
#include "core/store/testing/postgres_server.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kMoment = absl::Seconds(1);

// Where nodes keep their data.
using OpenFn = std::unique_ptr<Store> (*)(const std::string& folder, const PostgresAddress& address,
                                          const std::string& node, const Clock* clock, Log* log);

std::unique_ptr<Store> OpenSqlite(const std::string& folder, const PostgresAddress&,
                                  const std::string&, const Clock* clock, Log* log) {
  SqliteStoreOptions options;
  options.path = folder + "/store.db";
  return OpenSqliteStore(options, clock, log).value();
}

std::unique_ptr<Store> OpenPostgres(const std::string&, const PostgresAddress& address,
                                    const std::string& node, const Clock* clock, Log* log) {
  PostgresStoreOptions options;
  options.address = address;
  options.node_id = node;
  options.node_lease = absl::Hours(24);  // The clock of these tests jumps.
  return OpenPostgresStore(options, clock, log).value();
}

// A node with what silence has to do with.
struct TestNode {
  TestNode(OpenFn open, const std::string& name, const std::string& folder,
           const PostgresAddress& address, const Clock* clock, Log* log)
      : store(open(folder, address, name, clock, log)),
        images(*ImageFolder::Open(ImageFolderOptions{absl::StrCat(folder, "/", name)}, log)),
        sink(StoreSinkOptions(), store.get(), images.get(), clock, log) {
    ApplicationParts parts;
    parts.clock = clock;
    parts.log = log;
    parts.sink = &sink;
    parts.store = store.get();
    parts.publisher = &publisher;
    parts.reachable = [this](std::string_view device) { return device == reachable; };
    parts.renew = [this](const std::string& device) {
      const absl::MutexLock lock(&mutex);
      renewed.push_back(device);
    };
    application = std::make_unique<Application>(ApplicationOptions(), parts);
    StoreObserver observer;
    observer.wanted = [] { return true; };
    observer.stored = [this](const std::vector<StoredElsewhere>& rows) {
      for (const StoredElsewhere& row : rows) application->PublishElsewhere(MessageOf(row));
    };
    observer.cameras = [this](const std::vector<CameraPresence>& changes) {
      application->NoteElsewhere(changes);
    };
    watch = store->WatchOthers(std::move(observer));
  }
  ~TestNode() {
    watch.reset();
    application.reset();
  }
  // Looks, and waits for what comes of it.
  void Look() {
    application->FindSilent();
    absl::Notification done;
    std::vector<StoreRecord> none;
    none.emplace_back(CommunicationRecord{"rest", "", "", "", true, 0, "", absl::UnixEpoch()});
    store->Append(std::move(none), [&done](const std::vector<AppendResult>&) { done.Notify(); });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kDeadline));
  }
  std::vector<std::string> Told() {
    std::vector<std::string> told;
    for (const Json& body : publisher.Bodies("camera_status")) {
      told.push_back(absl::StrCat(body["camera_id"].get<std::string>(), " ",
                                  body["status"].get<std::string>()));
    }
    return told;
  }
  // What was told, when it is so much.
  std::vector<std::string> AwaitTold(size_t count) {
    const absl::Time deadline = absl::Now() + kDeadline;
    while (Told().size() < count && absl::Now() < deadline) std::this_thread::yield();
    return Told();
  }
  std::vector<std::string> Renewed() {
    const absl::MutexLock lock(&mutex);
    return renewed;
  }
  void Send(const std::string& camera, const std::string& component = "camera") {
    const Json body = {{"type", "health_check"},
                       {"camera_id", camera},
                       {"checkpoint_id", "CP1"},
                       {"timestamp", absl::FormatTime(absl::UnixEpoch() + absl::Hours(++sent))},
                       {"component", component},
                       {"status", "PASS"}};
    EXPECT_EQ(Call(application.get(), "POST", "/api/health", body.dump()).status, 200);
  }
  bool HasHeard(const std::string& camera, const std::string& component) {
    const std::vector<Json> bodies = publisher.Bodies("health_update");
    return std::any_of(bodies.begin(), bodies.end(), [&](const Json& body) {
      return body["camera_id"] == camera && body["component"] == component;
    });
  }
  // The other sends until this node hears of it; then this node has heard all of it.
  void AwaitFollowed(TestNode* other, const std::string& camera) {
    const absl::Time deadline = absl::Now() + kDeadline;
    while (!HasHeard(camera, "camera") && absl::Now() < deadline) other->Send(camera);
    other->Send(camera, "last");
    while (!HasHeard(camera, "last") && absl::Now() < deadline) std::this_thread::yield();
    EXPECT_TRUE(HasHeard(camera, "last")) << camera;
  }
  std::string StatusOf(const std::string& device) { return store->GetDevice(device)->status; }

  std::unique_ptr<Store> store;
  std::unique_ptr<ImageFolder> images;
  StoreSink sink;
  RecordingPublisher publisher;
  std::string reachable;
  int sent = 0;
  absl::Mutex mutex;
  std::vector<std::string> renewed;
  std::unique_ptr<Application> application;
  std::unique_ptr<StoreWatch> watch;
};

class SilenceTest : public ::testing::TestWithParam<OpenFn> {
 protected:
  std::unique_ptr<TestNode> Start(const std::string& name) {
    return std::make_unique<TestNode>(GetParam(), name, folder_.path(), address_, &clock_, &log_);
  }

  FakeClock clock_;
  NullLog log_;
  Folder folder_;
  const PostgresAddress address_ = PostgresServer::Shared()->NewDatabase();
};

TEST_P(SilenceTest, ADeviceThatFallsSilentIsToldOnceAndSoIsThatItIsBack) {
  const auto node = Start("one");
  clock_.Advance(kHeardWindow);
  node->Send("CAM1");
  node->Look();
  clock_.Advance(kHeardWindow - kMoment);
  node->Send("CAM2");
  clock_.Advance(2 * kMoment);
  node->Look();
  EXPECT_THAT(node->Told(), ElementsAre("CAM1 offline"));
  EXPECT_EQ(node->StatusOf("CAM1"), "offline");
  EXPECT_EQ(node->StatusOf("CAM2"), "online");
  EXPECT_THAT(node->Renewed(), ElementsAre("CAM1"));
  for (int i = 0; i < 3; ++i) node->Look();
  EXPECT_THAT(node->Told(), SizeIs(1));
  node->Send("CAM1");
  node->Send("CAM1");
  EXPECT_THAT(node->Told(), ElementsAre("CAM1 offline", "CAM1 online"));
  EXPECT_EQ(node->StatusOf("CAM1"), "online");
  clock_.Advance(kHeardWindow + kMoment);
  node->Look();
  EXPECT_THAT(node->Told(),
              UnorderedElementsAre("CAM1 offline", "CAM1 online", "CAM1 offline", "CAM2 offline"));
}

TEST_P(SilenceTest, ThatItIsBackIsNoticedWithoutADashboard) {
  const auto node = Start("one");
  node->publisher.only_room = "nobody's";
  node->Send("CAM1");
  clock_.Advance(kHeardWindow + kMoment);
  node->Look();
  EXPECT_THAT(node->Renewed(), ElementsAre("CAM1"));
  node->Send("CAM1");
  node->Send("CAM1");
  EXPECT_THAT(node->Renewed(), ElementsAre("CAM1", "CAM1"));
}

TEST_P(SilenceTest, WhoseRoadHasNotEndedIsNotSilent) {
  const auto node = Start("one");
  CallRequest session;
  session.protocol = "socketio";
  session.method = "OPEN";
  session.attributes = {{"session", "s1"}, {"path", "/socket.io/"}};
  session.peer.instance = "sockets";
  node->application->Handle(session, [](CallReply) {});
  session.method = "EVENT";
  session.path = "camera_register";
  session.body = R"({"camera_id":"SESSION","checkpoint_id":"CP1"})";
  absl::Notification registered;
  node->application->Handle(session, [&registered](CallReply) { registered.Notify(); });
  ASSERT_TRUE(registered.WaitForNotificationWithTimeout(kDeadline));
  node->Send("ROAD");
  node->reachable = "ROAD";
  clock_.Advance(kHeardWindow + kMoment);
  node->Look();
  EXPECT_THAT(node->Told(), ElementsAre("SESSION online"));
  node->reachable.clear();
  node->Look();
  EXPECT_THAT(node->Told(), ElementsAre("SESSION online", "ROAD offline"));
}

// While this node was away nobody could be heard.
TEST_P(SilenceTest, ANodeThatBeginsListensBeforeItTells) {
  Start("one")->Send("CAM1");
  clock_.Advance(absl::Hours(1));
  const auto node = Start("one");
  node->Look();
  EXPECT_THAT(node->Told(), IsEmpty());
  clock_.Advance(kHeardWindow);
  node->Look();
  EXPECT_THAT(node->Told(), ElementsAre("CAM1 offline"));
}

TEST_P(SilenceTest, WhatIsNoCameraAndWhatAnOperatorSetIsNoEventOfACamera) {
  const auto node = Start("one");
  for (const char* body :
       {R"({"device_id":"EDGE7"})", R"({"device_id":"EDGE8","status":"maintenance"})"}) {
    EXPECT_LT(Call(node->application.get(), "POST", "/api/devices", body).status, 300);
  }
  node->Send("CAM1");
  EXPECT_EQ(
      Call(node->application.get(), "PUT", "/api/devices/CAM1", R"({"status":"retired"})").status,
      200);
  CallRequest status;
  status.protocol = "mqtt";
  status.method = "PUBLISH";
  status.path = "system/status/EDGE9";
  status.body = "online";
  absl::Notification stored;
  node->application->Handle(status, [&stored](CallReply) { stored.Notify(); });
  ASSERT_TRUE(stored.WaitForNotificationWithTimeout(kDeadline));
  clock_.Advance(kHeardWindow + kMoment);
  node->Look();
  EXPECT_THAT(node->Told(), IsEmpty());
  EXPECT_THAT(node->Renewed(), ElementsAre("EDGE9"));
  EXPECT_EQ(node->StatusOf("CAM1"), "retired");
}

TEST_P(SilenceTest, HoweverManyAreSilentAllAreTold) {
  constexpr int kDevices = 1100;  // More than are found in one look.
  constexpr int kLooks = 2;
  const auto node = Start("one");
  std::vector<StoreRecord> records;
  for (int i = 0; i < kDevices; ++i) {
    DeviceRecord record;
    record.device_id = absl::StrCat("CAM", i);
    record.at = clock_.Now();
    record.checkpoint_id = "CP1";
    records.emplace_back(std::move(record));
  }
  absl::Notification stored;
  node->store->Append(std::move(records),
                      [&stored](const std::vector<AppendResult>&) { stored.Notify(); });
  ASSERT_TRUE(stored.WaitForNotificationWithTimeout(kDeadline));
  clock_.Advance(kHeardWindow + kMoment);
  node->Look();
  EXPECT_THAT(node->Told(), SizeIs(1000));
  for (int i = 1; i < kLooks; ++i) node->Look();
  EXPECT_THAT(node->Told(), SizeIs(kDevices));
}

INSTANTIATE_TEST_SUITE_P(Stores, SilenceTest, ::testing::Values(&OpenSqlite, &OpenPostgres),
                         [](const auto& it) { return it.index == 0 ? "Sqlite" : "Postgres"; });

// Each dashboard is told once, whichever node has found it; whoever looks later finds nothing.
TEST(SilenceNodesTest, TheDashboardsOfAllNodesOfADatabaseAreToldOnce) {
  FakeClock clock;
  NullLog log;
  Folder folder;
  const PostgresAddress address = PostgresServer::Shared()->NewDatabase();
  TestNode one(&OpenPostgres, "one", folder.path(), address, &clock, &log);
  TestNode two(&OpenPostgres, "two", folder.path(), address, &clock, &log);
  two.sent = 1'000'000;  // Neither repeats what the other has sent.
  one.Send("CAM1");
  two.Send("CAM2");
  one.AwaitFollowed(&two, "CAM2");
  two.AwaitFollowed(&one, "CAM1");
  clock.Advance(kHeardWindow + kMoment);
  one.application->FindSilent();
  two.application->FindSilent();
  EXPECT_THAT(one.AwaitTold(2), UnorderedElementsAre("CAM1 offline", "CAM2 offline"));
  EXPECT_THAT(two.AwaitTold(2), UnorderedElementsAre("CAM1 offline", "CAM2 offline"));
  one.Look();
  two.Look();
  one.Send("CAM2");
  EXPECT_THAT(one.AwaitTold(3).back(), "CAM2 online");
  EXPECT_THAT(two.AwaitTold(3).back(), "CAM2 online");
  two.Send("CAM1");
  EXPECT_THAT(one.AwaitTold(4).back(), "CAM1 online");
  EXPECT_THAT(two.AwaitTold(4), SizeIs(4));
  EXPECT_THAT(one.Told(), SizeIs(4));
  EXPECT_THAT(one.Renewed(), UnorderedElementsAre("CAM1", "CAM2", "CAM1", "CAM2"));
}

}  // namespace
}  // namespace viaduct
