#include "tests/support/link_shaper.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace viaduct::support {
namespace {

constexpr int64_t kMilli = 1'000'000;
constexpr int64_t kSecond = 1000 * kMilli;

struct Arrival {
  int64_t at;
  std::string packet;
  bool operator==(const Arrival& other) const { return at == other.at && packet == other.packet; }
};

// Goes from one event to the next, as the emulator does.
std::vector<Arrival> Drain(LinkShaper& shaper, int64_t until = LinkShaper::kNever - 1) {
  std::vector<Arrival> arrivals;
  for (int64_t now; (now = shaper.NextWake()) <= until;) {
    for (std::string packet; shaper.Pop(now, &packet);) arrivals.push_back({now, packet});
  }
  return arrivals;
}

ShaperSettings Delay(double delay_ms) {
  ShaperSettings settings;
  settings.delay_ms = delay_ms;
  return settings;
}

ShaperSettings Rate(double rate_kbit, int64_t queue_bytes = kMaxQueueBytes) {
  ShaperSettings settings;
  settings.rate_kbit = rate_kbit;
  settings.queue_bytes = queue_bytes;
  return settings;
}

TEST(LinkShaper, PassesAtOnceWithoutSettings) {
  LinkShaper shaper(1);
  EXPECT_EQ(shaper.NextWake(), LinkShaper::kNever);
  shaper.Push(7, "a");
  shaper.Push(7, "b");
  EXPECT_EQ(Drain(shaper), (std::vector<Arrival>{{7, "a"}, {7, "b"}}));
  EXPECT_EQ(shaper.counts().passed.packets, 2u);
  EXPECT_EQ(shaper.counts().passed.bytes, 2u);
}

TEST(LinkShaper, DelaysEachPacketByTheSame) {
  LinkShaper shaper(1);
  shaper.Set(0, Delay(40));
  shaper.Push(0, "a");
  shaper.Push(3 * kMilli, "b");
  std::string packet;
  EXPECT_FALSE(shaper.Pop(40 * kMilli - 1, &packet));
  EXPECT_EQ(Drain(shaper), (std::vector<Arrival>{{40 * kMilli, "a"}, {43 * kMilli, "b"}}));
}

TEST(LinkShaper, SendsOneAfterTheOtherAtTheRate) {
  LinkShaper shaper(1);
  ShaperSettings settings = Rate(256);
  settings.delay_ms = 200;
  shaper.Set(0, settings);
  // 1024 bytes take 32 ms at 256 kbit/s.
  for (int i = 0; i < 100; ++i) shaper.Push(0, std::string(1024, 'x'));
  const std::vector<Arrival> arrivals = Drain(shaper);
  ASSERT_EQ(arrivals.size(), 100u);
  for (size_t i = 0; i < arrivals.size(); ++i) {
    EXPECT_EQ(arrivals[i].at, (200 + 32 * static_cast<int64_t>(i + 1)) * kMilli);
  }
  // The road was idle: time that passed unused is not saved up.
  const int64_t later = 100 * kSecond;
  shaper.Push(later, std::string(1024, 'x'));
  EXPECT_EQ(Drain(shaper).at(0).at, later + 232 * kMilli);
}

TEST(LinkShaper, GoesOnAtTheNewRateInTheMiddleOfAPacket) {
  LinkShaper shaper(1);
  shaper.Set(0, Rate(8));  // A byte a millisecond.
  shaper.Push(0, std::string(1000, 'a'));
  shaper.Push(0, std::string(1000, 'b'));
  shaper.Set(400 * kMilli, Rate(80));  // 600 bytes are left.
  std::vector<Arrival> arrivals = Drain(shaper);
  ASSERT_EQ(arrivals.size(), 2u);
  EXPECT_EQ(arrivals[0].at, 460 * kMilli);
  EXPECT_EQ(arrivals[1].at, 560 * kMilli);
  shaper.Set(kSecond, Rate(1));
  shaper.Push(kSecond, std::string(1000, 'c'));
  shaper.Set(2 * kSecond, Rate(0));
  EXPECT_EQ(Drain(shaper).at(0).at, 2 * kSecond);
}

TEST(LinkShaper, WhatIsOnItsWayArrivesWhenItWouldHave) {
  LinkShaper shaper(1);
  shaper.Set(0, Delay(400));
  shaper.Push(0, "old");
  shaper.Set(10 * kMilli, Delay(5));
  shaper.Push(10 * kMilli, "new");
  // In order, because overtaking has to be asked for.
  EXPECT_EQ(Drain(shaper), (std::vector<Arrival>{{400 * kMilli, "old"}, {400 * kMilli, "new"}}));
}

TEST(LinkShaper, DropsAtTheTailOfAFullQueue) {
  LinkShaper shaper(1);
  shaper.Set(0, Rate(8, 3000));
  for (const char c : {'a', 'b', 'c', 'd'}) shaper.Push(0, std::string(1000, c));
  EXPECT_EQ(shaper.waiting_bytes(), 3000u);
  EXPECT_EQ(shaper.counts().queue_dropped.packets, 1u);
  EXPECT_EQ(shaper.counts().queue_dropped.bytes, 1000u);
  shaper.Push(kSecond - 1, std::string(1, 'e'));  // The first one is not sent yet.
  EXPECT_EQ(shaper.counts().queue_dropped.packets, 2u);
  shaper.Push(kSecond, std::string(1000, 'f'));
  const std::vector<Arrival> arrivals = Drain(shaper);
  ASSERT_EQ(arrivals.size(), 4u);
  EXPECT_EQ(arrivals[2].packet[0], 'c');
  EXPECT_EQ(arrivals[3].packet[0], 'f');
  EXPECT_EQ(arrivals[3].at, 4 * kSecond);
}

TEST(LinkShaper, MemoryIsBoundedInBytesAndInPackets) {
  LinkShaper large(1), small(1);
  large.Set(0, Delay(kMaxDelayMs));
  small.Set(0, Delay(kMaxDelayMs));
  const size_t enough = kMaxFlyingBytes / kPacketBytes;
  for (size_t i = 0; i < enough + 100; ++i) large.Push(0, std::string(kPacketBytes, 'x'));
  EXPECT_EQ(large.counts().queue_dropped.packets, 100u);
  EXPECT_LE(large.flying_bytes(), kMaxFlyingBytes);
  for (size_t i = 0; i < kMaxShaperPackets + 7; ++i) small.Push(0, "x");
  EXPECT_EQ(small.counts().queue_dropped.packets, 7u);
  EXPECT_EQ(Drain(small).size(), kMaxShaperPackets);
  EXPECT_EQ(small.flying_bytes(), 0u);
}

TEST(LinkShaper, LosesTheShareItWasTold) {
  constexpr uint64_t kPackets = 100'000;
  for (const double percent : {0.0, 1.0, 8.0, 50.0, 100.0}) {
    LinkShaper shaper(20240115);
    ShaperSettings settings;
    settings.loss_percent = percent;
    shaper.Set(0, settings);
    for (uint64_t i = 0; i < kPackets; ++i) {
      shaper.Push(static_cast<int64_t>(i), "packet");
      Drain(shaper);
    }
    const double p = percent / 100, n = static_cast<double>(kPackets);
    const double bound = 4 * std::sqrt(n * p * (1 - p));  // Standard deviations.
    EXPECT_NEAR(static_cast<double>(shaper.counts().lost.packets), n * p, bound) << percent;
    EXPECT_EQ(shaper.counts().lost.packets + shaper.counts().passed.packets, kPackets);
    EXPECT_EQ(shaper.counts().lost.bytes, 6 * shaper.counts().lost.packets);
  }
}

TEST(LinkShaper, TheSeedDecidesTheFateOfEveryPacket) {
  ShaperSettings settings = Delay(50);
  settings.jitter_ms = 20;
  settings.loss_percent = 30;
  const auto run = [&settings](uint64_t seed) {
    LinkShaper shaper(seed);
    shaper.Set(0, settings);
    for (int64_t i = 0; i < 200; ++i) shaper.Push(i * kMilli, std::to_string(i));
    return Drain(shaper);
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_FALSE(run(7) == run(8));
}

TEST(LinkShaper, OnePacketsFateIsNotChangedByJitter) {
  const auto lost = [](double jitter_ms) {
    LinkShaper shaper(3);
    ShaperSettings settings = Delay(50);
    settings.jitter_ms = jitter_ms;
    settings.loss_percent = 10;
    shaper.Set(0, settings);
    for (int64_t i = 0; i < 1000; ++i) shaper.Push(i, std::string(1, 'x'));
    return shaper.counts().lost.packets;
  };
  EXPECT_EQ(lost(0), lost(20));
}

TEST(LinkShaper, JitterStaysWithinItsBoundsAndInOrder) {
  LinkShaper shaper(5);
  ShaperSettings settings = Delay(50);
  settings.jitter_ms = 20;
  shaper.Set(0, settings);
  // So far apart that none has to wait for the one before.
  for (int64_t i = 0; i < 1000; ++i) shaper.Push(i * kSecond, std::to_string(i));
  int64_t least = kSecond, most = 0, next = 0;
  for (const Arrival& arrival : Drain(shaper)) {
    EXPECT_EQ(arrival.packet, std::to_string(next));
    const int64_t delay = arrival.at - next++ * kSecond;
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  EXPECT_EQ(next, 1000);
  EXPECT_GE(least, 30 * kMilli);
  EXPECT_LT(least, 31 * kMilli);
  EXPECT_LE(most, 70 * kMilli);
  EXPECT_GT(most, 69 * kMilli);
}

TEST(LinkShaper, PacketsOvertakeOnlyWhereItIsAskedFor) {
  for (const bool reorder : {false, true}) {
    LinkShaper shaper(5);
    ShaperSettings settings = Delay(50);
    settings.jitter_ms = 20;
    settings.reorder = reorder;
    shaper.Set(0, settings);
    for (int64_t i = 0; i < 1000; ++i) shaper.Push(i * kMilli, std::to_string(i));
    const std::vector<Arrival> arrivals = Drain(shaper);
    ASSERT_EQ(arrivals.size(), 1000u);
    int overtaken = 0, last = -1;
    for (const Arrival& arrival : arrivals) {
      const int number = std::stoi(arrival.packet);
      if (number < last) ++overtaken;
      last = number;
      const int64_t delay = arrival.at - number * kMilli;
      if (reorder) {
        EXPECT_TRUE(delay >= 30 * kMilli && delay <= 70 * kMilli) << delay;
      }
    }
    EXPECT_EQ(overtaken > 100, reorder) << overtaken;
    EXPECT_EQ(overtaken == 0, !reorder) << overtaken;
  }
}

TEST(LinkShaper, JitterBeyondTheDelayNeverArrivesBeforeItIsSent) {
  LinkShaper shaper(5);
  ShaperSettings settings = Delay(1);
  settings.jitter_ms = 20;
  settings.reorder = true;
  shaper.Set(0, settings);
  for (int64_t i = 0; i < 100; ++i) shaper.Push(kSecond, "x");
  for (const Arrival& arrival : Drain(shaper)) EXPECT_GE(arrival.at, kSecond);
}

TEST(LinkShaper, ACutTakesWhatWaitsAndWhatIsOnItsWay) {
  LinkShaper shaper(1);
  ShaperSettings settings = Rate(8);
  settings.delay_ms = 5000;
  shaper.Set(0, settings);
  for (int i = 0; i < 3; ++i) shaper.Push(0, std::string(1000, 'x'));
  EXPECT_TRUE(Drain(shaper, 1500 * kMilli).empty());  // One is on its way now.
  EXPECT_EQ(shaper.flying_bytes(), 1000u);
  shaper.Cut();
  shaper.Push(2 * kSecond, "silently");
  EXPECT_EQ(shaper.NextWake(), LinkShaper::kNever);
  EXPECT_EQ(shaper.counts().cut.packets, 4u);
  EXPECT_EQ(shaper.counts().cut.bytes, 3008u);
  EXPECT_EQ(shaper.waiting_bytes() + shaper.flying_bytes(), 0u);
  shaper.Heal();
  shaper.Push(9 * kSecond, std::string(1000, 'y'));
  EXPECT_EQ(Drain(shaper).at(0).at, 15 * kSecond);
}

TEST(LinkShaper, EveryPacketIsCountedOnce) {
  LinkShaper shaper(11);
  ShaperSettings settings = Rate(800, 20'000);
  settings.loss_percent = 10;
  settings.delay_ms = 30;
  shaper.Set(0, settings);
  std::string packet;
  for (int64_t i = 0; i < 5000; ++i) {
    const int64_t now = i * 5 * kMilli;
    if (i == 2000) shaper.Cut();
    if (i == 2500) shaper.Heal();
    shaper.Push(now, std::string(700, 'x'));
    while (shaper.Pop(now, &packet)) EXPECT_EQ(packet.size(), 700u);
  }
  Drain(shaper);
  const ShaperCounts& counts = shaper.counts();
  for (const PacketCount& one : {counts.passed, counts.lost, counts.queue_dropped, counts.cut}) {
    EXPECT_GT(one.packets, 100u);
    EXPECT_EQ(one.bytes, one.packets * 700);
  }
  EXPECT_EQ(counts.passed.packets + counts.lost.packets + counts.queue_dropped.packets +
                counts.cut.packets,
            5000u);
}

TEST(LinkSettings, ReadsBothDirectionsAndEachAlone) {
  LinkSettings settings;
  ASSERT_TRUE(ApplySettings(nlohmann::json::parse(R"({"delay_ms": 40, "loss_percent": 1,
      "up": {"rate_kbit": 256}, "down": {"loss_percent": 3, "reorder": true}})"),
                            &settings)
                  .ok());
  EXPECT_EQ(settings.directions[kUp].delay_ms, 40);
  EXPECT_EQ(settings.directions[kDown].delay_ms, 40);
  EXPECT_EQ(settings.directions[kUp].rate_kbit, 256);
  EXPECT_EQ(settings.directions[kDown].rate_kbit, 0);
  EXPECT_EQ(settings.directions[kUp].loss_percent, 1);
  EXPECT_EQ(settings.directions[kDown].loss_percent, 3);
  EXPECT_TRUE(settings.directions[kDown].reorder);
  ASSERT_TRUE(ApplySettings({{"jitter_ms", 2.5}}, &settings).ok());
  EXPECT_EQ(settings.directions[kUp].delay_ms, 40) << "what is not given stays";
  EXPECT_EQ(SettingsJson(settings.directions[kUp]),
            nlohmann::json::parse(R"({"delay_ms": 40.0, "jitter_ms": 2.5, "reorder": false,
                "rate_kbit": 256.0, "queue_bytes": 262144, "loss_percent": 1.0})"));
}

TEST(LinkSettings, NamesWhatIsWrongAndChangesNothing) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"(7)", "settings: must be a JSON object"},
      {R"({"dealy_ms": 5})", "settings: unknown key, dealy_ms"},
      {R"({"delay_ms": -1})", "delay_ms: must be a number from 0 to 60000, not -1"},
      {R"({"delay_ms": "5"})", "delay_ms: must be a number from 0 to 60000, not \"5\""},
      {R"({"delay_ms": 60001})", "delay_ms: must be a number from 0 to 60000, not 60001"},
      {R"({"rate_kbit": 0.5})", "rate_kbit: must be 0 or at least 1, not 0.5"},
      {R"({"rate_kbit": 1e8})", "rate_kbit: must be a number from 0 to 10000000, not 100000000.0"},
      {R"({"queue_bytes": 1499})", "queue_bytes: must be a number from 1500 to 16777216, not 1499"},
      {R"({"loss_percent": 101})", "loss_percent: must be a number from 0 to 100, not 101"},
      {R"({"reorder": 1})", "reorder: must be true or false, not 1"},
      {R"({"up": []})", "up: must be a JSON object"},
      {R"({"down": {"up": {}}})", "down: unknown key, up"},
      {R"({"delay_ms": 9, "down": {"loss_percent": null}})",
       "loss_percent: must be a number from 0 to 100, not null"},
  };
  for (const auto& [text, error] : cases) {
    LinkSettings settings;
    const absl::Status status = ApplySettings(nlohmann::json::parse(text), &settings);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(std::string(status.message()), error);
    EXPECT_EQ(settings.directions[kUp].delay_ms, 0) << text;
  }
}

}  // namespace
}  // namespace viaduct::support
