// Level data: viaduct.deliver/1. Whether the peer is there or not, every message that was taken
// ends exactly once.
#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "arena.h"
#include "fixture.h"
#include "library.h"
#include "subject.h"
#include "viaduct/cpp/text.h"

namespace viaduct::check {
namespace {

constexpr std::chrono::seconds kLimit(60);
constexpr std::chrono::seconds kEndLimit(20);    // For a message to end.
constexpr std::chrono::seconds kCreditLimit(3);  // For credit to come.
constexpr size_t kBatch = 32;
constexpr size_t kMessages = 500;
constexpr size_t kMessageRoom = 2048;  // Memory for a message's texts.

constexpr char kPayload[] = R"({"plate":"ABC123","confidence":0.97,"text":"\u00e4 \"quoted\""})";

struct Shape {
  size_t payload_bytes = 0;  // Of filling.
  bool event = false;        // VD_DATA_NONE: no envelope.
  bool late = false;         // Its deadline has passed.
};

// Offers messages to one lane of one instance.
class Sender {
 public:
  Sender(Fixture& fixture, Subject& subject, uint32_t lane = 0)
      : fixture_(fixture),
        subject_(subject),
        lane_(lane),
        deliver_(subject.Need<vd_deliver_1>(VD_DELIVER_1)),
        next_token_(1 + static_cast<uint64_t>(lane) * 1000000) {}

  uint32_t Credit() {
    return Guarded(fixture_, "credit",
                   [&] { return deliver_->credit(subject_.instance(), lane_); });
  }

  // Offers `count` messages once; returns the tokens that were taken.
  std::vector<uint64_t> Offer(size_t count, const Shape& shape = {}) {
    std::vector<uint64_t> tokens;
    for (size_t i = 0; i < count; ++i) tokens.push_back(next_token_++);
    for (const uint64_t token : tokens) ledger().Offer(token);
    const size_t ended_before = ledger().ended();
    const uint64_t rooms_before = subject_.host().delivery_rooms();
    const uint32_t credit = Credit();
    uint64_t taken = 0;
    const int32_t code = Call(tokens, shape, &taken);
    CheckTaken(code, taken, count);
    for (size_t i = 0; i < count; ++i) {
      if (i < taken) {
        ledger().Take(tokens[i]);
      } else if (const std::string wrong = ledger().Refuse(tokens[i]); !wrong.empty()) {
        fixture_.Fail("deliver: " + wrong);
      }
    }
    // Credit grows by completions and by on_room; without either it bounds what may be taken.
    const size_t freed = ledger().ended() - ended_before;
    if (taken > credit + freed && subject_.host().delivery_rooms() == rooms_before &&
        subject_.lanes() == 1) {
      fixture_.Fail("deliver: takes " + std::to_string(taken) + " with credit for " +
                    std::to_string(credit));
    }
    tokens.resize(static_cast<size_t>(taken));
    return tokens;
  }

  // Offers until `count` were taken, as credit allows; returns how many were. Few or none are no
  // failure: a road that is down takes nothing.
  size_t Send(size_t count, const Shape& shape = {}) {
    size_t sent = 0;
    auto deadline = std::chrono::steady_clock::now() + kCreditLimit;
    while (sent < count && std::chrono::steady_clock::now() < deadline) {
      const size_t taken = Offer(std::min(kBatch, count - sent), shape).size();
      sent += taken;
      if (taken > 0) {
        deadline = std::chrono::steady_clock::now() + kCreditLimit;
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
    return sent;
  }

  void Cancel(const std::vector<uint64_t>& tokens) {
    Arena arena(tokens.size() * sizeof(uint64_t) + 64);
    const vd_bytes lent = arena.Octets(std::string_view(
        reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof(uint64_t)));
    subject_.OnLane(lane_, "deliver.cancel", [&] {
      deliver_->cancel(subject_.instance(), lane_, reinterpret_cast<const uint64_t*>(lent.data),
                       tokens.size());
    });
  }

 private:
  Ledger& ledger() { return subject_.host().deliveries(); }

  int32_t Call(const std::vector<uint64_t>& tokens, const Shape& shape, uint64_t* taken) {
    Arena arena(tokens.size() * (kMessageRoom + 2 * shape.payload_bytes) + 4096);
    vd_message* records = arena.Records<vd_message>(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      Fill(tokens[i], shape, &arena, Arena::At(records, i));
    }
    const vd_message_list list = {records, Arena::Stride<vd_message>(), tokens.size()};
    int32_t code = VD_OK;
    subject_.OnLane(lane_, "deliver",
                    [&] { code = deliver_->deliver(subject_.instance(), lane_, &list, taken); });
    return code;
  }

  static void Fill(uint64_t token, const Shape& shape, Arena* arena, vd_message* message) {
    const std::string id = "check-" + std::to_string(token);
    std::string payload = kPayload;
    if (shape.payload_bytes > 0) {
      payload = R"({"filling":")" + std::string(shape.payload_bytes, 'x') + "\"}";
    }
    message->token = token;
    message->data_type = shape.event ? VD_DATA_NONE : VD_DATA_DETECTION;
    message->message_id = arena->Text(id);
    message->device_id = arena->Text("CAM001");
    if (shape.event) {
      message->event = arena->Text("lpr_event");
      message->payload = arena->Text(payload);
    } else {
      const std::string head = R"({"message_id":")" + id +
                               R"(","timestamp":"2026-01-02T03:04:05Z","protocol":"check",)"
                               R"("edge_device_id":"CAM001","data_type":"detection","payload":)";
      message->envelope = arena->Text(head + payload + R"(,"metadata":{}})");
      message->payload = {message->envelope.data + head.size(), payload.size()};
    }
    message->route = arena->Text(shape.event ? "all" : "");
    message->timestamp_ns = 1767323045000000000;
    message->deadline_ns = shape.late ? 1 : 0;
    message->priority = VD_PRIORITY_NORMAL;
    message->attempt = 1;
  }

  void CheckTaken(int32_t code, uint64_t taken, size_t count) {
    if (code < VD_OK || code > VD_UNAUTHENTICATED) {
      fixture_.Fail("deliver: returns the unknown code " + std::to_string(code));
    }
    if (taken > count) {
      fixture_.Fail("deliver: takes " + std::to_string(taken) + " of " + std::to_string(count));
    }
    if (code != VD_OK && taken > 0) {
      fixture_.Fail("deliver: fails with " + std::to_string(code) + " but takes messages");
    }
  }

  Fixture& fixture_;
  Subject& subject_;
  const uint32_t lane_;
  const vd_deliver_1* const deliver_;
  uint64_t next_token_;
};

