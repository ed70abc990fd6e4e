#include "core/security/permissions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/string_view.h"

namespace viaduct::security {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSubsetOf;

const absl::Time kNow = absl::FromUnixSeconds(1'705'314'600);

std::string Source(const std::string& path) {
  std::ifstream file(absl::StrCat(VIADUCT_SOURCE_DIR, "/", path));
  std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_FALSE(text.empty()) << path;
  return text;
}

// Every match of the groups of `pattern`, joined by a blank.
std::set<std::string> Matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
    std::string match;
    for (size_t i = 1; i < it->size(); ++i) {
      absl::StrAppend(&match, match.empty() ? "" : " ", (*it)[i].str());
    }
    found.insert(match);
  }
  return found;
}

std::string Between(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t from = text.find(begin);
  EXPECT_NE(from, std::string::npos) << begin;
  if (from == std::string::npos) return "";
  return text.substr(from, text.find(end, from + begin.size()) - from);
}

std::set<std::string> Named(Surface surface) {
  std::set<std::string> names;
  for (const Permission& row : Permissions()) {
    if (row.surface == surface) names.insert(std::string(row.action));
  }
  return names;
}

Principal Person(Role role) {
  Principal principal;
  principal.id = "anna";
  principal.role = role;
  return principal;
}

Principal Camera() {
  Principal principal;
  principal.kind = PrincipalKind::kDevice;
  principal.role = Role::kDevice;
  principal.id = "CAM001";
  return principal;
}

// What exists, and the table: the next six tests fail when one has what the other has not.

TEST(PermissionCoverageTest, NamesEveryRoute) {
  const std::set<std::string> routes =
      Matches(Source("core/lpr/application.cc"), R"re(\{\{"([A-Z]+)", "([^"]+)"\}, &Impl::)re");
  EXPECT_GT(routes.size(), 25u);
  EXPECT_EQ(Named(Surface::kHttp), routes);
}

TEST(PermissionCoverageTest, NamesEveryPathOfTheApiDocuments) {
  const auto document = nlohmann::json::parse(Source("core/lpr/openapi.json"));
  std::set<std::string> described;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      // The router writes a parameter that takes the rest in its own way.
      const std::string pattern = std::regex_replace(path, std::regex(R"(\{path\})"), "{path...}");
      described.insert(absl::StrCat(absl::AsciiStrToUpper(method), " ", pattern));
    }
  }
  EXPECT_EQ(Named(Surface::kHttp), described);
  for (const std::string& heading : Matches(Source("docs/API.md"), R"(\n### ([A-Z][^\n]*))")) {
    std::vector<std::string> methods;
    std::vector<std::string> paths;
    for (const absl::string_view word :
         absl::StrSplit(heading, absl::ByAnyChar(" ,"), absl::SkipEmpty())) {
      const std::string name(word.substr(0, word.find('?')));
      const std::string pattern = std::regex_replace(name, std::regex(R"(\{path\})"), "{path...}");
      (word[0] == '/' ? paths : methods).push_back(pattern);
    }
    for (const std::string& method : methods) {
      for (const std::string& path : paths) {
        EXPECT_NE(FindPermission(Surface::kHttp, absl::StrCat(method, " ", path)), nullptr)
            << heading;
      }
    }
  }
}

TEST(PermissionCoverageTest, NamesEveryEvent) {
  std::set<std::string> events =
      Matches(Source("core/lpr/session_events.cc"), R"re(\{"([a-z_]+)", &Impl::Event)re");
  EXPECT_GE(events.size(), 9u);
  const std::string fleet = Source("core/lpr/fleet_calls.cc");
  for (const char* name : {"node_register", "control_response"}) {
    EXPECT_THAT(fleet, HasSubstr(absl::StrCat("\"", name, "\"")));
    events.insert(name);
  }
  events.insert("(plain message)");
  EXPECT_EQ(Named(Surface::kEvent), events);
  // And those of the table of the wire: its rows begin with what a client sends.
  const std::string table =
      Between(Source("docs/WIRE.md"), "| client sends |", "Errors: event `error`");
  std::set<std::string> sent;
  for (const std::string& cell : Matches(table, R"(\n\| (`[^|]*)\|)")) {
    for (const std::string& name : Matches(cell, "`([a-z_]+)`")) {
      if (name != "filename" && name != "camera_id") sent.insert(name);
    }
  }
  EXPECT_GE(sent.size(), 10u);
  EXPECT_THAT(sent, IsSubsetOf(Named(Surface::kEvent)));
}

