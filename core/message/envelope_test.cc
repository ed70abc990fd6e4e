#include "core/message/envelope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/message/envelope_batch.h"
#include "core/message/identity.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kWireExample[] =
    R"({"message_id":"5d1c1c0e-0000-4000-8000-000000000001","timestamp":"2024-01-15T10:30:00.000Z",)"
    R"("protocol":"websocket","edge_device_id":"CAM001","data_type":"detection",)"
    R"("payload":{"plates":["กข 1234"],"n":1.5e3},)"
    R"("metadata":{"protocol_version":"1.0","compression":false,"encryption":true}})";

// The wire example with one member's source replaced; "" leaves the member out.
std::string With(const std::string& key, const std::string& value) {
  nlohmann::ordered_json base = nlohmann::ordered_json::parse(kWireExample);
  std::string out = "{";
  bool found = false;
  for (const auto& [name, old] : base.items()) {
    const std::string text = name == key ? value : old.dump();
    found = found || name == key;
    if (text.empty()) continue;
    out += (out.size() > 1 ? ",\"" : "\"") + name + "\":" + text;
  }
  if (!found) out += ",\"" + key + "\":" + value;
  return out + "}";
}

absl::StatusOr<Envelope> Parse(const std::string& json) { return ParseEnvelope(json, {}); }

TEST(EnvelopeTest, ReadsTheWireExample) {
  const absl::StatusOr<Envelope> read = Parse(kWireExample);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->message_id, "5d1c1c0e-0000-4000-8000-000000000001");
  EXPECT_EQ(read->timestamp, absl::FromUnixSeconds(1705314600));
  EXPECT_EQ(read->protocol, "websocket");
  EXPECT_EQ(read->edge_device_id, "CAM001");
  EXPECT_EQ(read->data_type, DataType::kDetection);
  EXPECT_EQ(read->payload_json, R"({"plates":["กข 1234"],"n":1.5e3})");
  EXPECT_EQ(read->metadata.protocol_version, "1.0");
  EXPECT_FALSE(read->metadata.compression);
  EXPECT_TRUE(read->metadata.encryption);
  EXPECT_EQ(read->metadata.priority, Priority::kNormal);
  EXPECT_EQ(read->metadata.extra_json, "{}");
}

TEST(EnvelopeTest, WhatIsWrittenReadsBackTheSame) {
  Envelope envelope =
      *Parse(With("metadata", R"({"priority":"high","site":{"b":[1,2]},"x":null})"));
  envelope.message_id = "quo\"te\\ ก";
  const std::string text = WriteEnvelope(envelope);
  EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  const absl::StatusOr<Envelope> again = Parse(text);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->message_id, envelope.message_id);
  EXPECT_EQ(again->payload_json, envelope.payload_json);
  EXPECT_EQ(again->metadata.priority, Priority::kHigh);
  EXPECT_EQ(again->metadata.extra_json, R"({"site":{"b":[1,2]},"x":null})");
  EXPECT_EQ(WriteEnvelope(*again), text);
}

TEST(EnvelopeTest, PayloadIsCarriedAsSentAndWrittenOnOneLine) {
  const Envelope envelope = *Parse(With("payload", "{ \"b\" : 1,\r\n  \"a\":\t\"x\\ny\" }"));
  EXPECT_EQ(envelope.payload_json, "{ \"b\" : 1,\r\n  \"a\":\t\"x\\ny\" }");
  const std::string text = WriteEnvelope(envelope);
  EXPECT_EQ(text.find_first_of("\r\n"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(text)["payload"]["a"], "x\ny");
}

TEST(EnvelopeTest, ThePayloadIsFoundInWhatWasWritten) {
  Envelope envelope = *Parse(With("metadata", R"({"payload":{"a":1},"b":",\"payload\":{"})"));
  envelope.message_id = R"(quo"te\)";
  envelope.edge_device_id = R"(","payload":{"x":1},")";
  for (const char* payload :
       {"{}", R"({"a":"}\"{","b":{"payload":{}},"c":[{},"\\"]})", R"({"metadata":{"k":"\\\""}})"}) {
    envelope.payload_json = payload;
    ASSERT_TRUE(ValidateEnvelope(envelope, {}).ok()) << payload;
    EXPECT_EQ(PayloadOf(WriteEnvelope(envelope)), payload);
  }
}

