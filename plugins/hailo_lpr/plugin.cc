// The hailo_lpr plugin: the only file here that knows the plugin ABI.
#include "viaduct/cpp/plugin.h"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hailo_lpr_config_schema.h"
#include "opencv2/core/utility.hpp"
#include "plugins/common/plugin_wiring.h"
#include "plugins/hailo_lpr/condition_board.h"
#include "plugins/hailo_lpr/line_limit.h"
#include "plugins/hailo_lpr/models.h"
#include "plugins/hailo_lpr/options.h"
#include "plugins/hailo_lpr/outbox.h"
#include "plugins/hailo_lpr/pipeline.h"
#include "plugins/hailo_lpr/sources.h"

namespace viaduct::hailo_lpr {
namespace {

using sdk::Status;

constexpr char kDetectionRoute[] = "/api/detection";

// By enum Drop and enum EventOutcome.
constexpr std::array<const char*, kDrops> kDropNames = {
    "queue_full", "rate", "expired", "cancelled", "unreadable", "failed", "bad_request"};
constexpr std::array<const char*, 4> kOutcomeNames = {"durable", "retry", "rejected", "lost"};
constexpr std::array<const char*, 3> kUntoldNames = {"repeat", "doubtful", "direction"};
constexpr std::array<const char*, 5> kStageNames = {"decode", "vehicles", "plates", "read",
                                                    "encode"};
constexpr double kMsInSecond = 1000;

struct Metrics {
  sdk::Metric pictures, candidates, plates, temperature, power;
  std::array<sdk::Metric, kDropNames.size()> dropped;
  std::array<sdk::Metric, kOutcomeNames.size()> events;
  std::array<sdk::Metric, kUntoldNames.size()> untold;
  std::array<sdk::Metric, kStageNames.size()> stages;

  Status Add(const sdk::Host& host) {
    VIADUCT_RETURN_IF_ERROR(
        host.AddCounter("pictures_total", "Pictures that were looked at", &pictures));
    VIADUCT_RETURN_IF_ERROR(
        host.AddCounter("candidates_total", "Boxes that may be plates", &candidates));
    VIADUCT_RETURN_IF_ERROR(
        host.AddCounter("plates_total", "Plates in pictures that were read for sure", &plates));
    VIADUCT_RETURN_IF_ERROR(host.AddGauge("temperature_celsius",
                                          "Of the accelerator; 0: it does not say", &temperature));
    VIADUCT_RETURN_IF_ERROR(
        host.AddGauge("power_watts", "Of the accelerator; 0: it does not say", &power));
    VIADUCT_RETURN_IF_ERROR(AddAll(host, "dropped_pictures_total",
                                   "Pictures that were not looked at", "reason", kDropNames,
                                   &dropped));
    VIADUCT_RETURN_IF_ERROR(AddAll(host, "events_total", "Events handed to the node, and retries",
                                   "outcome", kOutcomeNames, &events));
    VIADUCT_RETURN_IF_ERROR(AddAll(host, "untold_passes_total", "Passes without an event", "reason",
                                   kUntoldNames, &untold));
    for (size_t i = 0; i < stages.size(); ++i) {
      VIADUCT_RETURN_IF_ERROR(
          host.AddHistogram("stage_seconds", "Time of one picture in one stage",
                            {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5},
                            &stages[i], {sdk::Attr("stage", kStageNames[i])}));
    }
    return {};
  }

