// Attention of every object to what it remembers: one head, queries and keys up to D wide, values up to DV.
//
//   out = softmax(q k^T / sqrt(d)) v  over the first `len` keys
//
// Flash attention (Dao, arXiv:2307.08691), 64 queries of one object to a block, 16 a warp, keys 64 at a time: values are
// fetched while scores are computed, the next keys while values are weighed. Not yet measured on a GPU.

#include "flash.cuh"

struct MemoryArgs {
    View out;         // (p, n, dv)
    View q;           // (p, n, d)
    View k;           // (p, m, d)
    View v;           // (p, m, dv)
    const int* lens;  // (p)
    int n, m, d, dv;
    float scale;  // log2(e) / sqrt(d)
    int fast;     // rows are 16 bytes aligned, widths multiples of 8
};

// Rows first..first+64 of (p, count, width) to shared memory, zeros beyond `end` and beyond the width.
template <class T, int BYTES>
DEVICE void fetch_rows(Tile<BYTES> to, View from, int object, int count, int first, int end, int width, int fast) {
    constexpr int CHUNKS = BYTES / 16;
    KEEP_LOOP for (int i = thread_x(); i < 64 * CHUNKS; i += 128) {
        int row = i / CHUNKS, c = i % CHUNKS * 8, n = first + row < end ? min(max(width - c, 0), 8) : 0;
        size_t at = (static_cast<size_t>(object) * count + first + row) * from.stride + c;
        if (fast)
            copy_async16(to.at(row, c / 8), n > 0 ? address(from, at) : static_cast<const char*>(from.p), n * 2);
        else
            chunk_of<T>(to.at(row, c / 8), from, at, n);
    }
    copy_commit();
}

template <class T, int D, int DV> DEVICE void memory16(const MemoryArgs& a) {
    char* shared = shared_memory();
    Tile<D * 2> q = {shared}, k = {shared + 64 * D * 2};
    Tile<DV * 2> v = {shared + 2 * 64 * D * 2};
    int first = block_x() * 64, object = block_y(), warp = thread_x() / 32, lane = thread_x() % 32;
    int len = a.lens[object], steps = (len + 63) / 64;
    fetch_rows<T>(q, a.q, object, a.n, first, a.n, a.d, a.fast);
    fetch_rows<T>(k, a.k, object, a.m, 0, len, a.d, a.fast);
    Softmax<T, DV> softmax;
    for (int step = 0; step < steps; step++) {
        copy_wait<0>();
        barrier();
        fetch_rows<T>(v, a.v, object, a.m, step * 64, len, a.dv, a.fast);
        float s[1][8][4];
        scores<T>(s, q, warp * 16, k);
        copy_wait<0>();
        barrier();
        if (step + 1 < steps) fetch_rows<T>(k, a.k, object, a.m, (step + 1) * 64, len, a.d, a.fast);
        UNROLL for (int j = 0; j < 8; j++)
            UNROLL for (int r = 0; r < 4; r++) {
                bool there = step * 64 + j * 8 + lane % 4 * 2 + r % 2 < len;
                s[0][j][r] = there ? s[0][j][r] * a.scale : NEVER;
            }
        softmax.add(s, v);
    }
    copy_wait<0>();
    softmax.finish();
    UNROLL for (int i = 0; i < 2; i++) {
        int query = first + warp * 16 + lane / 4 + i * 8;
        if (query >= a.n) continue;
        float inverse = 1.0f / softmax.total[i];
        size_t out = (static_cast<size_t>(object) * a.n + query) * a.out.stride;
        UNROLL for (int j = 0; j < DV / 8; j++)
            UNROLL for (int r = 0; r < 2; r++) {
                int col = j * 8 + lane % 4 * 2 + r;
                if (col < a.dv) put(a.out, out + col, softmax.sums[j][i * 2 + r] * inverse);
            }
    }
}

// As above in f32: 32 queries, four threads each, 16 keys at a time.
template <int D, int DV> DEVICE void memory32(const MemoryArgs& a) {
    typedef PlainSoftmax<D, DV, 16> Softmax;
    float* q = reinterpret_cast<float*>(shared_memory());
    float *k = q + 32 * Softmax::ROW, *v = k + 16 * Softmax::ROW, *p = v + 16 * Softmax::VALUE_ROW;
    int first = block_x() * 32, object = block_y(), row = thread_x() / 4;
    int len = a.lens[object];
    auto fetch = [&](float* to, View from, int rows, int wide, int line, int count, int start, int end, int width) {
        for (int i = thread_x(); i < rows * (wide / 4); i += 128) {
            int r = i / (wide / 4), c = i % (wide / 4) * 4, n = start + r < end ? min(max(width - c, 0), 4) : 0;
            Four x = {{0, 0, 0, 0}};
            if (n > 0) x = get4(from, (static_cast<size_t>(object) * count + start + r) * from.stride + c, n);
            put4(View{to, 0, F32}, r * line + c, x, 4);
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
                    [&](int key, float s) { return start + key < len ? s * a.scale : NEVER; });
    }
    softmax.finish();
    if (first + row >= a.n) return;
    softmax.put(a.out, (static_cast<size_t>(object) * a.n + first + row) * a.out.stride, a.dv, 1.0f / softmax.total);
}

#define MEMORY(D, DV)                                                                        \
    KERNEL(memory_attention_f32_##D##_##DV, MemoryArgs, 128) { memory32<D, DV>(a); }         \
    KERNEL(memory_attention_bf16_##D##_##DV, MemoryArgs, 128) { memory16<bf16, D, DV>(a); }  \
    KERNEL(memory_attention_f16_##D##_##DV, MemoryArgs, 128) { memory16<f16, D, DV>(a); }
MEMORY(64, 64)
MEMORY(256, 64)
MEMORY(256, 256)
