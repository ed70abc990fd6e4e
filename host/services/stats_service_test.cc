#include "host/services/stats_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "core/gateway/adaptive_selector.h"
#include "core/gateway/scripted_links.h"
#include "host/rpc/status.h"

namespace viaduct {
namespace {

namespace pb = control::v1;
using ::testing::HasSubstr;
using viaduct::gateway::v1::PRIORITY_HIGH;
using viaduct::gateway::v1::PRIORITY_LOW;

class StatsServiceTest : public ::testing::Test {
 protected:
  StatsServiceTest()
      : outbox_(&clock_),
        dispatcher_(DispatcherOptions(), &outbox_, std::make_unique<AdaptiveSelector>(), &clock_,
                    &log_) {
    clock_.Advance(absl::Hours(1));
    LinkTraits metered;
    metered.metered = true;
    EXPECT_TRUE(dispatcher_.AddLink(&free_).ok());
    EXPECT_TRUE(dispatcher_.AddLink(&dear_, metered).ok());
    deps_.clock = &clock_;
    deps_.executor = deps_.commands = &pool_;
    deps_.gate = &gate_;
    deps_.dispatcher = &dispatcher_;
    service_ = std::make_unique<StatsService>(&deps_);
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = pb::Stats::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
  }
  ~StatsServiceTest() override {
    server_->Shutdown();
    pool_.Stop();
  }
  grpc::Status Explain(const pb::StatsExplainRequest& request) {
    grpc::ClientContext context;
    return stub_->Explain(&context, request, &response_);
  }

  FakeClock clock_;
  NullLog log_;
  ScriptedOutbox outbox_;
  ScriptedLink free_{"free"};
  ScriptedLink dear_{"dear"};
  Dispatcher dispatcher_;
  rpc::Peers peers_;
  rpc::OpenGate gate_{&peers_};
  ThreadPool pool_{{"control", 2}};
  ServiceDeps deps_;
  std::unique_ptr<StatsService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<pb::Stats::Stub> stub_;
  pb::StatsExplainResponse response_;
};

TEST_F(StatsServiceTest, ExplainsWhatALiveMessageWouldTake) {
  pb::StatsExplainRequest request;
  request.set_bytes(300);
  ASSERT_TRUE(Explain(request).ok());
  EXPECT_EQ(response_.link(), "free");
  ASSERT_EQ(response_.links_size(), 2);
  EXPECT_TRUE(response_.links(1).eligible());
  EXPECT_EQ(response_.links(1).price().seconds(), 2);
}

TEST_F(StatsServiceTest, ExplainsWhatTheBacklogWouldTake) {
  pb::StatsExplainRequest request;
  request.set_bytes(300);
  request.set_backlog(true);
  ASSERT_TRUE(Explain(request).ok());
  EXPECT_FALSE(response_.links(1).eligible());
  EXPECT_THAT(response_.links(1).why(), HasSubstr("costs more"));
  request.set_backlog(false);
  request.set_priority(PRIORITY_LOW);
  ASSERT_TRUE(Explain(request).ok());
  EXPECT_FALSE(response_.links(1).eligible()) << "low priority is always backlog";
  request.set_backlog(true);
  request.set_priority(PRIORITY_HIGH);
  EXPECT_EQ(Explain(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(StatsServiceTest, RefusesWhatItCannotExplain) {
  pb::StatsExplainRequest request;
  request.set_bytes((uint64_t{1} << 40) + 1);
  EXPECT_EQ(Explain(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_bytes(1);
  request.set_file(true);
  EXPECT_EQ(Explain(request).error_code(), grpc::StatusCode::FAILED_PRECONDITION)
      << "it sends no files";
  request.set_backlog(true);
  EXPECT_EQ(Explain(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  deps_.dispatcher = nullptr;
  request = pb::StatsExplainRequest();
  EXPECT_EQ(Explain(request).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

}  // namespace
}  // namespace viaduct