TEST(EnvelopeTest, ATextOfAnotherMakingHasNoPayload) {
  for (const char* text : {"", "{", "{}", "[]", "{\"", "{\"payload\"", "{\"payload\":",
                           "{\"payload\":{", "{\"payload\":\"", "{\"a\":1,\"payload\":{}}"}) {
    EXPECT_EQ(PayloadOf(text), "") << text;
  }
}

TEST(EnvelopeTest, EmptyExtraMetadataWithSpacesIsWrittenAsNone) {
  Envelope envelope = *Parse(kWireExample);
  envelope.metadata.extra_json = "{ }";
  ASSERT_TRUE(ValidateEnvelope(envelope, {}).ok());
  EXPECT_TRUE(Parse(WriteEnvelope(envelope)).ok());
}

TEST(EnvelopeTest, ObjectsThatArriveAsTextAreParsed) {
  const absl::StatusOr<Envelope> read =
      Parse(With("payload", R"("{\"type\":\"detection_result\",\"k\":\"\\u0e01\"}")"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->payload_json, R"({"type":"detection_result","k":"\u0e01"})");
  const absl::StatusOr<Envelope> metadata =
      Parse(With("metadata", R"("{\"priority\":\"low\",\"z\":1}")"));
  ASSERT_TRUE(metadata.ok()) << metadata.status();
  EXPECT_EQ(metadata->metadata.priority, Priority::kLow);
  EXPECT_EQ(metadata->metadata.extra_json, R"({"z":1})");
}

TEST(EnvelopeTest, RestApiMeansRest) {
  EXPECT_EQ(Parse(With("protocol", "\"rest_api\""))->protocol, "rest");
}

TEST(EnvelopeTest, IdentityAliasesNameTheSameCamera) {
  for (const std::string_view alias : kIdentityAliases) {
    std::string json = With("edge_device_id", "");
    json.back() = ',';
    json += "\"" + std::string(alias) + "\":\"CAM9\"}";
    const absl::StatusOr<Envelope> read = Parse(json);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->edge_device_id, "CAM9");
  }
  EXPECT_EQ(Parse(With("client_id", "\"mqtt-7\""))->edge_device_id, "CAM001");
}

TEST(EnvelopeTest, ResendWithoutMessageIdGetsTheSameKey) {
  const std::string json = With("message_id", "");
  const std::string id = Parse(json)->message_id;
  EXPECT_THAT(id, StartsWith("d-"));
  EXPECT_EQ(Parse(json)->message_id, id);
  MessageKeyParts parts;
  parts.camera_id = "CAM001";
  parts.checkpoint_id = "CP1";
  const std::string one = DeriveMessageId(parts);
  parts.camera_id = "CAM001C";
  parts.checkpoint_id = "P1";
  EXPECT_NE(DeriveMessageId(parts), one);
}

TEST(EnvelopeTest, UnknownMembersOfALaterVersionAreIgnored) {
  EXPECT_TRUE(Parse(With("trace", R"({"id":[1,{"a":{}}]})")).ok());
}

struct BadCase {
  const char* name;
  std::string json;
  const char* error;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

class BadEnvelopeTest : public testing::TestWithParam<BadCase> {};

TEST_P(BadEnvelopeTest, IsRefusedWithItsPlace) {
  const absl::StatusOr<Envelope> read = Parse(GetParam().json);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.status().code(), GetParam().code) << read.status();
  EXPECT_EQ(std::string(read.status().message()), std::string("envelope: ") + GetParam().error);
}

std::string Nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') +
         std::string(static_cast<size_t>(depth), ']');
}

std::vector<BadCase> BadCases() {
  const auto exhausted = absl::StatusCode::kResourceExhausted;
  return {
      {"Empty", "", "at byte 0: empty, expected JSON"},
      {"Blank", " \n", "at byte 0: empty, expected JSON"},
      {"Array", "[]", "at byte 0: expected an object, found '['"},
      {"Truncated", R"({"message_id":"a)", "at byte 16: unterminated string, the text ends here"},
      {"TruncatedObject", R"({"a":1)", "at byte 6: expected ',' or '}', the text ends here"},
      {"Trailing", R"({} x)", "at byte 3: expected the end of the text, found 'x'"},
      {"TrailingComma", R"({"a":1,})", "at byte 7: expected a member name, found '}'"},
      {"SingleQuotes", R"({'a':1})", "at byte 1: expected a member name, found '\\''"},
      {"NotANumber", R"({"a":NaN})", "at byte 5: expected a value, found 'N'"},
      {"LeadingZero", R"({"a":01})", "at byte 6: expected ',' or '}', found '1'"},
      {"BareMinus", R"({"a":-})", "at byte 6: expected a value, found '}'"},
      {"HugeNumber", R"({"a":1e999})", "at byte 5: number out of range"},
      {"LongNumber", "{\"a\":" + std::string(2000, '7') + "}", "at byte 5: number too long"},
      {"Duplicate", R"({"a":1,"\u0061":2})", "at byte 7: duplicate member, \"a\""},
      {"NestedDuplicate", R"({"payload":{"x":{"b":1,"b":2}}})",
       "at byte 23: duplicate member, \"b\""},
      {"InvalidUtf8", "{\"a\":\"\xc3\x28\"}", "at byte 6: invalid UTF-8, found '\\xc3'"},
      {"OverlongUtf8", "{\"a\":\"\xc0\xaf\"}", "at byte 6: invalid UTF-8, found '\\xc0'"},
      {"SurrogateUtf8", "{\"a\":\"\xed\xa0\x80\"}", "at byte 6: invalid UTF-8, found '\\xed'"},
      {"LoneSurrogate", R"({"a":"\ud800"})", "at byte 7: lone surrogate in an escape, found 'u'"},
      {"Control", "{\"a\":\"\x01\"}", "at byte 6: control character in a string, found '\\x01'"},
      {"BadEscape", R"({"a":"\x"})", "at byte 7: unknown escape, found 'x'"},
      {"Deep", "{\"a\":" + Nested(64) + "}", "at byte 68: nested too deep, limit 64", exhausted},
      {"MissingTimestamp", With("timestamp", ""), "/timestamp: required, missing"},
      {"MissingProtocol", With("protocol", ""), "/protocol: required, missing"},
      {"MissingDevice", With("edge_device_id", ""), "/edge_device_id: required, missing"},
      {"MissingType", With("data_type", ""), "/data_type: required, missing"},
      {"MissingPayload", With("payload", ""), "/payload: required, missing"},
      {"BadTimestamp", With("timestamp", "\"yesterday\""),
       "/timestamp: not a timestamp, \"yesterday\""},
      {"NumberTimestamp", With("timestamp", "1705314600"),
       "/timestamp: expected a string, got a number"},
      {"BadProtocol", With("protocol", "\"smtp\""),
       "/protocol: expected websocket, rest or mqtt, got \"smtp\""},
      {"BadType", With("data_type", "\"x\""),
       "/data_type: expected detection, health, config or control, got \"x\""},
      {"NullDevice", With("edge_device_id", "null"), "/edge_device_id: required, missing"},
      {"EmptyId", With("message_id", "\"\""), "/message_id: empty"},
      {"ControlInId", With("message_id", R"("a\nb")"), "/message_id: control character, \"a\\nb\""},
      {"LongId", With("message_id", "\"" + std::string(129, 'x') + "\""),
       "/message_id: too long, 129 bytes, limit 128"},
      {"PayloadArray", With("payload", "[1]"), "/payload: expected an object, got an array"},
      {"PayloadTextNoObject", With("payload", R"("[1]")"),
       "/payload: expected an object, got an array"},
      {"PayloadTextNoJson", With("payload", R"("hello")"),
       "/payload: expected an object, got a string that is no JSON, at byte 0: expected a value, "
       "found 'h'"},
      {"MetadataNumber", With("metadata", "7"), "/metadata: expected an object, got a number"},
      {"BadPriority", With("metadata", R"({"priority":"urgent"})"),
       "/metadata/priority: expected high, normal or low, got \"urgent\""},
      {"BadFlag", With("metadata", R"({"compression":"yes"})"),
       "/metadata/compression: expected a boolean, got a string"},
  };
}

INSTANTIATE_TEST_SUITE_P(All, BadEnvelopeTest, testing::ValuesIn(BadCases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(EnvelopeTest, EveryTruncationIsRefused) {
  const std::string json = kWireExample;
  for (size_t i = 0; i < json.size(); ++i) EXPECT_FALSE(Parse(json.substr(0, i)).ok()) << i;
}

TEST(EnvelopeTest, TooLargeIsResourceExhausted) {
  ParseOptions options;
  options.limits.max_bytes = 100;
  EXPECT_EQ(ParseEnvelope(kWireExample, options).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(EnvelopeTest, LargeObjectsStillFindDuplicates) {
  std::string payload = "{";
  for (int i = 0; i < 1000; ++i) payload += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_TRUE(Parse(With("payload", payload + "\"z\":0}")).ok());
  EXPECT_THAT(std::string(Parse(With("payload", payload + "\"k3\":0}")).status().message()),
              HasSubstr("duplicate member, \"k3\""));
}

TEST(ValidateEnvelopeTest, HoldsFieldsToTheSameRules) {
  const Envelope good = *Parse(kWireExample);
  EXPECT_TRUE(ValidateEnvelope(good, {}).ok());
  const auto error = [&](auto change) {
    Envelope bad = good;
    change(&bad);
    return std::string(ValidateEnvelope(bad, {}).message());
  };
  EXPECT_EQ(error([](Envelope* e) { e->message_id = ""; }), "envelope: /message_id: empty");
  EXPECT_EQ(error([](Envelope* e) { e->edge_device_id = "\xff"; }),
            "envelope: /edge_device_id: invalid UTF-8");
  EXPECT_THAT(error([](Envelope* e) { e->payload_json = "[]"; }),
              StartsWith("envelope: /payload: expected an object"));
  EXPECT_THAT(error([](Envelope* e) { e->payload_json = "{"; }),
              StartsWith("envelope: /payload: at byte 1"));
  EXPECT_THAT(error([](Envelope* e) { e->protocol = ""; }), StartsWith("envelope: /protocol"));
  EXPECT_THAT(error([](Envelope* e) { e->timestamp = absl::InfiniteFuture(); }),
              StartsWith("envelope: /timestamp"));
  EXPECT_EQ(error([](Envelope* e) { e->metadata.extra_json = R"({"priority":"low"})"; }),
            "envelope: /metadata/priority: given twice");
}

TEST(TimestampTest, ReadsTheFormsOfTheField) {
  absl::TimeZone bangkok = absl::FixedTimeZone(7 * 3600);
  const absl::Time expected = absl::FromUnixSeconds(1705314600);
  EXPECT_EQ(*ParseTimestamp("2024-01-15T10:30:00Z", bangkok), expected);
  EXPECT_EQ(*ParseTimestamp("2024-01-15T10:30:00.000Z", bangkok), expected);
  EXPECT_EQ(*ParseTimestamp("2024-01-15 10:30:00", absl::UTCTimeZone()), expected);
  EXPECT_EQ(*ParseTimestamp("2024-01-15T17:30:00", bangkok), expected);
  EXPECT_EQ(*ParseTimestamp("2024-01-15T17:30:00+07:00", absl::UTCTimeZone()), expected);
  EXPECT_EQ(*ParseTimestamp("2024-01-15T05:00:00-0530", absl::UTCTimeZone()), expected);
  EXPECT_EQ(*ParseTimestamp("2024-01-15T10:30:00.123456", absl::UTCTimeZone()),
            expected + absl::Milliseconds(123));
  EXPECT_EQ(*ParseTimestamp("1969-12-31T23:59:59.999Z", absl::UTCTimeZone()),
            absl::FromUnixMillis(-1));
}

TEST(TimestampTest, RefusesWhatIsNoTimestamp) {
  for (const char* text :
       {"", "2024", "2024-01-15", "2024-02-30T00:00:00Z", "2024-13-01T00:00:00Z",
        "2024-01-15T24:00:00Z", "2024-01-15T10:60:00Z", "2024-01-15T10:30:00.Z",
        "2024-01-15T10:30:00+7", "2024-01-15T10:30:00+19:00", "2024-01-15T10:30:00Zx",
        "0000-01-01T00:00:00Z", "-024-01-15T10:30:00Z"}) {
    const absl::Status status = ParseTimestamp(text, absl::UTCTimeZone()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  }
}

TEST(TimestampTest, WritesUtcWithMilliseconds) {
  EXPECT_EQ(FormatTimestamp(absl::FromUnixMillis(1705314600007)), "2024-01-15T10:30:00.007Z");
  EXPECT_EQ(FormatTimestamp(absl::FromUnixMillis(-1)), "1969-12-31T23:59:59.999Z");
}

TEST(ParseEnvelopesTest, GivesAVerdictForEachElement) {
  const std::string json = std::string("[") + kWireExample + "," + With("timestamp", "\"no\"") +
                           ",7," + With("message_id", "\"m4\"") + "]";
  const absl::StatusOr<ParsedEnvelopes> read = ParseEnvelopes(json, {});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(read->array);
  ASSERT_EQ(read->items.size(), 4u);
  EXPECT_TRUE(read->items[0].envelope.ok());
  EXPECT_EQ(read->items[1].message_id, "5d1c1c0e-0000-4000-8000-000000000001");
  EXPECT_EQ(read->items[1].envelope.status().message(),
            "envelope: /1/timestamp: not a timestamp, \"no\"");
  EXPECT_EQ(read->items[2].envelope.status().message(),
            "envelope: /2: expected an object, got a number");
  EXPECT_EQ(read->items[3].envelope->message_id, "m4");
}

TEST(ParseEnvelopesTest, TakesASingleObjectAndRefusesTheRest) {
  const absl::StatusOr<ParsedEnvelopes> read = ParseEnvelopes(kWireExample, {});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_FALSE(read->array);
  ASSERT_EQ(read->items.size(), 1u);
  EXPECT_TRUE(read->items[0].envelope.ok());
  EXPECT_TRUE(ParseEnvelopes("[]", {})->items.empty());
  EXPECT_FALSE(ParseEnvelopes("7", {}).ok());
  EXPECT_FALSE(ParseEnvelopes("[{}", {}).ok());
  EXPECT_EQ(ParseEnvelopes("[{},{},{}]", {}, 2).status().code(),
            absl::StatusCode::kResourceExhausted);
}

// FormatTimestamp could not write them, and the next node would refuse them for ever.
TEST(TimestampTest, ZonesDoNotLeadOutOfTheYears) {
  const absl::TimeZone bangkok = absl::FixedTimeZone(7 * 3600);
  const absl::TimeZone hawaii = absl::FixedTimeZone(-10 * 3600);
  EXPECT_FALSE(ParseTimestamp("0001-01-01T00:00:00", bangkok).ok());
  EXPECT_TRUE(ParseTimestamp("0001-01-01T07:00:00", bangkok).ok());
  EXPECT_FALSE(ParseTimestamp("9999-12-31T23:59:59", hawaii).ok());
  EXPECT_FALSE(ParseTimestamp("9999-12-31T23:59:59-01:00", absl::UTCTimeZone()).ok());
  EXPECT_FALSE(ParseTimestamp("9999-12-31T23:59:60Z", absl::UTCTimeZone()).ok());
  EXPECT_TRUE(ParseTimestamp("9999-12-31T23:59:59.999Z", absl::UTCTimeZone()).ok());
  EXPECT_THAT(ParseTimestamp("0001-01-01T00:00:00+01:00", absl::UTCTimeZone()).status().message(),
              testing::HasSubstr("outside the years 0001 to 9999"));
}

}  // namespace
}  // namespace viaduct
