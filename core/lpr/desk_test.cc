// What pages ask of the node itself: what reaches it, and what does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/lpr/node_desk.h"
#include "core/lpr/replies.h"
#include "core/lpr/testing/application_fixture.h"

namespace viaduct {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Writes down what it is asked.
class RecordingDesk final : public NodeDesk {
 public:
  void ShowLinks(ReplyFn reply) override { Answer("links", reply); }
  void ShowTransfers(int limit, std::string cursor, ReplyFn reply) override {
    Answer(absl::StrCat("transfers ", limit, " ", cursor), reply);
  }
  void ShowAlerts(ReplyFn reply) override { Answer("alerts", reply); }
  void Acknowledge(std::string id, std::string by, std::string note, ReplyFn reply) override {
    Answer(absl::StrCat("acknowledge ", id, " ", by, " ", note), reply);
  }
  void ShowConfig(ReplyFn reply) override { Answer("config", reply); }
  void PlanConfig(std::string yaml, ReplyFn reply) override { Answer("plan " + yaml, reply); }
  void ApplyConfig(Apply apply, ReplyFn reply) override {
    Answer(absl::StrCat("apply ", apply.yaml, " ", absl::FormatDuration(apply.confirm_within), " ",
                        apply.author),
           reply);
  }
  void ConfirmConfig(std::optional<uint64_t> revision, ReplyFn reply) override {
    Answer(revision.has_value() ? absl::StrCat("confirm ", *revision) : "confirm", reply);
  }
  void RollBackConfig(uint64_t revision, std::string author, ReplyFn reply) override {
    Answer(absl::StrCat("rollback ", revision, " ", author), reply);
  }
  std::vector<std::string> asked;

 private:
  void Answer(const std::string& what, const ReplyFn& reply) {
    asked.push_back(what);
    reply(JsonReply(200, R"({"success":true,"yaml":")" + std::string(2000, 'y') + "\"}"));
  }
};

class DeskTest : public ApplicationTest {
 protected:
  DeskTest() {
    adjust_ = [this](ApplicationOptions*, ApplicationParts* parts) { parts->desk = &desk_; };
    guarded_ = true;
    MakeApplication(sink_.get(), store_.get());
  }
  Reply As(security::Role role, const std::string& method, const std::string& target,
           const std::string& body = "", const Attributes& fields = {}) {
    CallRequest request;
    request.protocol = "http";
    request.method = method;
    request.path = target.substr(0, target.find('?'));
    if (request.path.size() < target.size()) request.query = target.substr(request.path.size() + 1);
    request.body = body;
    request.attributes = fields;
    auto who = std::make_shared<security::Principal>();
    who->id = "anna";
    who->role = role;
    request.principal = who;
    Reply out;
    application_->Handle(std::move(request), [&](const CallReply& reply) {
      out = Reply{reply.status, reply.attributes, reply.body};
    });
    return out;
  }
  RecordingDesk desk_;
};

TEST_F(DeskTest, PassesOnWhatIsAsked) {
  const auto viewer = security::Role::kViewer;
  const auto oper = security::Role::kOperator;
  const auto admin = security::Role::kAdmin;
  EXPECT_EQ(As(viewer, "GET", "/api/communication/links").status, 200);
  EXPECT_EQ(As(viewer, "GET", "/api/transfers?limit=7&cursor=c").status, 200);
  EXPECT_EQ(As(viewer, "GET", "/api/alerts").status, 200);
  EXPECT_EQ(As(oper, "POST", "/api/alerts/a1/acknowledge", R"({"note":"cable"})").status, 200);
  EXPECT_EQ(As(oper, "POST", "/api/alerts/a2/acknowledge").status, 200);
  EXPECT_EQ(As(oper, "GET", "/api/config").status, 200);
  EXPECT_EQ(As(oper, "POST", "/api/config/plan", R"({"yaml":"a: 1\n"})").status, 200);
  EXPECT_EQ(As(admin, "POST", "/api/config/apply", R"({"yaml":"a","confirm_within_s":90})").status,
            200);
  EXPECT_EQ(As(admin, "POST", "/api/config/apply", R"({"yaml":"a"})").status, 200);
  EXPECT_EQ(As(admin, "POST", "/api/config/confirm").status, 200);
  EXPECT_EQ(As(admin, "POST", "/api/config/confirm", R"({"revision":3})").status, 200);
  EXPECT_EQ(As(admin, "POST", "/api/config/rollback", R"({"revision":2})").status, 200);
  EXPECT_EQ(As(admin, "POST", "/api/config/rollback", "{}").status, 200);
  EXPECT_THAT(
      desk_.asked,
      ElementsAre("links", "transfers 7 c", "alerts", "acknowledge a1 anna cable",
                  "acknowledge a2 anna ", "config", "plan a: 1\n",
                  "apply a 1m30s user anna (api key)", "apply a 0 user anna (api key)", "confirm",
                  "confirm 3", "rollback 2 user anna (api key)", "rollback 0 user anna (api key)"));
  absl::MutexLock lock(&audit_mutex_);
  ASSERT_THAT(audited_, SizeIs(8));  // What changes something.
  EXPECT_EQ(audited_[0].what, "POST /api/alerts/{alert_id}/acknowledge");
  EXPECT_EQ(audited_[0].subject, "a1");
}

