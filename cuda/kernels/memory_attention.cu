// Attention of every object to its memories: one head, queries and keys up to D wide, values up to DV wide.
//
//   out = softmax(q k^T / sqrt(d)) v  over the first `len` keys
//
// Flash attention (Dao, arXiv:2307.08691). The keys are divided into splits, whose results `merge_splits` combines, so
// that one object fills a GPU. A block takes one object and one split, with 16 M queries per warp and 64 keys at a
// time. With two stages, the next keys and values are fetched while the current values are weighted. With one stage,
// values are fetched while scores are computed, and keys while values are weighted. A GPU uses the first kernel whose
// shared memory fits. On an H200, 256_64 is predicted to reach 46% of the tensor cores' peak, and 256_256 30%. Not yet
// measured on a GPU.
//
//   kernel          queries  warps  M  stages  splits  KB shared
//   64_64               128      4  2       2       4         54
//   256_64              256      8  2       2       8        216
//   256_64_medium       128      4  2       2       4        150
//   256_64_small         64      4  1       1       4         75
//   256_256             128      8  1       2       4        198
//   256_256_small        64      4  1       1       4         99

#include "flash.cuh"

struct MemoryArgs {
    View out;         // (p, n, dv), in f32 kernels
    View q;           // (p, n, d)
    View k;           // (p, m, d)
    View v;           // (p, m, dv)
    const int* lens;  // (p)
    float* sums;      // (p, splits, n, DV), in 16-bit kernels: see store_split
    float* stats;     // (p, splits, n, 2)
    int n, m, d, dv;
    float scale;  // log2(e) / sqrt(d)
    int fast;     // rows are 16-byte aligned, widths are multiples of 8
};

template <class T, int D, int DV, int M, int WARPS, int STAGES, int SPLITS, int KEEP>
DEVICE void memory16(const MemoryArgs& a) {
    constexpr int ROW = PaddedTile<D>::CHUNKS * 16, QUERIES = 16 * M * WARPS, THREADS = 32 * WARPS;
    constexpr int KEYS = 64 * ROW, VALUES = 64 * PaddedTile<DV>::CHUNKS * 16;
    char* shared = shared_memory();
    PaddedTile<D> q = {shared};
    char* stages = shared + QUERIES * ROW;
    auto keys = [&](int step) { return PaddedTile<D>{stages + step % STAGES * (KEYS + VALUES)}; };
    auto values = [&](int step) { return PaddedTile<DV>{stages + step % STAGES * (KEYS + VALUES) + KEYS}; };
    int first = block_x() * QUERIES, split = block_y(), object = block_z(), warp = thread_x() / 32, lane = thread_x() % 32;
    // A split has whole steps. Their number depends only on the object's own keys.
    int len = a.lens[object], part = (len + SPLITS * 64 - 1) / (SPLITS * 64) * 64;
    int begin = split * part, count = max(min(part, len - begin), 0), steps = (count + 63) / 64;
    size_t query0 = static_cast<size_t>(object) * a.n + first, key0 = static_cast<size_t>(object) * a.m + begin;
    const T* from_q = static_cast<const T*>(a.q.p) + query0 * a.q.stride;
    const T* from_k = static_cast<const T*>(a.k.p) + key0 * a.k.stride;
    const T* from_v = static_cast<const T*>(a.v.p) + key0 * a.v.stride;
    auto fetch_keys = [&](int step) {
        if (step < steps)
            fetch_rows<64, THREADS>(keys(step), from_k + static_cast<size_t>(step) * 64 * a.k.stride, a.k.stride,
                                    count - step * 64, a.d, a.fast);
        copy_commit();
    };
    auto fetch_values = [&](int step) {
        if (step < steps)
            fetch_rows<64, THREADS>(values(step), from_v + static_cast<size_t>(step) * 64 * a.v.stride, a.v.stride,
                                    count - step * 64, a.dv, a.fast);
        copy_commit();
    };
    fetch_rows<QUERIES, THREADS>(q, from_q, a.q.stride, a.n - first, a.d, a.fast);
    fetch_keys(0);
    if (STAGES == 2) fetch_values(0);
    Softmax<T, M, DV> softmax;
    // The first operands stay in registers, so that they are not loaded in every step.
    Fragment kept[KEEP > 0 ? KEEP : 1][M][4];
    if (KEEP > 0) {
        copy_wait<0>();
        barrier();
        UNROLL for (int c = 0; c < KEEP; c++)
            UNROLL for (int m = 0; m < M; m++) load_a(kept[c][m], q, (warp * M + m) * 16, c * 2);
    }
    KEEP_LOOP for (int step = 0; step < steps; step++) {
        copy_wait<0>();
        barrier();
        if (STAGES == 1) fetch_values(step);
        float s[M][8][4];
        scores<T, D / 8>(s, q, warp * 16 * M, keys(step), kept, KEEP);
        if (STAGES == 1) {
            copy_wait<0>();
            barrier();
        }
        fetch_keys(step + 1);
        if (STAGES == 2) fetch_values(step + 1);
        int left = count - step * 64;
        if (left < 64) {
            UNROLL for (int m = 0; m < M; m++)
                UNROLL for (int j = 0; j < 8; j++)
                    UNROLL for (int r = 0; r < 4; r++)
                        if (j * 8 + lane % 4 * 2 + r % 2 >= left) s[m][j][r] = MASKED_SCORE;
        }
        softmax.add(s, a.scale, values(step));
    }
    copy_wait<0>();
    softmax.apply_epilogue();
    UNROLL for (int m = 0; m < M; m++)
        UNROLL for (int i = 0; i < 2; i++) {
            int query = first + (warp * M + m) * 16 + lane / 4 + i * 8;
            size_t place = (static_cast<size_t>(object) * SPLITS + split) * a.n + query;
            if (query < a.n) store_split(softmax, m, i, a.scale, a.sums, a.stats, place);
        }
}

