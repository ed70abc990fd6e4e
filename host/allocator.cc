// The allocator of the whole process, plugins included: jemalloc, because messages are made on one
// thread and freed on another all the time (docs/adr/0009-jemalloc.md).
#include <jemalloc/jemalloc.h>

// Read by jemalloc when it starts; its manual explains the words.
// narenas: a node has a handful of busy threads, and each arena keeps pages of its own.
// background_thread: a node at rest gives back what a burst took.
const char* malloc_conf =
    "narenas:4,background_thread:true,max_background_threads:1,dirty_decay_ms:1000,"
    "muzzy_decay_ms:0";

// A reference, so that no linker leaves the library out as unused.
__attribute__((used)) static auto* const kLinked = &mallctl;
