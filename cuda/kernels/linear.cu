// Products: out = activation(A W^T + bias) + addend, group by group.
//
// A is (m, k) and W is (n, k), both 16 bytes aligned row by row; the preparing kernels at the end bring other operands
// into that form. Tiles of A and W pass through shared memory in four stages of cp.async; sums are f32 in registers.
// The finished tile goes through shared memory once more, so that the epilogue reads and writes whole sectors.
// Grid: (tiles of m, tiles of n, groups). Not yet measured on a GPU.

#include "common.cuh"

enum { NO_ADDEND = 0, TENSOR = 1, UPSAMPLED = 2 };

struct LinearArgs {
    const void* a;
    const void* w;
    const float* bias;  // (groups, n), or null
    View out;           // (m, groups * n)
    View addend;        // as out; upsampled: (h/2, w/2, n) for an output (h, w, n)
    int m, n, k;
    int lda, ldw;       // elements
    int a_group;        // elements from a group's columns of A to the next's
    int activation, addend_kind;
    int out_w;          // w of an upsampled addend
};

// Rows and columns from (row0, col0) of a tile of sums in shared memory, `stride` floats a row.
template <int ROWS, int COLS, int THREADS>
DEVICE void finish(const LinearArgs& a, const float* sums, int stride, int row0, int col0) {
    int group = block_z() * a.n;
    constexpr int QUADS = COLS / 4;
    for (int i = thread_x(); i < ROWS * QUADS; i += THREADS) {
        int row = row0 + i / QUADS, col = col0 + i % QUADS * 4;
        int n = min(4, a.n - col);
        if (row >= a.m || n <= 0) continue;
        const float* sum = sums + i / QUADS * stride + i % QUADS * 4;
        Four y;
        UNROLL for (int j = 0; j < 4; j++) {
            float bias = a.bias && j < n ? a.bias[group + col + j] : 0.0f;
            y.v[j] = activate(a.activation, sum[j] + bias);
        }
        if (a.addend_kind != NO_ADDEND) {
            size_t from = row;
            if (a.addend_kind == UPSAMPLED)
                from = static_cast<size_t>(row / a.out_w / 2) * (a.out_w / 2) + row % a.out_w / 2;
            Four add = get4(a.addend, from * a.addend.stride + group + col, n);
            UNROLL for (int j = 0; j < 4; j++) y.v[j] += add.v[j];
        }
        put4(a.out, static_cast<size_t>(row) * a.out.stride + group + col, y, n);
    }
}

// Rows row0.. of a matrix, columns 16/size * (CHUNKS * step) on, to a tile in shared memory; zeros beyond its end.
template <int ROWS, int CHUNKS, int SIZE, int THREADS, class At>
DEVICE void fetch(At at, const void* matrix, size_t stride, int row0, int rows, int step, int k) {
    for (int i = thread_x(); i < ROWS * CHUNKS; i += THREADS) {
        int row = row0 + i / CHUNKS, col = (step * CHUNKS + i % CHUNKS) * (16 / SIZE);
        int bytes = row < rows ? min(max((k - col) * SIZE, 0), 16) : 0;
        const char* from = static_cast<const char*>(matrix);
        if (bytes > 0) from += (row * stride + col) * SIZE;
        copy_async16(at(i / CHUNKS, i % CHUNKS), from, bytes);
    }
}

constexpr int STAGES = 4;

