/*
 * viaduct/abi/base.h - the small types that every other header of the ABI uses.
 *
 * The headers of this folder are the specification of Viaduct's plugin ABI, version 1. They are
 * plain C (C99 to C17, C++11 to C++20), need nothing but <stdint.h>, and describe a boundary
 * between two parties that share no allocator, no C++ runtime and no exceptions:
 *
 *   host    the program that loads the plugin;
 *   plugin  the shared library; it exports one symbol, vd_module_entry (module.h), and imports
 *           none of the host: everything it needs comes through function tables.
 *
 * How to read a function pointer's comment
 *   It says, in this order: what the function does, who owns what, whether it blocks, which errors
 *   it may return, and on its last line a tag in square brackets:
 *
 *   [control; STATES]  one call at a time per instance, on a thread of the host; may block.
 *   [lane; STATES]     one call at a time per (instance, lane); different lanes run in parallel;
 *                      must return quickly (microseconds), never waits for a peer.
 *   [any; STATES]      any thread, also several at once; never blocks.
 *
 *   Who may call whom: a plugin may call [any] functions of the host from inside whatever the host
 *   calls, and may hold a lock of its own while it does: the host never calls the plugin on that
 *   same stack. The host holds no lock while it calls a plugin. The two functions of vd_buffer are
 *   leaves: they call nobody, and both parties may call them from anywhere.
 *
 *   STATES are the states of the instance (lifecycle.h) in which the call may be made: none (before
 *   create), created, configured, started, draining, stopped, or "all" for from the beginning of
 *   create to the end of destroy. A state lasts until the call that ends it has returned; only
 *   "started" begins already when start is entered. Calls that are tagged "module" concern no
 *   instance.
 *
 *   Happens-before: what one party wrote before a call is visible to the other inside it.
 *
 * How the ABI grows
 *   - Function tables (structs of function pointers) never change. Each has an id with a revision,
 *     "viaduct.deliver/1"; a new need is a new id. Ids of third parties begin with a reverse
 *     domain, "org.example.thing/1". Asking for an unknown id gives NULL, which is never an error.
 *   - Data structs begin with `struct_size`, set by the writer to its own sizeof, and grow only at
 *     the end. The reader looks at no more than the smaller of both sizes; fields beyond the
 *     writer's size read as zero, and zero always means the old behaviour. A larger struct than
 *     one's own is normal. Arrays of such structs are passed with a stride.
 *   - Value structs without struct_size (vd_str, vd_bytes, vd_attr, vd_buffer, lists, vd_plane) are
 *     frozen for ever.
 *   - Numbers once given are never given again.
 *
 * Ownership
 *   Every argument is borrowed: it is valid until the call returns and not longer. The one
 *   exception is vd_buffer, which is counted. Nothing is ever freed by the other party's allocator.
 *
 * Text is UTF-8, pointer and length, not necessarily terminated. Times that end in `_ns` are
 * nanoseconds: of the monotonic clock for deadlines and delays, since 1970-01-01 UTC for stamps.
 */
#ifndef VIADUCT_ABI_BASE_H_
#define VIADUCT_ABI_BASE_H_

#include <stdint.h>

/* The version of these headers. Another major: refused. A newer minor of the plugin: loads where
 * its min_host_minor allows it. */
#define VD_ABI_MAJOR 1
#define VD_ABI_MINOR 1

#if defined(__GNUC__) || defined(__clang__)
#define VD_EXPORT __attribute__((visibility("default")))
#else
#define VD_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed UTF-8 text. data may be NULL when size is 0. Frozen. */
typedef struct vd_str {
  const char *data;
  uint64_t size;
} vd_str;

/* Initialises a vd_str with a string literal. */
#define VD_STR_LITERAL(text) \
  { (text), sizeof(text) - 1 }

/* Borrowed octets. data may be NULL when size is 0. Frozen. */
typedef struct vd_bytes {
  const uint8_t *data;
  uint64_t size;
} vd_bytes;

/* A name and a value: a header, a credential, a label. Frozen. */
typedef struct vd_attr {
  vd_str name;
  vd_str value;
} vd_attr;

