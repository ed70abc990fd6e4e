#include "core/plugin/registry.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/time/clock.h"
#include "core/plugin/elf_file.h"
#include "core/plugin/plugin.h"
#include "core/plugin/probe_child.h"
#include "core/plugin/verdict_cache.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace viaduct {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kPlugins = VIADUCT_TEST_PLUGINS;  // Of the build.

class RegistryTest : public testing::Test {
 protected:
  RegistryTest() : folder_(fs::temp_directory_path() / ("viaduct-registry-" + Unique())) {
    fs::create_directories(folder_ / "plugins");
  }
  ~RegistryTest() override { fs::remove_all(folder_); }

  static std::string Unique() {
    return std::to_string(getpid()) + "-" +
           testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  void Put(const std::string& from, const std::string& as) {
    fs::remove(folder_ / "plugins" / as);
    fs::copy_file(kPlugins + "/" + from, folder_ / "plugins" / as);
  }
  void PutText(const std::string& text, const std::string& as) {
    std::ofstream(folder_ / "plugins" / as) << text;
  }
  std::unique_ptr<PluginRegistry> Make(bool probing = false) {
    PluginRegistry::Options options;
    options.folders = {(folder_ / "plugins").string(), (folder_ / "missing").string()};
    options.cache_dir = (folder_ / "cache").string();
    if (probing) options.probe_command = {VIADUCT_TEST_PROBE};
    options.probe_timeout = absl::Seconds(3);
    return std::make_unique<PluginRegistry>(std::move(options), &log_);
  }
  std::string ReasonFor(const std::string& name, bool probing = false) {
    fs::remove_all(folder_ / "plugins");
    fs::create_directories(folder_ / "plugins");
    Put("broken/" + name + ".so", name + ".so");
    const auto registry = Make(probing);
    registry->Scan();
    const auto info = registry->Describe(name);
    return info.ok() ? std::string(info->failure.message()) : "not listed";
  }

  const fs::path folder_;
  NullLog log_;
};

TEST_F(RegistryTest, ListsWhatLiesInItsFoldersWithoutKeepingItLoaded) {
  Put("good/testbed.so", "testbed.so");
  const auto registry = Make();
  registry->Scan();
  const auto plugins = registry->List();
  ASSERT_EQ(plugins.size(), 1u);
  EXPECT_EQ(plugins[0].name, "testbed");
  EXPECT_EQ(plugins[0].state, PluginState::kAvailable);
  EXPECT_EQ(plugins[0].version, "1.0.0");
  EXPECT_THAT(plugins[0].interfaces, Contains("viaduct.deliver/1"));
  EXPECT_FALSE(plugins[0].in_use);
}

TEST_F(RegistryTest, RefusesEachBrokenPluginWithItsReason) {
  EXPECT_EQ(ReasonFor("honest"), "");
  EXPECT_THAT(ReasonFor("other_major"),
              AllOf(HasSubstr("other_major.so: "), HasSubstr("plugin ABI 2.1, this host has 1.1")));
  EXPECT_THAT(ReasonFor("needs_newer_host"), HasSubstr("plugin ABI 1.2 or newer"));
  EXPECT_THAT(ReasonFor("no_entry"), HasSubstr("does not export vd_module_entry"));
  EXPECT_THAT(ReasonFor("null_module"), HasSubstr("gave no description"));
  EXPECT_THAT(ReasonFor("other_name"), HasSubstr("\"somebody_else\" in other_name.so"));
  EXPECT_THAT(ReasonFor("null_function"), HasSubstr("null function, drain"));
  EXPECT_THAT(ReasonFor("bad_schema"), HasSubstr("config_schema: not JSON"));
  EXPECT_THAT(ReasonFor("no_lanes"), HasSubstr("max_lanes: not 1 to 64, 0"));
  EXPECT_THAT(ReasonFor("small_struct"), HasSubstr("struct_size: too small, 24"));
  EXPECT_THAT(ReasonFor("null_interfaces"), HasSubstr("interfaces: null with a count"));
  EXPECT_THAT(ReasonFor("needs_protobuf"),
              HasSubstr("neither gRPC nor protobuf, it needs libproto"));
}

TEST_F(RegistryTest, RefusesFilesThatAreNoLibraries) {
  PutText("", "empty.so");
  PutText("#!/bin/sh\necho no\n", "script.so");
  PutText(std::string("\177ELF\2\1\1") + std::string(200, '\0'), "rubbish.so");
  PutText("fine", "Bad-Name.so");
  fs::create_directory(folder_ / "plugins" / "folder.so");
  const auto registry = Make();
  registry->Scan();
  const auto reason = [&](const char* name) {
    return std::string(registry->Describe(name)->failure.message());
  };
  EXPECT_THAT(reason("empty"), HasSubstr("the file is empty"));
  EXPECT_THAT(reason("script"), HasSubstr("does not begin with an ELF header"));
  EXPECT_THAT(reason("rubbish"), HasSubstr("built for another machine"));
  EXPECT_THAT(reason("Bad-Name"), HasSubstr("bad file name, \"Bad-Name.so\""));
  EXPECT_THAT(reason("folder"), HasSubstr("not a regular file"));
  EXPECT_EQ(registry->Acquire("script").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(registry->Acquire("absent").status().message()),
              AllOf(HasSubstr("absent is not installed, looked in"), HasSubstr("/missing")));
}

TEST_F(RegistryTest, SurvivesEveryTruncationAndFlippedHeaderOfALibrary) {
  const auto whole = ReadLibraryFile(kPlugins + "/broken/honest.so");
  ASSERT_TRUE(whole.ok());
  for (size_t size = 0; size < whole->size(); size += 13) {
    static_cast<void>(ParseElf(whole->substr(0, size)));
  }
  EXPECT_FALSE(ParseElf(whole->substr(0, whole->size() / 8)).ok());
  for (size_t i = 0; i < 4096 && i < whole->size(); ++i) {
    std::string flipped = *whole;
    flipped[i] = static_cast<char>(~flipped[i]);
    static_cast<void>(ParseElf(flipped));
  }
  EXPECT_THAT(ParseElf(*whole)->exports, Contains("vd_module_entry"));
}

TEST_F(RegistryTest, APluginThatCrashesOrHangsWhenLoadedHarmsOnlyItsProbe) {
  EXPECT_THAT(ReasonFor("crashes", true),
              AllOf(HasSubstr("crashes.so"), HasSubstr("crashed while it was tried out")));
  EXPECT_THAT(ReasonFor("hangs", true), HasSubstr("hung while it was tried out"));
  EXPECT_THAT(ReasonFor("null_module", true), HasSubstr("gave no description"));
  EXPECT_EQ(ReasonFor("honest", true), "");
}

TEST_F(RegistryTest, DoesNotProbeAKnownGoodFileAgain) {
  Put("good/testbed.so", "testbed.so");
  Make(true)->Scan();
  VerdictCache kept((folder_ / "cache").string());
  const std::string path = (folder_ / "plugins" / "testbed.so").string();
  ASSERT_TRUE(kept.Find(path).has_value());
  EXPECT_EQ(kept.Find(path)->version, "1.0.0");
  Put("next/testbed_next.so", "testbed.so");
  EXPECT_FALSE(kept.Find(path).has_value()) << "another file under the same path";
}

TEST_F(RegistryTest, ADamagedVerdictFileIsIgnored) {
  fs::create_directories(folder_ / "cache");
  for (const char* text :
       {"", "{", "[]", "{\"rules\":1}", "{\"rules\":1,\"abi\":\"1.1\",\"files\":3}"}) {
    std::ofstream(folder_ / "cache" / "verdicts.json") << text;
    Put("good/testbed.so", "testbed.so");
    const auto registry = Make(true);
    registry->Scan();
    EXPECT_EQ(registry->Describe("testbed")->state, PluginState::kAvailable) << text;
  }
}

TEST_F(RegistryTest, ReloadBringsTheNewFileWhileTheOldOneIsStillHeld) {
  Put("good/testbed.so", "testbed.so");
  const auto registry = Make();
  registry->Scan();
  const auto old = registry->Acquire("testbed");
  ASSERT_TRUE(old.ok()) << old.status();
  Put("next/testbed_next.so", "testbed.so");
  const auto info = registry->Reload("testbed");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->version, "2.0.0");
  EXPECT_EQ((*old)->info().version, "1.0.0");
  EXPECT_EQ((*registry->Acquire("testbed"))->info().version, "2.0.0");
}

