// Compares answers with the truth and counts.
//
// A candidate belongs to the plate that it covers most, if it covers half of the smaller of the
// two; the answer for a plate is the most certain reading that belongs to it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "host/eval/answer.h"
#include "host/eval/truth.h"

namespace viaduct::eval {

// Confidences from the one before (0 at first) to this one.
inline constexpr std::array<double, 7> kBands = {0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0};
inline constexpr size_t kBest = 5;  // Candidates that "five best" looks at.

struct Band {
  uint64_t readings = 0;
  uint64_t right = 0;
  double confidence = 0;  // The sum.
};

// Sums over pictures; two of them can be added.
struct Tally {
  uint64_t images = 0;
  uint64_t unreadable = 0;  // Pictures that the plugin refused.
  uint64_t plates = 0;
  uint64_t found_best = 0;  // IoU at least 0.5 among as many candidates as there are plates.
  uint64_t found_five = 0;
  uint64_t exact = 0;
  uint64_t equal = 0;  // With O read as 0 and I as 1.
  uint64_t characters = 0;
  uint64_t mistakes = 0;        // Characters to change, add or leave out, equal ones not counted.
  uint64_t told_right = 0;      // Equal and accepted.
  uint64_t told_wrong = 0;      // A plate told with another text.
  uint64_t false_plates = 0;    // Accepted where there is no plate.
  uint64_t false_readings = 0;  // The same, whether accepted or not.
  uint64_t provinces = 0;       // Plates with a province of which the text is exact,
  uint64_t province_given = 0;  // those among them that got one,
  uint64_t province_right = 0;  // and the right one.
  std::array<Band, kBands.size()> bands{};
  std::map<std::string, std::vector<float>> stages;  // Milliseconds of each picture.
  std::map<std::pair<std::string, std::string>, uint64_t>
      mixed;  // Right and read character; "" none.

  void Add(const Tally& other);
};

// What is said of one picture in a list.
struct PictureVerdict {
  std::string name;
  struct Plate {
    std::string text;
    std::string read;  // "": nothing.
    double confidence = 0;
    bool found = false;
    bool equal = false;
    bool told = false;
    std::string province;
    std::string read_province;
  };
  std::vector<Plate> plates;
  std::vector<std::string> false_plates;
  std::string problem;  // Not empty: it could not be looked at.
};

PictureVerdict Compare(const TruePicture& picture, const Answer& answer, Tally* tally);

// O as 0 and I as 1, which many plates draw alike.
std::string Folded(const std::string& text);

// The characters of a text in UTF-8; an octet that is none is one by itself.
std::vector<std::string> Characters(const std::string& text);

// The least changes from one text to another: each the right and the read character, one of them
// empty where a character is missing or too much. At most kLongestText characters are looked at.
inline constexpr size_t kLongestText = 64;
std::vector<std::pair<std::string, std::string>> Changes(const std::string& right,
                                                         const std::string& read);

}  // namespace viaduct::eval
