#include "tests/support/link_emulator.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "tests/support/load.h"
#include "tests/support/tun_device.h"

namespace viaduct::support {
namespace {

using Json = nlohmann::json;
using Kind = LinkCommand::Kind;

// What an event of epoll is about; ends are numbered below these.
constexpr uint64_t kTimerTag = 2 * kMaxLinks;
constexpr uint64_t kSignalTag = kTimerTag + 1;
constexpr uint64_t kControlTag = kTimerTag + 2;
constexpr int kEventsATurn = 2 * kMaxLinks + 3;
constexpr int kPacketsATurn = 64;  // Of one device, before the others have their turn.

Descriptor EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return Descriptor(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

// Each direction draws its own numbers.
uint64_t SeedOf(uint64_t seed, size_t link, Direction direction) {
  return seed * 0x9E3779B97F4A7C15u + 2 * link + static_cast<uint64_t>(direction);
}

Json CountJson(const PacketCount& count) {
  return {{"packets", count.packets}, {"bytes", count.bytes}};
}

Json ShaperJson(const LinkShaper& shaper, const PacketCount& refused) {
  const ShaperCounts& counts = shaper.counts();
  return {{"passed", CountJson(counts.passed)},
          {"lost", CountJson(counts.lost)},
          {"queue_dropped", CountJson(counts.queue_dropped)},
          {"cut", CountJson(counts.cut)},
          {"refused", CountJson(refused)},
          {"waiting_bytes", shaper.waiting_bytes()},
          {"flying_bytes", shaper.flying_bytes()},
          {"is_cut", shaper.is_cut()},
          {"settings", SettingsJson(shaper.settings())}};
}

}  // namespace

LinkEmulator::LinkEmulator(EmulatorConfig config, uint64_t seed)
    : config_(std::move(config)),
      seed_(seed),
      control_(config_.control_path, [this](std::string_view line) { return Answer(line); }),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
      signals_(EndSignals()) {}

absl::Status LinkEmulator::Watch(int fd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("epoll: ", std::strerror(errno)));
}

absl::Status LinkEmulator::Open() {
  // First: what is wrong is said before anything is made.
  if (!config_.timeline_path.empty()) VD_RETURN_IF_ERROR(Play(config_.timeline_path));
  const int64_t now = NowNanos();
  for (size_t i = 0; i < config_.links.size(); ++i) {
    const LinkConfig& config = config_.links[i];
    Link link;
    link.name = config.name;
    link.settings = config.settings;
    for (const Direction side : {kUp, kDown}) {
      VD_ASSIGN_OR_RETURN(link.ends[side], OpenTun(config.ends[side]));
      link.shapers[side] = std::make_unique<LinkShaper>(SeedOf(seed_, i, side));
      link.shapers[side]->Set(now, link.settings.directions[side]);
      VD_RETURN_IF_ERROR(Watch(link.ends[side]->get(), 2 * i + side));
    }
    links_.push_back(std::move(link));
  }
  VD_RETURN_IF_ERROR(Watch(timer_.get(), kTimerTag));
  VD_RETURN_IF_ERROR(Watch(signals_.get(), kSignalTag));
  VD_RETURN_IF_ERROR(Watch(control_.fd(), kControlTag));
  return control_.Open();
}

absl::Status LinkEmulator::Play(const std::string& path) {
  VD_ASSIGN_OR_RETURN(timeline_, ReadTimeline(path, config_.links));
  played_ = 0;
  timeline_start_ns_ = NowNanos();
  return absl::OkStatus();
}

absl::Status LinkEmulator::Obey(const LinkCommand& command) {
  const int64_t now = NowNanos();
  if (command.kind == Kind::kPlay) return Play(command.timeline_path);
  if (command.kind == Kind::kStop) {
    timeline_.clear();
    played_ = 0;
    return absl::OkStatus();
  }
  for (const size_t number : command.links) {
    Link& link = links_[number];
    if (command.kind == Kind::kSet) {
      VD_RETURN_IF_ERROR(ApplySettings(command.settings, &link.settings));
    }
    for (const Direction side : {kUp, kDown}) {
      LinkShaper& shaper = *link.shapers[side];
      if (command.kind == Kind::kSet) shaper.Set(now, link.settings.directions[side]);
      if (!command.directions[side]) continue;
      if (command.kind == Kind::kCut) shaper.Cut();
      if (command.kind == Kind::kHeal) shaper.Heal();
    }
  }
  return absl::OkStatus();
}

std::string LinkEmulator::Answer(std::string_view line) {
  const absl::StatusOr<LinkCommand> command = ParseLinkCommand(line, config_.links);
  const absl::Status status = command.ok() ? Obey(*command) : command.status();
  if (!status.ok()) {
    return Json{{"ok", false}, {"error", std::string(status.message())}}.dump(
        -1, ' ', true, Json::error_handler_t::replace);
  }
  return command->kind == Kind::kStats ? Stats() : R"({"ok":true})";
}

std::string LinkEmulator::Stats() const {
  Json links = Json::object();
  for (const Link& link : links_) {
    for (const Direction side : {kUp, kDown}) {
      links[link.name][kDirectionNames[side]] = ShaperJson(*link.shapers[side], link.refused[side]);
    }
  }
  const Json stats = {{"ok", true},
                      {"seed", seed_},
                      {"links", std::move(links)},
                      {"timeline", {{"entries", timeline_.size()}, {"played", played_}}}};
  return stats.dump(-1, ' ', true, Json::error_handler_t::replace);
}

void LinkEmulator::PlayDue(int64_t now) {
  for (; played_ < timeline_.size(); ++played_) {
    const TimelineEntry& entry = timeline_[played_];
    if (timeline_start_ns_ + entry.at_ns > now) return;
    // It was checked when it was read.
    (void)Obey(entry.command);
  }
}

void LinkEmulator::ReadEnd(Link& link, Direction from) {
  std::array<char, kPacketBytes> buffer;
  for (int i = 0; i < kPacketsATurn; ++i) {
    const ssize_t n = read(link.ends[from]->get(), buffer.data(), buffer.size());
    if (n <= 0) return;
    link.shapers[from]->Push(NowNanos(), std::string(buffer.data(), static_cast<size_t>(n)));
  }
}

void LinkEmulator::WriteDue(Link& link, Direction from, int64_t now) {
  for (std::string packet; link.shapers[from]->Pop(now, &packet);) {
    const ssize_t n = write(link.ends[1 - from]->get(), packet.data(), packet.size());
    if (n != static_cast<ssize_t>(packet.size())) link.refused[from].Add(packet.size());
  }
}

void LinkEmulator::SetTimer(int64_t now) {
  int64_t wake = LinkShaper::kNever;
  if (played_ < timeline_.size()) wake = timeline_start_ns_ + timeline_[played_].at_ns;
  for (const Link& link : links_) {
    for (const auto& shaper : link.shapers) wake = std::min(wake, shaper->NextWake());
  }
  itimerspec when{};  // All zero: none.
  if (wake != LinkShaper::kNever) {
    wake = std::max(wake, now + 1);
    when.it_value = {wake / 1'000'000'000, wake % 1'000'000'000};
  }
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void LinkEmulator::Turn() {
  std::array<epoll_event, kEventsATurn> events;
  const int n = epoll_wait(epoll_.get(), events.data(), kEventsATurn, -1);
  for (int i = 0; i < n; ++i) {
    const uint64_t tag = events[static_cast<size_t>(i)].data.u64;
    if (tag == kSignalTag) {
      quit_ = true;
    } else if (tag == kControlTag) {
      control_.Turn();
    } else if (tag < kTimerTag) {
      ReadEnd(links_[tag / 2], static_cast<Direction>(tag % 2));
    }
  }
  const int64_t now = NowNanos();
  PlayDue(now);
  for (Link& link : links_) {
    WriteDue(link, kUp, now);
    WriteDue(link, kDown, now);
  }
  SetTimer(now);  // Also makes the timer unreadable until then.
}

void LinkEmulator::Run() {
  SetTimer(NowNanos());
  while (!quit_) Turn();
}

}  // namespace viaduct::support
