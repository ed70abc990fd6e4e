#include "core/plugin/abi_values.h"

#include <cstring>

#include "gtest/gtest.h"

namespace viaduct {
namespace {

TEST(AbiValuesTest, TextsForPeopleAreUtf8AndEndAtACharacter) {
  EXPECT_EQ(Readable("plain", 100), "plain");
  EXPECT_EQ(Readable("Gr\u00fc\u00dfe", 100), "Gr\u00fc\u00dfe");
  EXPECT_EQ(Readable("Gr\u00fc\u00dfe", 3), "Gr") << "not half a character";
  EXPECT_EQ(Readable("a\xff\xc3z", 100), "a\uFFFD\uFFFDz");
  EXPECT_EQ(Readable("a\xff", 3), "a");
  EXPECT_EQ(Readable("", 100), "");
  EXPECT_EQ(ShortText({nullptr, 7}), "");
}

TEST(AbiValuesTest, AnErrorOfAPluginIsUtf8) {
  vd_error error = NewError();
  std::memset(error.message, '\xff', sizeof(error.message));
  std::strcpy(error.pointer, "/a\xff");
  const std::string text(StatusOf("start", VD_UNAVAILABLE, error).message());
  EXPECT_EQ(text.rfind("start: /a\uFFFD: \uFFFD\uFFFD", 0), 0u) << text;
  EXPECT_EQ(Readable(text, text.size()), text);
}

}  // namespace
}  // namespace viaduct
