// Runs kernels on a CPU, thread by thread, and watches every step.
//
// Kernel files are compiled with AddressSanitizer's instrumentation, whose callbacks are here instead of its runtime:
// so each load and store of a kernel is looked up in the allocations there are, in the block's shared memory, or on the
// thread's own stack, and a violation is reported with kernel, block and thread.

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <sys/mman.h>
#include <vector>

#include "fibers.h"
#include "numbers.h"

namespace {

constexpr int WARP = 32;
constexpr size_t STACK = 128 << 10;
// Blocks that run at once, their threads interleaved.
constexpr int RESIDENT = 2;

// ---- device memory ---------------------------------------------------------------------------------------------

struct Region {
    char* data;
    size_t bytes;
    std::vector<uint8_t> written;  // 1 where something was written
};

std::shared_mutex regions_lock;
std::map<uintptr_t, Region*> regions;

Region* find(uintptr_t p) {
    auto next = regions.upper_bound(p);
    if (next == regions.begin()) return nullptr;
    Region* r = std::prev(next)->second;
    // One past the end still belongs to it, for the message.
    return p < reinterpret_cast<uintptr_t>(r->data) + r->bytes + 4096 ? r : nullptr;
}

// ---- a launch --------------------------------------------------------------------------------------------------

// Who touched two bytes of shared memory last, and when: in which interval between barriers of block and warp.
struct Touch {
    uint32_t block_epoch = 0, warp_epoch = 0;
    int16_t thread = -1, warp = -1;  // -2: several
};
struct Shadow {
    Touch write, read;
    bool written = false;
};

struct Block;
struct Warp {
    int arrived = 0;
    const char* file = nullptr;
    int line = 0, kind = 0;
    uint32_t epoch = 0;
    void* slots[WARP];
};
struct Copy {
    char* to;
    const char* from;
    int bytes;
};
// What a thread gave to ldmatrix.
struct MatrixRow {
    int64_t load = -1;
    bool transposed;
    uint16_t numbers[8];
};
constexpr int MATRIX_ROWS = 64;  // that a thread keeps

struct Thread {
    void* stack_pointer;
    char* stack;
    int index;
    Block* block;
    Warp* warp;
    bool done;
    std::vector<std::vector<Copy>> groups;  // committed
    std::vector<Copy> copies;               // not yet
    int64_t loads;                          // of matrices, so far
    MatrixRow rows[MATRIX_ROWS];
};
struct Block {
    int at[3];
    std::vector<char> shared;  // with room to align
    char* base;
    std::vector<Shadow> shadow;
    std::vector<Warp> warps;
    std::vector<Thread*> threads, runnable;
    int arrived = 0, left = 0;
    const char* file = nullptr;
    int line = 0;
    uint32_t epoch = 1;
};

struct Kernel {
    const char* name;
    void (*body)(const void*);
    int args, threads;
};
std::vector<Kernel>& kernels() {
    static std::vector<Kernel> all;
    return all;
}

struct Launch {
    const Kernel* kernel;
    int grid[3], threads;
    size_t shared;
    const char* args;
    uint64_t random;
    void* scheduler;
    Thread* self;
    bool failed;
    char* error;
    size_t error_size;
    Region* last;

