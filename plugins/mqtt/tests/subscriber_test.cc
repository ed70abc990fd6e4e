#include "plugins/mqtt/subscriber.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugins/mqtt/tests/real_broker.h"

namespace viaduct::mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kUntilInTheSocket = absl::Milliseconds(200);

// A host that keeps what it is asked until a test answers.
class Host {
 public:
  Host(const RealBroker& broker, SubscriberOptions options, const std::string& client_id = "srv") {
    const absl::Duration connect_timeout = options.session.connect_timeout;
    options.session = SessionOn(broker, client_id);
    options.session.version_5 = version_5;
    options.session.connect_timeout = connect_timeout;
    if (options.filters.empty()) options.filters = {"data/+", "system/control/+/response"};
    Subscriber::Events events;
    events.ask = [this](const Question& question) { return Ask(question); };
    events.on_ready = [this] {
      absl::MutexLock lock(&mutex_);
      ready_ = true;
    };
    events.on_ended = [this](const absl::Status& why) {
      absl::MutexLock lock(&mutex_);
      ended_ = why;
    };
    events.on_response = [this](uint64_t token, int status, std::string_view body) {
      absl::MutexLock lock(&mutex_);
      responses_.push_back({token, {status, std::string(body)}});
    };
    subscriber = std::make_unique<Subscriber>(options, std::move(events));
    EXPECT_TRUE(subscriber->Start().ok());
    EXPECT_TRUE(Eventually([this] {
      absl::MutexLock lock(&mutex_);
      return ready_ || !ended_.ok() || !asked_.empty();
    }));
  }

  ~Host() { subscriber.reset(); }  // Before what it tells.

  std::vector<std::string> asked() const {
    absl::MutexLock lock(&mutex_);
    return asked_;
  }
  bool ready() const {
    absl::MutexLock lock(&mutex_);
    return ready_;
  }
  absl::Status ended() const {
    absl::MutexLock lock(&mutex_);
    return ended_;
  }
  std::vector<std::pair<uint64_t, std::pair<int, std::string>>> responses() const {
    absl::MutexLock lock(&mutex_);
    return responses_;
  }
  // The oldest that has no answer yet.
  void AnswerNext(bool later = false, std::vector<Publication> publications = {}) {
    Answer answer;
    {
      absl::MutexLock lock(&mutex_);
      ASSERT_FALSE(tickets_.empty());
      answer.ticket = tickets_.front();
      tickets_.pop_front();
    }
    answer.later = later;
    answer.publications = std::move(publications);
    subscriber->SetAnswer(std::move(answer));
  }
  size_t unanswered() const {
    absl::MutexLock lock(&mutex_);
    return tickets_.size();
  }
  void SetNext(AskResult result) {
    absl::MutexLock lock(&mutex_);
    next_ = result;
  }
  void SetFull(bool full) {
    absl::MutexLock lock(&mutex_);
    full_ = full;
  }
  bool Hears(size_t count) {
    return Eventually([&] { return asked().size() >= count; });
  }

  static bool version_5;
  std::unique_ptr<Subscriber> subscriber;

 private:
  AskResult Ask(const Question& question) {
    absl::MutexLock lock(&mutex_);
    const AskResult result = full_ ? AskResult::kFull : std::exchange(next_, AskResult::kTaken);
    if (result == AskResult::kFull) return result;
    asked_.push_back(std::string(question.arrival->payload));
    if (result == AskResult::kTaken) tickets_.push_back(question.ticket);
    return result;
  }

  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
  AskResult next_ ABSL_GUARDED_BY(mutex_) = AskResult::kTaken;
  bool full_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::string> asked_ ABSL_GUARDED_BY(mutex_);
  std::deque<uint64_t> tickets_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<uint64_t, std::pair<int, std::string>>> responses_ ABSL_GUARDED_BY(mutex_);
};
bool Host::version_5 = true;

Publication To(const std::string& topic, const std::string& payload) {
  Publication publication;
  publication.topic = topic;
  publication.payload = payload;
  return publication;
}

class SubscriberTest : public ::testing::TestWithParam<bool> {
 protected:
  SubscriberTest() { Host::version_5 = GetParam(); }
  RealBroker broker_;
};
INSTANTIATE_TEST_SUITE_P(Versions, SubscriberTest, ::testing::Bool(), [](const auto& info) {
  return info.param ? std::string("Mqtt5") : std::string("Mqtt311");
});

