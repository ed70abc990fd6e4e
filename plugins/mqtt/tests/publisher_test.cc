#include "plugins/mqtt/publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "plugins/mqtt/tests/real_broker.h"
#include "plugins/mqtt/tests/road.h"

namespace viaduct::mqtt {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using Json = nlohmann::json;

// How a road over such a session ends by itself.
absl::Status EndOf(const SessionOptions& session) {
  PublisherOptions options;
  options.session = session;
  options.device_id = "CAM1";
  absl::Mutex mutex;
  absl::Status ended;
  Publisher::Events events;
  events.on_done = [](absl::Span<const DeliveryResult>) {};
  events.on_ready = [] {};
  events.on_ended = [&](const absl::Status& why) {
    absl::MutexLock lock(&mutex);
    ended = why;
  };
  events.on_command = [](const Command&) { return absl::OkStatus(); };
  events.wall_ns = [] { return int64_t{1}; };
  Publisher publisher(options, std::move(events));
  EXPECT_TRUE(publisher.Start().ok());
  EXPECT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mutex);
    return !ended.ok();
  }));
  publisher.Stop();
  return ended;
}

Publication Ack(const Json& body) {
  Publication publication;
  publication.topic = "lpr/ack/CAM1";
  publication.payload = body.dump();
  return publication;
}

class PublisherTest : public ::testing::TestWithParam<bool> {
 protected:
  bool version_5() const { return GetParam(); }
  RealBroker broker_;
};
INSTANTIATE_TEST_SUITE_P(Versions, PublisherTest, ::testing::Bool(), [](const auto& info) {
  return info.param ? std::string("Mqtt5") : std::string("Mqtt311");
});

TEST_P(PublisherTest, IsDurableOnlyWhenTheServerSaysSo) {
  RealPeer server(SessionOn(broker_, "server"), {"lpr/data/#"});
  Road road(broker_, version_5());
  ASSERT_TRUE(road.Take(1, "a"));
  ASSERT_TRUE(road.Take(2, "b"));
  ASSERT_TRUE(road.Take(3, "c"));
  ASSERT_TRUE(Eventually([&] { return !server.heard().empty(); }));
  // The broker acknowledges within this round trip.
  server.Publish(Ack({{"message_id", "unknown"}, {"status", "stored"}}));
  EXPECT_THAT(road.results(), IsEmpty());
  server.Publish(Ack(Json::array({{{"message_id", "a"}, {"status", "stored"}},
                                  {{"message_id", "b"}, {"status", "duplicate"}}})));
  server.Publish(Ack({{"message_id", "c"}, {"status", "rejected"}, {"error", "no plate"}}));
  ASSERT_TRUE(road.Ends(3));
  const std::vector<DeliveryResult> results = road.results();
  EXPECT_EQ(results[0].token, 1u);
  EXPECT_EQ(results[0].outcome, DeliveryOutcome::kDurable);
  EXPECT_FALSE(results[0].duplicate);
  EXPECT_EQ(results[1].outcome, DeliveryOutcome::kDurable);
  EXPECT_TRUE(results[1].duplicate);
  EXPECT_EQ(results[2].outcome, DeliveryOutcome::kReject);
  EXPECT_EQ(results[2].status.message(), "no plate");
  EXPECT_TRUE(road.publisher->Drain(kDeadline));
}

TEST_P(PublisherTest, WithBrokerConfirmationThePubackIsEnough) {
  RealPeer server(SessionOn(broker_, "server"), {"lpr/data/#"});
  PublisherOptions options;
  options.confirm = Confirm::kBroker;
  Road road(broker_, version_5(), options);
  ASSERT_TRUE(road.Take(1, "a"));
  ASSERT_TRUE(road.Ends(1));
  EXPECT_EQ(road.results()[0].outcome, DeliveryOutcome::kDurable);
}

// The broker says how much it takes at the connection, or in answer to a publication.
TEST(Publisher, RejectsWhatIsLargerThanTheBrokerTakes) {
  for (const char* limit : {"max_packet_size 1000\n", "message_size_limit 1000\n"}) {
    RealBroker broker(limit);
    Road road(broker, /*version_5=*/true);
    ASSERT_TRUE(road.Take(1, std::string(2000, 'x')));
    ASSERT_TRUE(road.Ends(1));
    EXPECT_EQ(road.results()[0].outcome, DeliveryOutcome::kReject) << limit;
    EXPECT_EQ(road.results()[0].status.code(), absl::StatusCode::kResourceExhausted) << limit;
  }
}

