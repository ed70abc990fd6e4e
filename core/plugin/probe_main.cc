// viaduct-probe FILE: says whether a plugin file is any good, for viaduct-host, which runs it so
// that a bad file can not take the node down.
#include <cstdio>

#include "core/plugin/probe_child.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: viaduct-probe FILE\n", stderr);
    return 2;
  }
  return viaduct::ProbeMain(argv[1]);
}
