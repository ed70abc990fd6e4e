#include "tests/support/link_commands.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace viaduct::support {
namespace {

using Kind = LinkCommand::Kind;

std::string Link(const std::string& name, const std::string& more = "") {
  return absl::StrCat(R"({"name": ")", name, R"(", "ends": [
        {"namespace": "one", "device": "up0", "address": "10.77.1.1/30"},
        {"namespace": "/proc/7/ns/net", "device": "up0", "address": "10.77.1.2/30"}])",
                      more, "}");
}

std::string Config(const std::string& links, const std::string& more = "") {
  return absl::StrCat(R"({"control": "/tmp/c.sock", "links": [)", links, "]", more, "}");
}

std::vector<LinkConfig> TwoLinks() {
  return ParseEmulatorConfig(Config(Link("lte") + "," + Link("wifi")))->links;
}

std::string ConfigError(const std::string& text) {
  return std::string(ParseEmulatorConfig(text).status().message());
}

TEST(LinkCommands, ReadsAConfiguration) {
  const absl::StatusOr<EmulatorConfig> config = ParseEmulatorConfig(
      Config(Link("lte", R"(, "settings": {"delay_ms": 40})"), R"(, "seed": 7, "timeline": "t")"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->seed, 7u);
  EXPECT_EQ(config->control_path, "/tmp/c.sock");
  EXPECT_EQ(config->timeline_path, "t");
  ASSERT_EQ(config->links.size(), 1u);
  const LinkConfig& link = config->links[0];
  EXPECT_EQ(link.name, "lte");
  EXPECT_EQ(link.ends[0].network_namespace, "one");
  EXPECT_EQ(link.ends[1].address, "10.77.1.2");
  EXPECT_EQ(link.ends[1].prefix_bits, 30);
  EXPECT_EQ(link.settings.directions[kDown].delay_ms, 40);
}

TEST(LinkCommands, NamesWhatIsWrongInAConfiguration) {
  EXPECT_EQ(ConfigError("{"), "not JSON");
  EXPECT_EQ(ConfigError("[]"), "configuration: must be a JSON object");
  EXPECT_EQ(ConfigError(R"({"links": []})"), "control: is missing");
  EXPECT_EQ(ConfigError(Config("")), "links: must be a list of 1 to 8");
  EXPECT_EQ(ConfigError(Config(Link("lte"), R"(, "sed": 7)")), "configuration: unknown key, sed");
  EXPECT_EQ(ConfigError(Config(Link("lte"), R"(, "seed": "7")")),
            "seed: must be a number from 0 to 9007199254740992, not \"7\"");
  EXPECT_EQ(ConfigError(Config(Link("lte") + "," + Link("lte"))), "links/1: name: twice, lte");
  EXPECT_EQ(ConfigError(Config(Link("a-name-too-long-for-it"))),
            "links/0: name: more than 15 bytes");
  EXPECT_EQ(ConfigError(Config(R"({"name": "lte"})")), "links/0: ends: must be a list of two");
  EXPECT_EQ(ConfigError(Config(Link("lte", R"(, "settings": {"loss": 1})"))),
            "links/0: settings: unknown key, loss");
  EXPECT_EQ(ConfigError(absl::StrCat(R"({"control": ")", std::string(200, 'x'), R"("})")),
            "control: more than 107 bytes");
}

TEST(LinkCommands, NamesTheWrongEnd) {
  const auto error = [](const std::string& from, const std::string& to) {
    std::string text = Config(Link("lte"));
    text.replace(text.rfind(from), from.size(), to);
    return ConfigError(text);
  };
  for (const char* address : {"10.77.1.2", "10.77.1/30", "10.77.1.2/31", "10.77.1.2/x", "::1/30"}) {
    EXPECT_EQ(error("10.77.1.2/30", address),
              absl::StrCat("links/0: ends/1: address: must be as 10.77.1.1/30, not ", address));
  }
  EXPECT_EQ(error("up0", "a/b"), "links/0: ends/1: device: no name of a device, a/b");
  EXPECT_EQ(error("up0", ""), "links/0: ends/1: device: is missing");
  EXPECT_EQ(error("/proc/7/ns/net", R"(a\u0000b)"), "links/0: ends/1: namespace: has a zero byte");
}

TEST(LinkCommands, ReadsCommands) {
  const std::vector<LinkConfig> links = TwoLinks();
  absl::StatusOr<LinkCommand> command = ParseLinkCommand(R"({"do": "cut"})", links);
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->kind, Kind::kCut);
  EXPECT_EQ(command->links, (std::vector<size_t>{0, 1}));
  EXPECT_TRUE(command->directions[kUp] && command->directions[kDown]);
  command = ParseLinkCommand(R"({"do": "heal", "link": "wifi", "direction": "down"})", links);
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->links, (std::vector<size_t>{1}));
  EXPECT_TRUE(!command->directions[kUp] && command->directions[kDown]);
  command = ParseLinkCommand(R"({"do": "play", "timeline": "/tmp/t"})", links);
  ASSERT_TRUE(command.ok());
  EXPECT_EQ(command->timeline_path, "/tmp/t");
  for (const char* text : {R"({"do": "stats"})", R"({"do": "stop"})",
                           R"({"do": "set", "link": "lte", "settings": {"delay_ms": 5}})"}) {
    EXPECT_TRUE(ParseLinkCommand(text, links).ok()) << text;
  }
}

