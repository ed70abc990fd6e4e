#include "plugins/hailo_lpr/hailo/hailo_model.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plugins/hailo_lpr/picture_input.h"

namespace viaduct::hailo_lpr {
namespace {

using Result = HailoModel::Result;

constexpr size_t kMostGroups = 8;  // HAILO_MAX_NETWORK_GROUPS
constexpr size_t kMostStreams = 16;
constexpr size_t kMostFrameOctets = size_t{64} << 20;
constexpr size_t kFieldsOfABox = 5;

Result Said(hailort::Status status) { return {status, absl::OkStatus()}; }
Result Refuse(absl::Status status) { return {hailort::kSuccess, std::move(status)}; }

// It comes from a file: perhaps without its end.
std::string Name(const char (&name)[128]) { return {name, strnlen(name, sizeof(name))}; }

}  // namespace

absl::Status HailoModel::Refused(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat("model: ", options_.path, ": ", what));
}

Result HailoModel::Open(const HailortLibrary& library, hailort::Vdevice device,
                        uint64_t generation) {
  // HailoRT reads whatever it is given to the end.
  if (absl::Status file = CheckModelFile(options_.path); !file.ok()) return Refuse(file);
  const absl::MutexLock lock(&mutex_);
  hailo_ = &library.functions();
  hailort::Status status = hailo_->create_hef_file(&hef_, options_.path.c_str());
  std::array<hailort::Group, kMostGroups> groups{};
  size_t count = groups.size();
  if (status == hailort::kSuccess) {
    status = hailo_->configure_vdevice(device, hef_, nullptr, groups.data(), &count);
  }
  Result result = Said(status);
  if (result.ok()) {
    group_ = groups[0];
    result = count == 1 ? OpenStreams()
                        : Refuse(Refused(absl::StrCat("has ", count, " network groups, not 1")));
  }
  if (!result.ok()) {
    CloseLocked();
    return result;
  }
  generation_ = generation;
  return result;
}

Result HailoModel::OpenStreams() {
  if (Result input = OpenInput(); !input.ok()) return input;
  if (Result outputs = OpenOutputs(); !outputs.ok()) return outputs;
  return Describe();
}

Result HailoModel::OpenInput() {
  std::vector<hailort::NamedVstreamParams> params(kMostStreams);
  size_t count = params.size();
  const hailort::Status made =
      hailo_->make_input_vstream_params(group_, true, hailort::kUint8, params.data(), &count);
  if (made != hailort::kSuccess) return Said(made);
  if (count != 1) return Refuse(Refused(absl::StrCat("has ", count, " inputs, not 1")));
  params[0].params.timeout_ms = static_cast<uint32_t>(options_.timeout_ms);
  return Said(hailo_->create_input_vstreams(group_, params.data(), 1, &in_));
}

Result HailoModel::OpenOutputs() {
  std::vector<hailort::NamedVstreamParams> params(kMostStreams);
  size_t count = params.size();
  const hailort::Status made =
      hailo_->make_output_vstream_params(group_, true, hailort::kFloat32, params.data(), &count);
  if (made != hailort::kSuccess) return Said(made);
  if (count == 0 || count > params.size()) {
    return Refuse(Refused(absl::StrCat("has ", count, " outputs")));
  }
  for (size_t i = 0; i < count; ++i) {
    params[i].params.timeout_ms = static_cast<uint32_t>(options_.timeout_ms);
  }
  std::vector<hailort::OutputStream> streams(count);
  const hailort::Status created =
      hailo_->create_output_vstreams(group_, params.data(), count, streams.data());
  if (created == hailort::kSuccess) out_ = std::move(streams);
  return Said(created);
}

Result HailoModel::Describe() {
  TensorShape input;
  if (Result described = DescribeInput(&input); !described.ok()) return described;
  std::vector<TensorInfo> outputs(out_.size());
  octets_.assign(out_.size(), 0);
  for (size_t i = 0; i < out_.size(); ++i) {
    if (Result described = DescribeOutput(out_[i], &outputs[i], &octets_[i]); !described.ok()) {
      return described;
    }
  }
  if (const hailort::Status set = SetThresholds(); set != hailort::kSuccess) return Said(set);
  if (outputs_.empty()) {
    input_ = std::move(input);
    outputs_ = std::move(outputs);
  } else if (input != input_ || outputs != outputs_) {
    return Refuse(Refused("has other inputs or outputs than when it was first loaded"));
  }
  return {};
}

Result HailoModel::DescribeInput(TensorShape* input) const {
  hailort::VstreamInfo info{};
  size_t octets = 0;
  hailort::Status status = hailo_->get_input_vstream_info(in_, &info);
  if (status == hailort::kSuccess) status = hailo_->get_input_vstream_frame_size(in_, &octets);
  if (status != hailort::kSuccess) return Said(status);
  const auto side = [](uint32_t size) { return static_cast<int>(std::min(size, 0x7fffffffU)); };
  input->sizes = {1, side(info.shape.features), side(info.shape.height), side(info.shape.width)};
  if (absl::Status size = CheckInput(*input); !size.ok()) return Refuse(Refused(size.message()));
  if (octets == input->elements()) return {};
  return Refuse(Refused(absl::StrCat("input ", Name(info.name), " takes ", octets, " octets for ",
                                     absl::StrJoin(input->sizes, "x"), " pixels")));
}