TEST_F(RegistryTest, AFailedReloadAndAFileOverwrittenInUseKeepTheOldLibrary) {
  Put("good/testbed.so", "testbed.so");
  const auto registry = Make();
  registry->Scan();
  ASSERT_TRUE(registry->Acquire("testbed").ok());
  PutText("no longer a library", "testbed.so");
  EXPECT_THAT(std::string(registry->Reload("testbed").status().message()),
              HasSubstr("does not begin with an ELF header"));
  EXPECT_EQ((*registry->Acquire("testbed"))->info().version, "1.0.0");
  EXPECT_NE((*registry->Acquire("testbed"))->lifecycle().create, nullptr);
  EXPECT_EQ(registry->Describe("testbed")->state, PluginState::kLoaded);
}

TEST_F(RegistryTest, UnloadsOnlyWhatNobodyUsesAndLoadsItAnew) {
  Put("good/testbed.so", "testbed.so");
  const auto registry = Make();
  registry->Scan();
  auto held = registry->Acquire("testbed");
  ASSERT_TRUE(held.ok());
  EXPECT_TRUE(registry->Describe("testbed")->in_use);
  EXPECT_EQ(registry->Unload("testbed").code(), absl::StatusCode::kFailedPrecondition);
  held->reset();
  EXPECT_TRUE(registry->Unload("testbed").ok());
  EXPECT_EQ(registry->Describe("testbed")->state, PluginState::kAvailable);
  EXPECT_EQ(registry->Unload("nobody").code(), absl::StatusCode::kNotFound);
  Put("next/testbed_next.so", "testbed.so");
  EXPECT_EQ((*registry->Acquire("testbed"))->info().version, "2.0.0");
}

