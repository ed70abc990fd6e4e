// SQLite's record format, read from bytes that may be anything. Internal to core/spool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/spool/raw_pages.h"

namespace viaduct::spool_internal {

// Reads a variable-length integer at data[*at] and moves *at behind it; false past the end.
bool ReadVarint(const unsigned char* data, size_t size, size_t* at, uint64_t* value);

// Decides by its shape which table a record belongs to, checks it and gives it to the visitor.
void VisitRecord(int64_t rowid, std::string_view payload, const RowVisitor& visitor);

}  // namespace viaduct::spool_internal
