/*
 * A library that holds one object of every type of the ABI, so that abidiff sees them all
 * (check_abi.sh). Never loaded by anybody.
 */
#include "viaduct/abi/abi.h"

#define PROBE(type) VD_EXPORT type probe_##type

PROBE(vd_str);
PROBE(vd_bytes);
PROBE(vd_attr);
PROBE(vd_buffer);
PROBE(vd_error);
PROBE(vd_completion);
PROBE(vd_completion_list);
PROBE(vd_host);
PROBE(vd_host_config_1);
PROBE(vd_lifecycle_1);
PROBE(vd_host_log_1);
PROBE(vd_host_clock_1);
PROBE(vd_task_fn);
PROBE(vd_host_post_1);
PROBE(vd_host_timer_1);
PROBE(vd_host_buffer_1);
PROBE(vd_metric);
PROBE(vd_host_metrics_1);
PROBE(vd_host_health_1);
PROBE(vd_message);
PROBE(vd_message_list);
PROBE(vd_deliver_1);
PROBE(vd_host_deliver_1);
PROBE(vd_inbound);
PROBE(vd_inbound_list);
PROBE(vd_host_submit_1);
PROBE(vd_submit_1);
PROBE(vd_call);
PROBE(vd_reply);
PROBE(vd_host_call_1);
PROBE(vd_call_1);
PROBE(vd_file_job);
PROBE(vd_file_result);
PROBE(vd_file_1);
PROBE(vd_leftover);
PROBE(vd_discard_1);
PROBE(vd_host_file_1);
PROBE(vd_probe);
PROBE(vd_probe_result);
PROBE(vd_probe_1);
PROBE(vd_host_probe_1);
PROBE(vd_plane);
PROBE(vd_frame);
PROBE(vd_source_1);
PROBE(vd_host_source_1);
PROBE(vd_crop);
PROBE(vd_infer_result);
PROBE(vd_infer_1);
PROBE(vd_host_infer_1);
PROBE(vd_module);
PROBE(vd_module_entry_fn);
