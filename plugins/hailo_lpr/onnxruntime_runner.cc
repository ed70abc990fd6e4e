#include "plugins/hailo_lpr/onnxruntime_runner.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plugins/hailo_lpr/opencv_runner.h"
#include "plugins/hailo_lpr/shared_library.h"

namespace viaduct::hailo_lpr {
namespace {

constexpr size_t kInputSizes = 4;
constexpr size_t kMostSizes = 8;  // Of an output.

}  // namespace

absl::StatusOr<std::shared_ptr<const OnnxRuntimeLibrary>> OnnxRuntimeLibrary::Open(
    const std::string& path) {
  const auto loaded = SharedLibrary::Open(
      path.empty() ? std::vector<std::string>{"libonnxruntime.so", "libonnxruntime.so.1"}
                   : std::vector{path});
  if (!loaded.ok()) {
    return absl::NotFoundError(
        absl::StrCat("ONNX Runtime: not found, ", loaded.status().message()));
  }
  const auto get_base =
      reinterpret_cast<const onnxruntime::ApiBase* (*)()>(loaded->Find("OrtGetApiBase"));
  const onnxruntime::ApiBase* base = get_base == nullptr ? nullptr : get_base();
  const void* const* table = base == nullptr ? nullptr : base->get_api(onnxruntime::kApiVersion);
  if (table == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("ONNX Runtime: ", loaded->name(), " has not its functions"));
  }
  auto library = absl::WrapUnique(new OnnxRuntimeLibrary);
  library->version_ = base->get_version();
  onnxruntime::Functions& functions = library->functions_;
#define VD_ONNXRUNTIME_BIND(at, name, ...)                    \
  /* NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast) */ \
  functions.name = reinterpret_cast<decltype(functions.name)>(const_cast<void*>(table[at]));
  VD_ONNXRUNTIME_FUNCTIONS(VD_ONNXRUNTIME_BIND)
#undef VD_ONNXRUNTIME_BIND
  return std::shared_ptr<const OnnxRuntimeLibrary>(std::move(library));
}

absl::Status OnnxRuntimeLibrary::ToStatus(const std::string& subject,
                                          onnxruntime::Status status) const {
  if (status == nullptr) return absl::OkStatus();
  std::string text = functions_.get_error_message(status);
  std::replace(text.begin(), text.end(), '\n', ' ');
  functions_.release_status(status);
  return absl::InvalidArgumentError(absl::StrCat(subject, ": ", text));
}

OnnxRuntimeRunner::OnnxRuntimeRunner(const ModelSpec& spec,
                                     std::shared_ptr<const OnnxRuntimeLibrary> library)
    : path_(spec.path),
      normalisation_(spec.normalisation),
      library_(std::move(library)),
      api_(library_->functions()) {}

OnnxRuntimeRunner::~OnnxRuntimeRunner() {
  if (memory_ != nullptr) api_.release_memory_info(memory_);
  if (session_ != nullptr) api_.release_session(session_);
  if (env_ != nullptr) api_.release_env(env_);
}

absl::StatusOr<std::unique_ptr<OnnxRuntimeRunner>> OnnxRuntimeRunner::Load(const ModelSpec& spec,
                                                                           BackendHealth* health) {
  health->state = BackendState::kNoLibrary;
  auto library = OnnxRuntimeLibrary::Open(spec.library);
  if (absl::IsFailedPrecondition(library.status())) health->state = BackendState::kWrongLibrary;
  if (!library.ok()) return library.status();
  health->state = BackendState::kBadModel;
  if (absl::Status file = CheckModelFile(spec.path); !file.ok()) return file;
  auto runner = absl::WrapUnique(new OnnxRuntimeRunner(spec, *std::move(library)));
  health->library_version = runner->library_->version();
  absl::Status read = runner->OpenSession(std::clamp(spec.threads, 1, kMostThreads));
  if (read.ok()) read = runner->ReadInput(spec.input);
  if (read.ok()) read = runner->ReadNames();
  std::vector<Tensor> outputs;
  if (read.ok()) {
    const cv::Mat zeros(4, runner->input_.sizes.data(), CV_32F, cv::Scalar(0));
    read = runner->Run(zeros, &outputs);
  }
  if (!read.ok()) return read;
  runner->infos_.assign(outputs.begin(), outputs.end());
  *health = runner->health();
  return runner;
}

absl::Status OnnxRuntimeRunner::Checked(onnxruntime::Status status) const {
  return library_->ToStatus(absl::StrCat("model: ", path_), status);
}

