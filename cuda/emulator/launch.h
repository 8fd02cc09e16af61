// The state of a launch: its blocks, warps and threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <shared_mutex>
#include <vector>

#include "fibers.h"

// Hidden: private to the emulator, and reached directly in a shared library.
namespace emulator __attribute__((visibility("hidden"))) {

constexpr int WARP = 32;
constexpr size_t STACK = 128 << 10;

// An allocation of device memory.
struct Region;

// The thread that accessed two bytes of shared memory last, and the interval between barriers of the block and of the
// warp.
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
// The row that a thread gave to ldmatrix.
struct MatrixRow {
    int64_t load = -1;
    bool transposed;
    uint16_t numbers[8];
};
constexpr int MATRIX_ROWS = 64;  // rows that a thread keeps

struct Thread {
    void* stack_pointer;
    char* stack;
    int index;
    Block* block;
    Warp* warp;
    bool done;
    std::vector<std::vector<Copy>> groups;  // committed
    std::vector<Copy> copies;               // not committed yet
    int64_t loads;                          // number of matrix loads so far
    MatrixRow rows[MATRIX_ROWS];
};
struct Block {
    int at[3];
    std::vector<char> shared;  // with room for alignment
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
// The launch that this thread of the host runs.
inline thread_local Launch* launch = nullptr;

// The stack of the running fiber. Most accesses are to it, and need no lookup.
inline thread_local uintptr_t own_stack = 0;

inline void yield() { sam2_emulator_switch(&launch->self->stack_pointer, launch->scheduler); }

// Ends the launch with a message. Does not return.
[[noreturn]] void fail(const char* format, ...);

// Checks an access of the running fiber.
void check_access(uintptr_t p, int bytes, bool write);

// Guards the list of allocations. A launch holds it shared.
extern std::shared_mutex regions_lock;

}  // namespace emulator
