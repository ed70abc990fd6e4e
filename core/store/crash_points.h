// Names of all crash points in core/store, in no order; see core/base/crash_point.h. Tests kill the
// process at each.
#pragma once

namespace viaduct {

inline constexpr const char* kStoreCrashPoints[] = {
    "store.migrate.before",   "store.migrate.commit",   "store.migrate.after",
    "store.group.begin",      "store.group.written",    "store.group.committed",
    "store.answer.before",    "store.answer.after",     "store.checkpoint.before",
    "store.checkpoint.after", "store.set_aside.before", "store.set_aside.between",
    "store.set_aside.moved",  "store.set_aside.after",  "store.salvage.before",
    "store.salvage.after",    "store.image.write",      "store.image.intent",
    "store.image.folder",     "store.image.renamed",    "store.image.synced",
    "store.image.committed",  "store.file.take",        "store.file.renamed",
    "store.file.synced",
};

}  // namespace viaduct