 private:
  template <size_t kCount>
  static Status AddAll(const sdk::Host& host, const char* name, const char* help, const char* label,
                       const std::array<const char*, kCount>& values,
                       std::array<sdk::Metric, kCount>* out) {
    for (size_t i = 0; i < kCount; ++i) {
      VIADUCT_RETURN_IF_ERROR(
          host.AddCounter(name, help, &(*out)[i], {sdk::Attr(label, values[i])}));
    }
    return {};
  }
};

sdk::Health HealthOf(Condition condition) {
  if (condition == Condition::kGood) return sdk::Health::kHealthy;
  return condition == Condition::kDoubtful ? sdk::Health::kDegraded : sdk::Health::kUnhealthy;
}

uint32_t OutcomeOf(Drop drop) {
  switch (drop) {
    case Drop::kExpired:
      return VD_OUTCOME_EXPIRED;
    case Drop::kCancelled:
      return VD_OUTCOME_CANCELLED;
    case Drop::kUnreadable:
    case Drop::kBadRequest:
      return VD_OUTCOME_REJECT;
    default:
      return VD_OUTCOME_RETRY;
  }
}

EventOutcome OutcomeOf(const vd_completion& completion) {
  if (completion.outcome == VD_OUTCOME_DURABLE) return EventOutcome::kDurable;
  return completion.outcome == VD_OUTCOME_REJECT ? EventOutcome::kRejected : EventOutcome::kRetry;
}

absl::Status StatusOf(const vd_completion& completion) {
  if (completion.outcome == VD_OUTCOME_DURABLE) return absl::OkStatus();
  const std::string_view detail = sdk::Text(completion.detail);
  // Whatever its code says of the request: nothing is wrong with the picture.
  if (completion.outcome == VD_OUTCOME_REJECT) {
    return absl::FailedPreconditionError(absl::string_view(detail.data(), detail.size()));
  }
  return absl::Status(static_cast<absl::StatusCode>(completion.code),
                      absl::string_view(detail.data(), detail.size()));
}

FrameForm FormOf(const vd_frame& frame) {
  FrameForm form;
  form.fourcc = frame.fourcc;
  form.width = frame.width;
  form.height = frame.height;
  form.modifier = frame.modifier;
  form.plane_count = frame.plane_count;
  for (size_t i = 0; i < std::min<size_t>(frame.plane_count, FrameForm::kMostPlanes); ++i) {
    form.planes[i] = {frame.planes[i].offset, frame.planes[i].size, frame.planes[i].stride};
  }
  return form;
}

class HailoLpr final : public sdk::Plugin, public sdk::SubmitHandler, public sdk::Inferer {
 public:
  HailoLpr(const sdk::Host& host, std::string_view name)
      : Plugin(host, name), conditions_([this](Condition condition, const std::string& reason) {
          TellCondition(condition, reason);
        }) {}

  bool Offers(std::string_view interface_id) const override {
    return interface_id != VD_SUBMIT_1 || options_.source != SourceKind::kNone;
  }

  Status Configure(const sdk::Config& config) override {
    VIADUCT_RETURN_IF_ERROR(ReadConfig(config, [this](std::string_view json, OptionsError* error) {
      return ReadOptions(json, &options_, error);
    }));
    if (options_.events.camera_id.empty()) options_.events.camera_id = name();
    return metrics_.Add(host());
  }

  Status Start(uint32_t) override {
    // OpenCV's own threads would stay behind.
    cv::setNumThreads(1);
    absl::StatusOr<Models> models = LoadModels(options_.models);
    if (!models.ok()) return SdkStatus(models.status());
    runners_ = models->runners;
    for (const Runner* runner : runners_) {
      host().Info("model", {sdk::Attr("runs_on", DescribeBackend(runner->health()))});
    }
    outbox_ = std::make_unique<Outbox>(OutboxHooks());
    pipeline_ = std::make_unique<Pipeline>(options_, Analyser(*std::move(models), options_.plates),
                                           PipelineHooks());
    source_ = MakeSource(options_, MakeSourceHooks());
    pipeline_->Start();
    if (source_ == nullptr) {
      conditions_.Set(ConditionBoard::kSource, Condition::kGood);
      return {};
    }
    const Status started = SdkStatus(source_->Start());
    if (!started.ok()) Stop();
    return started;
  }

  Status Drain(int64_t deadline_ns) override {
    if (source_ != nullptr) source_->Drain();
    const bool drained =
        pipeline_->Drain(deadline_ns) && outbox_->Drain(TimeUntil(host(), deadline_ns));
    return drained ? Status() : sdk::DeadlineExceeded("drain: pictures or events are under way");
  }

  void Stop() override {
    if (pipeline_ == nullptr) return;
    // The worker may wait for room there.
    outbox_->Stop();
    if (source_ != nullptr) source_->Drain();
    pipeline_->Stop();
    if (source_ != nullptr) source_->Stop();
  }

  uint32_t InferCredit() override {
    return pipeline_ == nullptr ? 0 : static_cast<uint32_t>(pipeline_->credit());
  }

  Status Infer(uint32_t, uint64_t ticket, const vd_frame& frame,
               std::string_view options) override {
    if (frame.buffer == nullptr) {
      return sdk::InvalidArgument("frame: has only a descriptor, a buffer is wanted");
    }
    PictureJob job;
    job.form = FormOf(frame);
    const auto buffer = std::make_shared<const sdk::Buffer>(sdk::Buffer::Share(frame.buffer));
    job.octets = buffer->text();
    job.holder = buffer;
    job.capture_ns = frame.capture_ns;
    job.ticket = ticket;
    job.deadline_ns = frame.deadline_ns;
    absl::StatusOr<InferRequest> request = ParseInferRequest(options);
    absl::Status sound = request.status();
    if (sound.ok()) sound = CheckFrame(job.form, job.octets.size(), options_.limits);
    if (request.ok()) job.request = *std::move(request);
    if (!sound.ok()) {  // Said by an end, so that whoever asked hears what is wrong.
      TellDrop(Drop::kBadRequest, sound);
      EndInfer({ticket, Drop::kBadRequest, std::move(sound), "", {}});
      return {};
    }
    if (pipeline_->TakeRequest(std::move(job))) return {};
    return sdk::ResourceExhausted("infer: no room for another frame");
  }
  void CancelInfer(uint32_t, uint64_t ticket) override { pipeline_->CancelRequest(ticket); }

