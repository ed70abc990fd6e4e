#include "tests/support/message_source.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/base/ids.h"
#include "tests/support/digest.h"

namespace viaduct::support {
namespace {

using nlohmann::json;

MessageSpec Spec() {
  MessageSpec spec;
  spec.prefix = "T1X";
  return spec;
}

TEST(MessageSource, EveryMessageIsItsOwn) {
  MessageSource source(Spec());
  std::set<std::string> ids, uuids, stamps;
  for (int i = 0; i < 1000; ++i) {
    const Message m = source.Next(false);
    EXPECT_TRUE(IsUuid(m.message_id)) << m.message_id;
    ids.insert(m.id), uuids.insert(m.message_id), stamps.insert(m.timestamp);
  }
  EXPECT_EQ(ids.size(), 1000u);
  EXPECT_EQ(uuids.size(), 1000u);
  EXPECT_EQ(stamps.size(), 1000u);
}

TEST(MessageSource, PrefixesDoNotMeet) {
  MessageSpec other = Spec();
  other.prefix = "T2X";
  EXPECT_NE(MessageSource(Spec()).Next(false).message_id,
            MessageSource(other).Next(false).message_id);
}

TEST(MessageSource, PayloadIsADetectionOfTheWireFormat) {
  MessageSource source(Spec());
  const Message m = source.Next(true);
  std::string text;
  source.AppendPayload(m, &text);
  const json payload = json::parse(text);
  EXPECT_EQ(payload["type"], "detection_result");
  EXPECT_EQ(payload["ocr_results"][0]["text"], m.id);
  EXPECT_EQ(payload["timestamp"], "2024-01-15T10:30:00.001Z");
  EXPECT_EQ(payload.dump(), text) << "keys sorted, no blanks";
  EXPECT_NEAR(static_cast<double>(text.size()), 300, 60);
  EXPECT_EQ(m.digest, PayloadDigest(payload));
}

TEST(MessageSource, DigestCoversTheImage) {
  MessageSpec spec = Spec();
  spec.image = "\xff\xd8\xff jpeg";
  MessageSource source(spec);
  const Message m = source.Next(true);
  std::string text;
  source.AppendPayload(m, &text);
  json payload = json::parse(text);
  EXPECT_EQ(m.digest, PayloadDigest(payload));
  payload.erase("annotated_image");
  EXPECT_NE(m.digest, PayloadDigest(payload));
}

TEST(MessageSource, EnvelopeHoldsThePayload) {
  MessageSource source(Spec());
  const Message m = source.Next(true);
  std::string text;
  source.AppendEnvelope(m, &text);
  const json envelope = json::parse(text);
  EXPECT_EQ(envelope["message_id"], m.message_id);
  EXPECT_EQ(envelope["data_type"], "detection");
  EXPECT_EQ(PayloadDigest(envelope["payload"]), m.digest);
  EXPECT_FALSE(envelope["metadata"].contains("priority"));
}

TEST(MessageSource, EnvelopeSaysItsPriority) {
  MessageSpec spec = Spec();
  spec.priority = "high";
  MessageSource source(spec);
  std::string text;
  source.AppendEnvelope(source.Next(false), &text);
  EXPECT_EQ(json::parse(text)["metadata"]["priority"], "high");
}

}  // namespace
}  // namespace viaduct::support