// BM x BN by WM x WN warps, 32 of k at a time, 16-bit operands.
template <class T, int BM, int BN, int WM, int WN> DEVICE void linear16(const LinearArgs& a) {
    constexpr int THREADS = WM * WN * 32, M = BM / WM / 16, N = BN / WN / 8, CHUNKS = 4;
    typedef Tile<CHUNKS * 16> Operand;
    constexpr int STAGE = (BM + BN) * CHUNKS * 16;
    char* shared = shared_memory();
    int row0 = block_x() * BM, col0 = block_y() * BN, warp = thread_x() / 32, lane = thread_x() % 32;
    const T* left = static_cast<const T*>(a.a) + static_cast<size_t>(block_z()) * a.a_group;
    const T* right = static_cast<const T*>(a.w) + static_cast<size_t>(block_z()) * a.n * a.ldw;
    int steps = (a.k + 31) / 32;
    auto fetch_step = [&](int step) {
        if (step < steps) {
            Operand x = {shared + step % STAGES * STAGE}, y = {x.base + BM * CHUNKS * 16};
            fetch<BM, CHUNKS, 2, THREADS>([&](int r, int c) { return x.at(r, c); }, left, a.lda, row0, a.m, step, a.k);
            fetch<BN, CHUNKS, 2, THREADS>([&](int r, int c) { return y.at(r, c); }, right, a.ldw, col0, a.n, step, a.k);
        }
        copy_commit();
    };
    UNROLL for (int step = 0; step < STAGES - 1; step++) fetch_step(step);
    float sums[M][N][4] = {};
    int wm = warp / WN * (BM / WM), wn = warp % WN * (BN / WN);
    for (int step = 0; step < steps; step++) {
        copy_wait<STAGES - 2>();
        barrier();
        fetch_step(step + STAGES - 1);
        Operand x = {shared + step % STAGES * STAGE}, y = {x.base + BM * CHUNKS * 16};
        UNROLL for (int part = 0; part < 2; part++) {
            uint32_t left[M][4], right[N][2];
            UNROLL for (int i = 0; i < M; i++) load_a(left[i], x, wm + i * 16, part * 2);
            UNROLL for (int j = 0; j < N; j += 2)
                load_b(*reinterpret_cast<uint32_t(*)[2][2]>(right[j]), y, wn + j * 8, part * 2);
            mma<T>(sums, left, right);
        }
    }
    copy_wait<0>();
    barrier();
    constexpr int STRIDE = BN + 4;
    float* tile = reinterpret_cast<float*>(shared);
    UNROLL for (int i = 0; i < M; i++)
        UNROLL for (int j = 0; j < N; j++)
            UNROLL for (int r = 0; r < 4; r++) {
                int row = wm + i * 16 + lane / 4 + r / 2 * 8, col = wn + j * 8 + lane % 4 * 2 + r % 2;
                tile[row * STRIDE + col] = sums[i][j][r];
            }
    barrier();
    finish<BM, BN, THREADS>(a, tile, STRIDE, row0, col0);
}

// 64 x 64 by 256 threads, each 4 x 4, 16 of k at a time, f32.
DEVICE void linear32(const LinearArgs& a) {
    constexpr int SIDE = 64, THREADS = 256, ROW = 20, STAGE = 2 * SIDE * ROW;
    float* shared = reinterpret_cast<float*>(shared_memory());
    int row0 = block_x() * SIDE, col0 = block_y() * SIDE, ty = thread_x() / 16, tx = thread_x() % 16;
    const float* left = static_cast<const float*>(a.a) + static_cast<size_t>(block_z()) * a.a_group;
    const float* right = static_cast<const float*>(a.w) + static_cast<size_t>(block_z()) * a.n * a.ldw;
    int steps = (a.k + 15) / 16;
    auto fetch_step = [&](int step) {
        if (step < steps) {
            float *x = shared + step % STAGES * STAGE, *y = x + SIDE * ROW;
            fetch<SIDE, 4, 4, THREADS>([&](int r, int c) { return x + r * ROW + c * 4; }, left, a.lda, row0, a.m, step, a.k);
            fetch<SIDE, 4, 4, THREADS>([&](int r, int c) { return y + r * ROW + c * 4; }, right, a.ldw, col0, a.n, step, a.k);
        }
        copy_commit();
    };
    UNROLL for (int step = 0; step < STAGES - 1; step++) fetch_step(step);
    float sums[4][4] = {};
    for (int step = 0; step < steps; step++) {
        copy_wait<STAGES - 2>();
        barrier();
        fetch_step(step + STAGES - 1);
        View x = {shared + step % STAGES * STAGE, 0, F32}, y = {shared + step % STAGES * STAGE + SIDE * ROW, 0, F32};
        UNROLL for (int k = 0; k < 16; k += 4) {
            Four l[4], r[4];
            UNROLL for (int i = 0; i < 4; i++) l[i] = get4(x, (ty + 16 * i) * ROW + k, 4);
            UNROLL for (int j = 0; j < 4; j++) r[j] = get4(y, (tx + 16 * j) * ROW + k, 4);
            UNROLL for (int i = 0; i < 4; i++)
                UNROLL for (int j = 0; j < 4; j++)
                    UNROLL for (int c = 0; c < 4; c++) sums[i][j] = fmaf(l[i].v[c], r[j].v[c], sums[i][j]);
        }
    }
    copy_wait<0>();
    barrier();
    constexpr int STRIDE = SIDE + 4;
    UNROLL for (int i = 0; i < 4; i++)
        UNROLL for (int j = 0; j < 4; j++) shared[(ty + 16 * i) * STRIDE + tx + 16 * j] = sums[i][j];
    barrier();
    finish<SIDE, SIDE, THREADS>(a, shared, STRIDE, row0, col0);
}

