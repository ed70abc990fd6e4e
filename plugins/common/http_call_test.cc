#include "plugins/common/http_call.h"

#include <gtest/gtest.h>

#include <string>

namespace viaduct {
namespace {

std::string Credentials(const HttpRequest& request) {
  std::string out;
  for (const vd_attr& one : FieldsOf(request).credentials) {
    out += std::string(sdk::Text(one.name)) + "=" + std::string(sdk::Text(one.value)) + " ";
  }
  return out;
}

TEST(HttpCallTest, TakesCredentialsOutOfTheFields) {
  HttpRequest request;
  request.headers = {{"host", "hub.lan"},
                     {"authorization", "Bearer t"},
                     {"x-api-key", "k"},
                     {"cookie", "viaduct_session=12ab"}};
  EXPECT_EQ(Credentials(request), "bearer=t api_key=k session=12ab ");
  ASSERT_EQ(FieldsOf(request).attributes.size(), 1u);
  EXPECT_EQ(sdk::Text(FieldsOf(request).attributes[0].name), "host");
}

TEST(HttpCallTest, FindsItsCookieAmongOthers) {
  EXPECT_EQ(SessionCookie("viaduct_session=12ab"), "12ab");
  EXPECT_EQ(SessionCookie("a=b;  viaduct_session=12ab; viaduct_session=cd"), "12ab");
  EXPECT_EQ(SessionCookie("xviaduct_session=12ab; viaduct_sessions=1; viaduct_session"), "");
  EXPECT_EQ(SessionCookie(""), "");
  EXPECT_EQ(NamedSessionCookie("a=b; viaduct_session=12ab"), "viaduct_session=12ab");
  EXPECT_EQ(NamedSessionCookie("a=b"), "");
}

}  // namespace
}  // namespace viaduct