    uint64_t next() {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        return random;
    }
};
thread_local Launch* launch = nullptr;

void yield() { sam2_emulator_switch(&launch->self->stack_pointer, launch->scheduler); }

// Ends the launch with a message; does not return.
[[noreturn]] void fail(const char* format, ...) {
    Launch* l = launch;
    if (!l->failed) {
        const Thread* t = l->self;
        int n = snprintf(l->error, l->error_size, "kernel %s, block (%d, %d, %d), thread %d: ", l->kernel->name,
                         t->block->at[0], t->block->at[1], t->block->at[2], t->index);
        va_list list;
        va_start(list, format);
        vsnprintf(l->error + n, l->error_size - n, format, list);
        va_end(list);
        l->failed = true;
    }
    for (;;) yield();
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

// The stack of the fiber that runs: most accesses are to it, and need no look.
thread_local uintptr_t own_stack = 0;

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
    // Past the end of what lies nearest before it.
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

// Meets the other lanes of the warp; the last to come runs `action` on everyone's slot.
template <class F> void meet(int kind, const char* file, int line, void* slot, F action) {
    Thread* t = launch->self;
    Warp* w = t->warp;
    if (w->arrived == 0) {
        w->file = file, w->line = line, w->kind = kind;
    } else if (w->kind != kind || w->line != line || (w->file != file && strcmp(w->file, file) != 0)) {
        fail("divergent warp: a lane is at %s:%d, others wait at %s:%d", file, line, w->file, w->line);
    }
    w->slots[t->index % WARP] = slot;
    if (++w->arrived < WARP) return yield();
    w->arrived = 0;
    action(w);
    for (int i = 0; i < WARP; i++) {
        Thread* other = t->block->threads[t->index / WARP * WARP + i];
        if (other != t) t->block->runnable.push_back(other);
    }
}

struct ShuffleSlot {
    uint32_t* value;
    int from;
};
struct MmaSlot {
    float* d;
    const Fragment *a, *b;
};

// The numbers that a lane's register holds, of what all lanes of the warp loaded.
uint32_t resolve(const Fragment& f, int lane) {
    if (f.load < 0) return f.bits;
    Thread* t = launch->self;
    Thread** warp = &t->block->threads[size_t(t->index / WARP * WARP)];
    int64_t load = f.load / 4;
    int matrix = int(f.load % 4);
    auto row = [&](int of) -> const MatrixRow& {
        const MatrixRow& r = warp[matrix * 8 + of]->rows[load % MATRIX_ROWS];
        if (r.load != load) fail("a product of matrices that other lanes have not loaded, or long ago");
        return r;
    };
    const MatrixRow& own = row(lane / 4);
    int at = lane % 4 * 2;
    if (own.transposed != row(at).transposed) fail("lanes load a matrix as it is and transposed");
    if (own.transposed) return row(at).numbers[lane / 4] | uint32_t(row(at + 1).numbers[lane / 4]) << 16;
    return own.numbers[at] | uint32_t(own.numbers[at + 1]) << 16;
}

void fiber() {
    Launch* l = launch;
    Thread* t = l->self;
    l->kernel->body(l->args);
    if (!t->copies.empty() || !t->groups.empty()) fail("left with copies it never waited for");
    t->done = true;
    t->block->left++;
    for (;;) yield();
}

// ---- the scheduler ---------------------------------------------------------------------------------------------

struct Stacks {
    std::vector<char*> free;
    char* take() {
        if (free.empty()) {
            void* p = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (p == MAP_FAILED) abort();
            return static_cast<char*>(p);
        }
        char* s = free.back();
        free.pop_back();
        return s;
    }
    ~Stacks() {
        for (char* s : free) munmap(s, STACK);
    }
};
thread_local Stacks stacks;

Block* start_block(Launch* l, int index) {
    Block* b = new Block;
    b->at[0] = index % l->grid[0], b->at[1] = index / l->grid[0] % l->grid[1], b->at[2] = index / l->grid[0] / l->grid[1];
    b->shared.assign(l->shared + 128, char(0xcb));
    b->base = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(b->shared.data()) + 127) / 128 * 128);
    b->shadow.resize((l->shared + 1) / 2);
    b->warps.resize(l->threads / WARP);
    for (int i = 0; i < l->threads; i++) {
        Thread* t = new Thread{};
        t->stack = stacks.take();
        t->index = i;
        t->block = b;
        t->warp = &b->warps[i / WARP];
        // As if `fiber` had been called and had switched away before its first instruction.
        void** top = reinterpret_cast<void**>(t->stack + STACK);
#if defined(__x86_64__)
        *--top = nullptr;  // the return address of a function that never returns, which aligns the stack
        *--top = reinterpret_cast<void*>(fiber);
        for (int r = 0; r < SAVED; r++) *--top = nullptr;
#else
        top -= 22;
        memset(top, 0, 176);
        top[11] = reinterpret_cast<void*>(fiber);
#endif
        t->stack_pointer = top;
        b->threads.push_back(t);
        b->runnable.push_back(t);
    }
    return b;
}

