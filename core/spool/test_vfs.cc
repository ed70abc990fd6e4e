#include "core/spool/test_vfs.h"

#include <cstring>
#include <utility>

namespace viaduct {

// SQLite allocates szOsFile bytes: ours, then the real one's.
struct TestVfs::File {
  sqlite3_file base;
  TestVfs* owner;
  const char* path;  // SQLite keeps it alive while the file is open.
  bool database;
  sqlite3_io_methods methods;

  sqlite3_file* real() {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(this) + sizeof(File));
  }
  static File* From(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
};

TestVfs::TestVfs(const char* name) : name_(name), real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
  vfs_.pNext = nullptr;
  vfs_.xOpen = &TestVfs::Open;
  vfs_.xDelete = &TestVfs::Delete;
  sqlite3_vfs_register(&vfs_, 0);
}

TestVfs::~TestVfs() { sqlite3_vfs_unregister(&vfs_); }

void TestVfs::StartRecording() {
  absl::MutexLock lock(&mutex_);
  recording_ = true;
  events_.clear();
}

void TestVfs::Note(VfsEvent event) {
  absl::MutexLock lock(&mutex_);
  if (recording_) events_.push_back(std::move(event));
}

void TestVfs::Mark(const std::string& text) {
  VfsEvent event;
  event.data = text;
  Note(std::move(event));
}

std::vector<VfsEvent> TestVfs::Events() const {
  absl::MutexLock lock(&mutex_);
  return events_;
}

int TestVfs::Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out) {
  auto* self = static_cast<TestVfs*>(vfs->pAppData);
  File* ours = File::From(file);
  ours->base.pMethods = nullptr;
  ours->owner = self;
  ours->path = path;
  ours->database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
  std::memset(ours->real(), 0, static_cast<size_t>(self->real_->szOsFile));
  const int code = self->real_->xOpen(self->real_, path, ours->real(), flags, out);
  if (ours->real()->pMethods == nullptr) return code;
  sqlite3_io_methods& m = ours->methods;
  m = sqlite3_io_methods();
  m.iVersion = 2;
  m.xClose = &TestVfs::Close;
  m.xRead = &TestVfs::Read;
  m.xWrite = &TestVfs::Write;
  m.xTruncate = &TestVfs::Truncate;
  m.xSync = &TestVfs::Sync;
#define VD_PASS(method) ->pMethods->method
  m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
    return File::From(f)->real() VD_PASS(xFileSize)(File::From(f)->real(), size);
  };
  m.xLock = [](sqlite3_file* f, int level) {
    return File::From(f)->real() VD_PASS(xLock)(File::From(f)->real(), level);
  };
  m.xUnlock = [](sqlite3_file* f, int level) {
    return File::From(f)->real() VD_PASS(xUnlock)(File::From(f)->real(), level);
  };
  m.xCheckReservedLock = [](sqlite3_file* f, int* held) {
    return File::From(f)->real() VD_PASS(xCheckReservedLock)(File::From(f)->real(), held);
  };
  m.xFileControl = [](sqlite3_file* f, int op, void* argument) {
    return File::From(f)->real() VD_PASS(xFileControl)(File::From(f)->real(), op, argument);
  };
  m.xSectorSize = [](sqlite3_file* f) {
    return File::From(f)->real() VD_PASS(xSectorSize)(File::From(f)->real());
  };
  m.xDeviceCharacteristics = [](sqlite3_file* f) {
    return File::From(f)->real() VD_PASS(xDeviceCharacteristics)(File::From(f)->real());
  };
  m.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** out_page) {
    return File::From(f)->real()
        VD_PASS(xShmMap)(File::From(f)->real(), page, size, extend, out_page);
  };
  m.xShmLock = [](sqlite3_file* f, int offset, int n, int lock_flags) {
    return File::From(f)->real() VD_PASS(xShmLock)(File::From(f)->real(), offset, n, lock_flags);
  };
  m.xShmBarrier = [](sqlite3_file* f) {
    File::From(f)->real() VD_PASS(xShmBarrier)(File::From(f)->real());
  };
  m.xShmUnmap = [](sqlite3_file* f, int remove) {
    return File::From(f)->real() VD_PASS(xShmUnmap)(File::From(f)->real(), remove);
  };
#undef VD_PASS
  ours->base.pMethods = &ours->methods;
  return code;
}

int TestVfs::Delete(sqlite3_vfs* vfs, const char* path, int sync_directory) {
  auto* self = static_cast<TestVfs*>(vfs->pAppData);
  VfsEvent event;
  event.kind = VfsEvent::Kind::kDelete;
  event.path = path;
  self->Note(std::move(event));
  return self->real_->xDelete(self->real_, path, sync_directory);
}

int TestVfs::Close(sqlite3_file* file) {
  sqlite3_file* real = File::From(file)->real();
  return real->pMethods->xClose(real);
}

int TestVfs::Read(sqlite3_file* file, void* data, int size, sqlite3_int64 offset) {
  File* ours = File::From(file);
  const int code = ours->real()->pMethods->xRead(ours->real(), data, size, offset);
  if (ours->owner->damage_reads_ && ours->database && size >= 512 && offset > 0) {
    static_cast<unsigned char*>(data)[size / 2] ^= 0xff;
  }
  return code;
}

int TestVfs::Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  File* ours = File::From(file);
  if (ours->owner->fail_writes_ != 0) return ours->owner->fail_writes_;
  VfsEvent event;
  event.kind = VfsEvent::Kind::kWrite;
  event.path = ours->path;
  event.offset = offset;
  event.data.assign(static_cast<const char*>(data), static_cast<size_t>(size));
  ours->owner->Note(std::move(event));
  return ours->real()->pMethods->xWrite(ours->real(), data, size, offset);
}

int TestVfs::Truncate(sqlite3_file* file, sqlite3_int64 size) {
  File* ours = File::From(file);
  VfsEvent event;
  event.kind = VfsEvent::Kind::kTruncate;
  event.path = ours->path;
  event.offset = size;
  ours->owner->Note(std::move(event));
  return ours->real()->pMethods->xTruncate(ours->real(), size);
}

int TestVfs::Sync(sqlite3_file* file, int flags) {
  File* ours = File::From(file);
  if (ours->owner->fail_syncs_ != 0) return ours->owner->fail_syncs_;
  const int code = ours->real()->pMethods->xSync(ours->real(), flags);
  VfsEvent event;  // Noted when it has returned: only then is it durable.
  event.kind = VfsEvent::Kind::kSync;
  event.path = ours->path;
  ours->owner->Note(std::move(event));
  return code;
}

}  // namespace viaduct
