// A real sshd and a road to it, for tests.
#pragma once

#include <string>

#include "plugins/sftp/client.h"
#include "tests/support/digest.h"
#include "tests/support/file_road.h"
#include "tests/support/real_sshd.h"
#include "tests/support/test_folder.h"

namespace viaduct::sftp {

using support::Content;
using support::Eventually;
using support::FilesBelow;
using support::kDeadline;
using support::ReadFile;
using support::Rounds;
using support::RunCommand;
using support::TestFolder;
using support::WriteFile;
inline std::string DigestOf(const std::string& content) { return support::Sha256Hex(content); }

class RealServer : public support::RealSshd {
 public:
  using RealSshd::RealSshd;

  ClientOptions Options() const {
    ClientOptions options;
    options.transport.host = "127.0.0.1";
    options.transport.port = port();
    options.transport.username = user();
    options.transport.key_file = folder() / "user";
    options.transport.host_key.known_hosts = folder() / "known_hosts";
    options.remote_path = incoming();
    return options;
  }
};

class Road : public support::FileRoad<Client, ClientOptions, Features> {
 public:
  using FileRoad::FileRoad;
  Features features() const { return greeting(); }
};

}  // namespace viaduct::sftp
