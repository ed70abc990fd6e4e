#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "core/plugin/host_side.h"

namespace viaduct {
namespace {

constexpr size_t kAlign = 64;  // A cache line: frames and crops are read by vector code.

// The counted block that a vd_buffer is the first part of; its octets follow it.
struct alignas(kAlign) HostBuffer {
  vd_buffer abi{};
  std::atomic<uint64_t> references{1};
  std::shared_ptr<BufferAccount> account;
};

HostBuffer* Of(vd_buffer* buffer) { return static_cast<HostBuffer*>(static_cast<void*>(buffer)); }

void Ref(vd_buffer* self) {
  if (self != nullptr) Of(self)->references.fetch_add(1, std::memory_order_relaxed);
}

void Unref(vd_buffer* self) {
  if (self == nullptr) return;
  HostBuffer* const buffer = Of(self);
  if (buffer->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const std::shared_ptr<BufferAccount> account = std::move(buffer->account);
  account->used.fetch_sub(buffer->abi.size, std::memory_order_relaxed);
  buffer->~HostBuffer();
  std::free(buffer);
}

}  // namespace

vd_buffer* MakeBuffer(const std::shared_ptr<BufferAccount>& account, uint64_t size) {
  if (size > account->limit) return nullptr;
  if (account->used.fetch_add(size, std::memory_order_relaxed) + size > account->limit) {
    account->used.fetch_sub(size, std::memory_order_relaxed);
    return nullptr;
  }
  const size_t whole = (sizeof(HostBuffer) + size + kAlign - 1) / kAlign * kAlign;
  void* const block = std::aligned_alloc(kAlign, whole);
  if (block == nullptr) {
    account->used.fetch_sub(size, std::memory_order_relaxed);
    return nullptr;
  }
  HostBuffer* const buffer = ::new (block) HostBuffer();
  buffer->abi.data = static_cast<uint8_t*>(block) + sizeof(HostBuffer);
  buffer->abi.size = size;
  buffer->abi.ref = &Ref;
  buffer->abi.unref = &Unref;
  buffer->account = account;
  return &buffer->abi;
}

vd_buffer* ShareOrCopy(const std::shared_ptr<BufferAccount>& account, vd_buffer* buffer) {
  if (buffer->unref == &Unref) {
    Ref(buffer);
    return buffer;
  }
  vd_buffer* const copy = MakeBuffer(account, buffer->size);
  if (copy != nullptr && buffer->size > 0) std::memcpy(copy->data, buffer->data, buffer->size);
  return copy;
}

}  // namespace viaduct