Result HailoModel::DescribeOutput(hailort::OutputStream stream, TensorInfo* info,
                                  size_t* octets) const {
  hailort::VstreamInfo stream_info{};
  hailort::Status status = hailo_->get_output_vstream_info(stream, &stream_info);
  if (status == hailort::kSuccess) status = hailo_->get_output_vstream_frame_size(stream, octets);
  if (status != hailort::kSuccess) return Said(status);
  info->name = Name(stream_info.name);
  size_t wanted = *octets;
  switch (stream_info.format.order) {
    case hailort::kNms:
    case hailort::kNmsByClass:
      info->form = TensorForm::kNmsByClass;
      info->classes = std::min<size_t>(stream_info.nms.classes, kMostFrameOctets);
      info->most_of_a_class = std::min<size_t>(stream_info.nms.most_of_a_class, kMostFrameOctets);
      wanted = info->classes * (1 + kFieldsOfABox * info->most_of_a_class) * sizeof(float);
      break;
    case hailort::kNmsByScore:
      info->form = TensorForm::kNmsByScore;
      break;
    case hailort::kNmsWithMask:
      return Refuse(Refused(absl::StrCat("output ", info->name, " has masks")));
    default: {
      const auto& shape = stream_info.shape;
      const uint64_t area = uint64_t{shape.height} * shape.width;  // At most 64 bits;
      const bool bounded = area <= kMostFrameOctets && shape.features <= kMostFrameOctets;
      wanted = bounded ? area * shape.features * sizeof(float) : 0;  // and so is this.
      info->channels_last = true;
      if (bounded) {
        info->shape.sizes = {1, static_cast<int>(shape.height), static_cast<int>(shape.width),
                             static_cast<int>(shape.features)};
      }
    }
  }
  if (*octets == wanted && wanted > 0 && wanted <= kMostFrameOctets) return {};
  return Refuse(Refused(absl::StrCat("output ", info->name, " gives ", *octets,
                                     " octets, which is not what its shape says")));
}

hailort::Status HailoModel::SetThresholds() const {
  for (const hailort::OutputStream stream : out_) {
    hailort::VstreamInfo info{};
    if (const hailort::Status status = hailo_->get_output_vstream_info(stream, &info);
        status != hailort::kSuccess) {
      return status;
    }
    const int32_t order = info.format.order;
    if (order != hailort::kNms && order != hailort::kNmsByClass && order != hailort::kNmsByScore) {
      continue;
    }
    // Where the chip itself chooses among the boxes it can not be told; then the decoder's count.
    const auto set = [](hailort::Status status) {
      return status == hailort::kInvalidOperation || status == hailort::kNotSupported
                 ? hailort::kSuccess
                 : status;
    };
    hailort::Status status = hailort::kSuccess;
    if (options_.nms_score) {
      status = set(hailo_->vstream_set_nms_score_threshold(stream, *options_.nms_score));
    }
    if (status == hailort::kSuccess && options_.nms_overlap) {
      status = set(hailo_->vstream_set_nms_iou_threshold(stream, *options_.nms_overlap));
    }
    if (status != hailort::kSuccess) return status;
  }
  return hailort::kSuccess;
}

void HailoModel::Close() {
  const absl::MutexLock lock(&mutex_);
  CloseLocked();
}

// Nothing is to be done about what these answer: the device is closed next, or is gone.
void HailoModel::CloseLocked() {
  if (!out_.empty()) hailo_->release_output_vstreams(out_.data(), out_.size());
  if (in_ != nullptr) hailo_->release_input_vstreams(&in_, 1);
  if (group_ != nullptr) hailo_->shutdown_network_group(group_);
  if (hef_ != nullptr) hailo_->release_hef(hef_);
  out_.clear();
  in_ = nullptr;
  group_ = nullptr;
  hef_ = nullptr;
  generation_ = 0;
}

hailort::Status HailoModel::Infer(const std::vector<uint8_t>& pixels, std::vector<Tensor>* outputs,
                                  uint64_t* generation) {
  const absl::MutexLock lock(&mutex_);
  *generation = generation_;
  if (generation_ == 0) return hailort::kSuccess;
  hailort::Status status = hailo_->vstream_write_raw_buffer(in_, pixels.data(), pixels.size());
  outputs->resize(outputs_.size());
  for (size_t i = 0; i < out_.size() && status == hailort::kSuccess; ++i) {
    Tensor& output = (*outputs)[i];
    static_cast<TensorInfo&>(output) = outputs_[i];
    const bool raw = output.form == TensorForm::kNmsByScore;
    output.octets.resize(raw ? octets_[i] : 0);
    output.values.resize(raw ? 0 : octets_[i] / sizeof(float));
    void* to = raw ? static_cast<void*>(output.octets.data()) : output.values.data();
    status = hailo_->vstream_read_raw_buffer(out_[i], to, octets_[i]);
  }
  return status;
}

}  // namespace viaduct::hailo_lpr