void end_block(Block* b) {
    for (Thread* t : b->threads) {
        stacks.free.push_back(t->stack);
        delete t;
    }
    delete b;
}

void run(Launch* l) {
    std::vector<int> order(l->grid[0] * l->grid[1] * l->grid[2]);
    for (size_t i = 0; i < order.size(); i++) order[i] = int(i);
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[l->next() % i]);
    std::vector<Block*> resident;
    size_t started = 0;
    while (!l->failed && (started < order.size() || !resident.empty())) {
        while (resident.size() < RESIDENT && started < order.size()) resident.push_back(start_block(l, order[started++]));
        size_t which = l->next() % resident.size();
        Block* b = resident[which];
        // A few turns at once, or switching would be all there is.
        for (int turns = 0; turns < 64 && !b->runnable.empty() && !l->failed; turns++) {
            size_t pick = l->next() % b->runnable.size();
            Thread* t = b->runnable[pick];
            b->runnable[pick] = b->runnable.back();
            b->runnable.pop_back();
            l->self = t;
            own_stack = reinterpret_cast<uintptr_t>(t->stack);
            sam2_emulator_switch(&l->scheduler, t->stack_pointer);
            own_stack = 0;
            l->self = nullptr;
        }
        if (l->failed || !b->runnable.empty()) continue;
        if (b->left < int(b->threads.size())) {
            for (Thread* t : b->threads)
                if (!t->done) l->self = t;
            const Thread* t = l->self;
            const char* file = b->arrived ? b->file : t->warp->file;
            int line = b->arrived ? b->line : t->warp->line;
            snprintf(l->error, l->error_size,
                     "kernel %s, block (%d, %d, %d), thread %d: deadlock at %s:%d; %d of %d threads have left",
                     l->kernel->name, b->at[0], b->at[1], b->at[2], t->index, file ? file : "?", line, b->left,
                     int(b->threads.size()));
            l->self = nullptr;
            l->failed = true;
        } else {
            end_block(b);
            resident.erase(resident.begin() + long(which));
        }
    }
    for (Block* b : resident) end_block(b);
}

}  // namespace

// ---- what kernels call -----------------------------------------------------------------------------------------

