// Commits one revision into the folder given, to be killed at a crash point on the way.
#include <cstdio>

#include "core/base/clock.h"
#include "core/config/revision_store.h"
#include "core/observe/log.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  viaduct::SystemClock clock;
  viaduct::NullLog log;
  auto store = viaduct::RevisionStore::Open(argv[1], &clock, &log);
  if (!store.ok()) return 3;
  viaduct::RevisionStore::Proposal proposal;
  proposal.yaml = "a: new\n";
  return (*store)->Commit(proposal).ok() ? 0 : 4;
}
