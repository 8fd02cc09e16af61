// Runs kernels on a CPU, thread by thread: blocks, fibers and barriers.

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <utility>

#include "launch.h"

namespace emulator {
namespace {

// The number of blocks that run at once, with interleaved threads.
constexpr int RESIDENT = 2;

std::vector<Kernel>& kernels() {
    static std::vector<Kernel> all;
    return all;
}

}  // namespace

void fail(const char* format, ...) {
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

// ---- the scheduler ---------------------------------------------------------------------------------------------

namespace {

void fiber() {
    Launch* l = launch;
    Thread* t = l->self;
    l->kernel->body(l->args);
    if (!t->copies.empty() || !t->groups.empty()) fail("left with copies it never waited for");
    t->done = true;
    t->block->left++;
    for (;;) yield();
}

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
        // The stack looks as if `fiber` had been called and had switched away before its first instruction.
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
        // Several turns at once, since switching between blocks is expensive.
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

struct Register {
    Register(const char* name, void (*body)(const void*), int args, int threads);
};
Register::Register(const char* name, void (*body)(const void*), int args, int threads) {
    kernels().push_back({name, body, args, threads});
}

// ---- what Rust calls -------------------------------------------------------------------------------------------

extern "C" {

// Returns the kernel with a name, or -1, and the size of its arguments and its threads per block.
int sam2_emulator_kernel(const char* name, int* args, int* threads) {
    for (size_t i = 0; i < kernels().size(); i++) {
        const Kernel& k = kernels()[i];
        if (strcmp(k.name, name) == 0) return *args = k.args, *threads = k.threads, int(i);
    }
    return -1;
}

// Runs a kernel. Returns false with a message after a violation.
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

}  // namespace emulator
