#include "core/store/faulty_vfs.h"

#include <cstring>

namespace viaduct {

// Stands before the real file's own memory.
struct FaultyVfs::File {
  sqlite3_file base;
  FaultyVfs* owner;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

sqlite3_file* FaultyVfs::Inner(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }

namespace {

constexpr const char* kName = "viaduct-faulty";

}  // namespace

FaultyVfs::FaultyVfs() : real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
  vfs_.zName = kName;
  vfs_.pAppData = this;
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
  vfs_.xOpen = &FaultyVfs::Open;
  methods_.iVersion = 2;
  methods_.xClose = [](sqlite3_file* f) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods == nullptr ? SQLITE_OK : inner->pMethods->xClose(inner);
  };
  methods_.xRead = [](sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xRead(inner, data, size, at);
  };
  methods_.xWrite = &FaultyVfs::Write;
  methods_.xSync = &FaultyVfs::Sync;
  methods_.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xTruncate(inner, size);
  };
  methods_.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xFileSize(inner, size);
  };
  methods_.xLock = [](sqlite3_file* f, int level) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xLock(inner, level);
  };
  methods_.xUnlock = [](sqlite3_file* f, int level) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xUnlock(inner, level);
  };
  methods_.xCheckReservedLock = [](sqlite3_file* f, int* out) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xCheckReservedLock(inner, out);
  };
  methods_.xFileControl = [](sqlite3_file* f, int op, void* arg) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xFileControl(inner, op, arg);
  };
  methods_.xSectorSize = [](sqlite3_file* f) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xSectorSize(inner);
  };
  methods_.xDeviceCharacteristics = [](sqlite3_file* f) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xDeviceCharacteristics(inner);
  };
  methods_.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xShmMap(inner, page, size, extend, out);
  };
  methods_.xShmLock = [](sqlite3_file* f, int offset, int n, int flags) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xShmLock(inner, offset, n, flags);
  };
  methods_.xShmBarrier = [](sqlite3_file* f) {
    sqlite3_file* const inner = Inner(f);
    inner->pMethods->xShmBarrier(inner);
  };
  methods_.xShmUnmap = [](sqlite3_file* f, int remove) {
    sqlite3_file* const inner = Inner(f);
    return inner->pMethods->xShmUnmap(inner, remove);
  };
  sqlite3_vfs_register(&vfs_, /*makeDflt=*/1);
}

FaultyVfs::~FaultyVfs() {
  sqlite3_vfs_unregister(&vfs_);
  sqlite3_vfs_register(real_, /*makeDflt=*/1);
}

int FaultyVfs::Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
  auto* const self = static_cast<FaultyVfs*>(vfs->pAppData);
  auto* const opened = reinterpret_cast<File*>(file);
  opened->owner = self;
  opened->base.pMethods = nullptr;
  std::memset(opened->real(), 0, static_cast<size_t>(self->real_->szOsFile));
  const int code = self->real_->xOpen(self->real_, name, opened->real(), flags, out);
  if (opened->real()->pMethods != nullptr) opened->base.pMethods = &self->methods_;
  return code;
}

int FaultyVfs::Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  auto* const f = reinterpret_cast<File*>(file);
  const int code = f->owner->write_code_;
  if (code != SQLITE_OK) return code;
  return f->real()->pMethods->xWrite(f->real(), data, size, offset);
}

int FaultyVfs::Sync(sqlite3_file* file, int flags) {
  auto* const f = reinterpret_cast<File*>(file);
  const int code = f->owner->sync_code_;
  if (code != SQLITE_OK) return code;
  return f->real()->pMethods->xSync(f->real(), flags);
}

}  // namespace viaduct
