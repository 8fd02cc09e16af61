// A product of f16 matrices for calibration: tiles of 128 x 128 x 32, 16 warps of 32 x 32, three stages. Rows in shared
// memory have no padding, so that most loads of fragments meet bank conflicts.
#include <cuda_pipeline.h>
#include <mma.h>
using namespace nvcuda;

struct GemmArgs {
    const half *a, *b;  // (m, k), (k, n)
    float* c;           // (m, n)
    int m, n, k;
};

extern "C" __global__ void __launch_bounds__(512, 2) wmma_gemm(const __grid_constant__ GemmArgs p) {
    extern __shared__ half shared[];
    const int stage = 128 * 32 * 2, warp = threadIdx.x / 32, row = warp / 4 * 32, col = warp % 4 * 32;
    const int row0 = blockIdx.y * 128, col0 = blockIdx.x * 128;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums[2][2];
    for (auto& r : sums)
        for (auto& f : r) wmma::fill_fragment(f, 0.0f);
    auto fetch = [&](int slot, int k0) {
        half *x = shared + slot * stage, *y = x + 128 * 32;
        int r = threadIdx.x / 4, c = threadIdx.x % 4 * 8;
        __pipeline_memcpy_async(x + r * 32 + c, p.a + (row0 + r) * p.k + k0 + c, 16);
        r = threadIdx.x / 16, c = threadIdx.x % 16 * 8;
        __pipeline_memcpy_async(y + r * 128 + c, p.b + (k0 + r) * p.n + col0 + c, 16);
        __pipeline_commit();
    };
    int steps = p.k / 32;
    fetch(0, 0);
    fetch(1, 32);
    for (int t = 0; t < steps; t++) {
        if (t + 2 < steps) fetch((t + 2) % 3, (t + 2) * 32);
        __pipeline_wait_prior(2);
        __syncthreads();
        const half *x = shared + t % 3 * stage, *y = x + 128 * 32;
#pragma unroll
        for (int k = 0; k < 32; k += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> a[2];
            wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> b[2];
#pragma unroll
            for (int i = 0; i < 2; i++) wmma::load_matrix_sync(a[i], x + (row + i * 16) * 32 + k, 32);
#pragma unroll
            for (int i = 0; i < 2; i++) wmma::load_matrix_sync(b[i], y + k * 128 + col + i * 16, 128);
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int j = 0; j < 2; j++) wmma::mma_sync(sums[i][j], a[i], b[j], sums[i][j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 2; j++)
            wmma::store_matrix_sync(p.c + (row0 + row + i * 16) * p.n + col0 + col + j * 16, sums[i][j], p.n,
                                    wmma::mem_row_major);
}
