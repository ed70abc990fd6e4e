// What a model takes and gives, whichever library runs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

namespace viaduct::hailo_lpr {

struct TensorShape {
  std::vector<int> sizes;  // The last one varies fastest.

  size_t elements() const {
    return std::accumulate(sizes.begin(), sizes.end(), size_t{1},
                           [](size_t all, int one) { return all * static_cast<size_t>(one); });
  }
  bool operator==(const TensorShape& other) const { return sizes == other.sizes; }
  bool operator!=(const TensorShape& other) const { return !(*this == other); }
};

// What the numbers are. HailoRT can leave the choice among boxes to the chip or to itself.
enum class TensorForm {
  kPlain,
  kNmsByClass,  // DecodeNmsByClass reads it.
  kNmsByScore,  // DecodeNmsByScore reads it, from the octets.
};

struct TensorInfo {
  std::string name;
  TensorShape shape;  // Of a plain one.
  TensorForm form = TensorForm::kPlain;
  // 1 x rows x columns x channels, as a Hailo gives it; else 1 x channels x rows x columns.
  bool channels_last = false;
  size_t classes = 0;          // Of kNmsByClass,
  size_t most_of_a_class = 0;  // and so many boxes of one of them.

  bool operator==(const TensorInfo& other) const {
    return name == other.name && shape == other.shape && form == other.form &&
           channels_last == other.channels_last && classes == other.classes &&
           most_of_a_class == other.most_of_a_class;
  }
};

struct Tensor : TensorInfo {
  std::vector<float> values;    // shape.elements() of a plain one; empty with kNmsByScore.
  std::vector<uint8_t> octets;  // With kNmsByScore.
};

}  // namespace viaduct::hailo_lpr