  void OnSubmitDone(const sdk::CompletionList& completions) override {
    for (const vd_completion& completion : completions) {
      outbox_->OnDone(completion.token, OutcomeOf(completion), StatusOf(completion),
                      absl::Nanoseconds(completion.retry_after_ns));
    }
  }
  void OnSubmitRoom(uint32_t) override { Pump(); }
  void Pump() { outbox_->OnRoom(); }

 private:
  Outbox::Hooks OutboxHooks() {
    Outbox::Hooks hooks;
    hooks.submit = [this](uint64_t token, const std::string& json) { return Submit(token, json); };
    hooks.wake_after = [this](absl::Duration delay) {
      uint64_t timer = 0;
      // Refused only when stop has begun, which ends what waits.
      static_cast<void>(
          host()
              .StartTimer<&HailoLpr::Pump>(0, absl::ToInt64Nanoseconds(delay), this, &timer)
              .ok());
    };
    hooks.now = [this] { return absl::FromUnixNanos(host().MonotonicNs()); };
    hooks.on_end = [this](EventOutcome outcome, const absl::Status& status) {
      metrics_.events[static_cast<size_t>(outcome)].Increase();
      TellOutcome(outcome, status);
    };
    return hooks;
  }

  Pipeline::Hooks PipelineHooks() {
    Pipeline::Hooks hooks;
    hooks.wall_ns = [this] { return host().WallNs(); };
    hooks.monotonic_ns = [this] { return host().MonotonicNs(); };
    hooks.on_infer_end = [this](InferEnd end) { EndInfer(std::move(end)); };
    hooks.on_event = [this](const PlateEvent& event,
                            std::function<void(const absl::Status&)> ended) {
      outbox_->Add(DetectionJson(event, host().WallNs()), std::move(ended));
    };
    hooks.on_drop = [this](Drop drop, const absl::Status& why) { TellDrop(drop, why); };
    hooks.on_looked_at = [this](const Analysis& analysis, bool of_source) {
      Measure(analysis);
      TellBackends();
      if (of_source) conditions_.Set(ConditionBoard::kPictures, Condition::kGood);
    };
    hooks.on_untold = [this](const PictureStream::Counters& untold) {
      metrics_.untold[0].Increase(static_cast<double>(untold.repeats));
      metrics_.untold[1].Increase(static_cast<double>(untold.doubtful));
      metrics_.untold[2].Increase(static_cast<double>(untold.other_way));
    };
    hooks.on_room = [this] {
      if (source_ != nullptr) source_->OnRoom();
    };
    return hooks;
  }

  SourceHooks MakeSourceHooks() {
    SourceHooks hooks;
    hooks.wall_ns = [this] { return host().WallNs(); };
    hooks.monotonic_ns = [this] { return host().MonotonicNs(); };
    hooks.take = [this](PictureJob job, size_t most_waiting) {
      return pipeline_->TakePicture(std::move(job), most_waiting);
    };
    hooks.take_newest = [this](PictureJob job, size_t most_waiting) {
      pipeline_->TakeNewest(std::move(job), most_waiting);
    };
    hooks.end_stream = [this] { pipeline_->EndStream(); };
    hooks.on_state = [this](SourceState state, const std::string& reason) {
      TellSource(state, reason);
    };
    hooks.on_unreadable = [this](const absl::Status& why) { TellDrop(Drop::kUnreadable, why); };
    hooks.on_lost = [this](uint64_t count) {
      metrics_.dropped[static_cast<size_t>(Drop::kQueueFull)].Increase(static_cast<double>(count));
    };
    return hooks;
  }

  bool Submit(uint64_t token, const std::string& json) {
    vd_inbound message = sdk::Record<vd_inbound>();
    message.token = token;
    message.route = sdk::Str(kDetectionRoute);
    message.content = sdk::Octets(json);
    message.peer = sdk::Str(name());
    size_t taken = 0;
    return host().Submit(0, &message, 1, &taken).ok() && taken == 1;
  }