TEST_F(RegistryTest, AFileThatHasChangedIsTriedOutBeforeItIsLoaded) {
  Put("good/testbed.so", "testbed.so");
  const auto registry = Make(true);
  registry->Scan();
  Put("broken/crashes.so", "testbed.so");  // Would take this process along.
  EXPECT_THAT(std::string(registry->Acquire("testbed").status().message()),
              HasSubstr("crashed while it was tried out"));
  EXPECT_EQ(registry->Describe("testbed")->state, PluginState::kFailed);
  Put("next/testbed_next.so", "testbed.so");
  const auto next = registry->Acquire("testbed");
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ((*next)->info().version, "2.0.0");
  EXPECT_EQ(registry->Describe("testbed")->state, PluginState::kLoaded);
}

TEST_F(RegistryTest, AFailureToLoadPassesWithItsCause) {
  Put("good/testbed.so", "testbed.so");
  const auto registry = Make();
  registry->Scan();
  fs::remove_all(folder_ / "cache");
  std::ofstream(folder_ / "cache") << "a file where the folder should be";
  EXPECT_THAT(std::string(registry->Acquire("testbed").status().message()),
              HasSubstr("can not write"));
  EXPECT_EQ(registry->Describe("testbed")->state, PluginState::kFailed);
  fs::remove(folder_ / "cache");
  EXPECT_TRUE(registry->Acquire("testbed").ok());
}

TEST_F(RegistryTest, UnloadingTakesTheLibraryOutOfTheProcess) {
  Put("broken/honest.so", "honest.so");
  const auto registry = Make();
  registry->Scan();
  const auto mapped = [this] {
    std::ifstream maps("/proc/self/maps");
    const std::string text(std::istreambuf_iterator<char>(maps), {});
    return text.find((folder_ / "cache" / "honest-").string()) != std::string::npos;
  };
  ASSERT_TRUE(registry->Acquire("honest").ok());
  EXPECT_TRUE(mapped());
  ASSERT_TRUE(registry->Unload("honest").ok());
  EXPECT_FALSE(mapped());
}

TEST_F(RegistryTest, LoadTakesOnlyFilesBelowItsFolders) {
  const auto registry = Make();
  EXPECT_EQ(registry->Load(kPlugins + "/good/testbed.so").status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(registry->Load("/no/such/file.so").status().code(), absl::StatusCode::kNotFound);
  Put("good/testbed.so", "testbed.so");
  const auto info = registry->Load((folder_ / "plugins" / "testbed.so").string());
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->state, PluginState::kLoaded);
}

TEST_F(RegistryTest, AFileThatWentAwayIsNoLongerListed) {
  Put("good/testbed.so", "testbed.so");
  const auto registry = Make();
  registry->Scan();
  fs::remove(folder_ / "plugins" / "testbed.so");
  registry->Scan();
  EXPECT_THAT(registry->List(), IsEmpty());
}

TEST(ProbeChild, SaysWhenTheProbeItselfCanNotRun) {
  const auto result = ProbeInChild({"/no/such/viaduct-probe"}, "/tmp/x.so", absl::Seconds(1));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status().message()),
              AllOf(HasSubstr("/tmp/x.so"), HasSubstr("/no/such/viaduct-probe")));
  EXPECT_THAT(
      std::string(ProbeInChild({"/bin/true"}, "/tmp/x.so", absl::Seconds(5)).status().message()),
      HasSubstr("gave no verdict"));
}

}  // namespace
}  // namespace viaduct
