// The names of core/base that the spool is built on. Internal to core/spool.
#pragma once

#include "core/base/disk_files.h"
#include "core/base/sqlite.h"

namespace viaduct::spool_internal {

using disk::FileExists;
using disk::FileSize;
using disk::FreeBytes;
using disk::LockFile;
using disk::ReadStart;
using disk::RemoveFile;
using disk::RenameFile;
using disk::SpaceReserve;
using disk::SyncDirectoryOf;
using disk::SyncFile;
using sqlite::Execute;
using sqlite::OpenSqlite;
using sqlite::QueryInt;
using sqlite::SqliteHandle;
using sqlite::SqliteStatus;
using sqlite::Statement;

}  // namespace viaduct::spool_internal
