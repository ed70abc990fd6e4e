// What a model takes and gives, whichever library runs it.
#pragma once

#include <cstddef>
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
};

struct Tensor {
  std::string name;
  TensorShape shape;
  std::vector<float> values;  // shape.elements() of them.
};

}  // namespace viaduct::hailo_lpr
