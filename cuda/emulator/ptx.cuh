// The primitives of kernels/ptx.cuh on a CPU. Every CUDA thread is a fiber, and every memory access of a kernel is
// checked.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "numbers.h"

#define DEVICE inline __attribute__((always_inline))
#define UNROLL
#define UNROLL_2
#define UNROLL_4
#define KEEP_LOOP

namespace emulator {
// The calling CUDA thread.
int thread();
int threads();
int block(int axis);
int grid(int axis);
char* shared();
// Waits for the other threads of the block, or lanes of the warp. `where` must be the same for all.
void barrier(const char* file, int line);
void meet_warp(const char* file, int line);
// Sets *value to the value of lane `from`.
void shuffle(const char* file, int line, uint32_t* value, int from);
uint32_t lanes_where(const char* file, int line, bool x);
// d[m][n][4] += a[m][4] b[n][2] for the whole warp.
void mma(bool is_bf16, int m, int n, float* d, const Fragment* a, const Fragment* b);
// `row`: this lane's row of 16 bytes in shared memory.
void ldmatrix(Fragment* r, const void* row, bool transposed);
void copy_async16(void* shared, const void* global, int bytes);
void copy_commit();
void copy_wait(int groups);
int atomic(int* p, int v, bool min);
// Checks an access. A violation ends the launch.
void check(const void* p, int bytes, bool write);

typedef void (*Body)(const void* args);
struct Register {
    Register(const char* name, Body body, int args, int threads);
};
}  // namespace emulator

#define KERNEL(name, Args, threads)                                                               \
    static void name(const Args& a);                                                              \
    static emulator::Register name##_entry(                                                       \
        #name, [](const void* p) { name(*static_cast<const Args*>(p)); }, sizeof(Args), threads); \
    static void name(const Args& a)

#define KERNEL_SHARING(name, Args, threads, blocks) KERNEL(name, Args, threads)

struct bf16 {
    uint16_t bits;
};
struct f16 {
    uint16_t bits;
};
struct uint2 {
    uint32_t x, y;
};
struct uint4 {
    uint32_t x, y, z, w;
};

#define CUDART_INF_F INFINITY

DEVICE int thread_x() { return emulator::thread(); }
DEVICE int block_x() { return emulator::block(0); }
DEVICE int block_y() { return emulator::block(1); }
DEVICE int block_z() { return emulator::block(2); }
DEVICE int grid_x() { return emulator::grid(0); }
DEVICE int block_threads() { return emulator::threads(); }
DEVICE char* shared_memory() { return emulator::shared(); }

template <class T> DEVICE T min(T a, T b) { return b < a ? b : a; }
template <class T> DEVICE T max(T a, T b) { return a < b ? b : a; }
DEVICE float rsqrtf(float x) { return 1 / sqrtf(x); }

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return emulator::bf16_to_float(x.bits); }
DEVICE float to_float(f16 x) { return emulator::f16_to_float(x.bits); }
template <class T> T from_float(float x);
template <> inline float from_float<float>(float x) { return x; }
template <> inline bf16 from_float<bf16>(float x) { return {emulator::bf16_from_float(x)}; }
template <> inline f16 from_float<f16>(float x) { return {emulator::f16_from_float(x)}; }
template <class T> DEVICE uint32_t pack(float low, float high) {
    return from_float<T>(low).bits | uint32_t(from_float<T>(high).bits) << 16;
}
DEVICE float exp2_fast(float x) { return exp2f(x); }

DEVICE float reciprocal_fast(float x) { return 1 / x; }

DEVICE int64_t nanoseconds() {
    static thread_local int64_t now = 0;
    return now += 1000;
}

DEVICE int computed_again(int x) { return x; }

#define barrier() emulator::barrier(__FILE__, __LINE__)
#define warp_barrier() emulator::meet_warp(__FILE__, __LINE__)
template <class V> DEVICE V shuffle_at(const char* file, int line, V v, int from) {
    static_assert(sizeof(V) == 4, "shuffles move registers");
    uint32_t bits;
    memcpy(&bits, &v, 4);
    emulator::shuffle(file, line, &bits, from);
    memcpy(&v, &bits, 4);
    return v;
}
#define shuffle_xor(v, mask) shuffle_at(__FILE__, __LINE__, v, thread_x() % 32 ^ (mask))
#define shuffle_from(v, lane) shuffle_at(__FILE__, __LINE__, v, lane)

#define lanes_where(x) emulator::lanes_where(__FILE__, __LINE__, x)
DEVICE int highest_bit(uint32_t x) { return 31 - __builtin_clz(x); }
DEVICE int lowest_bit(uint32_t x) { return __builtin_ctz(x); }

DEVICE int atomic_add(int* p, int v) { return emulator::atomic(p, v, false); }
DEVICE int atomic_min(int* p, int v) { return emulator::atomic(p, v, true); }
DEVICE int load_volatile(const int* p) { return emulator::atomic(const_cast<int*>(p), 0, false); }

template <class V> DEVICE V load_vector(const void* p) {
    emulator::check(p, sizeof(V), false);
    V v;
    memcpy(&v, p, sizeof(V));
    return v;
}
template <class V> DEVICE void store_vector(void* p, V v) {
    emulator::check(p, sizeof(V), true);
    memcpy(p, &v, sizeof(V));
}
DEVICE uint4 load16(const void* p) { return load_vector<uint4>(p); }
DEVICE void store16(void* p, uint4 v) { store_vector(p, v); }
DEVICE uint2 load8(const void* p) { return load_vector<uint2>(p); }
DEVICE void store8(void* p, uint2 v) { store_vector(p, v); }

DEVICE void copy_async16(void* shared, const void* global, int bytes) {
    emulator::copy_async16(shared, global, bytes);
}
DEVICE void copy_commit() { emulator::copy_commit(); }
template <int N> DEVICE void copy_wait() { emulator::copy_wait(N); }

DEVICE void ldmatrix(Fragment (&r)[4], const void* row) { emulator::ldmatrix(r, row, false); }
DEVICE void ldmatrix_trans(Fragment (&r)[4], const void* row) { emulator::ldmatrix(r, row, true); }

template <class T> constexpr bool is_bf16 = false;
template <> constexpr bool is_bf16<bf16> = true;
template <class T, int M, int N>
DEVICE void mma(float (&d)[M][N][4], const Fragment (&a)[M][4], const Fragment (&b)[N][2]) {
    emulator::mma(is_bf16<T>, M, N, &d[0][0][0], &a[0][0], &b[0][0]);
}
// Products with zeros in the second half of the depth.
template <class T, int M, int N>
DEVICE void mma_half(float (&d)[M][N][4], const Fragment (&a)[M][2], const Fragment (&b)[N]) {
    Fragment left[M][4], right[N][2];
    for (int i = 0; i < M; i++) left[i][0] = a[i][0], left[i][1] = a[i][1], left[i][2] = left[i][3] = Fragment(0);
    for (int j = 0; j < N; j++) right[j][0] = b[j], right[j][1] = Fragment(0);
    mma<T>(d, left, right);
}
