// The memory of the emulated device, and the check of every access.
//
// Kernel files are compiled with the instrumentation of AddressSanitizer. Its callbacks are defined here instead of in
// the runtime of AddressSanitizer. Each load and store of a kernel is looked up in the allocations, in the shared
// memory of the block, and on the thread's own stack. A violation is reported with the kernel, the block and the
// thread.

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "launch.h"

namespace emulator {

std::shared_mutex regions_lock;

struct Region {
    char* data;
    size_t bytes;
    std::vector<uint8_t> written;  // 1 for bytes that were written
};

namespace {

std::map<uintptr_t, Region*> regions;

Region* find(uintptr_t p) {
    auto next = regions.upper_bound(p);
    if (next == regions.begin()) return nullptr;
    Region* r = std::prev(next)->second;
    // Addresses just past the end belong to the region too, for the message.
    return p < reinterpret_cast<uintptr_t>(r->data) + r->bytes + 4096 ? r : nullptr;
}

bool ordered(const Touch& before, const Thread* t) {
    if (before.thread == -1 || before.block_epoch != t->block->epoch || before.thread == t->index) return true;
    return before.warp == t->index / WARP && before.warp_epoch != t->warp->epoch;
}

void check_shared(uintptr_t offset, int bytes, bool write) {
    Thread* t = launch->self;
    Block* b = t->block;
    const char* what = write ? "write" : "read";
    if (offset + bytes > launch->shared)
        fail("%s of %d bytes at %zu of %zu bytes of shared memory", what, bytes, size_t(offset), launch->shared);
    int16_t warp = int16_t(t->index / WARP);
    for (size_t i = offset / 2; i < (offset + bytes + 1) / 2; i++) {
        Shadow& s = b->shadow[i];
        if (!write && !s.written) fail("read of shared memory at %zu, which nothing wrote", size_t(offset));
        if (!ordered(s.write, t))
            fail("race: %s of shared memory at %zu, which thread %d wrote with no barrier between", what, size_t(offset),
                 s.write.thread);
        if (write) {
            if (!ordered(s.read, t))
                fail("race: write of shared memory at %zu, which thread %d read with no barrier between",
                     size_t(offset), s.read.thread);
            s.written = true;
            s.write = {b->epoch, t->warp->epoch, int16_t(t->index), warp};
            s.read.thread = -1;
        } else if (s.read.thread == -1 || s.read.block_epoch != b->epoch) {
            s.read = {b->epoch, t->warp->epoch, int16_t(t->index), warp};
        } else if (s.read.thread != t->index) {
            s.read.thread = -2;
            if (s.read.warp != warp) s.read.warp = -2;
            s.read.warp_epoch = std::max(s.read.warp_epoch, t->warp->epoch);
        }
    }
}

}  // namespace

__attribute__((noinline)) void check_access(uintptr_t p, int bytes, bool write) {
    Launch* l = launch;
    if (!l || !l->self) return;  // not in a kernel
    Thread* t = l->self;
    if (p - own_stack < STACK) return;
    const char* what = write ? "write" : "read";
    uintptr_t args = reinterpret_cast<uintptr_t>(l->args);
    if (!write && p >= args && p + bytes <= args + l->kernel->args) return;
    if ((bytes & (bytes - 1)) == 0 && p % bytes != 0) fail("misaligned %s of %d bytes at %#zx", what, bytes, size_t(p));
    uintptr_t shared = reinterpret_cast<uintptr_t>(t->block->base);
    if (p - shared < l->shared) return check_shared(p - shared, bytes, write);
    Region* r = l->last;
    if (!r || p - reinterpret_cast<uintptr_t>(r->data) >= r->bytes) r = l->last = find(p);
    // The address is past the end of the nearest region before it.
    uintptr_t start = r ? reinterpret_cast<uintptr_t>(r->data) : 0;
    if ((!r || p - start >= r->bytes) && start < shared && p - shared < l->shared + 4096)
        fail("%s of %d bytes at %zu of %zu bytes of shared memory", what, bytes, size_t(p - shared), l->shared);
    if (!r) fail("%s of %d bytes at %#zx, outside of every allocation", what, bytes, size_t(p));
    size_t offset = p - reinterpret_cast<uintptr_t>(r->data);
    if (offset + bytes > r->bytes)
        fail("%s of %d bytes at %zu of an allocation of %zu bytes", what, bytes, offset, r->bytes);
    uint8_t* written = &r->written[offset];
    if (write) {
        memset(written, 1, bytes);
    } else {
        for (int i = 0; i < bytes; i++)
            if (!written[i]) fail("read of %d bytes at %zu of an allocation, which nothing wrote", bytes, offset);
    }
}

// ---- what kernels call -----------------------------------------------------------------------------------------

void check(const void* p, int bytes, bool write) { check_access(reinterpret_cast<uintptr_t>(p), bytes, write); }

void copy_async16(void* shared, const void* global, int bytes) {
    if (reinterpret_cast<uintptr_t>(shared) % 16 || (bytes > 0 && reinterpret_cast<uintptr_t>(global) % 16))
        fail("misaligned copy of 16 bytes to shared memory");
    if (bytes < 0 || bytes > 16) fail("copy of %d bytes, at most 16", bytes);
    launch->self->copies.push_back({static_cast<char*>(shared), static_cast<const char*>(global), bytes});
}

void copy_commit() {
    Thread* t = launch->self;
    t->groups.push_back(std::move(t->copies));
    t->copies.clear();
}

// Copies are completed only here, so a thread that reads earlier gets the old contents.
void copy_wait(int groups) {
    Thread* t = launch->self;
    while (int(t->groups.size()) > groups) {
        for (const Copy& c : t->groups.front()) {
            for (int i = 0; i < c.bytes; i += 2) check(c.from + i, std::min(2, c.bytes - i), false);
            check(c.to, 16, true);
            memcpy(c.to, c.from, size_t(c.bytes));
            memset(c.to + c.bytes, 0, size_t(16 - c.bytes));
        }
        t->groups.erase(t->groups.begin());
    }
}

int atomic(int* p, int v, bool min) {
    check(p, 4, false);
    int old = *p;
    *p = min ? std::min(old, v) : old + v;
    // Other threads may run between any two atomic operations.
    if (launch->next() % 4 == 0) {
        launch->self->block->runnable.push_back(launch->self);
        yield();
    }
    return old;
}

// The callbacks of the instrumentation.
#define ACCESS(n)                                                                                            \
    extern "C" void __asan_load##n##_noabort(uintptr_t p) {                                                   \
        if (p - own_stack >= STACK) check_access(p, n, false);                                                \
    }                                                                                                        \
    extern "C" void __asan_store##n##_noabort(uintptr_t p) {                                                  \
        if (p - own_stack >= STACK) check_access(p, n, true);                                                 \
    }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