TEST(LinkCommands, NamesWhatIsWrongInACommand) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not JSON"},
      {"\xff", "not JSON"},
      {"7", "command: must be a JSON object"},
      {"{}", "do: must be set, cut, heal, stats, play or stop"},
      {R"({"do": 5})", "do: must be text, not 5"},
      {R"({"do": "cut", "link": "lan"})", "link: there is none, lan"},
      {R"({"do": "cut", "link": ""})", "link: there is none, "},
      {R"({"do": "cut", "direction": "left"})", "direction: must be up or down"},
      {R"({"do": "cut", "at": 5})", "command: unknown key, at"},
      {R"({"do": "set"})", "settings: must be a JSON object"},
      {R"({"do": "set", "settings": {"up": {"delay_ms": -1}}})",
       "delay_ms: must be a number from 0 to 60000, not -1"},
      {R"({"do": "set", "settings": {}, "direction": "up"})", "set: unknown key, direction"},
      {R"({"do": "play"})", "timeline: is missing"},
  };
  for (const auto& [text, error] : cases) {
    const absl::StatusOr<LinkCommand> command = ParseLinkCommand(text, TwoLinks());
    EXPECT_EQ(command.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(std::string(command.status().message()), error) << text;
  }
}

TEST(LinkCommands, ReadsATimelineInTheOrderOfTime) {
  const absl::StatusOr<std::vector<TimelineEntry>> timeline = ParseTimeline(
      R"([{"at": 12.5, "do": "heal"}, {"at": 0, "do": "set", "settings": {"delay_ms": 5}},
          {"at": 12.5, "do": "cut", "link": "lte"}])",
      TwoLinks());
  ASSERT_TRUE(timeline.ok()) << timeline.status();
  ASSERT_EQ(timeline->size(), 3u);
  EXPECT_EQ((*timeline)[0].command.kind, Kind::kSet);
  EXPECT_EQ((*timeline)[1].command.kind, Kind::kHeal);
  EXPECT_EQ((*timeline)[2].command.kind, Kind::kCut);
  EXPECT_EQ((*timeline)[2].at_ns, 12'500'000'000);
}

TEST(LinkCommands, NamesTheWrongEntryOfATimeline) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{}", "must be a list of at most 50000 entries"},
      {R"([{"at": 0, "do": "cut"}, {"do": "heal"}])", "entry 1: at: is missing"},
      {R"([{"at": -1, "do": "heal"}])", "entry 0: at: must be a number from 0 to 604800, not -1"},
      {R"([{"at": 1, "do": "stats"}])", "entry 0: do: must be set, cut or heal"},
      {R"([{"at": 1, "do": "set", "settings": {"loss_percent": 200}}])",
       "entry 0: loss_percent: must be a number from 0 to 100, not 200"},
      {R"([{"at": 1, "do": "cut", "link": "lan"}])", "entry 0: link: there is none, lan"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_EQ(std::string(ParseTimeline(text, TwoLinks()).status().message()), error);
  }
  EXPECT_EQ(std::string(ReadTimeline("/nowhere/t.json", TwoLinks()).status().message()),
            "/nowhere/t.json: cannot be read");
}

}  // namespace
}  // namespace viaduct::support
