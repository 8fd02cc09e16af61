// Layer norm: out = activation((x - mean) / sqrt(variance + eps) * gamma + beta) over rows of n.
//
// A warp takes a row and goes over it three times, which the first-level cache serves: mean, variance about the mean
// (one pass over squares would lose digits), result. Grid: rows by 8. Not yet measured on a GPU.

#include "common.cuh"

struct NormArgs {
    View out;  // (rows, padded): zeros beyond n
    View x;    // (rows, n)
    const float* gamma;
    const float* beta;
    float eps;
    int rows, n, padded, activation;
};

KERNEL(layer_norm, NormArgs, 256) {
    int row = block_x() * 8 + thread_x() / 32, lane = thread_x() % 32;
    if (row >= a.rows) return;
    size_t x = static_cast<size_t>(row) * a.x.stride, out = static_cast<size_t>(row) * a.out.stride;
    float sum = 0;
    for (int i = lane * 4; i < a.n; i += 128) {
        Four v = get4(a.x, x + i, min(4, a.n - i));
        sum += v.v[0] + v.v[1] + v.v[2] + v.v[3];
    }
    float mean = warp_sum(sum) / a.n;
    sum = 0;
    for (int i = lane * 4; i < a.n; i += 128) {
        Four v = get4(a.x, x + i, min(4, a.n - i));
        UNROLL for (int j = 0; j < 4; j++)
            if (i + j < a.n) sum += (v.v[j] - mean) * (v.v[j] - mean);
    }
    float r = rsqrtf(warp_sum(sum) / a.n + a.eps);
    for (int i = lane * 4; i < a.padded; i += 128) {
        int n = min(4, a.n - i);
        Four y = {{0, 0, 0, 0}};
        if (n > 0) {
            Four v = get4(a.x, x + i, n);
            UNROLL for (int j = 0; j < 4; j++)
                if (j < n) y.v[j] = activate(a.activation, (v.v[j] - mean) * r * a.gamma[i + j] + a.beta[i + j]);
        }
        put4(a.out, out + i, y, min(4, a.padded - i));
    }
}
