#include "core/plugin/confirm_timeout.h"

#include <gtest/gtest.h>

namespace viaduct {
namespace {

constexpr std::string_view kSchema = R"({"type":"object","properties":{
  "timeout":{"type":"number"},
  "ack_timeout":{"type":"number","x-viaduct-confirm-timeout":true}}})";

absl::Duration Read(std::string_view schema, std::string_view config) {
  return ReadConfirmTimeout(schema, **ConfigView::FromJson(config));
}

TEST(ConfirmTimeout, IsTheOptionThatTheSchemaMarks) {
  EXPECT_EQ(Read(kSchema, R"({"timeout":5,"ack_timeout":120})"), absl::Seconds(120));
  EXPECT_EQ(Read(kSchema, R"({"ack_timeout":0.5})"), absl::Milliseconds(500));
}

TEST(ConfirmTimeout, IsNoneWhereNothingIsSaid) {
  EXPECT_EQ(Read(kSchema, R"({"timeout":5})"), absl::ZeroDuration());
  EXPECT_EQ(Read(kSchema, R"({"ack_timeout":"soon"})"), absl::ZeroDuration());
  EXPECT_EQ(Read(R"({"type":"object"})", R"({"ack_timeout":5})"), absl::ZeroDuration());
  EXPECT_EQ(Read("no schema", R"({"ack_timeout":5})"), absl::ZeroDuration());
}

TEST(ConfirmTimeout, IsBounded) {
  EXPECT_EQ(Read(kSchema, R"({"ack_timeout":1e300})"), kMaxConfirmTimeout);
  EXPECT_EQ(Read(kSchema, R"({"ack_timeout":-1})"), absl::ZeroDuration());
}

}  // namespace
}  // namespace viaduct
