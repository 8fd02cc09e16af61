// Layer norm: out = activation((x - mean) / sqrt(variance + eps) * gamma + beta) over rows of n.
//
// LANES threads take a row. Each thread holds QUADS times four columns in registers, so a row is read once. The
// variance is taken about the mean, since a single sum of squares would lose digits. Grid: rows by 256 / LANES. Not yet
// measured on a GPU.

#include "common.cuh"

struct NormArgs {
    View out;  // (rows, padded), with zeros beyond n
    View x;    // (rows, n)
    const float* gamma;
    const float* beta;
    float eps;
    int rows, n, padded, activation;
    int fast;  // rows are 16-byte aligned and n is a multiple of 4
};

template <int LANES, int QUADS> DEVICE void norm(const NormArgs& a) {
    int row = block_x() * (256 / LANES) + thread_x() / LANES, lane = thread_x() % LANES;
    auto column = [&](int i) { return (lane + i * LANES) * 4; };
    auto over_row = [](float x) {
        UNROLL for (int mask = LANES / 2; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
        return x;
    };
    size_t from = static_cast<size_t>(row) * a.x.stride;
    Vec4 x[QUADS] = {};
    if (row >= a.rows) {
    } else if (a.fast && a.x.dtype == F32) {
        UNROLL for (int i = 0; i < QUADS; i++)
            if (column(i) < a.n) x[i] = vec4(load16(address(a.x, from + column(i))));
    } else if (a.fast) {
        uint2 words[QUADS] = {};
        UNROLL for (int i = 0; i < QUADS; i++)
            if (column(i) < a.n) words[i] = load8(address(a.x, from + column(i)));
        UNROLL for (int i = 0; i < QUADS; i++) x[i] = vec4(words[i], a.x.dtype);
    } else {
        UNROLL for (int i = 0; i < QUADS; i++)
            if (column(i) < a.n) x[i] = load4(a.x, from + column(i), min(4, a.n - column(i)));
    }
    float sum = 0;
    UNROLL for (int i = 0; i < QUADS; i++) sum += x[i].v[0] + x[i].v[1] + x[i].v[2] + x[i].v[3];
    float mean = over_row(sum) / a.n;
    sum = 0;
    UNROLL for (int i = 0; i < QUADS; i++)
        UNROLL for (int j = 0; j < 4; j++)
            if (column(i) + j < a.n) sum += (x[i].v[j] - mean) * (x[i].v[j] - mean);
    float r = rsqrtf(over_row(sum) / a.n + a.eps);
    if (row >= a.rows) return;
    size_t out = static_cast<size_t>(row) * a.out.stride;
    UNROLL for (int i = 0; i < QUADS; i++) {
        int col = column(i);
        if (col >= a.padded) continue;
        Vec4 y;
        UNROLL for (int j = 0; j < 4; j++)
            y.v[j] = col + j < a.n
                ? activate(a.activation, (x[i].v[j] - mean) * r * a.gamma[col + j] + a.beta[col + j]) : 0.0f;
        store4(a.out, out + col, y, min(4, a.padded - col));
    }
}

// Rows of any width. A warp takes a row and reads it three times.
DEVICE void norm_wide(const NormArgs& a) {
    int row = block_x() * 8 + thread_x() / 32, lane = thread_x() % 32;
    if (row >= a.rows) return;
    size_t x = static_cast<size_t>(row) * a.x.stride, out = static_cast<size_t>(row) * a.out.stride;
    float sum = 0;
    for (int i = lane; i < a.n; i += 32) sum += load1(a.x, x + i);
    float mean = warp_sum(sum) / a.n;
    sum = 0;
    for (int i = lane; i < a.n; i += 32) sum += (load1(a.x, x + i) - mean) * (load1(a.x, x + i) - mean);
    float r = rsqrtf(warp_sum(sum) / a.n + a.eps);
    for (int i = lane; i < a.padded; i += 32) {
        bool there = i < a.n;
        float y = there ? (load1(a.x, x + i) - mean) * r * a.gamma[i] + a.beta[i] : 0.0f;
        store1(a.out, out + i, there ? activate(a.activation, y) : 0.0f);
    }
}

// The number in the name is the most columns.
KERNEL(layer_norm_4, NormArgs, 256) { norm<1, 1>(a); }
KERNEL(layer_norm_16, NormArgs, 256) { norm<4, 1>(a); }
KERNEL(layer_norm_64, NormArgs, 256) { norm<16, 1>(a); }
KERNEL(layer_norm_96, NormArgs, 256) { norm<8, 3>(a); }
KERNEL(layer_norm_160, NormArgs, 256) { norm<8, 5>(a); }
KERNEL(layer_norm_192, NormArgs, 256) { norm<16, 3>(a); }
KERNEL(layer_norm_256, NormArgs, 256) { norm<32, 2>(a); }
KERNEL(layer_norm_320, NormArgs, 256) { norm<16, 5>(a); }
KERNEL(layer_norm_384, NormArgs, 256) { norm<32, 3>(a); }
KERNEL(layer_norm_640, NormArgs, 256) { norm<32, 5>(a); }
KERNEL(layer_norm_1152, NormArgs, 256) { norm<32, 9>(a); }
KERNEL(layer_norm_wide, NormArgs, 256) { norm_wide(a); }