TEST_F(DeskTest, RefusesWhoMayNotAndWhatIsWrong) {
  const auto oper = security::Role::kOperator;
  const auto admin = security::Role::kAdmin;
  EXPECT_EQ(As(security::Role::kViewer, "GET", "/api/config").status, 403);
  EXPECT_EQ(As(security::Role::kViewer, "POST", "/api/alerts/a/acknowledge").status, 403);
  EXPECT_EQ(As(oper, "POST", "/api/config/apply", R"({"yaml":"a"})").status, 403);
  EXPECT_EQ(As(oper, "POST", "/api/config/rollback", "{}").status, 403);
  EXPECT_EQ(As(oper, "POST", "/api/config/plan", "{}").status, 400);
  EXPECT_EQ(As(oper, "POST", "/api/config/plan", "{").status, 400);
  EXPECT_EQ(As(oper, "GET", "/api/transfers?limit=0").status, 400);
  for (const char* body : {R"({"yaml":""})", R"({"yaml":"a","confirm_within_s":-1})",
                           R"({"yaml":"a","confirm_within_s":1e9})", "["}) {
    EXPECT_EQ(As(admin, "POST", "/api/config/apply", body).status, 400) << body;
  }
  for (const char* body : {R"({"revision":-1})", R"({"revision":1.5})", R"({"revision":1e300})",
                           R"({"revision":"1"})"}) {
    EXPECT_EQ(As(admin, "POST", "/api/config/rollback", body).status, 400) << body;
  }
  EXPECT_EQ(As(admin, "POST", "/api/config/apply", R"({"yaml":"a"})",
               {{"origin", "https://evil.example"}, {"host", "hub.lan"}})
                .status,
            403);
  EXPECT_THAT(desk_.asked, IsEmpty());
}

// A viewer is shown plates masked; what the node says of itself has none, and is whole.
TEST_F(DeskTest, IsNotMasked) {
  EXPECT_THAT(As(security::Role::kViewer, "GET", "/api/alerts").body, HasSubstr("yyyy"));
}

TEST_F(DeskTest, NoConfigurationByHttpWhereNobodyIsAsked) {
  guarded_ = false;
  MakeApplication(sink_.get(), store_.get());
  EXPECT_EQ(Get("/api/config").status, 200);
  const Json body = {{"yaml", "a"}};
  EXPECT_EQ(Post("/api/config/plan", body).status, 200);
  for (const char* path : {"/api/config/apply", "/api/config/confirm", "/api/config/rollback"}) {
    ExpectError(Post(path, body), 403, "use viaductctl");
  }
}

TEST_F(DeskTest, ANodeMayShowNothingOfItself) {
  adjust_ = nullptr;
  guarded_ = false;
  MakeApplication(sink_.get(), store_.get());
  EXPECT_EQ(Get("/api/alerts").status, 501);
  EXPECT_EQ(Get("/api/communication/links").status, 501);
}

}  // namespace
}  // namespace viaduct