KERNEL(linear_f32, LinearArgs, 256) { linear32(a); }
KERNEL(linear_bf16, LinearArgs, 256) { linear16<bf16, 128, 128, 2, 4>(a); }
KERNEL(linear_f16, LinearArgs, 256) { linear16<f16, 128, 128, 2, 4>(a); }
KERNEL(linear_small_bf16, LinearArgs, 128) { linear16<bf16, 64, 64, 2, 2>(a); }
KERNEL(linear_small_f16, LinearArgs, 128) { linear16<f16, 64, 64, 2, 2>(a); }

// ---- preparing A -----------------------------------------------------------------------------------------------

struct RowsArgs {
    View out;  // (rows, groups * padded)
    View x, y; // (rows, groups * k); y may be none
    int rows, groups, k, padded;
};

// out = x + y, each group's columns padded with zeros to a multiple of 4. Grid: quads of elements by 256.
KERNEL(prepare_rows, RowsArgs, 256) {
    int quads = a.groups * a.padded / 4;
    size_t i = static_cast<size_t>(block_x()) * 256 + thread_x();
    if (i >= static_cast<size_t>(a.rows) * quads) return;
    size_t row = i / quads;
    int col = static_cast<int>(i % quads) * 4, group = col / a.padded, within = col % a.padded;
    int n = min(4, a.k - within);
    Four v = {{0, 0, 0, 0}};
    if (n > 0) {
        v = get4(a.x, row * a.x.stride + group * a.k + within, n);
        if (a.y.p) {
            Four w = get4(a.y, row * a.y.stride + group * a.k + within, n);
            UNROLL for (int j = 0; j < 4; j++) v.v[j] += w.v[j];
        }
    }
    put4(a.out, row * a.out.stride + col, v, 4);
}

struct PatchesArgs {
    View out;  // (images * out_h * out_w, padded)
    View x;    // (images, h, w, c)
    int rows, h, w, c, out_h, out_w;
    int kernel, stride, pad, padded;
};

// Rows of patches, (kernel, kernel, c), zeros beyond the map and beyond k. Grid: quads of elements by 256.
KERNEL(prepare_patches, PatchesArgs, 256) {
    int quads = a.padded / 4;
    size_t i = static_cast<size_t>(block_x()) * 256 + thread_x();
    if (i >= static_cast<size_t>(a.rows) * quads) return;
    int row = static_cast<int>(i / quads), col = static_cast<int>(i % quads) * 4;
    int image = row / (a.out_h * a.out_w), at = row % (a.out_h * a.out_w);
    int y0 = at / a.out_w * a.stride - a.pad, x0 = at % a.out_w * a.stride - a.pad;
    Four v;
    UNROLL for (int j = 0; j < 4; j++) {
        int k = col + j, c = k % a.c, y = y0 + k / a.c / a.kernel, x = x0 + k / a.c % a.kernel;
        bool inside = k < a.kernel * a.kernel * a.c && y >= 0 && y < a.h && x >= 0 && x < a.w;
        v.v[j] = inside ? get(a.x, ((static_cast<size_t>(image) * a.h + y) * a.w + x) * a.x.stride + c) : 0.0f;
    }
    put4(a.out, static_cast<size_t>(row) * a.out.stride + col, v, 4);
}
