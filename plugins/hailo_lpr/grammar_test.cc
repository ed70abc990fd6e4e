#include "plugins/hailo_lpr/grammar.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace viaduct::hailo_lpr {
namespace {

constexpr char kTwo[] = R"(
name: two
title: Two countries
forms:
  - {form: "[1-9]TT D{1,4}", weight: 3}
  - {form: "L{3} DXDD/D{0,1}"}
)";

Reading Read(const std::string& text, float confidence) {
  Reading reading;
  reading.characters.push_back({text, confidence});
  reading.confidence = confidence;
  return reading;
}

TEST(Grammar, MatchesWholeReadings) {
  const auto grammar = Grammar::Parse(kTwo);
  ASSERT_TRUE(grammar.ok()) << grammar.status();
  EXPECT_EQ(grammar->name(), "two");
  EXPECT_EQ(grammar->title(), "Two countries");
  EXPECT_DOUBLE_EQ(grammar->WeightOf("1กข1234"), 0.75);
  EXPECT_DOUBLE_EQ(grammar->WeightOf("9ฮฮ1"), 0.75);
  EXPECT_DOUBLE_EQ(grammar->WeightOf("ABC1D23"), 0.25);
  EXPECT_DOUBLE_EQ(grammar->WeightOf("ABC12345"), 0.25);
  for (const char* other : {"", "0กข1234", "1กข12345", "1ฃข1", "1กa1", "ABC1D2", "XABC1D23",
                            "ABC1D23456", "\xff\xfe", "ABC1D23\n"}) {
    EXPECT_EQ(grammar->WeightOf(other), 0) << other;
  }
}

TEST(Grammar, CountsWordsAndNumbersOnlyWhereAFormSaysSo) {
  const auto grammar = Grammar::Parse(R"(
name: mixed
forms:
  - {form: "X{2,8}", weight: 3}
  - {form: "D{6}"}
)");
  ASSERT_TRUE(grammar.ok()) << grammar.status();
  EXPECT_DOUBLE_EQ(grammar->WeightOf("PIZZA"), 0.75);
  EXPECT_DOUBLE_EQ(grammar->OwnWeightOf("PIZZA"), 0);
  EXPECT_DOUBLE_EQ(grammar->OwnWeightOf("2026"), 0);
  EXPECT_DOUBLE_EQ(grammar->OwnWeightOf("202611"), 0.25);
  EXPECT_DOUBLE_EQ(grammar->OwnWeightOf("AB12"), 0.75);
  EXPECT_DOUBLE_EQ(grammar->OwnWeightOf(""), 0);
}

TEST(Grammar, ChoosesAmongReadingsAndMakesNone) {
  const auto grammar = Grammar::Parse(kTwo);
  ASSERT_TRUE(grammar.ok());
  Grammar::Choice choice =
      grammar->Choose({Read("A8C1234", 0.6F), Read("ABC1234", 0.3F), Read("1กข1", 0.05F)});
  EXPECT_TRUE(choice.matched);
  EXPECT_EQ(choice.index, 1u);
  choice = grammar->Choose({Read("ABC1234", 0.3F), Read("1กข1", 0.2F)});
  EXPECT_EQ(choice.index, 1u);  // Three times as common.
  choice = grammar->Choose({Read("A8C1234", 0.6F), Read("XX", 0.3F)});
  EXPECT_FALSE(choice.matched);
  EXPECT_EQ(choice.index, 0u);
}

TEST(Grammar, SaysWhatIsWrong) {
  const auto why = [](const std::string& form) {
    return std::string(
        Grammar::Parse("name: a\nforms: [{form: \"" + form + "\"}]").status().message());
  };
  for (const char* form : {"Q", "L{", "L{13}", "L{2,1}", "L{0}", "L{a}", "[", "[]", "[^A]", "[Z-A]",
                           "l", "(A)", "A|B", "L*", ".", ""}) {
    EXPECT_NE(why(form).find("form \"" + std::string(form) + "\""), std::string::npos)
        << form << ": " << why(form);
  }
  for (const char* text : {"", "[", "name: a", "name: a\nforms: []", "forms: [{form: L}]",
                           "name: a\nforms: [{form: L, weight: 0}]",
                           "name: a\nforms: [{form: L, weight: x}]", "- 1", "42"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Grammar::Parse(text).status())) << text;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(Grammar::Parse(std::string(2 << 20, 'a')).status()));
  EXPECT_TRUE(absl::IsNotFound(Grammar::Load("/nowhere/th.yaml").status()));
}

}  // namespace
}  // namespace viaduct::hailo_lpr