absl::Status OnnxRuntimeRunner::OpenSession(int threads) {
  onnxruntime::SessionOptions options = nullptr;
  absl::Status done = Checked(api_.create_env(onnxruntime::kLogErrors, "viaduct", &env_));
  if (done.ok()) done = Checked(api_.create_session_options(&options));
  if (!done.ok()) return done;
  const absl::Cleanup release = [&] { api_.release_session_options(options); };
  done = Checked(api_.set_graph_optimisation(options, onnxruntime::kAllOptimisations));
  if (done.ok()) done = Checked(api_.set_threads(options, threads));
  if (done.ok()) done = Checked(api_.create_session(env_, path_.c_str(), options, &session_));
  if (!done.ok()) return done;
  return Checked(api_.create_cpu_memory_info(onnxruntime::kArenaAllocator,
                                             onnxruntime::kDefaultMemory, &memory_));
}

absl::Status OnnxRuntimeRunner::ReadInput(const TensorShape& wanted) {
  size_t count = 0;
  absl::Status done = Checked(api_.get_input_count(session_, &count));
  if (!done.ok()) return done;
  if (count != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("model: ", path_, ": has ", count, " inputs, not 1"));
  }
  onnxruntime::TypeInfo type = nullptr;
  done = Checked(api_.get_input_type(session_, 0, &type));
  if (!done.ok()) return done;
  const absl::Cleanup release = [&] { api_.release_type_info(type); };
  return ReadInputShape(wanted, type);
}

// What the file leaves open (-1) is as wanted, and one picture at a time.
absl::Status OnnxRuntimeRunner::ReadInputShape(const TensorShape& wanted,
                                               onnxruntime::TypeInfo type) {
  const auto wrong = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("model: ", path_, ": input ", what));
  };
  onnxruntime::TensorTypeInfo tensor = nullptr;  // Belongs to `type`.
  int element = 0;
  size_t count = 0;
  absl::Status done = Checked(api_.get_tensor_info_of_type(type, &tensor));
  if (done.ok() && tensor == nullptr) return wrong("is no tensor");
  if (done.ok()) done = Checked(api_.get_element_type(tensor, &element));
  if (done.ok()) done = Checked(api_.get_size_count(tensor, &count));
  if (!done.ok()) return done;
  takes_pixels_ = element == onnxruntime::kUint8;
  if (element != onnxruntime::kFloat && !takes_pixels_) return wrong("has no 32-bit floats");
  if (count != kInputSizes) return wrong(absl::StrCat("has ", count, " sizes, not 4"));
  std::array<int64_t, kInputSizes> sizes{};
  if (done = Checked(api_.get_sizes(tensor, sizes.data(), count)); !done.ok()) return done;
  if (takes_pixels_) std::rotate(sizes.begin() + 1, sizes.end() - 1, sizes.end());
  if (sizes[0] < 0) sizes[0] = 1;
  for (size_t i = 0; i < count; ++i) {
    const bool open = sizes[i] < 0 && wanted.sizes.size() == count;
    const int64_t size = open ? wanted.sizes[i] : sizes[i];
    input_.sizes.push_back(static_cast<int>(std::clamp<int64_t>(size, 0, 0x7fffffff)));
  }
  if (!wanted.sizes.empty() && wanted != input_) {
    return wrong(absl::StrCat("is ", absl::StrJoin(input_.sizes, "x"), ", not ",
                              absl::StrJoin(wanted.sizes, "x")));
  }
  return CheckInput(input_);
}

absl::Status OnnxRuntimeRunner::ReadNames() {
  onnxruntime::Allocator allocator = nullptr;
  size_t count = 0;
  absl::Status done = Checked(api_.get_default_allocator(&allocator));
  if (done.ok()) done = Checked(api_.get_output_count(session_, &count));
  if (!done.ok()) return done;
  if (count == 0 || count > kMostOutputs) {
    return absl::InvalidArgumentError(absl::StrCat("model: ", path_, ": has ", count, " outputs"));
  }
  const auto take = [&](auto get, size_t at, std::string* name) {
    char* text = nullptr;
    if (absl::Status got = Checked(get(session_, at, allocator, &text)); !got.ok()) return got;
    *name = text;
    return Checked(api_.free_by_allocator(allocator, text));
  };
  if (done = take(api_.get_input_name, 0, &input_name_); !done.ok()) return done;
  names_.resize(count);
  for (size_t i = 0; i < count && done.ok(); ++i) done = take(api_.get_output_name, i, &names_[i]);
  return done;
}