namespace emulator {

int thread() { return launch->self->index; }
int threads() { return launch->threads; }
int block(int axis) { return launch->self->block->at[axis]; }
int grid(int axis) { return launch->grid[axis]; }
char* shared() { return launch->self->block->base; }

void barrier(const char* file, int line) {
    Thread* t = launch->self;
    Block* b = t->block;
    if (b->arrived == 0) {
        b->file = file, b->line = line;
    } else if (b->line != line || (b->file != file && strcmp(b->file, file) != 0)) {
        fail("divergent barrier: a thread is at %s:%d, others wait at %s:%d", file, line, b->file, b->line);
    }
    if (++b->arrived < int(b->threads.size())) return yield();
    b->arrived = 0;
    b->epoch++;
    for (Thread* other : b->threads)
        if (other != t) b->runnable.push_back(other);
}

void meet_warp(const char* file, int line) {
    meet(0, file, line, nullptr, [](Warp* w) { w->epoch++; });
}

void shuffle(const char* file, int line, uint32_t* value, int from) {
    ShuffleSlot slot{value, from};
    meet(1, file, line, &slot, [](Warp* w) {
        uint32_t all[WARP];
        for (int i = 0; i < WARP; i++) all[i] = *static_cast<ShuffleSlot*>(w->slots[i])->value;
        for (int i = 0; i < WARP; i++) {
            const ShuffleSlot* s = static_cast<ShuffleSlot*>(w->slots[i]);
            if (s->from < 0 || s->from >= WARP) fail("a shuffle from lane %d", s->from);
            *s->value = all[s->from];
        }
    });
}

void ldmatrix(Fragment* r, const void* row, bool transposed) {
    Thread* t = launch->self;
    uintptr_t p = reinterpret_cast<uintptr_t>(row);
    if (p - reinterpret_cast<uintptr_t>(t->block->base) >= launch->shared) fail("a matrix outside of shared memory");
    check_access(p, 16, false);
    MatrixRow& kept = t->rows[t->loads % MATRIX_ROWS];
    kept.load = t->loads, kept.transposed = transposed;
    memcpy(kept.numbers, row, 16);
    for (int i = 0; i < 4; i++) r[i].load = t->loads * 4 + i;
    t->loads++;
}

void mma(bool is_bf16, int m, int n, float* d, const Fragment* a, const Fragment* b) {
    MmaSlot slot{d, a, b};
    meet(2 + m * 64 + n, "mma", 0, &slot, [=](Warp* w) {
        auto number = [=](uint32_t pair, int half) {
            uint16_t bits = uint16_t(pair >> (16 * half));
            return is_bf16 ? emulator::bf16_to_float(bits) : emulator::f16_to_float(bits);
        };
        static thread_local float left[64 * 16][16], right[64 * 8][16];
        for (int lane = 0; lane < WARP; lane++) {
            const MmaSlot* s = static_cast<MmaSlot*>(w->slots[lane]);
            int row = lane / 4, column = lane % 4 * 2;
            auto put = [&](float* to, const Fragment& f) {
                uint32_t pair = resolve(f, lane);
                to[0] = number(pair, 0), to[1] = number(pair, 1);
            };
            for (int i = 0; i < m; i++)
                for (int r = 0; r < 4; r++) put(&left[i * 16 + row + r % 2 * 8][column + r / 2 * 8], s->a[i * 4 + r]);
            for (int j = 0; j < n; j++)
                for (int r = 0; r < 2; r++) put(&right[j * 8 + row][column + r * 8], s->b[j * 2 + r]);
        }
        for (int lane = 0; lane < WARP; lane++) {
            const MmaSlot* s = static_cast<MmaSlot*>(w->slots[lane]);
            for (int i = 0; i < m; i++)
                for (int j = 0; j < n; j++)
                    for (int r = 0; r < 4; r++) {
                        const float *x = left[i * 16 + lane / 4 + r / 2 * 8], *y = right[j * 8 + lane % 4 * 2 + r % 2];
                        float sum = 0;
                        for (int k = 0; k < 16; k++) sum += x[k] * y[k];
                        s->d[(i * n + j) * 4 + r] += sum;
                    }
        }
    });
}

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

// Copies land only now: whoever reads before finds what was there.
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
    // Others may come between any two atomics.
    if (launch->next() % 4 == 0) {
        launch->self->block->runnable.push_back(launch->self);
        yield();
    }
    return old;
}

struct Register {
    Register(const char* name, void (*body)(const void*), int args, int threads);
};
Register::Register(const char* name, void (*body)(const void*), int args, int threads) {
    kernels().push_back({name, body, args, threads});
}

}  // namespace emulator

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

// The kernel of that name, or -1; the size of its arguments and its threads per block.
int sam2_emulator_kernel(const char* name, int* args, int* threads) {
    for (size_t i = 0; i < kernels().size(); i++) {
        const Kernel& k = kernels()[i];
        if (strcmp(k.name, name) == 0) return *args = k.args, *threads = k.threads, int(i);
    }
    return -1;
}

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

// Copies to (or from, or with no data forgets) device memory; false where it is not the device's.
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

// Runs a kernel; false with a message where it did what it must not.
bool sam2_emulator_launch(int kernel, const uint32_t grid[3], uint32_t threads, size_t shared, const void* args,
                          uint64_t seed, char* error, size_t error_size) {
    std::shared_lock guard(regions_lock);
    Launch l{};
    l.kernel = &kernels()[size_t(kernel)];
    for (int i = 0; i < 3; i++) l.grid[i] = int(grid[i]);
    l.threads = int(threads);
    l.shared = shared;
    l.args = static_cast<const char*>(args);
    l.random = seed * 0x9e3779b97f4a7c15 | 1;
    l.error = error;
    l.error_size = error_size;
    launch = &l;
    run(&l);
    launch = nullptr;
    return !l.failed;
}

}  // extern "C"
