// Payload encryption in the way of the messages.
#include "core/lpr/sealing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/lpr/testing/application_fixture.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

std::shared_ptr<const security::KeyRing> Keys(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) {
    absl::StrAppend(&text, id, " ", absl::Base64Escape(std::string(32, id.back())), "\n");
  }
  return std::make_shared<const security::KeyRing>(std::move(*security::KeyRing::Parse(text)));
}

SealingOptions Options(bool seal, bool forwards) {
  SealingOptions options;
  options.seal = seal;
  options.forwards = forwards;
  return options;
}

constexpr char kPayload[] = R"({"checkpoint_id":"CP01","ocr_results":["1AB2345"]})";

Arrival Message(const std::string& id = "m-1", const std::string& payload = kPayload) {
  Envelope envelope;
  envelope.message_id = id;
  envelope.timestamp = absl::FromUnixMillis(1705314600123);
  envelope.protocol = "rest";
  envelope.edge_device_id = "CAM001";
  envelope.payload_json = payload;
  envelope.metadata.extra_json = R"({"site":"north"})";
  return Arrival(std::move(envelope));
}

Arrival Sealed(const std::string& key = "k1", const std::string& id = "m-1") {
  Sealing edge(Options(true, true), Keys({key}));
  Arrival arrival = Message(id);
  EXPECT_TRUE(edge.Seal(&arrival).ok());
  return arrival;
}

class KeepingSink final : public Sink {
 public:
  void Accept(std::vector<Arrival> batch, AcceptFn done) override {
    std::vector<AcceptResult> results(batch.size());
    for (Arrival& arrival : batch) kept.push_back(std::move(arrival));
    done(std::move(results));
  }
  std::vector<Arrival> kept;
};

std::vector<AcceptResult> AcceptAll(Sink* sink, std::vector<Arrival> batch) {
  std::vector<AcceptResult> out;
  sink->Accept(std::move(batch), [&](std::vector<AcceptResult> results) { out = results; });
  return out;
}

TEST(SealingTest, ServerOpensWhatTheEdgeSealed) {
  Arrival arrival = Sealed();
  EXPECT_TRUE(arrival.envelope.metadata.encryption);
  EXPECT_EQ(arrival.envelope.payload_json.find("1AB2345"), std::string::npos);
  Sealing server(Options(false, false), Keys({"k2", "k1"}));
  ASSERT_TRUE(server.Open(&arrival).ok());
  EXPECT_EQ(arrival.envelope.payload_json, kPayload);
  EXPECT_EQ(arrival.envelope.metadata.extra_json, R"({"site":"north"})");
  EXPECT_FALSE(arrival.sealed.has_value());
  EXPECT_EQ(server.counts().opened, 1u);
}

TEST(SealingTest, WhatDoesNotOpenIsRefusedForGood) {
  Sealing server(Options(false, false), Keys({"k1"}));
  Arrival other = Sealed("k9");
  absl::Status status = server.Open(&other);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("k9"));

  Arrival moved = Sealed();
  moved.envelope.message_id = "m-2";
  EXPECT_EQ(server.Open(&moved).code(), absl::StatusCode::kInvalidArgument);

  Arrival changed = Sealed();
  const size_t at = changed.envelope.payload_json.size() - 6;
  changed.envelope.payload_json[at] = changed.envelope.payload_json[at] == 'A' ? 'B' : 'A';
  EXPECT_EQ(server.Open(&changed).code(), absl::StatusCode::kInvalidArgument);

  Arrival cut = Sealed();  // Without its last octets, as a short tag would be.
  cut.envelope.payload_json.replace(cut.envelope.payload_json.size() - 10, 8, "");
  EXPECT_EQ(server.Open(&cut).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server.counts().refused, 4u);
  EXPECT_EQ(server.counts().opened, 0u);
}

TEST(SealingTest, WhoForwardsSendsItOnAsItCame) {
  Sealing hub(Options(true, true), Keys({"k1"}));
  const Arrival came = Sealed();
  Arrival arrival = came;
  ASSERT_TRUE(hub.Open(&arrival).ok());
  EXPECT_EQ(arrival.envelope.payload_json, kPayload);
  ASSERT_TRUE(hub.Seal(&arrival).ok());
  EXPECT_EQ(arrival.envelope.payload_json, came.envelope.payload_json);
  EXPECT_EQ(arrival.envelope.metadata.extra_json, came.envelope.metadata.extra_json);
  EXPECT_TRUE(arrival.envelope.metadata.encryption);
  Arrival foreign = Sealed("k9");
  const std::string text = foreign.envelope.payload_json;
  ASSERT_TRUE(hub.Open(&foreign).ok()) << "no key for it: it goes on";
  ASSERT_TRUE(hub.Seal(&foreign).ok());
  EXPECT_EQ(foreign.envelope.payload_json, text);
  EXPECT_EQ(hub.counts().passed, 1u);
}

