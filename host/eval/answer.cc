#include "host/eval/answer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace viaduct::eval {
namespace {

using Json = nlohmann::json;

absl::Status Wrong(absl::string_view member) {
  return absl::InvalidArgumentError(absl::StrCat("answer: ", member, " is not what it should be"));
}

bool ReadNumber(const Json& object, const char* member, double* number) {
  const auto at = object.find(member);
  if (at == object.end() || !at->is_number()) return false;
  *number = at->get<double>();
  return true;
}

void ReadOptional(const Json& object, const char* member, std::string* text) {
  const auto at = object.find(member);
  if (at != object.end() && at->is_string()) *text = at->get<std::string>();
}

bool ReadBox(const Json& object, Box* box) {
  const auto at = object.find("bbox");
  if (at == object.end() || !at->is_array() || at->size() != 4) return false;
  for (const Json& one : *at) {
    if (!one.is_number()) return false;
  }
  *box = {(*at)[0].get<double>(), (*at)[1].get<double>(), (*at)[2].get<double>(),
          (*at)[3].get<double>()};
  return true;
}

bool ReadReading(const Json& object, ReadText* reading) {
  if (!object.is_object()) return false;
  const auto text = object.find("text");
  if (text == object.end() || !text->is_string()) return false;
  reading->text = text->get<std::string>();
  ReadOptional(object, "grammar", &reading->grammar);
  ReadOptional(object, "province", &reading->province);
  return ReadNumber(object, "confidence", &reading->confidence);
}

bool ReadCandidate(const Json& object, Candidate* candidate) {
  if (!object.is_object() || !ReadBox(object, &candidate->box)) return false;
  if (!ReadNumber(object, "score", &candidate->score)) return false;
  const auto accepted = object.find("accepted");
  const auto readings = object.find("readings");
  if (accepted == object.end() || !accepted->is_boolean()) return false;
  if (readings == object.end() || !readings->is_array()) return false;
  candidate->accepted = accepted->get<bool>();
  for (const Json& one : *readings) {
    if (!ReadReading(one, &candidate->readings.emplace_back())) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<Answer> ParseAnswer(std::string_view json) {
  const Json object = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Wrong("the whole");
  Answer answer;
  const auto candidates = object.find("candidates");
  if (candidates == object.end() || !candidates->is_array() ||
      candidates->size() > Answer::kMaxCandidates) {
    return Wrong("candidates");
  }
  for (const Json& one : *candidates) {
    if (!ReadCandidate(one, &answer.candidates.emplace_back())) return Wrong("candidates");
  }
  if (!ReadNumber(object, "min_confidence", &answer.min_confidence)) return Wrong("min_confidence");
  const auto stages = object.find("stages");
  if (stages == object.end() || !stages->is_object() || stages->size() > Answer::kMaxStages) {
    return Wrong("stages");
  }
  double total = 0;
  for (const auto& [name, ms] : stages->items()) {
    if (!ms.is_number()) return Wrong("stages");
    answer.stages[name] = ms.get<double>();
    total += ms.get<double>();
  }
  answer.stages["total"] = total;
  return answer;
}

}  // namespace viaduct::eval
