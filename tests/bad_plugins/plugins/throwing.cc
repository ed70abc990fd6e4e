// What the plugins in C throw.
#include <stdexcept>
#include <string>

namespace {

// A class that only this library knows, with a text that goes when the library goes.
class OwnError : public std::exception {
 public:
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_ = "an error of the plugin's own";
};

}  // namespace

extern "C" {
void bad_throw_runtime_error() { throw std::runtime_error("thrown on purpose"); }
void bad_throw_own_error() { throw OwnError(); }
void bad_throw_int() { throw 42; }
}
