// The pages of the dashboard, and how people sign in to them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "core/lpr/dashboard_files.h"
#include "core/lpr/testing/application_fixture.h"

namespace viaduct {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DashboardTest : public ApplicationTest {
 protected:
  DashboardTest() {
    const std::string pages = folder_.path() + "/pages";
    std::filesystem::create_directories(pages);
    std::ofstream(pages + "/index.html") << "<!doctype html>";
    std::ofstream(pages + "/main-4YGZ5QNS.js") << "code";
    std::ofstream(pages + "/main-4YGZ5QNS.js.gz") << "packed";
    pages_ = *DashboardFiles::Read(pages);
    adjust_ = [this](ApplicationOptions*, ApplicationParts* parts) {
      parts->dashboard = pages_.get();
      parts->signing_in.log_in = [this](const Peer&, const std::string& name,
                                        const std::string& password,
                                        const SigningIn::DoneFn& done) {
        if (!refusal_.ok()) return done(refusal_, absl::Seconds(7));
        if (password != "right") return done(absl::UnauthenticatedError("wrong"), {});
        auto who = std::make_shared<security::Principal>();
        who->id = name;
        who->role = security::Role::kOperator;
        who->expires = clock_.Now() + absl::Hours(12);
        done(SignedIn{who, "12ab"}, {});
      };
      parts->signing_in.log_out = [this](const Peer&, const security::Principal& who) {
        gone_ = who.id;
      };
    };
    guarded_ = true;
    MakeApplication(sink_.get(), store_.get());
  }
  Reply Ask(const std::string& method, const std::string& target, const Attributes& fields,
            const std::string& body = "") {
    return Call(application_.get(), method, target, body, fields);
  }
  Reply LogIn(const std::string& password, const Attributes& fields = {}) {
    return Ask("POST", "/api/login", fields, R"({"user":"anna","password":")" + password + "\"}");
  }

  std::unique_ptr<DashboardFiles> pages_;
  absl::Status refusal_;
  std::string gone_;
};

TEST_F(DashboardTest, TheFirstPageIsForThoseWhoWantPages) {
  const Reply page = Ask("GET", "/", {{"accept", "text/html,application/xhtml+xml;q=0.9"}});
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body, "<!doctype html>");
  EXPECT_EQ(page.attribute("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(page.attribute("cache-control"), "no-cache");
  EXPECT_EQ(page.attribute("vary"), "accept, accept-encoding");
  for (const char* accept : {"*/*", "application/json", "text/html;q=0", "text/html ; q=0.0"}) {
    EXPECT_EQ(Ask("GET", "/", {{"accept", accept}}).json()["status"], "running") << accept;
  }
  EXPECT_EQ(Ask("GET", "/", {{"accept", "text/html;q=0.1"}}).body, "<!doctype html>");
  EXPECT_EQ(Get("/").json()["status"], "running");
}

TEST_F(DashboardTest, PagesAreStrict) {
  const Reply page = Ask("GET", "/dashboard/index.html", {});
  const std::string policy = page.attribute("content-security-policy");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(policy, Not(HasSubstr("http")));
  EXPECT_EQ(page.attribute("x-content-type-options"), "nosniff");
  EXPECT_EQ(page.attribute("referrer-policy"), "no-referrer");
}

TEST_F(DashboardTest, FilesAreKeptAndPacked) {
  const std::string path = "/dashboard/main-4YGZ5QNS.js";
  const Reply plain = Ask("GET", path, {});
  EXPECT_EQ(plain.body, "code");
  EXPECT_EQ(plain.attribute("cache-control"), "public, max-age=31536000, immutable");
  EXPECT_EQ(plain.attribute("content-encoding"), "");
  const Reply packed = Ask("GET", path, {{"accept-encoding", "br, gzip"}});
  EXPECT_EQ(packed.body, "packed");
  EXPECT_EQ(packed.attribute("content-encoding"), "gzip");
  EXPECT_EQ(packed.attribute("content-type"), "text/javascript; charset=utf-8");
  EXPECT_NE(packed.attribute("etag"), plain.attribute("etag"));
  EXPECT_EQ(Ask("GET", path, {{"accept-encoding", "gzip;q=0"}}).body, "code");
  const Reply known = Ask("GET", path, {{"if-none-match", plain.attribute("etag")}});
  EXPECT_EQ(known.status, 304);
  EXPECT_EQ(known.body, "");
}

TEST_F(DashboardTest, NoPathLeavesTheFolder) {
  std::ofstream(folder_.path() + "/secret") << "secret";
  for (const char* path :
       {"/dashboard/../secret", "/dashboard/%2e%2e/secret", "/dashboard/..%2fsecret",
        "/dashboard//etc/passwd", "/dashboard/./index.html", "/dashboard/index.html%00"}) {
    EXPECT_EQ(Ask("GET", path, {}).status, 404) << path;
  }
  EXPECT_EQ(Ask("GET", "/dashboard/%ff", {}).status, 400);
  EXPECT_EQ(Ask("GET", "/dashboard", {}).status, 404);
}

TEST_F(DashboardTest, ALoginIsACookieThatNoScriptSees) {
  const Reply reply = LogIn("right");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json(), Json({{"success", true},
                                {"name", "anna"},
                                {"role", "operator"},
                                {"expires_at", "2024-01-15T22:30:00.000Z"}}));
  EXPECT_EQ(reply.attribute("set-cookie"),
            "viaduct_session=12ab; Path=/; HttpOnly; SameSite=Strict");
  EXPECT_EQ(reply.attribute("cache-control"), "no-store");
  const Reply over_tls =
      LogIn("right", {{"origin", "https://gate.example:8000"}, {"sec-fetch-site", "same-origin"}});
  EXPECT_EQ(over_tls.attribute("set-cookie"),
            "viaduct_session=12ab; Path=/; HttpOnly; SameSite=Strict; Secure");
}

