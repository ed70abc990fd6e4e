#include "host/ctl/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "host/ctl/arguments.h"
#include "host/ctl/exit_code.h"

namespace viaduct::ctl {
namespace {

TEST(FormatTest, ColumnsAreAsWideAsTheyNeed) {
  Table table({"NAME", "STATE"});
  table.Add({"http", "started"});
  table.Add({"kamera-\xC3\xA4", "failed"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(),
            "NAME      STATE\n"
            "http      started\n"
            "kamera-\xC3\xA4  failed\n");
}

TEST(FormatTest, ShowsValuesAsPeopleReadThem) {
  EXPECT_EQ(EnumText("INSTANCE_STATE_STARTED", "INSTANCE_STATE_"), "started");
  EXPECT_EQ(EnumText("HEALTH_UNSPECIFIED", "HEALTH_"), "-");
  EXPECT_EQ(BytesText(0), "0 B");
  EXPECT_EQ(BytesText(1536), "1.5 KiB");
  EXPECT_EQ(BytesText(uint64_t{5} << 40), "5.0 TiB");
  google::protobuf::Timestamp time;
  EXPECT_EQ(TimeText(time), "-");
  time.set_seconds(1705314600);
  time.set_nanos(7'000'000);
  EXPECT_EQ(TimeText(time), "2024-01-15T10:30:00.007Z");
  google::protobuf::Duration duration;
  EXPECT_EQ(DurationText(duration), "0");
  duration.set_seconds(3725);
  EXPECT_EQ(DurationText(duration), "1h2m5s");
}

TEST(FormatTest, ForeignTextCannotSteerTheTerminal) {
  EXPECT_EQ(Cell("a\x1b[2Jb\r\nc"), "a [2Jb  c");
  EXPECT_EQ(Cell(""), "-");
}

TEST(ArgumentsTest, DurationsAreChecked) {
  EXPECT_EQ(IsDuration("10s"), "");
  EXPECT_EQ(IsDuration("1h30m"), "");
  for (const char* bad : {"", "10", "0s", "-1s", "soon"}) EXPECT_NE(IsDuration(bad), "") << bad;
  google::protobuf::Duration duration;
  ASSERT_TRUE(SetDuration("1500ms", &duration));
  EXPECT_EQ(duration.seconds(), 1);
  EXPECT_EQ(duration.nanos(), 500'000'000);
}

TEST(ExitCodeTest, SaysWhatAScriptShouldDo) {
  auto code = [](grpc::StatusCode status) { return ExitCodeOf(grpc::Status(status, "")); };
  EXPECT_EQ(ExitCodeOf(grpc::Status::OK), kOk);
  EXPECT_EQ(code(grpc::StatusCode::UNAVAILABLE), kUnreachable);
  EXPECT_EQ(code(grpc::StatusCode::NOT_FOUND), kNotFound);
  EXPECT_EQ(code(grpc::StatusCode::ABORTED), kConflict);
  EXPECT_EQ(code(grpc::StatusCode::FAILED_PRECONDITION), kConflict);
  EXPECT_EQ(code(grpc::StatusCode::INVALID_ARGUMENT), kInvalid);
  EXPECT_EQ(code(grpc::StatusCode::DEADLINE_EXCEEDED), kTimeout);
  EXPECT_EQ(code(grpc::StatusCode::PERMISSION_DENIED), kDenied);
  EXPECT_EQ(code(grpc::StatusCode::INTERNAL), kFailed);
}

}  // namespace
}  // namespace viaduct::ctl