extern "C" void __asan_loadN_noabort(uintptr_t p, size_t n) { check_access(p, int(n), false); }
extern "C" void __asan_storeN_noabort(uintptr_t p, size_t n) { check_access(p, int(n), true); }
extern "C" void __asan_handle_no_return() {}
extern "C" void __asan_before_dynamic_init(const char*) {}
extern "C" void __asan_after_dynamic_init() {}

// ---- what Rust calls -------------------------------------------------------------------------------------------

extern "C" {

void* sam2_emulator_alloc(size_t bytes) {
    char* data = static_cast<char*>(aligned_alloc(256, (bytes + 255) / 256 * 256));
    if (!data) return nullptr;
    std::unique_lock guard(regions_lock);
    regions[reinterpret_cast<uintptr_t>(data)] = new Region{data, bytes, std::vector<uint8_t>(bytes)};
    return data;
}

void sam2_emulator_free(void* p) {
    std::unique_lock guard(regions_lock);
    auto it = regions.find(reinterpret_cast<uintptr_t>(p));
    delete it->second;
    regions.erase(it);
    free(p);
}

// Copies to or from device memory, or, without data, marks it as not written. Returns false if it is not the device's
// memory.
bool sam2_emulator_copy(uintptr_t device, void* host, size_t bytes, int kind) {
    std::shared_lock guard(regions_lock);
    Region* r = find(device);
    if (!r) return false;
    size_t offset = device - reinterpret_cast<uintptr_t>(r->data);
    if (offset + bytes > r->bytes) return false;
    uint8_t* written = r->written.data() + offset;
    if (kind == 0) {
        memcpy(reinterpret_cast<void*>(device), host, bytes);
        memset(written, 1, bytes);
    } else if (kind == 1) {
        if (std::find(written, written + bytes, 0) != written + bytes) return false;
        memcpy(host, reinterpret_cast<void*>(device), bytes);
    } else {
        memset(written, 0, bytes);
    }
    return true;
}

}  // extern "C"

}  // namespace emulator