// The broker forgets a message with its PUBACK, and that leaves after the answer.
TEST_P(SubscriberTest, AcknowledgesOnlyWhatWasAnswered) {
  RealPeer peer(SessionOn(broker_, "peer"), {"none"});
  {
    Host host(broker_, {});
    peer.Publish(To("data/1", "one"));
    peer.Publish(To("data/1", "two"));
    ASSERT_TRUE(host.Hears(2));
    host.subscriber->Stop();  // As a crash would: nothing was answered.
  }
  {
    Host host(broker_, {});
    ASSERT_TRUE(host.Hears(2));
    EXPECT_THAT(host.asked(), ElementsAre("one", "two"));
    host.AnswerNext();
    host.AnswerNext();
    EXPECT_TRUE(host.subscriber->Drain(kDeadline));
    host.subscriber->Stop();
  }
  Host host(broker_, {});
  peer.Publish(To("data/1", "three"));
  ASSERT_TRUE(host.Hears(1));
  EXPECT_THAT(host.asked(), ElementsAre("three"));
}

// A 3.1.1 broker knows no window: the second message lies in the socket when the first is answered,
// and is read in the turn that writes the first one's PUBACK.
TEST_P(SubscriberTest, AMessageReadWhileAnotherIsAcknowledgedIsNotAcknowledgedWithIt) {
  RealPeer peer(SessionOn(broker_, "peer"), {"none"});
  {
    SubscriberOptions options;
    options.window = 1;
    Host host(broker_, options);
    peer.Publish(To("data/1", "one"));
    ASSERT_TRUE(host.Hears(1));
    peer.Publish(To("data/1", "two"));
    absl::SleepFor(kUntilInTheSocket);
    host.AnswerNext();
    ASSERT_TRUE(host.Hears(2));
    absl::SleepFor(kUntilInTheSocket);  // For a PUBACK that should not leave.
    host.subscriber->Stop();
  }
  Host host(broker_, {});
  ASSERT_TRUE(host.Hears(1));
  EXPECT_EQ(host.asked().back(), "two");
}

TEST_P(SubscriberTest, ACommittedMessageOfAnUnfinishedGroupComesAgain) {
  RealPeer peer(SessionOn(broker_, "peer"), {"none"});
  {
    SubscriberOptions options;
    options.commit_timeout = kUntilInTheSocket;
    Host host(broker_, options);
    peer.Publish(To("data/1", "one"));
    peer.Publish(To("data/1", "two"));
    ASSERT_TRUE(host.Hears(2));
    host.AnswerNext();
    ASSERT_TRUE(Eventually([&] {
      if (host.unanswered() > 0) host.AnswerNext(/*later=*/true);
      return !host.ended().ok();
    }));
    EXPECT_EQ(host.ended().code(), absl::StatusCode::kUnavailable);
  }
  Host host(broker_, {});
  EXPECT_TRUE(host.Hears(2));
}

// One detection with an image twice at the same moment: the second is to wait for the first.
TEST_P(SubscriberTest, AMessageThatCanNotBeStoredNowDelaysItselfAlone) {
  RealPeer peer(SessionOn(broker_, "peer"), {"ack/#"});
  {
    Host host(broker_, {});
    peer.Publish(To("data/1", "one"));
    ASSERT_TRUE(host.Hears(1));
    host.AnswerNext(/*later=*/true);
    peer.Publish(To("data/1", "two"));
    ASSERT_TRUE(host.Hears(3));
    EXPECT_THAT(host.asked(), UnorderedElementsAre("one", "one", "two"));
    host.AnswerNext(false, {To("ack/1", "stored")});
    host.AnswerNext(false, {To("ack/1", "stored")});
    ASSERT_TRUE(Eventually([&] { return peer.On("ack/1").size() == 2; }));
    EXPECT_TRUE(host.ended().ok()) << host.ended();
    EXPECT_EQ(host.subscriber->stats().delayed, 1u);
    EXPECT_TRUE(host.subscriber->Drain(kDeadline));
  }
  Host host(broker_, {});
  peer.Publish(To("data/1", "three"));
  ASSERT_TRUE(host.Hears(1));
  EXPECT_THAT(host.asked(), ElementsAre("three"));
}

