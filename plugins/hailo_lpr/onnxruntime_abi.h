// What of ONNX Runtime's C interface is used, declared by us: a table of functions that only ever
// grows at its end, so that version 1 of it serves every release.
#pragma once

#include <cstddef>
#include <cstdint>

namespace viaduct::hailo_lpr::onnxruntime {

// OrtApiBase, which OrtGetApiBase gives.
struct ApiBase {
  const void* const* (*get_api)(uint32_t version);  // Null: a version that it does not know.
  const char* (*get_version)();
};
inline constexpr uint32_t kApiVersion = 1;

using Status = struct StatusObject*;  // Null: success. Else it has to be released.
using Env = struct EnvObject*;
using Session = struct SessionObject*;
using SessionOptions = struct SessionOptionsObject*;
using MemoryInfo = struct MemoryInfoObject*;
using Value = struct ValueObject*;
using Allocator = struct AllocatorObject*;
using TensorTypeInfo = struct TensorTypeInfoObject*;  // OrtTensorTypeAndShapeInfo
using TypeInfo = struct TypeInfoObject*;

inline constexpr int kLogErrors = 3;          // OrtLoggingLevel
inline constexpr int kAllOptimisations = 99;  // GraphOptimizationLevel
inline constexpr int kFloat = 1;              // ONNXTensorElementDataType
inline constexpr int kUint8 = 2;
inline constexpr int kArenaAllocator = 1;  // OrtAllocatorType
inline constexpr int kDefaultMemory = 0;   // OrtMemType

// Place in the table, name, result and arguments.
#define VD_ONNXRUNTIME_FUNCTIONS(F)                                                                \
  F(2, get_error_message, const char*, Status)                                                     \
  F(3, create_env, Status, int level, const char* name, Env*)                                      \
  F(7, create_session, Status, Env, const char* path, SessionOptions, Session*)                    \
  F(9, run, Status, Session, const void* options, const char* const* input_names,                  \
    const Value* inputs, size_t input_count, const char* const* output_names, size_t output_count, \
    Value* outputs)                                                                                \
  F(10, create_session_options, Status, SessionOptions*)                                           \
  F(23, set_graph_optimisation, Status, SessionOptions, int level)                                 \
  F(24, set_threads, Status, SessionOptions, int threads)                                          \
  F(30, get_input_count, Status, Session, size_t*)                                                 \
  F(31, get_output_count, Status, Session, size_t*)                                                \
  F(33, get_input_type, Status, Session, size_t at, TypeInfo*)                                     \
  F(36, get_input_name, Status, Session, size_t at, Allocator, char**)                             \
  F(37, get_output_name, Status, Session, size_t at, Allocator, char**)                            \
  F(49, create_tensor, Status, MemoryInfo, void* data, size_t octets, const int64_t* sizes,        \
    size_t size_count, int type, Value*)                                                           \
  F(51, get_tensor_data, Status, Value, void**)                                                    \
  F(55, get_tensor_info_of_type, Status, TypeInfo, const TensorTypeInfo*)                          \
  F(60, get_element_type, Status, TensorTypeInfo, int*)                                            \
  F(61, get_size_count, Status, TensorTypeInfo, size_t*)                                           \
  F(62, get_sizes, Status, TensorTypeInfo, int64_t*, size_t count)                                 \
  F(65, get_tensor_info, Status, Value, TensorTypeInfo*)                                           \
  F(69, create_cpu_memory_info, Status, int allocator, int type, MemoryInfo*)                      \
  F(76, free_by_allocator, Status, Allocator, void*)                                               \
  F(78, get_default_allocator, Status, Allocator*)                                                 \
  F(92, release_env, void, Env)                                                                    \
  F(93, release_status, void, Status)                                                              \
  F(94, release_memory_info, void, MemoryInfo)                                                     \
  F(95, release_session, void, Session)                                                            \
  F(96, release_value, void, Value)                                                                \
  F(98, release_type_info, void, TypeInfo)                                                         \
  F(99, release_tensor_info, void, TensorTypeInfo)                                                 \
  F(100, release_session_options, void, SessionOptions)

struct Functions {
#define VD_ONNXRUNTIME_POINTER(at, name, result, ...) result (*name)(__VA_ARGS__) = nullptr;
  VD_ONNXRUNTIME_FUNCTIONS(VD_ONNXRUNTIME_POINTER)
#undef VD_ONNXRUNTIME_POINTER
};

}  // namespace viaduct::hailo_lpr::onnxruntime