  void EndInfer(InferEnd end) {
    vd_infer_result result = sdk::Record<vd_infer_result>();
    result.ticket = end.ticket;
    std::vector<sdk::Buffer> buffers;
    std::vector<vd_crop> crops;
    if (end.status.ok()) {
      result.outcome = VD_OUTCOME_DURABLE;
      result.result = sdk::Str(end.result_json);
      for (auto& [crop_name, jpeg] : end.crops) {
        buffers.push_back(sdk::Buffer::Wrap(std::move(jpeg)));
        vd_crop crop = sdk::Record<vd_crop>();
        crop.name = sdk::Str(crop_name);
        crop.media_type = sdk::Str("image/jpeg");
        crop.buffer = buffers.back().raw();
        crops.push_back(crop);
      }
    } else {
      result.outcome = OutcomeOf(end.drop);
      result.code = end.status.raw_code();
      result.detail = sdk::Str(TextOf(end.status));
    }
    result.crops = crops.data();
    result.crop_stride = sizeof(vd_crop);
    result.crop_count = crops.size();
    host().InferDone(result);
  }

  void Measure(const Analysis& analysis) {
    metrics_.pictures.Increase();
    metrics_.candidates.Increase(static_cast<double>(analysis.plates.size()));
    for (const PlateSeen& seen : analysis.plates) {
      if (seen.accepted) metrics_.plates.Increase();
    }
    const StageTimes& times = analysis.times;
    const std::array<double, kStageNames.size()> ms = {times.decode, times.vehicles, times.plates,
                                                       times.read, times.encode};
    for (size_t i = 0; i < ms.size(); ++i) metrics_.stages[i].Observe(ms[i] / kMsInSecond);
  }

  // How what runs the models is, after each picture that it could run.
  void TellBackends() {
    const Runner* doubtful = nullptr;
    for (const Runner* runner : runners_) {
      const BackendHealth health = runner->health();
      if (health.temperature_celsius) metrics_.temperature.Set(*health.temperature_celsius);
      if (health.power_watts) metrics_.power.Set(*health.power_watts);
      if (Works(health.state) && health.state != BackendState::kReady) doubtful = runner;
    }
    conditions_.Set(ConditionBoard::kModels,
                    doubtful == nullptr ? Condition::kGood : Condition::kDoubtful,
                    doubtful == nullptr ? "" : doubtful->health().reason);
  }

  void TellCondition(Condition condition, const std::string& reason) {
    host().SetHealth(HealthOf(condition), reason);
  }

  void TellDrop(Drop drop, const absl::Status& why) {
    metrics_.dropped[static_cast<size_t>(drop)].Increase();
    if (drop != Drop::kUnreadable && drop != Drop::kFailed) return;
    const bool bad = drop == Drop::kFailed;
    const std::string reason(TextOf(why));
    conditions_.Set(bad ? ConditionBoard::kModels : ConditionBoard::kPictures,
                    bad ? Condition::kBad : Condition::kDoubtful, reason);
    if (!lines_.Allows(host().MonotonicNs())) return;
    host().Warning(bad ? "a picture could not be looked at" : "a picture could not be read",
                   {sdk::Attr("reason", reason)});
  }

  void TellOutcome(EventOutcome outcome, const absl::Status& status) {
    if (outcome == EventOutcome::kDurable) {
      return conditions_.Set(ConditionBoard::kEvents, Condition::kGood);
    }
    const std::string reason(TextOf(status));
    if (outcome == EventOutcome::kRetry) {
      return conditions_.Set(ConditionBoard::kEvents, Condition::kDoubtful,
                             "the node takes no events now: " + reason);
    }
    if (!lines_.Allows(host().MonotonicNs())) return;
    const bool lost = outcome == EventOutcome::kLost;
    host().Error(lost ? "an event was not confirmed before the stop" : "an event was refused",
                 {sdk::Attr("reason", reason)});
  }

  void TellSource(SourceState state, const std::string& reason) {
    Condition condition = Condition::kGood;
    if (state == SourceState::kTrouble || state == SourceState::kOpening) {
      condition = Condition::kBad;
    }
    if (state == SourceState::kEnded) condition = Condition::kDoubtful;
    conditions_.Set(ConditionBoard::kSource, condition,
                    condition == Condition::kGood ? "" : reason);
    if (!lines_.Allows(host().MonotonicNs())) return;
    if (state == SourceState::kTrouble) {
      host().Warning("no pictures", {sdk::Attr("reason", reason)});
    } else {
      host().Info(reason);
    }
  }

  Options options_;
  Metrics metrics_;
  ConditionBoard conditions_;
  LineLimit lines_;
  std::vector<const Runner*> runners_;  // Of the pipeline's analyser.
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<Source> source_;
};

}  // namespace
}  // namespace viaduct::hailo_lpr

VIADUCT_PLUGIN(viaduct::hailo_lpr::HailoLpr,
               viaduct::sdk::Describe("hailo_lpr", "1.0.0")
                   .Summary("Reads number plates: pictures in, detections out")
                   .Licence("Apache-2.0")
                   .Schema(hailo_lpr_config_schema))
