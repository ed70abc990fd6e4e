// viaduct-check: does a plugin keep to the ABI? See docs/WRITE_A_PLUGIN.md.
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "child.h"
#include "fixture.h"
#include "nlohmann/json.hpp"
#include "report.h"

namespace viaduct::check {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr char kUsage[] =
    R"(usage: viaduct-check [options] plugin.so

  --level load|lifecycle|data|all  how far to go, each level after the ones before (default all)
  --config FILE                    the instance's config as JSON; the schema's defaults are added,
                                   and {instance} in a text is a number of each instance's own
  --peer COMMAND                   shell command that talks to the plugin while submit and call are
                                   tested
  --junit FILE                     also write the results as JUnit XML
  --test NAME                      only this test
  --verbose                        show what the plugin logs and prints
  --list                           list the tests and what they ask for
  --help                           show this

Exit code: 0 all passed (or skipped), 1 something failed, 2 wrong use.
)";

struct Options {
  Level level = Level::kData;
  std::string config_path;
  std::string peer;
  std::string junit_path;
  std::string test;
  std::string plugin;
  int child_fd = -1;  // This process runs one test for another viaduct-check.
  bool verbose = false;
  bool list = false;
  bool help = false;
};

std::vector<Test> AllTests() {
  std::vector<Test> all;
  for (const auto& tests :
       {LoadTests(), LifecycleTests(), DeliverTests(), TrafficTests(), JobTests()}) {
    all.insert(all.end(), tests.begin(), tests.end());
  }
  return all;
}

bool ParseLevel(const std::string& word, Level* level) {
  if (word == "load") {
    *level = Level::kLoad;
  } else if (word == "lifecycle") {
    *level = Level::kLifecycle;
  } else if (word == "data" || word == "all") {
    *level = Level::kData;
  } else {
    return false;
  }
  return true;
}

std::optional<Options> Parse(const std::vector<std::string>& words) {
  Options options;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const bool has_value = i + 1 < words.size();
    if (word == "--verbose") {
      options.verbose = true;
    } else if (word == "--list") {
      options.list = true;
    } else if (word == "--help") {
      options.help = true;
    } else if (word == "--level" && has_value) {
      if (!ParseLevel(words[++i], &options.level)) return std::nullopt;
    } else if (word == "--config" && has_value) {
      options.config_path = words[++i];
    } else if (word == "--peer" && has_value) {
      options.peer = words[++i];
    } else if (word == "--junit" && has_value) {
      options.junit_path = words[++i];
    } else if (word == "--test" && has_value) {
      options.test = words[++i];
    } else if (word == "--child" && has_value) {
      options.child_fd = std::atoi(words[++i].c_str());
    } else if (word.empty() || word[0] == '-' || !options.plugin.empty()) {
      return std::nullopt;
    } else {
      options.plugin = word;
    }
  }
  if (options.plugin.empty() && !options.list && !options.help) return std::nullopt;
  return options;
}

// The config's file as an object; false with a message when it is none.
bool ReadConfig(const std::string& path, nlohmann::json* config) {
  *config = nlohmann::json::object();
  if (path.empty()) return true;
  std::ifstream in(path);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in) {
    std::cerr << "viaduct-check: --config: " << path << ": can not be read\n";
    return false;
  }
  *config = nlohmann::json::parse(text, nullptr, false);
  if (config->is_object()) return true;
  std::cerr << "viaduct-check: --config: " << path << ": is no JSON object\n";
  return false;
}

int RunOneTest(const Options& options) {
  nlohmann::json config;
  if (!ReadConfig(options.config_path, &config)) return kExitUsage;
  Fixture fixture(options.plugin, config, options.peer, options.child_fd);
  for (const Test& test : AllTests()) {
    if (options.test != test.name) continue;
    test.run(fixture);
    fixture.Pass();
  }
  return kExitUsage;
}

std::vector<std::string> ChildArguments(const Options& options, const Test& test) {
  std::vector<std::string> arguments = {"/proc/self/exe", "--child", "{fd}", "--test", test.name};
  if (!options.config_path.empty()) {
    arguments.insert(arguments.end(), {"--config", options.config_path});
  }
  if (!options.peer.empty()) arguments.insert(arguments.end(), {"--peer", options.peer});
  arguments.push_back(options.plugin);
  return arguments;
}

int RunAll(const Options& options) {
  std::vector<Result> results;
  bool failed = false;
  std::cout << "viaduct-check " << options.plugin << '\n';
  for (const Test& test : AllTests()) {
    if (test.level > options.level || (!options.test.empty() && options.test != test.name))
      continue;
    results.push_back({test, RunChild(ChildArguments(options, test), test.limit, options.verbose)});
    failed = failed || results.back().outcome.verdict == Verdict::kFailed;
    WriteLine(results.back(), std::cout);
  }
  if (results.empty()) {
    std::cerr << "viaduct-check: --test: no test is called \"" << options.test << "\"\n";
    return kExitUsage;
  }
  WriteSummary(results, std::cout);
  if (!options.junit_path.empty()) {
    std::ofstream out(options.junit_path);
    WriteJunit(options.plugin, results, out);
    if (!out.flush()) {
      std::cerr << "viaduct-check: --junit: " << options.junit_path << ": can not be written\n";
      return kExitUsage;
    }
  }
  return failed ? kExitFailed : 0;
}

int List() {
  for (const Test& test : AllTests()) {
    std::cout << LevelName(test.level) << '.' << test.name << ": " << test.rule << '\n';
  }
  return 0;
}

int Main(const std::vector<std::string>& words) {
  std::optional<Options> options = Parse(words);
  if (!options) {
    std::cerr << kUsage;
    return kExitUsage;
  }
  if (options->help) {
    std::cout << kUsage;
    return 0;
  }
  if (options->list) return List();
  // dlopen looks for a bare name elsewhere.
  char path[PATH_MAX];
  if (realpath(options->plugin.c_str(), path) == nullptr) {
    std::cerr << "viaduct-check: " << options->plugin << ": " << std::strerror(errno) << '\n';
    return kExitUsage;
  }
  options->plugin = path;
  if (options->child_fd >= 0) return RunOneTest(*options);
  nlohmann::json config;
  if (!ReadConfig(options->config_path, &config)) return kExitUsage;
  return RunAll(*options);
}

}  // namespace
}  // namespace viaduct::check

int main(int argc, char** argv) {
  return viaduct::check::Main(std::vector<std::string>(argv + 1, argv + argc));
}
