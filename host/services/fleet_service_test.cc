#include "host/services/fleet_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/observe/log.h"
#include "core/store/sqlite_store.h"
#include "host/rpc/status.h"

namespace viaduct {
namespace {

namespace pb = control::v1;
using ::testing::ElementsAre;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kPatience = absl::Seconds(30);

class FleetServiceTest : public ::testing::Test {
 protected:
  FleetServiceTest()
      : timers_(&clock_),
        fleet_(&clock_, &timers_,
               [this](std::string_view, CallRequest, absl::Duration limit, ReplyFn) {
                 limit_ = limit;
                 given_.Notify();
               }) {
    SqliteStoreOptions options;
    options.path = absl::StrCat(::testing::TempDir(), "/fleet-", getpid(), "-", ++count_, ".db");
    auto opened = OpenSqliteStore(options, &clock_, &log_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    deps_.clock = &clock_;
    deps_.executor = &pool_;
    deps_.gate = &gate_;
    deps_.log_hub = &log_hub_;
    deps_.hub = &hub_;
    service_ = std::make_unique<FleetService>(
        &deps_, &fleet_, store_.get(),
        [this](const pb::FleetNode& node) { told_.push_back(node.id()); });
    fleet_.roads().SetOnNews([this] { service_->OnNews(); });
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = pb::Fleet::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
  }
  ~FleetServiceTest() override {
    service_->Stop(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the end"));
    server_->Shutdown();
    pool_.Stop();
  }

  void Announce(const std::string& id, const std::string& device) {
    FileTransferRecord record;
    record.transfer_id = id;
    record.device_id = device;
    record.name = device + "/a.jpg";
    record.sha256 = std::string(64, 'a');
    record.size = 5;
    record.at = record.captured_at = clock_.Now();
    std::vector<StoreRecord> records;
    records.emplace_back(std::move(record));
    absl::Notification done;
    store_->Append(std::move(records), [&done](const std::vector<AppendResult>& results) {
      EXPECT_TRUE(results.front().status.ok()) << results.front().status;
      done.Notify();
    });
    done.WaitForNotification();
  }
  void Store(const std::string& device, const std::string& status = "online") {
    DeviceRecord record;
    record.device_id = device;
    record.at = clock_.Now();
    record.status = status;
    record.hostname = "host of " + device;
    std::vector<StoreRecord> records;
    records.emplace_back(std::move(record));
    absl::Notification done;
    store_->Append(std::move(records), [&done](const std::vector<AppendResult>& results) {
      EXPECT_TRUE(results.front().status.ok()) << results.front().status;
      done.Notify();
    });
    ASSERT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  }
  void Open(const std::string& device, const std::string& session = "s1") {
    DeviceRoad road;
    road.instance = "sockets";
    road.protocol = "socketio";
    road.session = session;
    road.since = clock_.Now();
    fleet_.roads().Open(device, {"pi", "1.2"}, std::move(road));
  }
  pb::FleetListNodesResponse List(const pb::FleetListNodesRequest& request) {
    grpc::ClientContext context;
    pb::FleetListNodesResponse response;
    const grpc::Status status = stub_->ListNodes(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  static std::vector<std::string> Ids(const pb::FleetListNodesResponse& response) {
    std::vector<std::string> ids;
    for (const pb::FleetNode& node : response.nodes()) ids.push_back(node.id());
    return ids;
  }

  FakeClock clock_;
  NullLog log_;
  rpc::Peers peers_;
  rpc::OpenGate gate_{&peers_};
  LogHub log_hub_{LogHubOptions(), &clock_};
  StateHub hub_{&clock_, nullptr, nullptr};
  TimerQueue timers_;
  ThreadPool pool_{{"control", 2}};
  std::unique_ptr<class Store> store_;
  Fleet fleet_;
  ServiceDeps deps_;
  std::unique_ptr<FleetService> service_;
  std::vector<std::string> told_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<pb::Fleet::Stub> stub_;
  absl::Duration limit_;  // Of the last order, once it is given.
  absl::Notification given_;
  static int count_;
};
int FleetServiceTest::count_ = 0;

TEST_F(FleetServiceTest, PagesThroughAllOfThemOnce) {
  for (int i = 0; i < 25; ++i) Store(absl::StrCat("CAM", 100 + i));
  pb::FleetListNodesRequest request;
  request.set_page_size(10);
  std::set<std::string> seen;
  int pages = 0;
  do {
    const auto page = List(request);
    for (const std::string& id : Ids(page)) EXPECT_TRUE(seen.insert(id).second) << id;
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_THAT(seen, SizeIs(25));
  EXPECT_EQ(pages, 3);
}

TEST_F(FleetServiceTest, ListsFilesAndWhatNobodyHasToldOf) {
  for (int i = 0; i < 5; ++i) {
    Announce(absl::StrCat("00000000-0000-7000-8000-00000000000", i), i < 3 ? "CAM1" : "CAM2");
  }
  deps_.incoming = [] {
    ReceiverInfo info;
    info.unannounced = 7;
    info.unannounced_names = {"CAM1/x"};
    return info;
  };
  const auto list = [this](const pb::FleetListFilesRequest& request, grpc::StatusCode code) {
    grpc::ClientContext context;
    pb::FleetListFilesResponse response;
    EXPECT_EQ(stub_->ListFiles(&context, request, &response).error_code(), code);
    return response;
  };
  pb::FleetListFilesRequest request;
  request.set_page_size(2);
  request.set_device_id("CAM1");
  auto page = list(request, grpc::StatusCode::OK);
  ASSERT_EQ(page.files_size(), 2);
  EXPECT_EQ(page.files(0).name(), "CAM1/a.jpg");
  EXPECT_EQ(page.files(0).status(), pb::FILE_STATUS_WAITING);
  EXPECT_EQ(page.unannounced(), 7u);
  EXPECT_EQ(page.unannounced_names(0), "CAM1/x");
  request.set_page_token(page.next_page_token());
  page = list(request, grpc::StatusCode::OK);
  EXPECT_EQ(page.files_size(), 1);
  EXPECT_TRUE(page.next_page_token().empty());
  request.set_status(pb::FILE_STATUS_STORED);
  EXPECT_EQ(list(request, grpc::StatusCode::OK).files_size(), 0);
  request.set_page_token("x");
  list(request, grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(FleetServiceTest, FiltersByPrefixAndByStatus) {
  for (const char* id : {"EDGE", "EDGE-1", "EDGE-2", "EDG", "F"}) Store(id);
  Store("EDGE-0", "offline");
  Store("EDGE-9", "maintenance");
  pb::FleetListNodesRequest request;
  request.set_id_prefix("EDGE");
  EXPECT_THAT(Ids(List(request)), ElementsAre("EDGE", "EDGE-0", "EDGE-1", "EDGE-2", "EDGE-9"));
  request.set_status(pb::NODE_STATUS_OFFLINE);
  EXPECT_THAT(Ids(List(request)), ElementsAre("EDGE-0"));
  clock_.Advance(kHeardWindow + absl::Seconds(1));
  Open("EDGE-2");
  request.set_status(pb::NODE_STATUS_ONLINE);
  const auto online = List(request);
  ASSERT_THAT(Ids(online), ElementsAre("EDGE-2")) << "the others have been silent";
  EXPECT_EQ(online.nodes(0).version(), "1.2");
  EXPECT_EQ(online.nodes(0).hostname(), "pi");
  ASSERT_EQ(online.nodes(0).roads_size(), 1);
  EXPECT_EQ(online.nodes(0).roads(0).name(), "sockets");
  EXPECT_FALSE(online.nodes(0).roads(0).has_round_trip());
}

TEST_F(FleetServiceTest, RefusesWhatIsNoRequest) {
  pb::FleetListNodesRequest request;
  request.set_page_size(5000);
  request.set_status(static_cast<pb::NodeStatus>(7));
  request.set_id_prefix(std::string(500, 'x'));
  grpc::ClientContext context;
  pb::FleetListNodesResponse response;
  const grpc::Status status = stub_->ListNodes(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(rpc::DescribeDetails(status), SizeIs(3));
  pb::FleetSendControlRequest order;
  order.mutable_timeout()->set_seconds(3600);
  grpc::ClientContext second;
  pb::FleetSendControlResponse answer;
  const grpc::Status refused = stub_->SendControl(&second, order, &answer);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(rpc::DescribeDetails(refused), SizeIs(3)) << "timeout, device_id, command";
}

TEST_F(FleetServiceTest, AnOrderEndsWithItsCaller) {
  Open("EDGE-1");
  pb::FleetSendControlRequest order;
  order.set_device_id("EDGE-1");
  order.set_command("get_status");
  order.mutable_timeout()->set_seconds(300);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  pb::FleetSendControlResponse answer;
  grpc::Status status;
  absl::Notification done;
  stub_->async()->SendControl(&context, &order, &answer, [&](grpc::Status result) {
    status = std::move(result);
    done.Notify();
  });
  ASSERT_TRUE(given_.WaitForNotificationWithTimeout(kPatience));
  EXPECT_LE(limit_, absl::Seconds(61)) << "nobody waits longer than the caller";
  EXPECT_EQ(fleet_.stats().in_flight, 1u);
  context.TryCancel();
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  const absl::Time deadline = absl::Now() + kPatience;
  while (fleet_.stats().in_flight != 0 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(fleet_.stats().in_flight, 0u);
}

TEST_F(FleetServiceTest, AWatchOfMoreThanItCanSendSaysSo) {
  std::vector<StoreRecord> records;
  for (size_t i = 0; i <= FleetService::kMaxPending; ++i) {
    DeviceRecord record;
    record.device_id = absl::StrCat("D", i);
    record.at = clock_.Now();
    records.emplace_back(std::move(record));
  }
  absl::Notification stored;
  store_->Append(std::move(records), [&](const std::vector<AppendResult>&) { stored.Notify(); });
  ASSERT_TRUE(stored.WaitForNotificationWithTimeout(kPatience));
  const auto watch = [this](const std::string& prefix) {
    grpc::ClientContext context;
    pb::FleetWatchNodesRequest request;
    request.set_id_prefix(prefix);
    auto reader = stub_->WatchNodes(&context, request);
    pb::FleetWatchNodesResponse response;
    while (reader->Read(&response)) {
      if (response.has_synced()) context.TryCancel();
    }
    return reader->Finish();
  };
  const grpc::Status all = watch("D");
  EXPECT_EQ(all.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << all.error_message();
  EXPECT_THAT(all.error_message(), ::testing::HasSubstr("id_prefix"));
  EXPECT_EQ(watch("D16").error_code(), grpc::StatusCode::CANCELLED) << "these were synced";
}

TEST_F(FleetServiceTest, WhatNobodyKnowsIsNoNews) {
  for (int i = 0; i < 10; ++i) fleet_.roads().Renew(absl::StrCat("invented-", i));
  Open("EDGE-1");  // In no store.
  grpc::ClientContext context;
  auto reader = stub_->WatchNodes(&context, pb::FleetWatchNodesRequest());
  pb::FleetWatchNodesResponse response;
  while (reader->Read(&response) && !response.has_synced()) {
  }
  fleet_.CloseWay("sockets", "s1");
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.node().id(), "EDGE-1");
  EXPECT_EQ(response.node().status(), pb::NODE_STATUS_OFFLINE);
  fleet_.roads().Renew("EDGE-1");  // It has been forgotten.
  service_->Stop(grpc::Status::OK);
  EXPECT_THAT(told_, ElementsAre("EDGE-1", "EDGE-1"));
}

TEST_F(FleetServiceTest, AWatchSendsTheStateThenSyncedThenChanges) {
  Store("EDGE-1");
  Store("EDGE-2");
  Store("OTHER");
  grpc::ClientContext context;
  pb::FleetWatchNodesRequest request;
  request.set_id_prefix("EDGE");
  auto reader = stub_->WatchNodes(&context, request);
  pb::FleetWatchNodesResponse response;
  std::vector<std::string> state;
  while (reader->Read(&response) && response.has_node()) state.push_back(response.node().id());
  EXPECT_TRUE(response.has_synced());
  EXPECT_THAT(state, ElementsAre("EDGE-1", "EDGE-2"));
  Open("OTHER", "s9");  // Not what this one watches.
  Open("EDGE-2");
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.node().id(), "EDGE-2");
  EXPECT_EQ(response.node().roads_size(), 1);
  Store("EDGE-2", "offline");
  fleet_.CloseWay("sockets", "s1");
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.node().status(), pb::NODE_STATUS_OFFLINE);
  EXPECT_EQ(response.node().roads_size(), 0);
  service_->Stop(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the end"));
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(told_, UnorderedElementsAre("OTHER", "EDGE-2", "EDGE-2"));
}

TEST_F(FleetServiceTest, WhatIsAsItWasToldBeforeIsNotToldAgain) {
  Store("EDGE-1");
  Open("EDGE-1");
  for (int i = 0; i < 10; ++i) fleet_.roads().Renew("EDGE-1");
  service_->Stop(grpc::Status::OK);  // What is on its way is told.
  EXPECT_THAT(told_, ElementsAre("EDGE-1"));
}

// First it has not been heard of for a while, then its row says so as well.
TEST_F(FleetServiceTest, ADeviceThatFallsSilentIsToldOnce) {
  Store("CAM-1");
  grpc::ClientContext context;
  auto reader = stub_->WatchNodes(&context, pb::FleetWatchNodesRequest());
  pb::FleetWatchNodesResponse response;
  while (reader->Read(&response) && !response.has_synced()) {
  }
  clock_.Advance(kHeardWindow + absl::Seconds(1));
  fleet_.roads().Renew("CAM-1");
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.node().status(), pb::NODE_STATUS_OFFLINE);
  EXPECT_EQ(response.node().stated(), "online");
  DeviceRecord silent;
  silent.mode = DeviceRecord::Mode::kSilent;
  silent.device_id = "CAM-1";
  silent.at = silent.silent_since.emplace(clock_.Now());
  std::vector<StoreRecord> records;
  records.emplace_back(std::move(silent));
  absl::Notification stored;
  store_->Append(std::move(records), [&stored](const std::vector<AppendResult>& results) {
    EXPECT_FALSE(results.front().duplicate);
    stored.Notify();
  });
  ASSERT_TRUE(stored.WaitForNotificationWithTimeout(kPatience));
  fleet_.roads().Renew("CAM-1");
  service_->Stop(grpc::Status::OK);
  EXPECT_THAT(told_, ElementsAre("CAM-1"));
}

}  // namespace
}  // namespace viaduct