/*
 * A counted block of memory, made by either party and kept by either party. Who receives one in a
 * call and wants to keep it calls ref before the call returns, and unref when done; the maker
 * frees it when the last reference goes. The octets do not change while somebody else holds a
 * reference. Of what the other party made, the host holds no reference any more when it calls
 * destroy, and a plugin none when its destroy returns. Frozen.
 */
typedef struct vd_buffer vd_buffer;
struct vd_buffer {
  uint8_t *data;
  uint64_t size;
  /* Takes one more reference. Does not block. Cannot fail.
   * [any; all] */
  void (*ref)(vd_buffer *self);
  /* Gives one reference back; the buffer is gone with the last. Does not block. Cannot fail.
   * [any; all] */
  void (*unref)(vd_buffer *self);
};

/* Result codes: the numbers of google.rpc.Code. A function that returns int32_t returns one of
 * these; a number that the reader does not know counts as VD_UNKNOWN. The code says what the
 * caller should do. */
#define VD_OK INT32_C(0)
#define VD_CANCELLED INT32_C(1)
#define VD_UNKNOWN INT32_C(2)
#define VD_INVALID_ARGUMENT INT32_C(3)    /* fix the input */
#define VD_DEADLINE_EXCEEDED INT32_C(4)
#define VD_NOT_FOUND INT32_C(5)
#define VD_ALREADY_EXISTS INT32_C(6)
#define VD_PERMISSION_DENIED INT32_C(7)
#define VD_RESOURCE_EXHAUSTED INT32_C(8)  /* slow down */
#define VD_FAILED_PRECONDITION INT32_C(9) /* fix the state */
#define VD_ABORTED INT32_C(10)
#define VD_OUT_OF_RANGE INT32_C(11)
#define VD_UNIMPLEMENTED INT32_C(12)
#define VD_INTERNAL INT32_C(13)           /* a bug of the one who returns it */
#define VD_UNAVAILABLE INT32_C(14)        /* try again later */
#define VD_DATA_LOSS INT32_C(15)
#define VD_UNAUTHENTICATED INT32_C(16)

/*
 * Why a call failed, in memory of the caller, who sets struct_size and zeroes the rest before the
 * call. May be NULL: then nobody wants to know. The callee fills it only when it fails, and writes
 * no more than min(its own sizeof, struct_size). Both texts end with NUL, cut where too long (at a
 * character), and hold no secret.
 */
typedef struct vd_error {
  uint32_t struct_size;
  int32_t code;       /* the same as the returned code */
  char pointer[248];  /* JSON pointer into the instance's config where that applies, or "" */
  char message[768];  /* "<subject>: <what>, <detail>" */
} vd_error;

/* How a message, file or frame ended. Exactly one per taken item. */
#define VD_OUTCOME_DURABLE UINT32_C(1)   /* confirmed as stored by the one who takes it over */
#define VD_OUTCOME_RETRY UINT32_C(2)     /* not now; may be tried again, here or elsewhere */
#define VD_OUTCOME_REJECT UINT32_C(3)    /* can never succeed */
#define VD_OUTCOME_EXPIRED UINT32_C(4)   /* too late */
#define VD_OUTCOME_CANCELLED UINT32_C(5) /* taken back, or the instance stops */

/*
 * How one item ended, reported by its token. Used by deliver.h and submit.h.
 */
typedef struct vd_completion {
  uint32_t struct_size;
  uint32_t outcome;       /* VD_OUTCOME_... */
  uint64_t token;         /* the one that came with the item */
  int32_t code;           /* why, VD_OK with DURABLE */
  uint32_t duplicate;     /* 1: was stored before already (with DURABLE) */
  int64_t retry_after_ns; /* with RETRY: the peer asked to wait this long; 0: the host decides */
  vd_str detail;          /* for people, no secret */
} vd_completion;

typedef struct vd_completion_list {
  const vd_completion *items; /* the i-th is at (const char *)items + i * stride */
  uint64_t stride;
  uint64_t count;
} vd_completion_list; /* Frozen. */

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VIADUCT_ABI_BASE_H_ */
