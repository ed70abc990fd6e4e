/*
 * viaduct/abi/frame.h - pictures in, results out: viaduct.source/1 and viaduct.infer/1.
 *
 *   source plugin --push(frame)--> host --infer(frame, ticket)--> inference plugin
 *                <--on_frame_done--    <--done(ticket, result)--
 *
 * Nothing queues without limit: a frame that is too late is completed EXPIRED.
 */
#ifndef VIADUCT_ABI_FRAME_H_
#define VIADUCT_ABI_FRAME_H_

#include "lifecycle.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VD_MAX_PLANES 4

/* Pixel formats are DRM FourCC codes (drm_fourcc.h); "JPEG" as FourCC for a compressed picture. */
#define VD_FOURCC(a, b, c, d)                                                      \
  ((UINT32_C(0x1) * (a)) | (UINT32_C(0x100) * (b)) | (UINT32_C(0x10000) * (c)) | \
   (UINT32_C(0x1000000) * (d)))
#define VD_FOURCC_JPEG VD_FOURCC('J', 'P', 'E', 'G')

/* One plane inside the frame's memory. Frozen. */
typedef struct vd_plane {
  uint64_t offset; /* from the start of the buffer or descriptor */
  uint64_t size;
  uint32_t stride; /* octets a row; 0 for compressed pictures */
  uint32_t reserved;
} vd_plane;

typedef struct vd_frame {
  uint32_t struct_size;
  uint32_t fourcc;
  uint32_t width;  /* pixels */
  uint32_t height;
  uint64_t modifier;    /* DRM format modifier; 0: linear */
  uint32_t plane_count; /* 1 to VD_MAX_PLANES */
  int32_t descriptor;   /* dma-buf or memfd, borrowed like the rest; -1: none */
  vd_plane planes[VD_MAX_PLANES];
  vd_buffer *buffer;    /* the octets, counted; NULL when only the descriptor has them */
  uint64_t ticket;      /* the pusher's name for the frame */
  uint64_t sequence;    /* of the source, growing; gaps are frames that the source lost */
  int64_t capture_ns;   /* since 1970 UTC: when the light fell in */
  int64_t deadline_ns;  /* monotonic; 0: none. After it nobody wants the result */
  vd_str source;        /* name of the camera or stream */
} vd_frame;

/* ---- source --------------------------------------------------------------------------------- */

/* Implemented by the plugin. */
#define VD_SOURCE_1 "viaduct.source/1"
typedef struct vd_source_1 {
  /* How many frames the host will take before it must see room again; pushes beyond it are refused.
   * A source pushes only while it has room, and drops the oldest of its own otherwise. Does not
   * block. Cannot fail.
   * [any; started] */
  void (*on_room)(vd_instance *instance, uint32_t frames);
  /* A pushed frame has ended: DURABLE (a result exists), EXPIRED, REJECT or CANCELLED. Does not
   * block. Cannot fail.
   * [any; started, draining] */
  void (*on_frame_done)(vd_instance *instance, uint64_t ticket, uint32_t outcome);
} vd_source_1;

/* Offered by the host. */
#define VD_HOST_SOURCE_1 "viaduct.host.source/1"
typedef struct vd_host_source_1 {
  /* Hands a frame over; it ends with one on_frame_done. The frame is borrowed; the host takes its
   * own reference to the buffer. Does not block. VD_RESOURCE_EXHAUSTED: no room, the frame was not
   * taken; VD_INVALID_ARGUMENT: planes outside the buffer, or sizes beyond the limits;
   * VD_ALREADY_EXISTS: the ticket is under way; VD_FAILED_PRECONDITION: not started, or stop has
   * begun. Then no on_frame_done will come for this push.
   * [any; started] */
  int32_t (*push)(const vd_host *host, const vd_frame *frame);
} vd_host_source_1;

/* ---- infer ---------------------------------------------------------------------------------- */

/* A picture cut out of the frame. */
typedef struct vd_crop {
  uint32_t struct_size;
  uint32_t reserved;  /* 0 */
  vd_str name;        /* "plate_0" */
  vd_str media_type;  /* "image/jpeg" */
  vd_buffer *buffer;  /* counted */
} vd_crop;

typedef struct vd_infer_result {
  uint32_t struct_size;
  uint32_t outcome;    /* VD_OUTCOME_DURABLE: there is a result */
  uint64_t ticket;
  int32_t code;
  uint32_t reserved;   /* 0 */
  vd_str result;       /* JSON object, the payload of a detection */
  const vd_crop *crops; /* the i-th is at (const char *)crops + i * crop_stride */
  uint64_t crop_stride;
  uint64_t crop_count;
  vd_str detail;       /* for people */
} vd_infer_result;

/* Implemented by the plugin. */
#define VD_INFER_1 "viaduct.infer/1"
typedef struct vd_infer_1 {
  /* How many more frames the instance would take now. Does not block. Cannot fail.
   * [any; started] */
  uint32_t (*credit)(vd_instance *instance);
  /* Takes a frame for inference under `ticket`; it ends with one done. `options` is a JSON object
   * or "". All is borrowed (the buffer is counted). Does not block.
   * VD_RESOURCE_EXHAUSTED: no credit; VD_INVALID_ARGUMENT: a format it can not read. Then no done
   * will come.
   * [lane; started] */
  int32_t (*infer)(vd_instance *instance, uint32_t lane, uint64_t ticket, const vd_frame *frame,
                   vd_str options);
  /* The result is no longer wanted. A ticket that is not held is ignored. Does not block. Cannot
   * fail.
   * [lane; started, draining] */
  void (*cancel)(vd_instance *instance, uint32_t lane, uint64_t ticket);
} vd_infer_1;

/* Offered by the host. */
#define VD_HOST_INFER_1 "viaduct.host.infer/1"
typedef struct vd_host_infer_1 {
  /* Ends an inference. All is borrowed (crops' buffers are counted). Does not block. Cannot fail.
   * [any; started, draining] */
  void (*done)(const vd_host *host, const vd_infer_result *result);
} vd_host_infer_1;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_FRAME_H_ */
