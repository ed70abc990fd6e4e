// The host side of viaduct.file/1.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "core/plugin/file_road.h"
#include "core/plugin/ticket_table.h"
#include "viaduct/abi/abi.h"

namespace viaduct {

// Thread-safe.
class FileSide {
 public:
  explicit FileSide(Incarnation* owner);

  size_t Credit();
  absl::StatusOr<uint64_t> Begin(FileJob job, FileProgressFn progress, FileDoneFn done);
  void Cancel(uint64_t ticket);
  absl::Status Discard(FileLeftover leftover);
  void CancelAll();

  static const vd_host_file_1* Table();

 private:
  struct Transfer {
    FileProgressFn progress;
    FileDoneFn done;
    uint64_t durable_offset = 0;
  };
  void Send(uint64_t ticket, uint32_t lane, const FileJob& job, int64_t deadline_ns);
  bool Finish(uint64_t ticket, FileResult result);
  uint32_t LaneOf(uint64_t ticket) const;

  static void OnProgress(const vd_host* host, uint64_t token, uint64_t moved, uint64_t durable);
  static void OnDone(const vd_host* host, const vd_file_result* result);

  Incarnation* const owner_;
  TicketTable<Transfer> transfers_;
};

}  // namespace viaduct