TEST(Publisher, SendsNoMoreAtOnceThanTheBrokerTakes) {
  RealBroker broker("max_packet_size 1000\n");
  RealPeer server(SessionOn(broker, "server"), {"lpr/data/#"});
  PublisherOptions options;
  options.confirm = Confirm::kBroker;
  Road road(broker, /*version_5=*/true, options);
  constexpr size_t kMessages = 8;
  for (size_t token = 1; token <= kMessages; ++token) {
    const std::string id = absl::StrCat(std::string(400, 'y'), token);
    ASSERT_TRUE(road.publisher->Take({token, id, R"({"message_id":")" + id + "\"}"}));
  }
  road.publisher->Flush();
  ASSERT_TRUE(road.Ends(kMessages));
  for (const DeliveryResult& result : road.results()) {
    EXPECT_EQ(result.outcome, DeliveryOutcome::kDurable) << result.status;
  }
}

// What nobody has subscribed to the broker throws away, and MQTT 5 says so.
TEST(Publisher, KeepsWhatTheBrokerWouldThrowAway) {
  RealBroker broker;
  for (const Confirm confirm : {Confirm::kBroker, Confirm::kServer}) {
    PublisherOptions options;
    options.confirm = confirm;
    Road road(broker, /*version_5=*/true, options);
    ASSERT_TRUE(road.Take(1, "a"));
    ASSERT_TRUE(road.Ends(1));
    EXPECT_EQ(road.results()[0].outcome, DeliveryOutcome::kRetry);
    EXPECT_EQ(road.results()[0].status.code(), absl::StatusCode::kUnavailable);
  }
}

TEST_P(PublisherTest, GivesBackWhatTheServerDoesNotAnswer) {
  RealPeer server(SessionOn(broker_, "server"), {"lpr/data/#"});
  PublisherOptions options;
  options.ack_timeout = absl::Milliseconds(50);
  Road road(broker_, version_5(), options);
  ASSERT_TRUE(road.Take(1, "a"));
  ASSERT_TRUE(road.Ends(1));
  EXPECT_EQ(road.results()[0].outcome, DeliveryOutcome::kRetry);
  EXPECT_EQ(road.results()[0].status.code(), absl::StatusCode::kDeadlineExceeded);
  // Taken again, it is the same message to the server.
  ASSERT_TRUE(road.Take(2, "a"));
  ASSERT_TRUE(Eventually([&] { return server.heard().size() == 2; }));
}

TEST_P(PublisherTest, GivesEverythingBackWhenTheBrokerIsGone) {
  RealPeer server(SessionOn(broker_, "server"), {"lpr/data/#"});
  Road road(broker_, version_5());
  ASSERT_TRUE(road.Take(1, "a"));
  ASSERT_TRUE(Eventually([&] { return !server.heard().empty(); }));
  broker_.Stop(SIGKILL);
  ASSERT_TRUE(road.Ends(1));
  EXPECT_EQ(road.results()[0].outcome, DeliveryOutcome::kRetry);
  ASSERT_TRUE(Eventually([&] { return !road.ended().ok(); }));
  EXPECT_EQ(road.publisher->credit(), 0u);
  EXPECT_FALSE(road.Take(2, "b"));
}

TEST_P(PublisherTest, HoldsNoMoreThanItsWindow) {
  RealPeer server(SessionOn(broker_, "server"), {"lpr/data/#"});
  PublisherOptions options;
  options.window = 2;
  Road road(broker_, version_5(), options);
  EXPECT_TRUE(road.Take(1, "a"));
  EXPECT_FALSE(road.Take(2, "a")) << "one that is under way already";
  EXPECT_TRUE(road.Take(2, "b"));
  EXPECT_FALSE(road.Take(3, "c"));
  road.publisher->Stop();
  ASSERT_THAT(road.results(), SizeIs(2));
  for (const DeliveryResult& result : road.results()) {
    EXPECT_EQ(result.outcome, DeliveryOutcome::kCancelled);
  }
}

TEST_P(PublisherTest, BatchesGrowWhilePublicationsAreUnderWay) {
  RealPeer server(SessionOn(broker_, "server"), {"lpr/data/#"});
  PublisherOptions options;
  options.max_publications = 1;
  options.max_batch = 4;
  Road road(broker_, version_5(), options);
  ASSERT_TRUE(road.Take(0, "first"));
  ASSERT_TRUE(Eventually([&] { return server.heard().size() == 1; }));
  for (uint64_t i = 1; i <= 4; ++i) ASSERT_TRUE(road.Take(i, "m" + std::to_string(i)));
  server.Publish(Ack({{"message_id", "first"}, {"status", "stored"}}));
  ASSERT_TRUE(Eventually([&] { return server.heard().size() == 2; }));
  EXPECT_THAT(Json::parse(server.heard()[1].payload), SizeIs(4));
}