void ExpectAllEnd(Fixture& fixture, Subject& subject) {
  fixture.Phase("waiting for completions");
  if (subject.host().deliveries().AwaitAllEnded(kEndLimit)) return;
  fixture.Fail(std::to_string(subject.host().deliveries().open()) +
               " message(s) did not end within 20 s, the first is token " +
               std::to_string(subject.host().deliveries().first_open()));
}

void SkipWithoutMessages(Fixture& fixture, size_t sent) {
  if (sent == 0) fixture.Skip("took no message; is there a peer? See --config and --peer");
}

void EveryMessageEndsOnce(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  Sender sender(fixture, subject);
  const size_t sent = sender.Send(kMessages);
  ExpectAllEnd(fixture, subject);
  subject.Stop();
  SkipWithoutMessages(fixture, sent);
}

void LanesRunInParallel(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  if (subject.lanes() == 1) fixture.Skip("has one lane");
  subject.MustStart(FittingConfig(fixture, library));
  subject.Need<vd_deliver_1>(VD_DELIVER_1);
  std::vector<std::thread> threads;
  for (uint32_t lane = 0; lane < subject.lanes(); ++lane) {
    threads.emplace_back([&, lane] { Sender(fixture, subject, lane).Send(kMessages); });
  }
  for (std::thread& thread : threads) thread.join();
  ExpectAllEnd(fixture, subject);
}

void StopCancelsWhatIsHeld(Fixture& fixture) {
  const Library library(fixture);
  const nlohmann::json config = FittingConfig(fixture, library);
  for (int round = 0; round < 10; ++round) {
    Subject subject(fixture, library);
    subject.MustStart(config);
    Sender sender(fixture, subject);
    const size_t sent = sender.Offer(kBatch).size();
    subject.Stop();  // Fails where something never ended.
    if (round == 0) SkipWithoutMessages(fixture, sent);
  }
}

void DrainFinishesWhatIsHeld(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  Sender sender(fixture, subject);
  const size_t sent = sender.Send(kBatch);
  const int32_t code = subject.Drain(std::chrono::seconds(5));
  if (code == VD_OK && subject.host().deliveries().open() > 0) {
    fixture.Fail("drain: says VD_OK with " + std::to_string(subject.host().deliveries().open()) +
                 " message(s) in flight");
  }
  if (code != VD_OK && code != VD_DEADLINE_EXCEEDED) {
    fixture.Fail("drain: " + subject.Describe(code));
  }
  subject.Stop();
  SkipWithoutMessages(fixture, sent);
}

void CancelLetsGo(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  Sender sender(fixture, subject);
  sender.Cancel({7, 8, 9});  // Not held: ignored.
  std::vector<uint64_t> tokens = sender.Offer(kBatch);
  const size_t sent = tokens.size();
  tokens.push_back(999999);
  sender.Cancel(tokens);
  sender.Cancel(tokens);  // Most are gone by now.
  ExpectAllEnd(fixture, subject);
  SkipWithoutMessages(fixture, sent);
}

void TakesEveryShape(Fixture& fixture) {
  const Library library(fixture);
  Subject subject(fixture, library);
  subject.MustStart(FittingConfig(fixture, library));
  Sender sender(fixture, subject);
  Shape large;
  large.payload_bytes = 1u << 20;
  Shape event;
  event.event = true;
  Shape late;
  late.late = true;
  size_t sent = 0;
  for (const Shape& shape : {large, event, late, Shape()}) sent += sender.Send(4, shape);
  if (!sender.Offer(0).empty()) fixture.Fail("deliver: takes something of an empty batch");
  ExpectAllEnd(fixture, subject);
  SkipWithoutMessages(fixture, sent);
}

}  // namespace

std::vector<Test> DeliverTests() {
  const Level level = Level::kData;
  return {
      {"deliver_every_message_ends_once", level, kLimit, &EveryMessageEndsOnce,
       "a prefix within the credit is taken, and each message of it ends with one completion"},
      {"deliver_lanes_run_in_parallel", level, kLimit, &LanesRunInParallel,
       "lanes are called in parallel"},
      {"deliver_stop_cancels_what_is_held", level, kLimit, &StopCancelsWhatIsHeld,
       "stop completes every message that is still held"},
      {"deliver_drain_finishes_what_is_held", level, kLimit, &DrainFinishesWhatIsHeld,
       "drain returns VD_OK only when nothing is in flight, and by its deadline"},
      {"deliver_cancel_lets_go", level, kLimit, &CancelLetsGo,
       "a cancelled message ends soon, an unknown token is ignored"},
      {"deliver_takes_every_shape", level, kLimit, &TakesEveryShape,
       "messages of 1 MiB, events and late messages end like others"},
  };
}

}  // namespace viaduct::check
