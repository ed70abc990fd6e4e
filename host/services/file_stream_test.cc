#include "host/services/file_stream.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/transfer/transfer_test_support.h"
#include "host/rpc/status.h"
#include "host/services/gateway_service.h"

namespace viaduct {
namespace {

namespace pb = gateway::v1;
using ::testing::Contains;
using ::testing::HasSubstr;

class FileStreamTest : public ::testing::Test {
 protected:
  FileStreamTest() : reader_("CAM001", &clock_) {
    TransfersOptions options;
    options.node_id = "CAM001";
    options.folder = folder_.File("transfers");
    options.max_file_bytes = 1u << 20;
    Transfers::Deps deps;
    deps.clock = &clock_;
    deps.log = &log_;
    transfers_ = *Transfers::Open(options, deps);
    EXPECT_TRUE(transfers_->Start().ok());
    Serve(transfers_.get());
  }
  ~FileStreamTest() override {
    server_->Shutdown(std::chrono::system_clock::now());
    transfers_->Stop();
  }

  void Serve(Transfers* transfers) {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    service_ = std::make_unique<GatewayService>(
        &gate_,
        [](std::vector<Envelope>, const Sender& /*sender*/, Sink::AcceptFn done) { done({}); },
        &reader_, &feed_, transfers, nullptr);
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = pb::Gateway::NewStub(server_->InProcessChannel(grpc::ChannelArguments()));
  }

  static pb::SendFileStreamRequest File(const std::string& name, int id) {
    pb::SendFileStreamRequest part;
    part.mutable_file()->set_name(name);
    part.mutable_file()->set_transfer_id(TestId(id));
    return part;
  }
  static pb::SendFileStreamRequest Data(const std::string& text) {
    pb::SendFileStreamRequest part;
    part.set_data(text);
    return part;
  }
  static pb::SendFileStreamRequest End(uint64_t size, const std::string& sha256 = "") {
    pb::SendFileStreamRequest part;
    part.mutable_end()->set_size(size);
    part.mutable_end()->set_sha256(sha256);
    return part;
  }
  grpc::Status Send(const std::vector<pb::SendFileStreamRequest>& parts) {
    grpc::ClientContext context;
    auto writer = stub_->SendFileStream(&context, &response_);
    for (const auto& part : parts) {
      if (!writer->Write(part)) break;
    }
    writer->WritesDone();
    return writer->Finish();
  }
  std::vector<std::string> OwnFiles() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.File("transfers/files"))) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  TransferTestFolder folder_;
  SystemClock clock_;
  NullLog log_;
  EnvelopeReader reader_;
  MessageFeed feed_;
  rpc::Peers peers_;
  rpc::OpenGate gate_{&peers_};
  std::unique_ptr<Transfers> transfers_;
  std::unique_ptr<GatewayService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<pb::Gateway::Stub> stub_;
  pb::SendFileStreamResponse response_;
};

TEST_F(FileStreamTest, AnswersWhenTheFileIsDurable) {
  const std::vector<pb::SendFileStreamRequest> parts = {
      File("a/b.jpg", 1), Data("hello "), Data("world"), End(11, HexSha256("hello world"))};
  const grpc::Status status = Send(parts);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response_.receipt().status(), pb::RESULT_STATUS_STORED);
  EXPECT_EQ(response_.receipt().remote_name(), "CAM001/a/b.jpg");
  EXPECT_EQ(response_.receipt().sha256(), HexSha256("hello world"));
  EXPECT_EQ(ReadText(folder_.File("transfers/files/" + TestId(1))), "hello world");
  ASSERT_TRUE(Send(parts).ok());
  EXPECT_EQ(response_.receipt().status(), pb::RESULT_STATUS_DUPLICATE);
  EXPECT_EQ(OwnFiles().size(), 1u);
}

TEST_F(FileStreamTest, KeepsNothingOfAStreamThatDoesNotEndWell) {
  const std::vector<std::vector<pb::SendFileStreamRequest>> bad = {
      {},
      {File("a", 1), Data("half")},
      {Data("first")},
      {End(1)},
      {pb::SendFileStreamRequest()},
      {File("a", 1), File("b", 2)},
      {File("a", 1), Data("x"), End(2)},
      {File("a", 1), Data("x"), End(1, HexSha256("y"))},
      {File("a", 1), Data("x"), End(1, "no digest")},
      {File("../a", 1), Data("x"), End(1)},
      {File("", 1), Data("x"), End(1)},
      {File("a", 1), Data(std::string(700'000, 'x')), Data(std::string(700'000, 'x')), End(0)}};
  for (size_t i = 0; i < bad.size(); ++i) {
    const grpc::Status status = Send(bad[i]);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << i << ": " << status.error_message();
  }
  EXPECT_TRUE(Eventually([this] { return OwnFiles().empty(); }));
  EXPECT_EQ(transfers_->Counts().files[0], 0u);
  EXPECT_TRUE(Send({File("a", 1), Data("x"), End(1)}).ok());
}

TEST_F(FileStreamTest, KeepsNothingOfASenderThatGoes) {
  {
    grpc::ClientContext context;
    auto writer = stub_->SendFileStream(&context, &response_);
    ASSERT_TRUE(writer->Write(File("a", 1)));
    ASSERT_TRUE(writer->Write(Data("half")));
    ASSERT_TRUE(Eventually([this] { return OwnFiles().size() == 1; }));
    context.TryCancel();
    EXPECT_FALSE(writer->Finish().ok());
  }
  EXPECT_TRUE(Eventually([this] { return OwnFiles().empty(); }));
  EXPECT_TRUE(Send({File("a", 1), Data("x"), End(1)}).ok());
}

TEST_F(FileStreamTest, NamesTheFieldThatIsWrong) {
  grpc::ClientContext context;
  pb::SendFileRequest request;
  pb::SendFileResponse response;
  request.set_path("/x");
  request.mutable_file()->set_kind("film");
  const grpc::Status status = stub_->SendFile(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(rpc::DescribeDetails(status), Contains(HasSubstr("file.kind")));
}

TEST_F(FileStreamTest, SaysThatANodeSendsNoFiles) {
  Serve(nullptr);
  grpc::ClientContext context;
  pb::SendFileResponse response;
  EXPECT_EQ(stub_->SendFile(&context, pb::SendFileRequest(), &response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Send({File("a", 1)}).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

}  // namespace
}  // namespace viaduct
