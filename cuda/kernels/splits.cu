// Combines the results of attention to splits of the keys: see store_split of flash.cuh.

#include "flash.cuh"

struct MergeArgs {
    View out;            // (p, n, c)
    const float* sums;   // (p, splits, n, width), not yet divided
    const float* stats;  // (p, splits, n, 2): maximum and total
    int n, c, splits, width;  // width: at least c, a multiple of 4, at most 256
};

// One warp per query. Grid: (n by 8, p).
KERNEL(merge_splits, MergeArgs, 256) {
    int query = block_x() * 8 + thread_x() / 32, batch = block_y(), lane = thread_x() % 32;
    if (query >= a.n) return;
    auto at = [&](int split) { return (static_cast<size_t>(batch) * a.splits + split) * a.n + query; };
    float most = MASKED_SCORE, total = 0;
    for (int i = lane; i < a.splits; i += 32) most = fmaxf(most, a.stats[at(i) * 2]);
    UNROLL for (int mask = 16; mask > 0; mask /= 2) most = fmaxf(most, shuffle_xor(most, mask));
    constexpr int QUADS = 2;  // per lane, 128 columns apart
    float sums[QUADS][4] = {};
    View from = {const_cast<float*>(a.sums), 0, F32};
    UNROLL_4 for (int i = 0; i < a.splits; i++) {
        float weight = exp2_fast(a.stats[at(i) * 2] - most);
        total += weight * a.stats[at(i) * 2 + 1];
        UNROLL for (int j = 0; j < QUADS; j++) {
            int col = (lane + j * 32) * 4;
            Vec4 x = {};
            if (col < a.c) x = vec4(load16(address(from, at(i) * a.width + col)));
            UNROLL for (int k = 0; k < 4; k++) sums[j][k] = fmaf(weight, x.v[k], sums[j][k]);
        }
    }
    size_t out = (static_cast<size_t>(batch) * a.n + query) * a.out.stride;
    UNROLL for (int j = 0; j < QUADS; j++) {
        int col = (lane + j * 32) * 4;
        if (col >= a.c) continue;
        Vec4 y;
        UNROLL for (int k = 0; k < 4; k++) y.v[k] = sums[j][k] / total;
        store4(a.out, out + col, y, min(4, a.c - col));
    }
}