TEST_P(PublisherTest, TellsItsStatusAlsoWhenItDies) {
  RealPeer server(SessionOn(broker_, "server"), {"system/status/+"});
  const auto last = [&] {
    const auto heard = server.On("system/status/CAM1");
    return heard.empty() ? "" : Json::parse(heard.back().payload)["status"].get<std::string>();
  };
  {
    Road road(broker_, version_5());
    EXPECT_EQ(last(), "") << "who it is comes with it";
    road.publisher->SayOnline({"pi", "1.2"});
    EXPECT_TRUE(Eventually([&] { return last() == "online"; }));
    const Json online = Json::parse(server.On("system/status/CAM1").back().payload);
    EXPECT_EQ(online["hostname"], "pi");
    EXPECT_EQ(online["version"], "1.2");
  }
  EXPECT_TRUE(Eventually([&] { return last() == "offline"; }));
  RealPeer late(SessionOn(broker_, "late"), {"system/status/+"});
  ASSERT_TRUE(Eventually([&] { return !late.heard().empty(); }));
  EXPECT_TRUE(late.heard()[0].retain);
}

TEST_P(PublisherTest, HandsCommandsOverAndPublishesTheAnswer) {
  RealPeer server(SessionOn(broker_, "server"), {"system/control/+/response"});
  Road road(broker_, version_5());
  Publication command;
  command.topic = "system/control/CAM1";
  command.payload = R"({"command":"get_status"})";
  command.correlation = "abc";
  server.Publish(command);
  ASSERT_TRUE(Eventually([&] { return !road.commands().empty(); }));
  EXPECT_EQ(road.commands()[0].second, command.payload);
  Publication answer;
  answer.topic = "system/control/CAM1/response";
  answer.payload = "{}";
  road.publisher->Answer(road.commands()[0].first, {answer});
  road.publisher->Answer(road.commands()[0].first, {answer});  // One answer is enough.
  ASSERT_TRUE(Eventually([&] { return !server.heard().empty(); }));
  EXPECT_EQ(server.heard()[0].correlation, version_5() ? "abc" : "");
}

TEST_P(PublisherTest, HearsWhatIsSaidOfFiles) {
  RealPeer server(SessionOn(broker_, "server"), {"system/control/+/response"});
  Road road(broker_, version_5());
  Publication status;
  status.topic = "file/transfer/status";
  status.payload = R"({"type":"file_transfer_status","transfer_id":"t","status":"stored"})";
  server.Publish(status);
  ASSERT_TRUE(Eventually([&] { return !road.commands().empty(); }));
  EXPECT_EQ(road.commands()[0].second, status.payload);
  road.publisher->Answer(road.commands()[0].first, {});  // Nothing is to be said to it.
  server.Publish(status);
  EXPECT_TRUE(Eventually([&] { return road.publisher->dropped_commands() == 0; }));
}

TEST_P(PublisherTest, TakesOrdersOfCamerasWithQos2) {
  const std::string topic = "lprserver/cameras/CAM1/control";
  RealPeer server(SessionOn(broker_, "server"), {topic + "/response"});
  Road road(broker_, version_5());
  Publication order;
  order.topic = topic;
  order.payload = R"({"command":"get_status"})";
  order.qos = 2;
  server.Publish(order);
  ASSERT_TRUE(Eventually([&] { return !road.commands().empty(); }));
  EXPECT_EQ(road.qos_of_last_command(), 2);
  Publication answer;
  answer.topic = topic + "/response";
  answer.payload = "{}";
  answer.qos = 2;
  road.publisher->Answer(road.commands()[0].first, {answer});
  ASSERT_TRUE(Eventually([&] { return !server.heard().empty(); }));
  EXPECT_EQ(server.heard()[0].qos, 2);
  EXPECT_THAT(road.commands(), SizeIs(1));
}

SocketAddress Loopback(const char* text, int port) {
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  v4->sin_family = AF_INET;
  v4->sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(inet_pton(AF_INET, text, &v4->sin_addr), 1);
  address.size = sizeof(*v4);
  return address;
}

// Nobody listens at the first two.
std::vector<SocketAddress> ThreeAddresses(const BrokerAddress& broker) {
  return {Loopback("127.0.0.2", broker.port), Loopback("127.0.0.3", broker.port),
          Loopback("127.0.0.1", broker.port)};
}

TEST_P(PublisherTest, TriesEveryAddressOfTheBrokersName) {
  PublisherOptions options;
  options.confirm = Confirm::kBroker;
  options.session.broker.host = "127.0.0.2";
  options.session.resolve = &ThreeAddresses;
  Road road(broker_, version_5(), options);  // Waits until it is connected.
  EXPECT_TRUE(road.ended().ok()) << road.ended();
}

