// The sftp plugin: the only file here that knows the plugin ABI.
#include "viaduct/cpp/plugin.h"

#include <memory>
#include <string>
#include <utility>

#include "plugins/common/file_wiring.h"
#include "plugins/common/plugin_wiring.h"
#include "plugins/sftp/client.h"
#include "plugins/sftp/options.h"
#include "sftp_config_schema.h"

namespace viaduct::sftp {
namespace {

using sdk::Status;

constexpr int64_t kStatsIntervalNs = 2'000'000'000;

class Sftp final : public sdk::Plugin,
                   public sdk::FileMover,
                   public sdk::FileDiscarder,
                   public sdk::Prober {
 public:
  using Plugin::Plugin;

  Status Configure(const sdk::Config& config) override {
    VIADUCT_RETURN_IF_ERROR(ReadConfig(config, [this](std::string_view json, OptionsError* error) {
      return ReadOptions(json, &options_, error);
    }));
    options_.road = name();
    VIADUCT_RETURN_IF_ERROR(host().AddCounter("files_total", "Files that arrived", &files_));
    return host().AddCounter("sent_bytes_total",
                             "Bytes of files sent, what was sent twice included", &sent_bytes_);
  }

  Status Start(uint32_t) override {
    host().SetHealth(sdk::Health::kUnhealthy, "connecting to the server");
    client_ = std::make_unique<Client>(options_, MakeEvents());
    VIADUCT_RETURN_IF_ERROR(SdkStatus(client_->Start()));
    PublishStats();
    return {};
  }
  Status Drain(int64_t deadline_ns) override {
    const bool drained = client_->Drain(TimeUntil(host(), deadline_ns));
    return drained ? Status() : sdk::DeadlineExceeded("drain: files are still under way");
  }
  void Stop() override {
    if (client_ == nullptr) return;
    client_->Stop();
    CountStats();
  }

  uint32_t FileCredit() override { return static_cast<uint32_t>(client_->credit()); }
  Status BeginFile(uint32_t, const vd_file_job& raw) override {
    FileJob job;
    VIADUCT_RETURN_IF_ERROR(ReadFileJob(raw, &job));
    return SdkStatus(client_->Begin(std::move(job)));
  }
  void CancelFile(uint32_t, uint64_t token) override { client_->Cancel(token); }
  Status DiscardFile(uint32_t, const vd_leftover& raw) override {
    FileLeftover leftover;
    VIADUCT_RETURN_IF_ERROR(ReadFileLeftover(raw, &leftover));
    return SdkStatus(client_->Discard(std::move(leftover)));
  }
  Status Probe(uint32_t, const vd_probe& probe) override {
    return BeginProbe(host(), probe, client_.get());
  }

  // Every kStatsIntervalNs, on the lane.
  void PublishStats() {
    CountStats();
    uint64_t timer = 0;
    // Refused only when stop has begun, and then there is nothing more to say.
    static_cast<void>(
        host().StartTimer<&Sftp::PublishStats>(0, kStatsIntervalNs, this, &timer).ok());
  }

 private:
  void CountStats() {
    const ClientStats now = client_->stats();
    files_.Increase(static_cast<double>(now.files - last_.files));
    sent_bytes_.Increase(static_cast<double>(now.sent_bytes - last_.sent_bytes));
    last_ = now;
  }
  Client::Events MakeEvents() {
    Client::Events events;
    events.on_ready = [this](const Features& features) {
      host().SetHealth(sdk::Health::kHealthy);
      if (features.fsync) return;
      host().Warning("the server has no fsync@openssh.com: what it has written counts as durable",
                     {sdk::Attr("host", options_.transport.host)});
    };
    events.on_ended = [this](const absl::Status& why) { host().Fail(CodeOf(why), TextOf(why)); };
    events.on_progress = [this](uint64_t token, uint64_t moved, uint64_t durable) {
      host().FileProgress(token, moved, durable);
    };
    events.on_end = [this](const FileEnd& end) { TellFileEnd(host(), end); };
    return events;
  }

  ClientOptions options_;
  std::unique_ptr<Client> client_;
  sdk::Metric files_, sent_bytes_;
  ClientStats last_;
};

}  // namespace
}  // namespace viaduct::sftp

VIADUCT_PLUGIN(viaduct::sftp::Sftp,
               viaduct::sdk::Describe("sftp", "1.0.0")
                   .Summary("Files over SFTP: resumed, verified, named when complete")
                   .Licence("Apache-2.0")
                   .Schema(sftp_config_schema))
