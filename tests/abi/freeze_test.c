/*
 * The frozen layout of plugin ABI 1.0: every size, offset, constant and function type.
 * Made by make_freeze_test.py; a change of a line here is a break of the ABI, additions
 * are a new minor (tests/abi/README.md).
 */
#include <stddef.h>
#include <string.h>

#include "viaduct/abi/abi.h"

#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#define OFFSET(type, field, offset) \
  _Static_assert(offsetof(type, field) == (offset), #type "." #field)
#define NUMBER(name, value) _Static_assert((long long)(name) == (value), #name)
#define FUNCTION(type, field, ...)                                                         \
  _Static_assert(__builtin_types_compatible_p(__typeof__(((type*)0)->field), __VA_ARGS__), \
                 #type "." #field)

/* The layout of 64-bit machines, little or big. */
SIZE(void*, 8);

/* ---- base.h ---------------------------------------------------------------------------------- */
NUMBER(VD_ABI_MAJOR, 1);
NUMBER(VD_ABI_MINOR, 1);
NUMBER(VD_OK, 0);
NUMBER(VD_CANCELLED, 1);
NUMBER(VD_UNKNOWN, 2);
NUMBER(VD_INVALID_ARGUMENT, 3);
NUMBER(VD_DEADLINE_EXCEEDED, 4);
NUMBER(VD_NOT_FOUND, 5);
NUMBER(VD_ALREADY_EXISTS, 6);
NUMBER(VD_PERMISSION_DENIED, 7);
NUMBER(VD_RESOURCE_EXHAUSTED, 8);
NUMBER(VD_FAILED_PRECONDITION, 9);
NUMBER(VD_ABORTED, 10);
NUMBER(VD_OUT_OF_RANGE, 11);
NUMBER(VD_UNIMPLEMENTED, 12);
NUMBER(VD_INTERNAL, 13);
NUMBER(VD_UNAVAILABLE, 14);
NUMBER(VD_DATA_LOSS, 15);
NUMBER(VD_UNAUTHENTICATED, 16);
NUMBER(VD_OUTCOME_DURABLE, 1);
NUMBER(VD_OUTCOME_RETRY, 2);
NUMBER(VD_OUTCOME_REJECT, 3);
NUMBER(VD_OUTCOME_EXPIRED, 4);
NUMBER(VD_OUTCOME_CANCELLED, 5);

SIZE(vd_str, 16);
OFFSET(vd_str, data, 0);
OFFSET(vd_str, size, 8);

SIZE(vd_bytes, 16);
OFFSET(vd_bytes, data, 0);
OFFSET(vd_bytes, size, 8);

SIZE(vd_attr, 32);
OFFSET(vd_attr, name, 0);
OFFSET(vd_attr, value, 16);

SIZE(vd_buffer, 32);
OFFSET(vd_buffer, data, 0);
OFFSET(vd_buffer, size, 8);
OFFSET(vd_buffer, ref, 16);
FUNCTION(vd_buffer, ref, void (*)(vd_buffer* self));
OFFSET(vd_buffer, unref, 24);
FUNCTION(vd_buffer, unref, void (*)(vd_buffer* self));

SIZE(vd_error, 1024);
OFFSET(vd_error, struct_size, 0);
OFFSET(vd_error, code, 4);
OFFSET(vd_error, pointer, 8);
OFFSET(vd_error, message, 256);

SIZE(vd_completion, 48);
OFFSET(vd_completion, struct_size, 0);
OFFSET(vd_completion, outcome, 4);
OFFSET(vd_completion, token, 8);
OFFSET(vd_completion, code, 16);
OFFSET(vd_completion, duplicate, 20);
OFFSET(vd_completion, retry_after_ns, 24);
OFFSET(vd_completion, detail, 32);

SIZE(vd_completion_list, 24);
OFFSET(vd_completion_list, items, 0);
OFFSET(vd_completion_list, stride, 8);
OFFSET(vd_completion_list, count, 16);

/* ---- host.h ---------------------------------------------------------------------------------- */

SIZE(vd_host, 24);
OFFSET(vd_host, struct_size, 0);
OFFSET(vd_host, abi_major, 4);
OFFSET(vd_host, abi_minor, 6);
OFFSET(vd_host, impl, 8);
OFFSET(vd_host, query, 16);
FUNCTION(vd_host, query, const void* (*)(const vd_host* host, vd_str id));

/* ---- config.h -------------------------------------------------------------------------------- */
NUMBER(VD_CONFIG_MISSING, 0);
NUMBER(VD_CONFIG_NULL, 1);
NUMBER(VD_CONFIG_BOOLEAN, 2);
NUMBER(VD_CONFIG_INTEGER, 3);
NUMBER(VD_CONFIG_NUMBER, 4);
NUMBER(VD_CONFIG_STRING, 5);
NUMBER(VD_CONFIG_LIST, 6);
NUMBER(VD_CONFIG_OBJECT, 7);

SIZE(vd_host_config_1, 56);
OFFSET(vd_host_config_1, type, 0);
FUNCTION(vd_host_config_1, type, uint32_t (*)(const vd_config* config, vd_str pointer));
OFFSET(vd_host_config_1, get_string, 8);
FUNCTION(vd_host_config_1, get_string,
         int32_t (*)(const vd_config* config, vd_str pointer, vd_str* out));
OFFSET(vd_host_config_1, get_integer, 16);
FUNCTION(vd_host_config_1, get_integer,
         int32_t (*)(const vd_config* config, vd_str pointer, int64_t* out));
OFFSET(vd_host_config_1, get_number, 24);
FUNCTION(vd_host_config_1, get_number,
         int32_t (*)(const vd_config* config, vd_str pointer, double* out));
OFFSET(vd_host_config_1, get_boolean, 32);
FUNCTION(vd_host_config_1, get_boolean,
         int32_t (*)(const vd_config* config, vd_str pointer, uint32_t* out));
OFFSET(vd_host_config_1, get_size, 40);
FUNCTION(vd_host_config_1, get_size,
         int32_t (*)(const vd_config* config, vd_str pointer, uint64_t* out));
OFFSET(vd_host_config_1, get_json, 48);
FUNCTION(vd_host_config_1, get_json,
         int32_t (*)(const vd_config* config, vd_str pointer, vd_str* out));

/* ---- lifecycle.h ----------------------------------------------------------------------------- */

SIZE(vd_lifecycle_1, 56);
OFFSET(vd_lifecycle_1, create, 0);
FUNCTION(vd_lifecycle_1, create,
         int32_t (*)(const vd_host* host, vd_str name, vd_instance** out, vd_error* error));
OFFSET(vd_lifecycle_1, configure, 8);
FUNCTION(vd_lifecycle_1, configure,
         int32_t (*)(vd_instance* instance, const vd_config* config, vd_error* error));
OFFSET(vd_lifecycle_1, start, 16);
FUNCTION(vd_lifecycle_1, start,
         int32_t (*)(vd_instance* instance, uint32_t lane_count, vd_error* error));
OFFSET(vd_lifecycle_1, drain, 24);
FUNCTION(vd_lifecycle_1, drain,
         int32_t (*)(vd_instance* instance, int64_t deadline_ns, vd_error* error));
OFFSET(vd_lifecycle_1, stop, 32);
FUNCTION(vd_lifecycle_1, stop, void (*)(vd_instance* instance));
OFFSET(vd_lifecycle_1, destroy, 40);
FUNCTION(vd_lifecycle_1, destroy, void (*)(vd_instance* instance));
OFFSET(vd_lifecycle_1, query, 48);
FUNCTION(vd_lifecycle_1, query, const void* (*)(vd_instance* instance, vd_str id));

/* ---- services.h ------------------------------------------------------------------------------ */
NUMBER(VD_LOG_TRACE, 0);
NUMBER(VD_LOG_DEBUG, 1);
NUMBER(VD_LOG_INFO, 2);
NUMBER(VD_LOG_WARNING, 3);
NUMBER(VD_LOG_ERROR, 4);
NUMBER(VD_METRIC_COUNTER, 1);
NUMBER(VD_METRIC_GAUGE, 2);
NUMBER(VD_METRIC_HISTOGRAM, 3);
NUMBER(VD_HEALTH_HEALTHY, 1);
NUMBER(VD_HEALTH_DEGRADED, 2);
NUMBER(VD_HEALTH_UNHEALTHY, 3);

SIZE(vd_host_log_1, 16);
OFFSET(vd_host_log_1, enabled, 0);
FUNCTION(vd_host_log_1, enabled, uint32_t (*)(const vd_host* host, uint32_t level));
OFFSET(vd_host_log_1, write, 8);
FUNCTION(vd_host_log_1, write,
         void (*)(const vd_host* host, uint32_t level, vd_str message, const vd_attr* fields,
                  uint64_t field_count));

SIZE(vd_host_clock_1, 16);
OFFSET(vd_host_clock_1, monotonic_ns, 0);
FUNCTION(vd_host_clock_1, monotonic_ns, int64_t (*)(const vd_host* host));
OFFSET(vd_host_clock_1, wall_ns, 8);
FUNCTION(vd_host_clock_1, wall_ns, int64_t (*)(const vd_host* host));

SIZE(vd_host_post_1, 8);
OFFSET(vd_host_post_1, post, 0);
FUNCTION(vd_host_post_1, post,
         int32_t (*)(const vd_host* host, uint32_t lane, vd_task_fn task, void* user));

SIZE(vd_host_timer_1, 16);
OFFSET(vd_host_timer_1, arm, 0);
FUNCTION(vd_host_timer_1, arm,
         int32_t (*)(const vd_host* host, uint32_t lane, int64_t delay_ns, vd_task_fn task,
                     void* user, uint64_t* out));
OFFSET(vd_host_timer_1, cancel, 8);
FUNCTION(vd_host_timer_1, cancel, int32_t (*)(const vd_host* host, uint64_t timer));

SIZE(vd_host_buffer_1, 8);
OFFSET(vd_host_buffer_1, make, 0);
FUNCTION(vd_host_buffer_1, make, vd_buffer* (*)(const vd_host* host, uint64_t size));

SIZE(vd_metric, 72);
OFFSET(vd_metric, struct_size, 0);
OFFSET(vd_metric, kind, 4);
OFFSET(vd_metric, name, 8);
OFFSET(vd_metric, help, 24);
OFFSET(vd_metric, labels, 40);
OFFSET(vd_metric, label_count, 48);
OFFSET(vd_metric, bounds, 56);
OFFSET(vd_metric, bound_count, 64);

SIZE(vd_host_metrics_1, 32);
OFFSET(vd_host_metrics_1, add, 0);
FUNCTION(vd_host_metrics_1, add,
         int32_t (*)(const vd_host* host, const vd_metric* metric, uint32_t* out));
OFFSET(vd_host_metrics_1, increase, 8);
FUNCTION(vd_host_metrics_1, increase, void (*)(const vd_host* host, uint32_t metric, double delta));
OFFSET(vd_host_metrics_1, set, 16);
FUNCTION(vd_host_metrics_1, set, void (*)(const vd_host* host, uint32_t metric, double value));
OFFSET(vd_host_metrics_1, observe, 24);
FUNCTION(vd_host_metrics_1, observe, void (*)(const vd_host* host, uint32_t metric, double value));

SIZE(vd_host_health_1, 16);
OFFSET(vd_host_health_1, set, 0);
FUNCTION(vd_host_health_1, set, void (*)(const vd_host* host, uint32_t state, vd_str reason));
OFFSET(vd_host_health_1, fail, 8);
FUNCTION(vd_host_health_1, fail, void (*)(const vd_host* host, int32_t code, vd_str reason));

/* ---- deliver.h ------------------------------------------------------------------------------- */
NUMBER(VD_DATA_NONE, 0);
NUMBER(VD_DATA_DETECTION, 1);
NUMBER(VD_DATA_HEALTH, 2);
NUMBER(VD_DATA_CONFIG, 3);
NUMBER(VD_DATA_CONTROL, 4);
NUMBER(VD_PRIORITY_UNSPECIFIED, 0);
NUMBER(VD_PRIORITY_HIGH, 1);
NUMBER(VD_PRIORITY_NORMAL, 2);
NUMBER(VD_PRIORITY_LOW, 3);

SIZE(vd_message, 152);
OFFSET(vd_message, struct_size, 0);
OFFSET(vd_message, data_type, 4);
OFFSET(vd_message, token, 8);
OFFSET(vd_message, message_id, 16);
OFFSET(vd_message, device_id, 32);
OFFSET(vd_message, envelope, 48);
OFFSET(vd_message, payload, 64);
OFFSET(vd_message, event, 80);
OFFSET(vd_message, route, 96);
OFFSET(vd_message, timestamp_ns, 112);
OFFSET(vd_message, deadline_ns, 120);
OFFSET(vd_message, priority, 128);
OFFSET(vd_message, attempt, 132);
OFFSET(vd_message, attributes, 136);
OFFSET(vd_message, attribute_count, 144);

SIZE(vd_message_list, 24);
OFFSET(vd_message_list, items, 0);
OFFSET(vd_message_list, stride, 8);
OFFSET(vd_message_list, count, 16);

SIZE(vd_deliver_1, 24);
OFFSET(vd_deliver_1, credit, 0);
FUNCTION(vd_deliver_1, credit, uint32_t (*)(vd_instance* instance, uint32_t lane));
OFFSET(vd_deliver_1, deliver, 8);
FUNCTION(vd_deliver_1, deliver,
         int32_t (*)(vd_instance* instance, uint32_t lane, const vd_message_list* batch,
                     uint64_t* taken));
OFFSET(vd_deliver_1, cancel, 16);
FUNCTION(vd_deliver_1, cancel,
         void (*)(vd_instance* instance, uint32_t lane, const uint64_t* tokens, uint64_t count));

SIZE(vd_host_deliver_1, 16);
OFFSET(vd_host_deliver_1, complete, 0);
FUNCTION(vd_host_deliver_1, complete,
         void (*)(const vd_host* host, const vd_completion_list* completions));
OFFSET(vd_host_deliver_1, on_room, 8);
FUNCTION(vd_host_deliver_1, on_room, void (*)(const vd_host* host, uint32_t lane));

/* ---- submit.h -------------------------------------------------------------------------------- */

SIZE(vd_inbound, 96);
OFFSET(vd_inbound, struct_size, 0);
OFFSET(vd_inbound, reserved, 4);
OFFSET(vd_inbound, token, 8);
OFFSET(vd_inbound, route, 16);
OFFSET(vd_inbound, content, 32);
OFFSET(vd_inbound, peer, 48);
OFFSET(vd_inbound, attributes, 64);
OFFSET(vd_inbound, attribute_count, 72);
OFFSET(vd_inbound, credentials, 80);
OFFSET(vd_inbound, credential_count, 88);

SIZE(vd_inbound_list, 24);
OFFSET(vd_inbound_list, items, 0);
OFFSET(vd_inbound_list, stride, 8);
OFFSET(vd_inbound_list, count, 16);

SIZE(vd_host_submit_1, 8);
OFFSET(vd_host_submit_1, submit, 0);
FUNCTION(vd_host_submit_1, submit,
         int32_t (*)(const vd_host* host, uint32_t lane, const vd_inbound_list* batch,
                     uint64_t* taken));

SIZE(vd_submit_1, 16);
OFFSET(vd_submit_1, on_done, 0);
FUNCTION(vd_submit_1, on_done,
         void (*)(vd_instance* instance, const vd_completion_list* completions));
OFFSET(vd_submit_1, on_room, 8);
FUNCTION(vd_submit_1, on_room, void (*)(vd_instance* instance, uint32_t lane));

/* ---- call.h ---------------------------------------------------------------------------------- */

SIZE(vd_call, 152);
OFFSET(vd_call, struct_size, 0);
OFFSET(vd_call, reserved, 4);
OFFSET(vd_call, token, 8);
OFFSET(vd_call, protocol, 16);
OFFSET(vd_call, method, 32);
OFFSET(vd_call, path, 48);
OFFSET(vd_call, query, 64);
OFFSET(vd_call, body, 80);
OFFSET(vd_call, peer, 96);
OFFSET(vd_call, deadline_ns, 112);
OFFSET(vd_call, attributes, 120);
OFFSET(vd_call, attribute_count, 128);
OFFSET(vd_call, credentials, 136);
OFFSET(vd_call, credential_count, 144);

SIZE(vd_reply, 56);
OFFSET(vd_reply, struct_size, 0);
OFFSET(vd_reply, status, 4);
OFFSET(vd_reply, token, 8);
OFFSET(vd_reply, body, 16);
OFFSET(vd_reply, buffer, 32);
OFFSET(vd_reply, attributes, 40);
OFFSET(vd_reply, attribute_count, 48);

SIZE(vd_host_call_1, 24);
OFFSET(vd_host_call_1, call, 0);
FUNCTION(vd_host_call_1, call, int32_t (*)(const vd_host* host, const vd_call* call));
OFFSET(vd_host_call_1, cancel, 8);
FUNCTION(vd_host_call_1, cancel, void (*)(const vd_host* host, uint64_t token));
OFFSET(vd_host_call_1, reply, 16);
FUNCTION(vd_host_call_1, reply, void (*)(const vd_host* host, const vd_reply* reply));

SIZE(vd_call_1, 24);
OFFSET(vd_call_1, on_reply, 0);
FUNCTION(vd_call_1, on_reply, void (*)(vd_instance* instance, const vd_reply* reply));
OFFSET(vd_call_1, on_call, 8);
FUNCTION(vd_call_1, on_call,
         int32_t (*)(vd_instance* instance, uint32_t lane, const vd_call* call));
OFFSET(vd_call_1, on_cancel, 16);
FUNCTION(vd_call_1, on_cancel, void (*)(vd_instance* instance, uint32_t lane, uint64_t token));

/* ---- file.h ---------------------------------------------------------------------------------- */
NUMBER(VD_FILE_SEND, 1);
NUMBER(VD_FILE_RECEIVE, 2);

SIZE(vd_file_job, 128);
OFFSET(vd_file_job, struct_size, 0);
OFFSET(vd_file_job, direction, 4);
OFFSET(vd_file_job, token, 8);
OFFSET(vd_file_job, local_path, 16);
OFFSET(vd_file_job, remote_name, 32);
OFFSET(vd_file_job, sha256, 48);
OFFSET(vd_file_job, size, 64);
OFFSET(vd_file_job, offset, 72);
OFFSET(vd_file_job, max_bytes_per_second, 80);
OFFSET(vd_file_job, deadline_ns, 88);
OFFSET(vd_file_job, attributes, 96);
OFFSET(vd_file_job, attribute_count, 104);
OFFSET(vd_file_job, local_device, 112);
OFFSET(vd_file_job, local_inode, 120);

SIZE(vd_file_result, 72);
OFFSET(vd_file_result, struct_size, 0);
OFFSET(vd_file_result, outcome, 4);
OFFSET(vd_file_result, token, 8);
OFFSET(vd_file_result, durable_offset, 16);
OFFSET(vd_file_result, code, 24);
OFFSET(vd_file_result, reserved, 28);
OFFSET(vd_file_result, retry_after_ns, 32);
OFFSET(vd_file_result, sha256, 40);
OFFSET(vd_file_result, detail, 56);

SIZE(vd_file_1, 24);
OFFSET(vd_file_1, credit, 0);
FUNCTION(vd_file_1, credit, uint32_t (*)(vd_instance* instance));
OFFSET(vd_file_1, begin, 8);
FUNCTION(vd_file_1, begin,
         int32_t (*)(vd_instance* instance, uint32_t lane, const vd_file_job* job,
                     vd_error* error));
OFFSET(vd_file_1, cancel, 16);
FUNCTION(vd_file_1, cancel, void (*)(vd_instance* instance, uint32_t lane, uint64_t token));

SIZE(vd_leftover, 40);
OFFSET(vd_leftover, struct_size, 0);
OFFSET(vd_leftover, reserved, 4);
OFFSET(vd_leftover, remote_name, 8);
OFFSET(vd_leftover, sha256, 24);

SIZE(vd_discard_1, 8);
OFFSET(vd_discard_1, discard, 0);
FUNCTION(vd_discard_1, discard,
         int32_t (*)(vd_instance* instance, uint32_t lane, const vd_leftover* leftover,
                     vd_error* error));

SIZE(vd_host_file_1, 16);
OFFSET(vd_host_file_1, progress, 0);
FUNCTION(vd_host_file_1, progress,
         void (*)(const vd_host* host, uint64_t token, uint64_t moved, uint64_t durable_offset));
OFFSET(vd_host_file_1, done, 8);
FUNCTION(vd_host_file_1, done, void (*)(const vd_host* host, const vd_file_result* result));

/* ---- probe.h --------------------------------------------------------------------------------- */

SIZE(vd_probe, 24);
OFFSET(vd_probe, struct_size, 0);
OFFSET(vd_probe, payload_size, 4);
OFFSET(vd_probe, token, 8);
OFFSET(vd_probe, deadline_ns, 16);

SIZE(vd_probe_result, 56);
OFFSET(vd_probe_result, struct_size, 0);
OFFSET(vd_probe_result, code, 4);
OFFSET(vd_probe_result, token, 8);
OFFSET(vd_probe_result, round_trip_ns, 16);
OFFSET(vd_probe_result, bytes_sent, 24);
OFFSET(vd_probe_result, bytes_received, 32);
OFFSET(vd_probe_result, detail, 40);

SIZE(vd_probe_1, 8);
OFFSET(vd_probe_1, probe, 0);
FUNCTION(vd_probe_1, probe,
         int32_t (*)(vd_instance* instance, uint32_t lane, const vd_probe* probe));

SIZE(vd_host_probe_1, 8);
OFFSET(vd_host_probe_1, done, 0);
FUNCTION(vd_host_probe_1, done, void (*)(const vd_host* host, const vd_probe_result* result));

/* ---- frame.h --------------------------------------------------------------------------------- */
NUMBER(VD_MAX_PLANES, 4);

SIZE(vd_plane, 24);
OFFSET(vd_plane, offset, 0);
OFFSET(vd_plane, size, 8);
OFFSET(vd_plane, stride, 16);
OFFSET(vd_plane, reserved, 20);

SIZE(vd_frame, 184);
OFFSET(vd_frame, struct_size, 0);
OFFSET(vd_frame, fourcc, 4);
OFFSET(vd_frame, width, 8);
OFFSET(vd_frame, height, 12);
OFFSET(vd_frame, modifier, 16);
OFFSET(vd_frame, plane_count, 24);
OFFSET(vd_frame, descriptor, 28);
OFFSET(vd_frame, planes, 32);
OFFSET(vd_frame, buffer, 128);
OFFSET(vd_frame, ticket, 136);
OFFSET(vd_frame, sequence, 144);
OFFSET(vd_frame, capture_ns, 152);
OFFSET(vd_frame, deadline_ns, 160);
OFFSET(vd_frame, source, 168);

SIZE(vd_source_1, 16);
OFFSET(vd_source_1, on_room, 0);
FUNCTION(vd_source_1, on_room, void (*)(vd_instance* instance, uint32_t frames));
OFFSET(vd_source_1, on_frame_done, 8);
FUNCTION(vd_source_1, on_frame_done,
         void (*)(vd_instance* instance, uint64_t ticket, uint32_t outcome));

SIZE(vd_host_source_1, 8);
OFFSET(vd_host_source_1, push, 0);
FUNCTION(vd_host_source_1, push, int32_t (*)(const vd_host* host, const vd_frame* frame));

SIZE(vd_crop, 48);
OFFSET(vd_crop, struct_size, 0);
OFFSET(vd_crop, reserved, 4);
OFFSET(vd_crop, name, 8);
OFFSET(vd_crop, media_type, 24);
OFFSET(vd_crop, buffer, 40);

SIZE(vd_infer_result, 80);
OFFSET(vd_infer_result, struct_size, 0);
OFFSET(vd_infer_result, outcome, 4);
OFFSET(vd_infer_result, ticket, 8);
OFFSET(vd_infer_result, code, 16);
OFFSET(vd_infer_result, reserved, 20);
OFFSET(vd_infer_result, result, 24);
OFFSET(vd_infer_result, crops, 40);
OFFSET(vd_infer_result, crop_stride, 48);
OFFSET(vd_infer_result, crop_count, 56);
OFFSET(vd_infer_result, detail, 64);

SIZE(vd_infer_1, 24);
OFFSET(vd_infer_1, credit, 0);
FUNCTION(vd_infer_1, credit, uint32_t (*)(vd_instance* instance));
OFFSET(vd_infer_1, infer, 8);
FUNCTION(vd_infer_1, infer,
         int32_t (*)(vd_instance* instance, uint32_t lane, uint64_t ticket, const vd_frame* frame,
                     vd_str options));
OFFSET(vd_infer_1, cancel, 16);
FUNCTION(vd_infer_1, cancel, void (*)(vd_instance* instance, uint32_t lane, uint64_t ticket));

SIZE(vd_host_infer_1, 8);
OFFSET(vd_host_infer_1, done, 0);
FUNCTION(vd_host_infer_1, done, void (*)(const vd_host* host, const vd_infer_result* result));

/* ---- module.h -------------------------------------------------------------------------------- */
NUMBER(VD_MAX_LANES, 64);

SIZE(vd_module, 120);
OFFSET(vd_module, struct_size, 0);
OFFSET(vd_module, abi_major, 4);
OFFSET(vd_module, abi_minor, 6);
OFFSET(vd_module, min_host_minor, 8);
OFFSET(vd_module, reserved, 10);
OFFSET(vd_module, max_lanes, 12);
OFFSET(vd_module, name, 16);
OFFSET(vd_module, version, 32);
OFFSET(vd_module, summary, 48);
OFFSET(vd_module, licence, 64);
OFFSET(vd_module, config_schema, 80);
OFFSET(vd_module, interfaces, 96);
OFFSET(vd_module, interface_count, 104);
OFFSET(vd_module, lifecycle, 112);

_Static_assert(VD_FOURCC('R', 'G', 'B', '3') == UINT32_C(0x33424752), "fourcc");
_Static_assert(VD_FOURCC_JPEG == UINT32_C(0x4745504a), "fourcc");
_Static_assert(__builtin_types_compatible_p(vd_module_entry_fn, const vd_module* (*)(void)),
               "vd_module_entry_fn");
_Static_assert(__builtin_types_compatible_p(vd_task_fn, void (*)(void*)), "vd_task_fn");

/* Ids can not be compared at compile time. */
static const char* const kTexts[][2] = {
    {VD_HOST_CONFIG_1, "viaduct.host.config/1"},
    {VD_LIFECYCLE_1, "viaduct.lifecycle/1"},
    {VD_HOST_LOG_1, "viaduct.host.log/1"},
    {VD_HOST_CLOCK_1, "viaduct.host.clock/1"},
    {VD_HOST_POST_1, "viaduct.host.post/1"},
    {VD_HOST_TIMER_1, "viaduct.host.timer/1"},
    {VD_HOST_BUFFER_1, "viaduct.host.buffer/1"},
    {VD_HOST_METRICS_1, "viaduct.host.metrics/1"},
    {VD_HOST_HEALTH_1, "viaduct.host.health/1"},
    {VD_ATTR_BACKLOG, "backlog"},
    {VD_DELIVER_1, "viaduct.deliver/1"},
    {VD_PUBLISH_1, "viaduct.publish/1"},
    {VD_HOST_DELIVER_1, "viaduct.host.deliver/1"},
    {VD_HOST_SUBMIT_1, "viaduct.host.submit/1"},
    {VD_SUBMIT_1, "viaduct.submit/1"},
    {VD_HOST_CALL_1, "viaduct.host.call/1"},
    {VD_CALL_1, "viaduct.call/1"},
    {VD_FILE_1, "viaduct.file/1"},
    {VD_DISCARD_1, "viaduct.discard/1"},
    {VD_HOST_FILE_1, "viaduct.host.file/1"},
    {VD_PROBE_1, "viaduct.probe/1"},
    {VD_HOST_PROBE_1, "viaduct.host.probe/1"},
    {VD_SOURCE_1, "viaduct.source/1"},
    {VD_HOST_SOURCE_1, "viaduct.host.source/1"},
    {VD_INFER_1, "viaduct.infer/1"},
    {VD_HOST_INFER_1, "viaduct.host.infer/1"},
    {VD_MODULE_ENTRY, "vd_module_entry"},
};

int main(void) {
  for (size_t i = 0; i < sizeof(kTexts) / sizeof(kTexts[0]); ++i) {
    if (strcmp(kTexts[i][0], kTexts[i][1]) != 0) return 1;
  }
  return 0;
}
