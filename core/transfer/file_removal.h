// Removes the local file of a transfer that needs it no more. Nothing else of a node removes one.
#pragma once

#include "core/observe/log.h"
#include "core/transfer/local_file.h"
#include "core/transfer/transfer_queue.h"

namespace viaduct {

// Thread-safe.
class FileRemoval {
 public:
  // All outlive it.
  FileRemoval(TransferQueue* queue, const OwnedFolder* owned, Log* log)
      : queue_(queue), owned_(owned), log_(log) {}

  // `row` is one that the queue has committed. One that is done loses its file, if that is held,
  // still the one that was taken and needed by no other transfer: then it is asked for again. A
  // cancelled one loses only what lies in the node's own folder. Says whether there was anything to
  // do.
  bool Remove(const Transfer& row) const;

 private:
  bool RemoveDone(const Transfer& row) const;
  absl::Status RemoveLocal(const Transfer& row) const;
  void RemoveCancelled(const Transfer& row) const;
  void LetGo(const Transfer& row, TransferQueue::ChangeDone done) const;
  void Complain(const Transfer& row, const absl::Status& why) const;

  TransferQueue* const queue_;
  const OwnedFolder* const owned_;
  Log* const log_;
};

}  // namespace viaduct
