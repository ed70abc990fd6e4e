#include "host/rpc/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "host/rpc/convert.h"

namespace viaduct::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TEST(StatusTest, KeepsCodeAndTextAndNamesTheReason) {
  const grpc::Status status = ToGrpc(absl::NotFoundError("instance \"x\": unknown"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "instance \"x\": unknown");
  const google::rpc::Status details = Details(status);
  ASSERT_EQ(details.details_size(), 1);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "NOT_FOUND");
  EXPECT_EQ(info.domain(), "viaduct");
}

TEST(StatusTest, TellsTheWaitThatItIsGiven) {
  const google::rpc::Status details =
      Details(ToGrpc(absl::ResourceExhaustedError("full"), absl::Milliseconds(16'500)));
  ASSERT_EQ(details.details_size(), 2);
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(1).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 17);
}

TEST(StatusTest, TellsWhenToTryAgain) {
  const google::rpc::Status details = Details(ToGrpc(absl::UnavailableError("busy")));
  ASSERT_EQ(details.details_size(), 2);
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(1).UnpackTo(&retry));
  EXPECT_GT(retry.retry_delay().seconds(), 0);
}

TEST(StatusTest, OkHasNoDetails) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(Violations().ToStatus("X").ok());
}

TEST(StatusTest, NamesEveryWrongField) {
  Violations violations;
  violations.Add("envelope.timestamp", "out of range");
  violations.Add("envelope.data_type", "unknown, 99");
  const grpc::Status status = violations.ToStatus("SendMetadata");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("2 fields are wrong"));
  EXPECT_THAT(status.error_message(), HasSubstr("envelope.timestamp: out of range"));
  EXPECT_THAT(DescribeDetails(status),
              ElementsAre("envelope.timestamp: out of range", "envelope.data_type: unknown, 99"));
}

TEST(StatusTest, DetailsStayBelowWhatMetadataMayHold) {
  Violations violations;
  for (int i = 0; i < 1000; ++i) {
    violations.Add(absl::StrCat("field", i), std::string(10'000, 'x'));
  }
  const grpc::Status status = violations.ToStatus("Apply");
  EXPECT_LT(status.error_details().size(), 8u << 10);
  EXPECT_LT(status.error_message().size(), 2u << 10);
  EXPECT_GT(DescribeDetails(status).size(), 5u);
}

TEST(StatusTest, CutsTextBetweenCharacters) {
  std::string text(1021, 'a');
  text += "\xC3\xA4\xC3\xA4\xC3\xA4";
  const grpc::Status status = ToGrpc(absl::InternalError(text));
  // The details are a proto3 string: one that ends inside a character would not be serialized.
  EXPECT_EQ(Details(status).message(), status.error_message());
}

TEST(StatusTest, ForeignDetailsAreNoViolations) {
  EXPECT_THAT(DescribeDetails(grpc::Status(grpc::StatusCode::UNKNOWN, "x", "\xff\xfe garbage")),
              IsEmpty());
}

TEST(ConvertTest, TimestampsOutsideTheirRangeAreRefused) {
  absl::Time time;
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(1705314600);
  timestamp.set_nanos(5'000'000);
  ASSERT_TRUE(FromProto(timestamp, &time));
  EXPECT_EQ(absl::ToUnixMillis(time), 1705314600005);
  timestamp.set_nanos(-1);
  EXPECT_FALSE(FromProto(timestamp, &time));
  timestamp.set_nanos(1'000'000'000);
  EXPECT_FALSE(FromProto(timestamp, &time));
  timestamp.set_nanos(0);
  timestamp.set_seconds(253'402'300'800);
  EXPECT_FALSE(FromProto(timestamp, &time));
}

TEST(ConvertTest, TimesComeBackAsTheyWere) {
  for (int64_t ns : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{1705314600123456789}}) {
    absl::Time time;
    ASSERT_TRUE(FromProto(ToProto(absl::FromUnixNanos(ns)), &time));
    EXPECT_EQ(absl::ToUnixNanos(time), ns);
  }
  EXPECT_EQ(ToProto(absl::InfiniteFuture()).seconds(), 0);
}

TEST(ConvertTest, DurationsComeBackAsTheyWere) {
  for (absl::Duration duration :
       {absl::ZeroDuration(), absl::Milliseconds(1500), absl::Nanoseconds(-1), -absl::Hours(3)}) {
    absl::Duration back;
    ASSERT_TRUE(FromProto(ToProto(duration), &back));
    EXPECT_EQ(back, duration);
  }
  google::protobuf::Duration mixed;
  mixed.set_seconds(1);
  mixed.set_nanos(-1);
  absl::Duration back;
  EXPECT_FALSE(FromProto(mixed, &back));
  EXPECT_GT(ToProto(absl::InfiniteDuration()).seconds(), 0);
}

TEST(ConvertTest, ReadDurationNamesTheFieldAndTheRange) {
  Violations violations;
  const DurationRange range{absl::Seconds(10), absl::Seconds(1), absl::Minutes(1)};
  google::protobuf::Duration value;
  EXPECT_EQ(ReadDuration(false, value, range, "deadline", &violations), absl::Seconds(10));
  EXPECT_TRUE(violations.empty());
  value.set_seconds(61);
  ReadDuration(true, value, range, "deadline", &violations);
  ASSERT_FALSE(violations.empty());
  EXPECT_THAT(violations.ToStatus("X").error_message(), HasSubstr("deadline: out of range"));
}

}  // namespace
}  // namespace viaduct::rpc