TEST(PermissionCoverageTest, NamesEveryRoom) {
  const std::string rooms = Between(Source("docs/WIRE.md"), "Rooms: `", ". When its last session");
  std::set<std::string> named = Matches(rooms, "`([^`]+)`");
  EXPECT_EQ(Named(Surface::kRoom), named);
}

TEST(PermissionCoverageTest, NamesEveryTopic) {
  std::set<std::string> bare;
  for (const std::string& name : Named(Surface::kTopic)) {
    const std::string topic = name.substr(name.find(' ') + 1);
    bare.insert(std::regex_replace(topic, std::regex(R"(\{[a-z_]+\})"), "*"));
  }
  const std::string code = Source("core/lpr/topic_names.cc");
  std::set<std::string> topics;
  for (const std::string& row : Matches(code, R"re(\{("[^"]+"), ("[^"]*"), TopicKind)re")) {
    const std::vector<std::string> parts = absl::StrSplit(row, "\" \"");
    topics.insert(parts[0].substr(1) + "*" + parts[1].substr(0, parts[1].size() - 1));
  }
  EXPECT_GE(topics.size(), 12u);
  for (const std::string& topic : Matches(code, R"re(topic == "([^"]+)")re")) topics.insert(topic);
  EXPECT_THAT(topics, IsSubsetOf(bare));
  const std::string table =
      Between(Source("docs/WIRE.md"), "| topic | direction |", "The body at `lprserver");
  std::set<std::string> written;
  for (const std::string& topic : Matches(table, "`([a-z]+/[^`]+)`")) {
    written.insert(std::regex_replace(topic, std::regex(R"(\{[a-z_]+\})"), "*"));
  }
  EXPECT_GE(written.size(), 15u);
  EXPECT_THAT(written, IsSubsetOf(bare));
}

TEST(PermissionCoverageTest, NamesEveryCommand) {
  std::set<std::string> commands =
      Matches(Source("host/node/node_commands.cc"), R"re(\{"([a-z_]+)", &NodeCommands::)re");
  EXPECT_GE(commands.size(), 6u);
  commands.insert("file_transfer_status");  // By a constant.
  EXPECT_EQ(Named(Surface::kCommand), commands);
}

TEST(PermissionCoverageTest, NamesEveryRpc) {
  std::set<std::string> rpcs = {"grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                "grpc.channelz.v1.Channelz/*"};  // Brought by gRPC itself.
  namespace fs = std::filesystem;
  const fs::path root = fs::path(VIADUCT_SOURCE_DIR) / "proto";
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".proto") continue;
    const std::string text = Source("proto/" + fs::relative(entry.path(), root).string());
    const std::set<std::string> services = Matches(text, R"(\nservice ([A-Za-z]+) \{)");
    if (services.empty()) continue;
    ASSERT_EQ(services.size(), 1u) << entry.path();
    const std::string package = *Matches(text, R"(\npackage ([a-z0-9.]+);)").begin();
    for (const std::string& method : Matches(text, R"(\n\s+rpc ([A-Za-z]+)\()")) {
      rpcs.insert(absl::StrCat(package, ".", *services.begin(), "/", method));
    }
  }
  EXPECT_GT(rpcs.size(), 50u);
  EXPECT_EQ(Named(Surface::kRpc), rpcs);
}

// What the rows mean.

TEST(PermissionTest, EveryRowForEveryRoleAndProof) {
  for (const Permission& row : Permissions()) {
    const std::string name(row.action);
    const auto allowed = [&](const Principal* who, std::string_view device) {
      return Allowed(who, row.surface, row.action, device, kNow);
    };
    const bool open = row.least == Least::kAnybody;
    EXPECT_EQ(allowed(nullptr, "CAM001"), open) << name;
    for (const Role role : {Role::kViewer, Role::kOperator, Role::kAdmin}) {
      Principal person = Person(role);
      const bool expected = AllowedWord(row, role) == "yes";
      EXPECT_EQ(allowed(&person, "CAM001"), expected) << name << " " << RoleName(role);
      EXPECT_EQ(allowed(&person, ""), expected) << name << " " << RoleName(role);
      person.expires = kNow;
      EXPECT_EQ(allowed(&person, "CAM001"), open) << name << ", expired";
      person = Person(role);
      person.scopes = ScopeSet::FromBits(~(1u << static_cast<unsigned>(row.scope)));
      EXPECT_EQ(allowed(&person, "CAM001"), open) << name << ", without its scope";
    }
    Principal camera = Camera();
    const std::string_view word = AllowedWord(row, Role::kDevice);
    EXPECT_EQ(allowed(&camera, "CAM001"), word != "no") << name;
    for (const char* other : {"CAM002", "", "cam001", "CAM001 ", "CAM0011"}) {
      EXPECT_EQ(allowed(&camera, other), word == "yes") << name << " for " << other;
    }
    camera.expires = kNow - absl::Seconds(1);
    EXPECT_EQ(allowed(&camera, "CAM001"), open) << name;
  }
}

TEST(PermissionTest, RolesGrow) {
  for (const Permission& row : Permissions()) {
    bool before = false;
    for (const Role role : {Role::kViewer, Role::kOperator, Role::kAdmin}) {
      const bool now = AllowedWord(row, role) == "yes";
      EXPECT_TRUE(now || !before) << row.action;
      before = now;
    }
    EXPECT_TRUE(before) << row.action << ": an admin may do everything";
  }
}

TEST(PermissionTest, NothingThatChangesIsOpen) {
  for (const Permission& row : Permissions()) {
    const bool manages = row.scope == Scope::kManage;
    const bool edits = row.scope == Scope::kEdit;
    EXPECT_TRUE(row.least != Least::kAnybody || row.scope == Scope::kRead) << row.action;
    EXPECT_TRUE(!manages || row.least == Least::kAdmin) << row.action;
    EXPECT_TRUE(!(manages || edits) || row.device == ForDevice::kNever) << row.action;
  }
}

TEST(PermissionTest, WhatIsNotNamedIsAllowedToNobody) {
  const Principal admin = Person(Role::kAdmin);
  for (const char* action : {"", "GET /secret", "get /", "GET  /", "GET /api/records?x"}) {
    EXPECT_EQ(CheckAllowed(&admin, Surface::kHttp, action, "", kNow).code(),
              absl::StatusCode::kPermissionDenied);
  }
  // Of another surface.
  EXPECT_FALSE(Allowed(&admin, Surface::kEvent, "GET /", "", kNow));
}

TEST(PermissionTest, SaysWhyNot) {
  const Principal viewer = Person(Role::kViewer);
  EXPECT_EQ(CheckAllowed(&viewer, Surface::kHttp, "POST /api/blacklist", "", kNow).message(),
            "\"POST /api/blacklist\": not allowed, role viewer, a higher one may");
  const Principal camera = Camera();
  EXPECT_EQ(CheckAllowed(&camera, Surface::kEvent, "lpr_data", "CAM\n2", kNow).message(),
            "\"lpr_data\": not allowed, role device, it does not speak for \"CAM\\n2\"");
}

TEST(PermissionTest, TheMatrixIsPrintedWhole) {
  const auto json = nlohmann::json::parse(PermissionMatrixJson());
  const std::vector<absl::string_view> lines =
      absl::StrSplit(PermissionMatrixText(), '\n', absl::SkipEmpty());
  ASSERT_EQ(json["permissions"].size(), Permissions().size);
  EXPECT_EQ(lines.size(), Permissions().size + 1);
  std::set<std::string> keys;
  for (const auto& row : json["permissions"]) {
    keys.insert(row["surface"].get<std::string>() + " " + row["action"].get<std::string>());
    for (const char* role : {"nobody", "viewer", "operator", "admin", "device"}) {
      EXPECT_THAT(row[role].get<std::string>(), testing::AnyOf("yes", "no", "own"));
    }
  }
  EXPECT_EQ(keys.size(), Permissions().size);  // No action twice.
}

}  // namespace
}  // namespace viaduct::security
