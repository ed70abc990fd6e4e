// What the testbed does to the host on the command "abuse".
#include "core/plugin/testing/testbed.h"

namespace {

void DoNothing(void*) {}

void CompleteUnknown(vd_instance* self) {
  vd_completion items[4] = {};
  const uint64_t tokens[4] = {1, 2, UINT64_MAX, uint64_t{7} << 40};
  for (int i = 0; i < 4; ++i) {
    items[i].struct_size = sizeof(vd_completion);
    items[i].outcome = 99;
    items[i].token = tokens[i];
  }
  const vd_completion_list list{items, sizeof(vd_completion), 4};
  Ask<vd_host_deliver_1>(self, VD_HOST_DELIVER_1)->complete(self->host, &list);
}

}  // namespace

void Abuse(vd_instance* self) {
  const vd_host* const host = self->host;
  const vd_str wild{nullptr, 1u << 30};
  Ask<vd_host_log_1>(self, VD_HOST_LOG_1)->write(host, 99, wild, nullptr, 1u << 30);
  Ask<vd_host_log_1>(self, VD_HOST_LOG_1)->write(nullptr, 2, Str("x"), nullptr, 0);
  Ask<vd_host_post_1>(self, VD_HOST_POST_1)->post(host, 9999, &DoNothing, nullptr);
  Ask<vd_host_post_1>(self, VD_HOST_POST_1)->post(host, 0, nullptr, nullptr);
  Ask<vd_host_timer_1>(self, VD_HOST_TIMER_1)->arm(host, 0, -5, &DoNothing, nullptr, nullptr);
  Ask<vd_host_timer_1>(self, VD_HOST_TIMER_1)->cancel(host, 123456789);
  Ask<vd_host_buffer_1>(self, VD_HOST_BUFFER_1)->make(host, UINT64_MAX);
  Ask<vd_host_metrics_1>(self, VD_HOST_METRICS_1)->add(host, nullptr, nullptr);
  Ask<vd_host_metrics_1>(self, VD_HOST_METRICS_1)->increase(host, 4000000000u, 1);
  Ask<vd_host_health_1>(self, VD_HOST_HEALTH_1)->set(host, 77, wild);
  Ask<vd_host_deliver_1>(self, VD_HOST_DELIVER_1)->complete(host, nullptr);
  const vd_completion_list list{nullptr, 3, UINT64_MAX};
  Ask<vd_host_deliver_1>(self, VD_HOST_DELIVER_1)->complete(host, &list);
  Ask<vd_host_deliver_1>(self, VD_HOST_DELIVER_1)->on_room(host, 4000000000u);
  CompleteUnknown(self);
  const vd_inbound_list inbound{nullptr, 1, 5};
  uint64_t taken = 7;
  Ask<vd_host_submit_1>(self, VD_HOST_SUBMIT_1)->submit(host, 0, &inbound, &taken);
  Ask<vd_host_submit_1>(self, VD_HOST_SUBMIT_1)->submit(host, 0, nullptr, nullptr);
  vd_call call{};
  Ask<vd_host_call_1>(self, VD_HOST_CALL_1)->call(host, nullptr);
  Ask<vd_host_call_1>(self, VD_HOST_CALL_1)->call(host, &call);
  call.struct_size = sizeof(call);
  call.path = wild;
  Ask<vd_host_call_1>(self, VD_HOST_CALL_1)->call(host, &call);
  Ask<vd_host_call_1>(self, VD_HOST_CALL_1)->reply(host, nullptr);
  Ask<vd_host_file_1>(self, VD_HOST_FILE_1)->done(host, nullptr);
  Ask<vd_host_probe_1>(self, VD_HOST_PROBE_1)->done(host, nullptr);
  Ask<vd_host_infer_1>(self, VD_HOST_INFER_1)->done(host, nullptr);
  vd_frame frame{};
  frame.struct_size = sizeof(frame);
  frame.plane_count = 900;
  Ask<vd_host_source_1>(self, VD_HOST_SOURCE_1)->push(host, &frame);
}