TEST(Publisher, SaysWhatTheLastAddressSaid) {
  SessionOptions options;
  options.broker = {"127.0.0.2", 1, false};
  options.client_id = "CAM1";
  options.resolve = &ThreeAddresses;
  EXPECT_EQ(EndOf(options).message(), "broker: Connection refused");
}

// An address that swallows everything has its share of the time and no more.
TEST(Publisher, LeavesAnAddressThatDoesNotAnswer) {
  RealBroker broker;
  FullBacklog silent("127.0.0.2", broker.port());
  PublisherOptions options;
  options.session.broker.host = "127.0.0.2";
  options.session.connect_timeout = absl::Seconds(4);
  options.session.resolve = [](const BrokerAddress& address) -> std::vector<SocketAddress> {
    return {Loopback("127.0.0.2", address.port), Loopback("127.0.0.1", address.port)};
  };
  Road road(broker, /*version_5=*/false, options);
  EXPECT_TRUE(road.ended().ok()) << road.ended();
}

// It has taken us and says no more.
TEST(Publisher, GivesUpABrokerThatGrantsNothing) {
  NonsenseBroker broker(std::string("\x20\x02\x00\x00", 4), /*stay=*/true);
  SessionOptions options;
  options.broker = {"127.0.0.1", broker.port(), false};
  options.client_id = "CAM1";
  options.subscribe_timeout = absl::Milliseconds(50);
  const absl::Status ended = EndOf(options);
  EXPECT_EQ(ended.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ended.message(), "broker: did not grant the subscriptions in time");
}

// It would be carried out at every connect.
TEST_P(PublisherTest, ARetainedCommandIsDroppedAndCounted) {
  RealPeer server(SessionOn(broker_, "server"), {"none"});
  Publication command;
  command.topic = "system/control/CAM1";
  command.payload = R"({"command":"restart_instance"})";
  command.retain = true;
  server.Publish(command);
  Road road(broker_, version_5());
  ASSERT_TRUE(Eventually([&] { return road.publisher->dropped_commands() == 1; }));
  command.retain = false;
  command.payload = R"({"command":"get_status"})";
  server.Publish(command);
  ASSERT_TRUE(Eventually([&] { return !road.commands().empty(); }));
  ASSERT_THAT(road.commands(), SizeIs(1));
  EXPECT_EQ(road.commands()[0].second, command.payload);
}

// Whatever a broker says, it costs the connection and nothing else.
TEST(Publisher, SurvivesABrokerThatTalksNonsense) {
  const std::string connack("\x20\x02\x00\x00", 4);
  std::vector<std::string> nonsense = {"",
                                       "HTTP/1.1 400 Bad Request\r\n\r\n",
                                       std::string(64, '\0'),
                                       std::string(64, '\xff'),
                                       std::string("\x20\x02\x00\x05", 4),
                                       std::string("\x20\x00", 2),
                                       connack + std::string("\x30\xff\xff\xff\x7f", 5),
                                       connack + std::string("\x32\x01x", 3),
                                       connack + std::string("\x90\x02\x00\x01", 4),
                                       connack + std::string("\x40\x02\x00\x07", 4),
                                       connack + std::string("\xe0\x00", 2),
                                       connack + connack};
  uint32_t seed = 12345;
  for (int i = 0; i < 40; ++i) {
    std::string text = i % 2 == 0 ? connack : "";
    for (int j = 0; j < 200; ++j)
      text += static_cast<char>((seed = seed * 1103515245 + 12345) >> 16);
    nonsense.push_back(std::move(text));
  }
  for (const std::string& text : nonsense) {
    NonsenseBroker broker(text);
    SessionOptions options;
    options.broker = {"127.0.0.1", broker.port(), false};
    options.client_id = "CAM1";
    EXPECT_FALSE(EndOf(options).ok());
  }
}

TEST_P(PublisherTest, LetsGoOfWhatIsNotYetPublished) {
  RealPeer server(SessionOn(broker_, "server"), {"lpr/data/#"});
  PublisherOptions options;
  options.max_publications = 1;
  Road road(broker_, version_5(), options);
  ASSERT_TRUE(road.Take(1, "a"));
  ASSERT_TRUE(Eventually([&] { return server.heard().size() == 1; }));
  ASSERT_TRUE(road.Take(2, "b"));
  const uint64_t tokens[] = {1, 2};
  road.publisher->Cancel(tokens);
  ASSERT_THAT(road.results(), SizeIs(1));
  EXPECT_EQ(road.results()[0].token, 2u);
  EXPECT_EQ(road.results()[0].outcome, DeliveryOutcome::kCancelled);
}

}  // namespace
}  // namespace viaduct::mqtt