// The same in f32: 32 queries, with four threads per query, 16 keys at a time.
template <int D, int DV> DEVICE void memory32(const MemoryArgs& a) {
    typedef PlainSoftmax<D, DV, 16> Softmax;
    float* q = reinterpret_cast<float*>(shared_memory());
    float *k = q + 32 * Softmax::ROW, *v = k + 16 * Softmax::ROW, *p = v + 16 * Softmax::VALUE_ROW;
    int first = block_x() * 32, object = block_z(), row = thread_x() / 4;
    int len = a.lens[object];
    auto fetch = [&](float* to, View from, int rows, int wide, int line, int count, int start, int end, int width) {
        for (int i = thread_x(); i < rows * (wide / 4); i += 128) {
            int r = i / (wide / 4), c = i % (wide / 4) * 4, n = start + r < end ? min(max(width - c, 0), 4) : 0;
            Vec4 x = {{0, 0, 0, 0}};
            if (n > 0) x = load4(from, (static_cast<size_t>(object) * count + start + r) * from.stride + c, n);
            store4(View{to, 0, F32}, r * line + c, x, 4);
        }
    };
    fetch(q, a.q, 32, D, Softmax::ROW, a.n, first, a.n, a.d);
    Softmax softmax;
    for (int start = 0; start < len; start += 16) {
        barrier();
        fetch(k, a.k, 16, D, Softmax::ROW, a.m, start, len, a.d);
        fetch(v, a.v, 16, DV, Softmax::VALUE_ROW, a.m, start, len, a.dv);
        barrier();
        softmax.add(q + row * Softmax::ROW, k, v, p + row * Softmax::WEIGHT_ROW,
                    [&](int key, float s) { return start + key < len ? s * a.scale : MASKED_SCORE; });
    }
    softmax.apply_epilogue();
    if (first + row >= a.n) return;
    softmax.store1(a.out, (static_cast<size_t>(object) * a.n + first + row) * a.out.stride, a.dv, 1.0f / softmax.total);
}

#define MEMORY(name, D, DV, M, WARPS, STAGES, SPLITS, KEEP)                       \
    KERNEL(memory_attention_bf16_##name, MemoryArgs, 32 * WARPS) {                \
        memory16<bf16, D, DV, M, WARPS, STAGES, SPLITS, KEEP>(a);                 \
    }                                                                             \
    KERNEL(memory_attention_f16_##name, MemoryArgs, 32 * WARPS) {                 \
        memory16<f16, D, DV, M, WARPS, STAGES, SPLITS, KEEP>(a);                  \
    }
MEMORY(64_64, 64, 64, 2, 4, 2, 4, 0)
MEMORY(256_64, 256, 64, 2, 8, 2, 8, 2)
MEMORY(256_64_medium, 256, 64, 2, 4, 2, 4, 2)
MEMORY(256_64_small, 256, 64, 1, 4, 1, 4, 0)
MEMORY(256_256, 256, 256, 1, 8, 2, 4, 4)
MEMORY(256_256_small, 256, 256, 1, 4, 1, 4, 0)
KERNEL(memory_attention_f32_64_64, MemoryArgs, 128) { memory32<64, 64>(a); }
KERNEL(memory_attention_f32_256_64, MemoryArgs, 128) { memory32<256, 64>(a); }
KERNEL(memory_attention_f32_256_256, MemoryArgs, 128) { memory32<256, 256>(a); }
