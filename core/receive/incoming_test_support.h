// The folder into which devices put files, for tests.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "core/base/test_folder.h"
#include "core/receive/incoming_folder.h"

namespace viaduct {

class IncomingTest : public testing::Test {
 protected:
  explicit IncomingTest(const IncomingFolderOptions& options = {}) { Open(options); }
  void Open(IncomingFolderOptions options) {
    options.root = folder_.File("in");
    auto opened = IncomingFolder::Open(options);
    EXPECT_TRUE(opened.ok()) << opened.status();
    incoming_ = *std::move(opened);
  }
  std::string Path(const std::string& name) const { return folder_.File("in/" + name); }
  void Put(const std::string& name, const std::string& text = "x") {
    std::filesystem::create_directories(std::filesystem::path(Path(name)).parent_path());
    std::ofstream(Path(name)) << text;
  }
  bool Has(const std::string& name) const { return std::filesystem::exists(Path(name)); }

  TestFolder folder_;
  std::unique_ptr<IncomingFolder> incoming_;
};

}  // namespace viaduct
