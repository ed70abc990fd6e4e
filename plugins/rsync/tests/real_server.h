// A real sshd and a road to it, for tests.
#pragma once

#include <string>

#include "plugins/rsync/client.h"
#include "tests/support/digest.h"
#include "tests/support/file_road.h"
#include "tests/support/real_sshd.h"
#include "tests/support/test_folder.h"

namespace viaduct::rsync {

using support::Content;
using support::Eventually;
using support::FilesBelow;
using support::FreePort;
using support::kDeadline;
using support::Listens;
using support::ReadFile;
using support::Rounds;
using support::TestFolder;
using support::WriteFile;
inline std::string DigestOf(const std::string& content) { return support::Sha256Hex(content); }

class RealServer : public support::RealSshd {
 public:
  using RealSshd::RealSshd;

  ClientOptions Options() const {
    ClientOptions options;
    options.server.host = "127.0.0.1";
    options.server.port = port();
    options.server.user = user();
    options.server.key_file = folder() / "user";
    options.server.known_hosts = folder() / "known_hosts";
    options.server.remote_path = incoming();
    return options;
  }
};

class Road : public support::FileRoad<Client, ClientOptions, bool> {
 public:
  using FileRoad::FileRoad;
  bool fsync() const { return greeting(); }
};

}  // namespace viaduct::rsync