// The broker has forgotten it: to end the connection would harm the others and help nobody.
TEST_P(SubscriberTest, WhatCameWithQos0AndCanNotBeStoredIsDroppedAlone) {
  RealPeer peer(SessionOn(broker_, "peer"), {"none"});
  SubscriberOptions options;
  options.commit_timeout = kUntilInTheSocket;
  Host host(broker_, options);
  Publication publication = To("data/1", "one");
  publication.qos = 0;
  peer.Publish(publication);
  ASSERT_TRUE(Eventually([&] {
    if (host.unanswered() > 0) host.AnswerNext(/*later=*/true);
    return host.subscriber->stats().dropped == 1;
  }));
  peer.Publish(To("data/1", "two"));
  ASSERT_TRUE(Eventually([&] { return host.asked().back() == "two"; }));
  EXPECT_TRUE(host.ended().ok()) << host.ended();
}

TEST_P(SubscriberTest, WhatTheHostNeverTakesDoesNotComeAgain) {
  RealPeer peer(SessionOn(broker_, "peer"), {"none"});
  {
    Host host(broker_, {});
    host.SetNext(AskResult::kRefused);
    peer.Publish(To("data/1", "bad"));
    ASSERT_TRUE(host.Hears(1));
    EXPECT_TRUE(host.subscriber->Drain(kDeadline));
    EXPECT_EQ(host.subscriber->stats().refused, 1u);
  }
  Host host(broker_, {});
  peer.Publish(To("data/1", "good"));
  ASSERT_TRUE(host.Hears(1));
  EXPECT_THAT(host.asked(), ElementsAre("good"));
}

TEST_P(SubscriberTest, AsksAgainWhenTheHostHadNoRoom) {
  RealPeer peer(SessionOn(broker_, "peer"), {"none"});
  Host host(broker_, {});
  host.SetNext(AskResult::kFull);
  peer.Publish(To("data/1", "one"));
  peer.Publish(To("data/1", "two"));
  ASSERT_TRUE(host.Hears(2));
  EXPECT_THAT(host.asked(), ElementsAre("one", "two"));
}

// commit_timeout is for what the host has taken.
TEST_P(SubscriberTest, WaitsForRoomAsLongAsTheHostHasNone) {
  RealPeer peer(SessionOn(broker_, "peer"), {"none"});
  SubscriberOptions options;
  options.commit_timeout = kUntilInTheSocket;
  Host host(broker_, options);
  host.SetFull(true);
  peer.Publish(To("data/1", "one"));
  absl::SleepFor(2 * options.commit_timeout);
  host.SetFull(false);
  ASSERT_TRUE(host.Hears(1)) << host.ended();
  host.AnswerNext();
  EXPECT_TRUE(host.subscriber->Drain(kDeadline));
  EXPECT_TRUE(host.ended().ok()) << host.ended();
}

