// What a recogniser reads from the picture of one plate.
#pragma once

#include <string>
#include <vector>

namespace viaduct::hailo_lpr {

struct Character {
  std::string text;  // One character in UTF-8.
  float confidence = 0;
};

struct Reading {
  std::vector<Character> characters;
  // That every character is right: 0 to 1, calibrated (of those with 0.9, nine of ten are right).
  float confidence = 0;
  // Of a Thai plate; empty where none is read with enough certainty.
  std::string province;
  float province_confidence = 0;

  std::string text() const {
    std::string out;
    for (const Character& character : characters) out += character.text;
    return out;
  }
};

}  // namespace viaduct::hailo_lpr
