// Instructions of the hardware under readable names. This is the only file with inline PTX. The emulator has a file of
// the same name.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math_constants.h>
#include <stdint.h>

#define DEVICE __device__ __forceinline__
#define UNROLL _Pragma("unroll")
#define UNROLL_2 _Pragma("unroll 2")
#define UNROLL_4 _Pragma("unroll 4")
#define KEEP_LOOP _Pragma("unroll 1")  // where unrolling would need too many registers

// A kernel takes one struct of plain data, which Rust fills. Its name is `a`.
#define KERNEL(name, Args, threads) KERNEL_SHARING(name, Args, threads, 1)
// As KERNEL, with few enough registers that `blocks` blocks fit on a multiprocessor.
#define KERNEL_SHARING(name, Args, threads, blocks) \
    extern "C" __global__ void __launch_bounds__(threads, blocks) name(const __grid_constant__ Args a)

typedef __nv_bfloat16 bf16;
typedef __half f16;

DEVICE int thread_x() { return threadIdx.x; }
DEVICE int block_x() { return blockIdx.x; }
DEVICE int block_y() { return blockIdx.y; }
DEVICE int block_z() { return blockIdx.z; }
DEVICE int grid_x() { return gridDim.x; }
DEVICE int block_threads() { return blockDim.x; }

// x as a value that the compiler cannot analyse. Expressions of it are computed in every iteration of a loop instead of
// being kept in registers.
DEVICE int computed_again(int x) {
    asm volatile("" : "+r"(x));
    return x;
}

// The dynamic shared memory of the block, aligned to 128 bytes.
DEVICE char* shared_memory() {
    extern __shared__ __align__(128) char shared[];
    return shared;
}

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return __bfloat162float(x); }
DEVICE float to_float(f16 x) { return __half2float(x); }
template <class T> DEVICE T from_float(float x);
template <> DEVICE float from_float<float>(float x) { return x; }
template <> DEVICE bf16 from_float<bf16>(float x) { return __float2bfloat16_rn(x); }
template <> DEVICE f16 from_float<f16>(float x) { return __float2half_rn(x); }

// Packs two 16-bit numbers into a register, the first in the low half.
template <class T> DEVICE uint32_t pack(float low, float high);
template <> DEVICE uint32_t pack<bf16>(float low, float high) {
    __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t*>(&v);
}
template <> DEVICE uint32_t pack<f16>(float low, float high) {
    __half2 v = __floats2half2_rn(low, high);
    return *reinterpret_cast<uint32_t*>(&v);
}

// 2^x within two units in the last place. Results below the smallest normal number are 0.
DEVICE float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// 1 / x within one unit in the last place, for normal numbers.
DEVICE float reciprocal_fast(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// The device's clock in nanoseconds.
DEVICE int64_t nanoseconds() {
    int64_t now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    return now;
}

// Synchronises all threads of the block, or all lanes of the warp.
DEVICE void barrier() { __syncthreads(); }
DEVICE void warp_barrier() { __syncwarp(); }
DEVICE float shuffle_xor(float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
DEVICE int shuffle_xor(int x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
// Returns the value of another lane.
DEVICE int shuffle_from(int x, int lane) { return __shfl_sync(0xffffffffu, x, lane); }

// The bits of all lanes' x, lane 0's the lowest.
DEVICE uint32_t lanes_where(bool x) { return __ballot_sync(0xffffffffu, x); }
// The index of a bit that is set. x is not 0.
DEVICE int highest_bit(uint32_t x) { return 31 - __clz(static_cast<int>(x)); }
DEVICE int lowest_bit(uint32_t x) { return __ffs(static_cast<int>(x)) - 1; }

DEVICE int atomic_add(int* p, int v) { return atomicAdd(p, v); }
DEVICE int atomic_min(int* p, int v) { return atomicMin(p, v); }
// A read that sees values that other blocks wrote during this launch.
DEVICE int load_volatile(const int* p) { return *reinterpret_cast<const volatile int*>(p); }

// 16 bytes at an address that is 16-byte aligned.
DEVICE uint4 load16(const void* p) { return *reinterpret_cast<const uint4*>(p); }
DEVICE void store16(void* p, uint4 v) { *reinterpret_cast<uint4*>(p) = v; }
DEVICE uint2 load8(const void* p) { return *reinterpret_cast<const uint2*>(p); }
DEVICE void store8(void* p, uint2 v) { *reinterpret_cast<uint2*>(p) = v; }

// Copies `bytes` (0 to 16) from global to shared memory and zeros the rest of the 16. The copy is complete after
// copy_wait.
DEVICE void copy_async16(void* shared, const void* global, int bytes) {
    uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
}
// Ends a group of copies. copy_wait<N> waits for all groups of this thread except the last N.
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> DEVICE void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

// A register of an operand of mma, which holds two 16-bit numbers.
typedef uint32_t Fragment;

// Loads four 8x8 matrices of 16-bit numbers from shared memory. Lanes 8 i to 8 i + 7 give the addresses of the 16-byte
// rows of matrix i. r[i] is columns 2*(lane%4) and the next of row lane/4 of matrix i. Transposed, r[i] is those rows
// of column lane/4.
DEVICE void ldmatrix(Fragment (&r)[4], const void* row) {
    uint32_t p = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(p)
                 : "memory");
}
DEVICE void ldmatrix_trans(Fragment (&r)[4], const void* row) {
    uint32_t p = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(p)
                 : "memory");
}

template <class T> DEVICE void mma_16x8x16(float (&d)[4], const Fragment (&a)[4], const Fragment (&b)[2]);
template <> DEVICE void mma_16x8x16<bf16>(float (&d)[4], const Fragment (&a)[4], const Fragment (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <> DEVICE void mma_16x8x16<f16>(float (&d)[4], const Fragment (&a)[4], const Fragment (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// d[i][j] += a[i] b[j], products of 16x16 by 16x8. In each, a lane holds rows lane/4 and lane/4 + 8, and columns
// 2*(lane%4) and the next. d[0] and d[1] are in the first row, d[2] and d[3] in the second.
template <class T, int M, int N>
DEVICE void mma(float (&d)[M][N][4], const Fragment (&a)[M][4], const Fragment (&b)[N][2]) {
    UNROLL for (int i = 0; i < M; i++)
        UNROLL for (int j = 0; j < N; j++) mma_16x8x16<T>(d[i][j], a[i], b[j]);
}

template <class T> DEVICE void mma_16x8x8(float (&d)[4], const Fragment (&a)[2], Fragment b);
template <> DEVICE void mma_16x8x8<bf16>(float (&d)[4], const Fragment (&a)[2], Fragment b) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b));
}
template <> DEVICE void mma_16x8x8<f16>(float (&d)[4], const Fragment (&a)[2], Fragment b) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b));
}
// The same with products of 16x8 by 8x8.
template <class T, int M, int N>
DEVICE void mma_half(float (&d)[M][N][4], const Fragment (&a)[M][2], const Fragment (&b)[N]) {
    UNROLL for (int i = 0; i < M; i++)
        UNROLL for (int j = 0; j < N; j++) mma_16x8x8<T>(d[i][j], a[i], b[j]);
}