TEST_P(SubscriberTest, GivesUpWhenTheHostDoesNotAnswerInTime) {
  RealPeer peer(SessionOn(broker_, "peer"), {"none"});
  SubscriberOptions options;
  options.commit_timeout = absl::Milliseconds(50);
  Host host(broker_, options);
  peer.Publish(To("data/1", "one"));
  ASSERT_TRUE(Eventually([&] { return !host.ended().ok(); }));
  EXPECT_EQ(host.ended().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_P(SubscriberTest, TakesNoMoreThanItsWindow) {
  RealPeer peer(SessionOn(broker_, "peer"), {"none"});
  SubscriberOptions options;
  options.window = 3;
  Host host(broker_, options);
  for (int i = 0; i < 10; ++i) peer.Publish(To("data/1", std::to_string(i)));
  ASSERT_TRUE(host.Hears(3));
  // The next ones wait at the broker until the three are answered.
  EXPECT_EQ(host.asked().size(), 3u);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(host.Hears(static_cast<size_t>(i) + 1));
    host.AnswerNext();
  }
  EXPECT_THAT(host.asked(), SizeIs(10));
}

TEST_P(SubscriberTest, PublishesTheAnswer) {
  RealPeer peer(SessionOn(broker_, "peer"), {"ack/#"});
  Host host(broker_, {});
  peer.Publish(To("data/1", "one"));
  ASSERT_TRUE(host.Hears(1));
  EXPECT_THAT(peer.On("ack/1"), IsEmpty());
  host.AnswerNext(false, {To("ack/1", "stored")});
  ASSERT_TRUE(Eventually([&] { return !peer.On("ack/1").empty(); }));
  EXPECT_EQ(peer.On("ack/1")[0].payload, "stored");
}

TEST_P(SubscriberTest, SendsCommandsAndReadsTheirAnswers) {
  RealPeer peer(SessionOn(broker_, "peer"), {"system/control/+"});
  Host host(broker_, {});
  Order order;
  order.token = 77;
  order.wants_response = true;
  order.message_id = "c-1";
  order.publication = To("system/control/CAM1", R"({"message_id":"c-1"})");
  ASSERT_TRUE(host.subscriber->Place(order).ok());
  ASSERT_TRUE(Eventually([&] { return !peer.heard().empty(); }));
  const std::string correlation = peer.heard()[0].correlation;
  EXPECT_EQ(correlation.empty(), !GetParam());
  // Another node's answer, then ours: by correlation data with MQTT 5, by the id without.
  Publication other = To("system/control/CAM1/response", R"({"message_id":"c-9"})");
  peer.Publish(other);
  // Right in everything but the device.
  Publication elsewhere = To("system/control/CAM2/response", R"({"message_id":"c-1"})");
  elsewhere.correlation = correlation;
  peer.Publish(elsewhere);
  Publication ours = To("system/control/CAM1/response", R"({"message_id":"c-1","success":true})");
  ours.correlation = correlation;
  peer.Publish(ours);
  ASSERT_TRUE(Eventually([&] { return !host.responses().empty(); }));
  ASSERT_THAT(host.responses(), SizeIs(1));
  EXPECT_EQ(host.responses()[0].first, 77u);
  EXPECT_EQ(host.responses()[0].second.first, 200);
  EXPECT_EQ(host.responses()[0].second.second, ours.payload);
  EXPECT_THAT(host.asked(), IsEmpty());
  order.token = 78;
  order.wants_response = false;
  order.publication.qos = 2;
  ASSERT_TRUE(host.subscriber->Place(order).ok());
  ASSERT_TRUE(Eventually([&] { return host.responses().size() == 2; }));
  EXPECT_EQ(host.responses()[1].second.first, 202);
}

Order CommandTo(const std::string& device, uint64_t token) {
  Order order;
  order.token = token;
  order.wants_response = true;
  order.message_id = "c-1";
  order.publication = To("system/control/" + device, R"({"message_id":"c-1"})");
  return order;
}

// The broker says so in MQTT 5; with 3.1.1 only the time tells.
TEST(Subscriber, ACommandThatNobodyGetsEndsAtOnce) {
  RealBroker broker("max_packet_size 1000\n");
  Host::version_5 = true;
  Host host(broker, {});
  ASSERT_TRUE(host.subscriber->Place(CommandTo("NOBODY", 1)).ok());
  ASSERT_TRUE(Eventually([&] { return host.responses().size() == 1; }));
  Order large = CommandTo("NOBODY", 2);
  large.publication.payload = std::string(2000, 'x');
  ASSERT_TRUE(host.subscriber->Place(large).ok());
  ASSERT_TRUE(Eventually([&] { return host.responses().size() == 2; }));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(host.responses()[i].first, i + 1);
    EXPECT_EQ(host.responses()[i].second.first, 503) << host.responses()[i].second.second;
  }
}

// A device that comes back finds no order that has long been given up.
TEST(Subscriber, TheBrokerForgetsACommandThatIsTooLate) {
  constexpr absl::Duration kUntilExpired = absl::Milliseconds(2500);  // The broker counts seconds.
  RealBroker broker;
  Host::version_5 = true;
  Host host(broker, {});
  { RealPeer device(SessionOn(broker, "CAM1"), {"system/control/CAM1"}); }
  Order late = CommandTo("CAM1", 1);
  late.publication.expiry_s = 1;
  ASSERT_TRUE(host.subscriber->Place(late).ok());
  Order kept = CommandTo("CAM1", 2);
  kept.publication.payload = "kept";
  ASSERT_TRUE(host.subscriber->Place(kept).ok());
  absl::SleepFor(kUntilExpired);
  RealPeer device(SessionOn(broker, "CAM1"), {"system/control/CAM1"});
  ASSERT_TRUE(Eventually([&] { return !device.heard().empty(); }));
  ASSERT_THAT(device.heard(), SizeIs(1));
  EXPECT_EQ(device.heard()[0].payload, "kept");
}