TEST(SealingTest, TooLargeOnesAreRefusedAlone) {
  SealingOptions options = Options(true, true);
  options.max_message_bytes = 4096;
  Sealing edge(options, Keys({"k1"}));
  KeepingSink next;
  SealSink sink(&edge, &next);
  const std::string large = absl::StrCat(R"({"fill":")", std::string(3000, 'x'), R"("})");
  const auto results = AcceptAll(&sink, {Message("m-1"), Message("m-2", large), Message("m-3")});
  ASSERT_THAT(results, SizeIs(3));
  EXPECT_TRUE(results[0].status.ok());
  EXPECT_EQ(results[1].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(results[2].status.ok());
  ASSERT_THAT(next.kept, SizeIs(2));
  EXPECT_EQ(next.kept[1].envelope.message_id, "m-3");
  EXPECT_TRUE(next.kept[1].envelope.metadata.encryption);
}

class SealedIngestTest : public ApplicationTest {
 protected:
  void Use(std::shared_ptr<const security::KeyRing> keys, StoreSinkOptions store) {
    application_.reset();
    sink_ = std::make_unique<StoreSink>(store, store_.get(), images_.get(), &clock_, &log_);
    ApplicationParts parts;
    parts.clock = &clock_;
    parts.log = &log_;
    parts.sink = sink_.get();
    parts.store = store_.get();
    parts.images = images_.get();
    parts.publisher = &publisher_;
    if (keys != nullptr) {
      sealing_ = std::make_unique<Sealing>(Options(false, false), std::move(keys));
      parts.open = [this](Arrival* arrival) { return sealing_->Open(arrival); };
    }
    ApplicationOptions options;
    options.node_id = "server-1";
    options.forwards = store.passes_encrypted;
    application_ = std::make_unique<Application>(options, std::move(parts));
  }
  Reply Hand(const Arrival& arrival) {
    return Post("/api/lpr/data", WriteEnvelope(arrival.envelope));
  }
  std::unique_ptr<Sealing> sealing_;
};

TEST_F(SealedIngestTest, IsStoredAndToldOpened) {
  Use(Keys({"k1"}), StoreSinkOptions());
  ASSERT_EQ(Hand(Sealed()).status, 200);
  EXPECT_EQ(FirstRecord()["ocr_results"][0], "1AB2345");
  EXPECT_EQ(publisher_.Bodies("new_detection").at(0)["ocr_results"][0], "1AB2345");
  EXPECT_EQ(Hand(Sealed()).json()["results"][0]["status"], "duplicate");
}

TEST_F(SealedIngestTest, OneThatDoesNotOpenFailsAlone) {
  Use(Keys({"k1"}), StoreSinkOptions());
  const std::string body = absl::StrCat("[", WriteEnvelope(Sealed("k1", "m-1").envelope), ",",
                                        WriteEnvelope(Sealed("k9", "m-2").envelope), ",",
                                        WriteEnvelope(Message("m-3").envelope), "]");
  const Json results = Post("/api/lpr/data", body).json()["results"];
  EXPECT_EQ(results[0]["status"], "stored");
  EXPECT_EQ(results[1]["status"], "rejected");
  EXPECT_THAT(results[1]["error"].get<std::string>(), HasSubstr("k9"));
  EXPECT_EQ(results[2]["status"], "stored");
}

TEST_F(SealedIngestTest, WithoutAKeyNothingIsStored) {
  Use(nullptr, StoreSinkOptions());
  const Reply refused = Hand(Sealed());
  EXPECT_THAT(refused.body, HasSubstr("no key"));
  EXPECT_EQ(FirstRecord(), Json());
  StoreSinkOptions hub;
  hub.passes_encrypted = true;
  Use(nullptr, hub);
  EXPECT_EQ(Hand(Sealed()).json()["results"][0]["status"], "stored") << "by the other sink";
  EXPECT_EQ(FirstRecord(), Json());
  EXPECT_EQ(sink_->unreadable(), 1u);
  EXPECT_THAT(publisher_.Bodies("new_detection"), SizeIs(0));
  Arrival fake = Message();
  fake.envelope.metadata.encryption = true;
  EXPECT_THAT(Hand(fake).body, HasSubstr("not an encrypted one"));
}

}  // namespace
}  // namespace viaduct