TEST_F(DashboardTest, ALoginIsRefusedClearly) {
  const Reply wrong = LogIn("wrong");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.attribute("set-cookie"), "");
  EXPECT_EQ(wrong.attribute("www-authenticate"), "Bearer, Basic realm=\"viaduct\"");
  const Reply of_script = LogIn("wrong", {{"x-requested-with", "dashboard"}});
  EXPECT_EQ(of_script.attribute("www-authenticate"), "Bearer");  // No dialog of the browser.
  refusal_ = absl::ResourceExhaustedError("too often");
  const Reply often = LogIn("right");
  EXPECT_EQ(often.status, 429);
  EXPECT_EQ(often.attribute("retry-after"), "7");
  refusal_ = absl::OkStatus();
  EXPECT_EQ(LogIn("right", {{"origin", "https://evil.example"}}).status, 403);
  EXPECT_EQ(LogIn("right", {{"sec-fetch-site", "same-site"}}).status, 403);
  ExpectError(Ask("POST", "/api/login", {}, "{}"), 400, "Missing required field: user");
  ExpectError(Ask("POST", "/api/login", {}, R"({"user":"a"})"), 400, "field: password");
  EXPECT_EQ(Ask("POST", "/api/login", {}, "[").status, 400);
  EXPECT_EQ(LogIn(std::string(5000, 'x')).status, 413);
  EXPECT_EQ(LogIn(std::string(300, 'x')).status, 400);
}

TEST_F(DashboardTest, SaysWhoAsks) {
  EXPECT_EQ(Get("/api/whoami").json(), Json({{"success", true},
                                             {"auth", "required"},
                                             {"name", nullptr},
                                             {"role", nullptr},
                                             {"node_id", "server-1"},
                                             {"version", "0.1.0"},
                                             {"masked", false}}));
  CallRequest request;
  request.protocol = "http";
  request.method = "GET";
  request.path = "/api/whoami";
  auto vera = std::make_shared<security::Principal>();
  vera->id = "vera";
  request.principal = vera;
  Json body;
  application_->Handle(request, [&](const CallReply& reply) { body = Json::parse(reply.body); });
  EXPECT_EQ(body["name"], "vera");
  EXPECT_EQ(body["role"], "viewer");
  EXPECT_EQ(body["masked"], true);
  request.method = "POST";
  request.path = "/api/logout";
  std::string cookie;
  application_->Handle(request, [&](const CallReply& reply) {
    for (const auto& [name, value] : reply.attributes) {
      if (name == "set-cookie") cookie = value;
    }
  });
  EXPECT_EQ(gone_, "vera");
  EXPECT_EQ(cookie, "viaduct_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
}

TEST_F(DashboardTest, ANodeThatAsksNobodySaysSo) {
  guarded_ = false;
  adjust_ = [](ApplicationOptions* options, ApplicationParts*) { options->unguarded = "local"; };
  MakeApplication(sink_.get(), store_.get());
  EXPECT_EQ(Get("/api/whoami").json()["auth"], "local");
  EXPECT_EQ(LogIn("right").status, 501);
  EXPECT_EQ(Ask("GET", "/dashboard/index.html", {}).status, 404);
  EXPECT_EQ(Ask("GET", "/", {{"accept", "text/html"}}).json()["status"], "running");
}

}  // namespace
}  // namespace viaduct