// Tokens are counted from 1 by every node.
TEST_P(SubscriberTest, TakesNoOtherNodesAnswerForItsOwn) {
  RealPeer peer(SessionOn(broker_, "peer"), {"system/control/+"});
  Host host(broker_, {});
  Host other(broker_, {}, "other");
  Order order;
  order.token = 1;
  order.wants_response = true;
  order.message_id = "c-1";
  order.publication = To("system/control/CAM1", R"({"message_id":"c-1"})");
  ASSERT_TRUE(host.subscriber->Place(order).ok());
  order.message_id = "c-2";
  order.publication.payload = R"({"message_id":"c-2"})";
  ASSERT_TRUE(other.subscriber->Place(order).ok());
  ASSERT_TRUE(Eventually([&] { return peer.heard().size() == 2; }));
  for (const RealPeer::Heard& command : peer.heard()) {
    Publication answer = To("system/control/CAM1/response", command.payload);
    answer.correlation = command.correlation;
    peer.Publish(answer);
  }
  ASSERT_TRUE(Eventually([&] { return host.responses().size() + other.responses().size() == 2; }));
  ASSERT_THAT(host.responses(), SizeIs(1));
  EXPECT_EQ(host.responses()[0].second.second, R"({"message_id":"c-1"})");
}

TEST_P(SubscriberTest, ADeviceMayBeCalledResponse) {
  RealPeer peer(SessionOn(broker_, "peer"), {"none"});
  Host host(broker_, {});
  peer.Publish(To("data/response", "one"));
  EXPECT_TRUE(host.Hears(1));
}

// What the broker has kept comes before its consent to the subscriptions.
TEST_P(SubscriberTest, TakesItsTimeForWhatWaitedAtTheBroker) {
  RealPeer peer(SessionOn(broker_, "peer"), {"none"});
  Host(broker_, {}).subscriber->Stop();
  peer.Publish(To("data/1", "one"));
  peer.Publish(To("data/1", "two"));
  SubscriberOptions options;
  options.window = 1;
  options.session.connect_timeout = kUntilInTheSocket;
  Host host(broker_, options);
  ASSERT_TRUE(host.Hears(1));
  absl::SleepFor(2 * options.session.connect_timeout);
  host.AnswerNext();
  ASSERT_TRUE(host.Hears(2)) << host.ended();
  host.AnswerNext();
  EXPECT_TRUE(Eventually([&] { return host.ready(); })) << host.ended();
}

TEST_P(SubscriberTest, OrdersToCamerasArriveOnceBothWays) {
  const std::string topic = "lprserver/cameras/CAM1/control";
  RealPeer peer(SessionOn(broker_, "peer"), {topic});
  SubscriberOptions options;
  options.filters = {"lprserver/cameras/+/control/response", "data/+"};
  Host host(broker_, options);
  Order order;
  order.token = 7;
  order.wants_response = true;
  order.message_id = "c-1";
  order.publication = To(topic, R"({"message_id":"c-1"})");
  order.publication.qos = 2;
  ASSERT_TRUE(host.subscriber->Place(order).ok());
  ASSERT_TRUE(Eventually([&] { return !peer.heard().empty(); }));
  EXPECT_EQ(peer.heard()[0].qos, 2);
  Publication answer = To(topic + "/response", R"({"message_id":"c-1"})");
  answer.qos = 2;
  answer.correlation = peer.heard()[0].correlation;
  peer.Publish(answer);
  ASSERT_TRUE(Eventually([&] { return !host.responses().empty(); }));
  EXPECT_EQ(host.responses()[0].first, 7u);
  peer.Publish(To("data/1", "one"));  // Acknowledged by itself, it does not hold messages back.
  ASSERT_TRUE(host.Hears(1));
  EXPECT_THAT(host.responses(), SizeIs(1));
}

TEST_P(SubscriberTest, SaysWhenTheBrokerIsGone) {
  Host host(broker_, {});
  broker_.Stop(SIGKILL);
  ASSERT_TRUE(Eventually([&] { return !host.ended().ok(); }));
  EXPECT_EQ(host.ended().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(host.subscriber->Place({}).code(), absl::StatusCode::kUnavailable);
  Host none(broker_, {}, "other");
  EXPECT_EQ(none.ended().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace viaduct::mqtt
