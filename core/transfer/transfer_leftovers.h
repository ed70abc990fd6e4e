// What transfers have left unfinished behind roads, for which nobody will come back: each road is
// asked to remove its part of it, as soon as it is there. A wish only: what is forgotten here, as
// at a restart, goes by its age on the other side.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "core/transfer/transfer.h"
#include "core/transfer/transfer_road.h"

namespace viaduct {

// Thread-compatible.
class TransferLeftovers {
 public:
  static constexpr size_t kMaxOfRoad = 1'000;  // That wait for it; the oldest goes first.
  static constexpr size_t kMaxInTurn = 32;     // Of one road.
  static constexpr size_t kMaxRoads = 64;

  void Add(const std::string& road, const Transfer& transfer);
  // Asks the roads that are ready.
  void Turn(const std::vector<RoadEntry>& roads);
  bool empty() const { return waiting_.empty(); }

 private:
  std::map<std::string, std::deque<FileLeftover>> waiting_;  // By road; no empty one.
};

}  // namespace viaduct