absl::Status OnnxRuntimeRunner::Run(const cv::Mat& input, std::vector<Tensor>* outputs) {
  if (takes_pixels_) {
    const absl::Status filled = PlanesToPixels(input, input_, normalisation_, &pixels_);
    return filled.ok() ? RunOn(pixels_.data(), outputs) : filled;
  }
  const bool fits = input.dims == 4 && input.type() == CV_32F && input.isContinuous() &&
                    std::vector<int>(input.size.p, input.size.p + 4) == input_.sizes;
  if (!fits) return absl::InvalidArgumentError(absl::StrCat("model: ", path_, ": wrong input"));
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): it only reads them.
  return RunOn(const_cast<float*>(input.ptr<float>()), outputs);
}

absl::Status OnnxRuntimeRunner::RunOn(void* data, std::vector<Tensor>* outputs) {
  std::vector<int64_t> sizes(input_.sizes.begin(), input_.sizes.end());
  if (takes_pixels_) std::rotate(sizes.begin() + 1, sizes.begin() + 2, sizes.end());
  const size_t octets = input_.elements() * (takes_pixels_ ? sizeof(uint8_t) : sizeof(float));
  const int type = takes_pixels_ ? onnxruntime::kUint8 : onnxruntime::kFloat;
  onnxruntime::Value value = nullptr;
  absl::Status done =
      Checked(api_.create_tensor(memory_, data, octets, sizes.data(), sizes.size(), type, &value));
  if (!done.ok()) return done;
  const char* input_name = input_name_.c_str();
  std::vector<const char*> names;
  for (const std::string& name : names_) names.push_back(name.c_str());
  std::vector<onnxruntime::Value> values(names.size(), nullptr);
  const absl::Cleanup release = [&] {
    api_.release_value(value);
    for (onnxruntime::Value one : values) {
      if (one != nullptr) api_.release_value(one);
    }
  };
  done = Checked(api_.run(session_, nullptr, &input_name, &value, 1, names.data(), names.size(),
                          values.data()));
  outputs->resize(names_.size());
  for (size_t i = 0; i < names_.size() && done.ok(); ++i) {
    static_cast<TensorInfo&>((*outputs)[i]) = {};  // Who read the last ones may have turned them.
    (*outputs)[i].name = names_[i];
    done = ReadOutput(values[i], &(*outputs)[i]);
  }
  return done;
}

absl::Status OnnxRuntimeRunner::ReadOutput(onnxruntime::Value value, Tensor* output) const {
  onnxruntime::TensorTypeInfo info = nullptr;
  absl::Status done = Checked(api_.get_tensor_info(value, &info));
  if (!done.ok()) return done;
  const absl::Cleanup release = [&] { api_.release_tensor_info(info); };
  int element = 0;
  size_t count = 0;
  std::vector<int64_t> sizes;
  done = Checked(api_.get_element_type(info, &element));
  if (done.ok()) done = Checked(api_.get_size_count(info, &count));
  if (done.ok()) {
    sizes.resize(std::min(count, kMostSizes));
    done = Checked(api_.get_sizes(info, sizes.data(), sizes.size()));
  }
  if (!done.ok()) return done;
  size_t elements = element == onnxruntime::kFloat && count <= kMostSizes ? 1 : 0;
  for (const int64_t size : sizes) {
    const bool bounded = size > 0 && elements <= kMostElements / static_cast<size_t>(size);
    elements = bounded ? elements * static_cast<size_t>(size) : 0;
    output->shape.sizes.push_back(bounded ? static_cast<int>(size) : 0);
  }
  if (elements == 0) {
    return absl::InvalidArgumentError(absl::StrCat("model: ", path_, ": output ", output->name,
                                                   " has no 32-bit floats, or too many"));
  }
  void* data = nullptr;
  if (done = Checked(api_.get_tensor_data(value, &data)); !done.ok()) return done;
  const float* values = static_cast<const float*>(data);
  output->values.assign(values, values + elements);
  return absl::OkStatus();
}

absl::Status OnnxRuntimeRunner::RunPicture(const cv::Mat& picture, std::vector<Tensor>* outputs) {
  if (takes_pixels_) {
    const absl::Status filled = FillPixels(picture, input_, &pixels_);
    return filled.ok() ? RunOn(pixels_.data(), outputs) : filled;
  }
  const absl::Status filled = FillPlanes(picture, input_, normalisation_, &planes_);
  return filled.ok() ? Run(planes_, outputs) : filled;
}

BackendHealth OnnxRuntimeRunner::health() const {
  BackendHealth health;
  health.backend = "onnxruntime";
  health.device = "cpu";
  health.library_version = library_->version();
  return health;
}

}  // namespace viaduct::hailo_lpr
