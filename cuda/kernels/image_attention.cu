// The two cross attentions of the mask decoder. The image is read unprojected: the projections are applied to the
// tokens.
//
// attend_image, tokens read the image:   out = softmax(scale q (x + pos)^T) x
// update_image, the image reads tokens:  out = norm(x + bias + sum over heads of softmax_t(scale ((x + pos) k^T + b)) v)
//
// Channel counts are those of the image features, a multiple of 32 up to 256. D is rounded up. Not yet measured on a
// GPU.

#include "flash.cuh"

constexpr int HEADS = 8;

// Copies 64 rows of x + pos to a tile, and of x to the tile `plain` if there is one. There are zeros beyond the first
// `rows` and beyond the width, a multiple of 8. A thread takes four columns, of up to MOST rows at a time.
template <class T, int MOST, int BYTES>
DEVICE void fetch_sums(Tile<BYTES> to, Tile<BYTES> plain, View x, size_t at, View pos, size_t pos_at, int rows,
                       int width) {
    constexpr int QUADS = BYTES / 8, PASS = 128 / QUADS, TOGETHER = MOST * PASS < 64 ? MOST : 64 / PASS;
    int row0 = thread_x() / QUADS, quad = thread_x() % QUADS, end = quad * 4 < width ? rows : 0;
    const T* from = static_cast<const T*>(x.p) + at + quad * 4;
    const float* add = static_cast<const float*>(pos.p) + pos_at + quad * 4;
    KEEP_LOOP for (int start = row0; start < 64; start += PASS * TOGETHER) {
        uint2 numbers[TOGETHER] = {};
        uint4 sums[TOGETHER] = {};
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            int row = start + i * PASS;
            if (row < end) {
                numbers[i] = load8(from + static_cast<size_t>(row) * x.stride);
                sums[i] = load16(add + static_cast<size_t>(row) * pos.stride);
            }
        }
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            int row = start + i * PASS, place = quad % 2 * 8;
            uint2 n = numbers[i];
            uint4 y = sums[i];
            if (plain.base) store8(plain.at(row, quad / 2) + place, n);
            store8(to.at(row, quad / 2) + place, uint2{add_pair<T>(n.x, y.x, y.y), add_pair<T>(n.y, y.z, y.w)});
        }
    }
}

struct AttendArgs {
    View q;           // (p, n, c)
    View keys;        // (entries, hw, c)
    const int* source;  // (p)
    View pos;         // (hw, c), f32
    float* sums;      // (p, splits, n, D), in f32 (..., c): see store_split
    float* stats;     // (p, splits, n, 2)
    int n, hw, c, splits, split;
    float scale;      // log2(e) / sqrt(width of a head)
};

// 64 queries by the keys of one split, 64 keys at a time. Grid: (tiles of queries, splits, p).
template <class T, int D> DEVICE void attend16(const AttendArgs& a) {
    constexpr int BYTES = D * 2, TILE = 64 * BYTES;
    typedef Tile<BYTES> Rows;
    char* shared = shared_memory();
    Rows q = {shared}, k = {shared + TILE}, v = {shared + 2 * TILE};
    int first = block_x() * 64, prompt = block_z(), warp = thread_x() / 32, lane = thread_x() % 32;
    int begin = block_y() * a.split, end = min(begin + a.split, a.hw);
    size_t entry = static_cast<size_t>(a.source[prompt]) * a.hw;
    const T* queries = static_cast<const T*>(a.q.p) + (static_cast<size_t>(prompt) * a.n + first) * a.q.stride;
    fetch_rows<64, 128>(q, queries, a.q.stride, a.n - first, a.c, true);
    copy_commit();
    Softmax<T, 1, D> softmax;
    KEEP_LOOP for (int start = begin; start < end; start += 64) {
        barrier();
        size_t at = (entry + start) * a.keys.stride, pos_at = static_cast<size_t>(start) * a.pos.stride;
        fetch_sums<T, 8>(k, v, a.keys, at, a.pos, pos_at, end - start, a.c);
        copy_wait<0>();
        barrier();
        float s[1][8][4];
        scores<T, D / 8>(s, q, warp * 16, k);
        if (end - start < 64) {
            UNROLL for (int j = 0; j < 8; j++)
                UNROLL for (int r = 0; r < 4; r++)
                    if (start + j * 8 + lane % 4 * 2 + r % 2 >= end) s[0][j][r] = MASKED_SCORE;
        }
        softmax.add(s, a.scale, v);
    }
    softmax.apply_epilogue();
    UNROLL for (int i = 0; i < 2; i++) {
        int query = first + warp * 16 + lane / 4 + i * 8;
        size_t place = (static_cast<size_t>(prompt) * a.splits + block_y()) * a.n + query;
        if (query < a.n) store_split(softmax, 0, i, a.scale, a.sums, a.stats, place);
    }
}

// The same in f32: 32 queries, with four threads per query, 16 keys at a time.
template <int D> DEVICE void attend32(const AttendArgs& a) {
    constexpr int ROW = D + 4, KEYS = 16;
    typedef PlainSoftmax<D, D, KEYS> Softmax;
    float* q = reinterpret_cast<float*>(shared_memory());
    float *k = q + 32 * ROW, *v = k + KEYS * ROW, *p = v + KEYS * ROW;
    int first = block_x() * 32, prompt = block_z(), row = thread_x() / 4;
    int begin = block_y() * a.split, end = min(begin + a.split, a.hw);
    size_t entry = static_cast<size_t>(a.source[prompt]) * a.hw;
    View q_rows = {q, 0, F32}, k_rows = {k, 0, F32}, v_rows = {v, 0, F32};
    for (int i = thread_x(); i < 32 * (D / 4); i += 128) {
        int r = i / (D / 4), c = i % (D / 4) * 4, n = first + r < a.n ? min(a.c - c, 4) : 0;
        Vec4 x = {{0, 0, 0, 0}};
        if (n > 0) x = load4(a.q, (static_cast<size_t>(prompt) * a.n + first + r) * a.q.stride + c, n);
        store4(q_rows, r * ROW + c, x, 4);
    }
    Softmax softmax;
    for (int start = begin; start < end; start += KEYS) {
        barrier();
        for (int i = thread_x(); i < KEYS * (D / 4); i += 128) {
            int r = i / (D / 4), c = i % (D / 4) * 4, n = start + r < end ? min(a.c - c, 4) : 0;
            Vec4 x = {{0, 0, 0, 0}}, y = x;
            if (n > 0) {
                x = load4(a.keys, (entry + start + r) * a.keys.stride + c, n);
                y = load4(a.pos, static_cast<size_t>(start + r) * a.pos.stride + c, n);
            }
            store4(v_rows, r * ROW + c, x, 4);
            UNROLL for (int j = 0; j < 4; j++) x.v[j] += y.v[j];
            store4(k_rows, r * ROW + c, x, 4);
        }
        barrier();
        softmax.add(q + row * ROW, k, v, p + row * Softmax::WEIGHT_ROW,
                    [&](int key, float s) { return start + key < end ? s * a.scale : MASKED_SCORE; });
    }
    softmax.apply_epilogue();
    int query = first + row;
    if (query >= a.n) return;
    size_t out = (static_cast<size_t>(prompt) * a.splits + block_y()) * a.n + query;
    if (thread_x() % 4 == 0) a.stats[out * 2] = softmax.most, a.stats[out * 2 + 1] = softmax.total;
    softmax.store1(View{a.sums, 0, F32}, out * a.c, a.c, 1.0f);
}

struct UpdateArgs {
    View out;           // (p, hw, c)
    View keys;          // (entries, hw, c)
    const int* source;  // (p)
    View pos;           // (hw, c)
    View k, v;          // (p, t, HEADS, c)
    const float* score_bias;  // (p, t, HEADS)
    const int* lens;    // (p)
    const float *bias, *gamma, *beta;  // (c)
    int t, hw, c;
    float scale, eps;
};

// 64 pixels by eight tokens (64 keys) at a time. The sums of all heads are added into one. So with more than eight
// tokens the scores are computed twice: first for the maximum and the total of every head, then for the weights. Grid:
// (pixels by 64, p).
template <class T, int D> DEVICE void update16(const UpdateArgs& a) {
    constexpr int BYTES = D * 2, TILE = 64 * BYTES;
    typedef Tile<BYTES> Rows;
    char* shared = shared_memory();
    Rows x = {shared}, k = {shared + TILE}, v = {shared + 2 * TILE};
    int first = block_x() * 64, prompt = block_y(), warp = thread_x() / 32, lane = thread_x() % 32;
    int keys = a.lens[prompt] * HEADS, steps = (keys + 63) / 64;
    size_t entry = static_cast<size_t>(a.source[prompt]) * a.hw;
    auto fetch = [&](Rows to, View from, int step) {
        const T* rows = static_cast<const T*>(from.p) + (static_cast<size_t>(prompt) * a.t * HEADS + step * 64) * from.stride;
        fetch_rows<64, 128>(to, rows, from.stride, keys - step * 64, a.c, true);
        copy_commit();
    };
    fetch(k, a.k, 0);
    fetch_sums<T, 16>(x, Rows{nullptr}, a.keys, (entry + first) * a.keys.stride, a.pos,
                      static_cast<size_t>(first) * a.pos.stride, a.hw - first, a.c);
    // A lane holds rows lane/4 and lane/4 + 8, and keys 8 j + lane%4*2 and the next. So j is the token and r%2 selects
    // a head.
    auto read = [&](float(&s)[1][8][4], int step) {
        scores<T, D / 8, (D > 128)>(s, x, warp * 16, k);
        UNROLL for (int j = 0; j < 8; j++)
            UNROLL for (int r = 0; r < 4; r++) {
                int key = step * 64 + j * 8 + lane % 4 * 2 + r % 2;
                float bias = key < keys ? a.score_bias[static_cast<size_t>(prompt) * a.t * HEADS + key] : 0.0f;
                s[0][j][r] = key < keys ? (s[0][j][r] + bias) * a.scale : MASKED_SCORE;
            }
    };
    float most[4] = {MASKED_SCORE, MASKED_SCORE, MASKED_SCORE, MASKED_SCORE}, total[4] = {0, 0, 0, 0};
    float s[1][8][4];
    KEEP_LOOP for (int step = 0; step < steps; step++) {
        if (step > 0) {
            barrier();
            fetch(k, a.k, step);
        }
        copy_wait<0>();
        barrier();
        if (steps == 1) fetch(v, a.v, 0);
        read(s, step);
        UNROLL for (int r = 0; r < 4; r++) {
            float next = most[r];
            UNROLL for (int j = 0; j < 8; j++) next = fmaxf(next, s[0][j][r]);
            total[r] *= exp2_fast(most[r] - next);
            most[r] = next;
            UNROLL for (int j = 0; j < 8; j++) total[r] += exp2_fast(s[0][j][r] - next);
        }
    }
    UNROLL for (int r = 0; r < 4; r++) most[r] += log2f(total[r]);  // so that a weight takes one exponential
    float sums[1][D / 8][4] = {};
    KEEP_LOOP for (int step = 0; step < steps; step++) {
        if (steps > 1) {
            barrier();
            fetch(k, a.k, step);
            fetch(v, a.v, step);
        }
        copy_wait<0>();
        barrier();
        if (steps > 1) read(s, step);
        UNROLL for (int j = 0; j < 8; j++)
            UNROLL for (int r = 0; r < 4; r++) s[0][j][r] = exp2_fast(s[0][j][r] - most[r]);
        add_weighted_values<T>(sums, s, v);
    }
    // The sums go through shared memory, so that a warp adds to, normalises and stores whole rows.
    constexpr int ROW = D + 8, QUADS = (D + 127) / 128, TOGETHER = 8;
    barrier();
    float* rows = reinterpret_cast<float*>(shared);
    UNROLL for (int j = 0; j < D / 8; j++)
        UNROLL for (int i = 0; i < 2; i++)
            store_pair(rows + (warp * 16 + lane / 4 + i * 8) * ROW + j * 8 + lane % 4 * 2, sums[0][j][i * 2],
                       sums[0][j][i * 2 + 1]);
    warp_barrier();
    auto column = [&](int q) { return (lane + q * 32) * 4; };
    Vec4 bias[QUADS] = {}, gamma[QUADS] = {}, beta[QUADS] = {};
    UNROLL for (int q = 0; q < QUADS; q++)
        if (column(q) < a.c) {
            bias[q] = vec4(load16(a.bias + column(q)));
            gamma[q] = vec4(load16(a.gamma + column(q))), beta[q] = vec4(load16(a.beta + column(q)));
        }
    KEEP_LOOP for (int row = warp * 16; row < warp * 16 + 16; row += TOGETHER) {
        // All loads come before the stores, which may be to the same rows.
        uint2 own[TOGETHER][QUADS] = {};
        UNROLL for (int i = 0; i < TOGETHER; i++)
            UNROLL for (int q = 0; q < QUADS; q++) {
                const T* from = static_cast<const T*>(a.keys.p) + (entry + first + row + i) * a.keys.stride + column(q);
                if (first + row + i < a.hw && column(q) < a.c) own[i][q] = load8(from);
            }
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            int pixel = first + row + i;
            Vec4 y[QUADS];
            float sum = 0;
            UNROLL for (int q = 0; q < QUADS; q++) {
                Vec4 more = vec4(own[i][q], DTYPE<T>);
                y[q] = vec4(load16(rows + (row + i) * ROW + min(column(q), D - 4)));
                UNROLL for (int j = 0; j < 4; j++) {
                    y[q].v[j] = column(q) < a.c ? y[q].v[j] + more.v[j] + bias[q].v[j] : 0.0f;
                    sum += y[q].v[j];
                }
            }
            float mean = warp_sum(sum) / a.c;
            sum = 0;
            UNROLL for (int q = 0; q < QUADS; q++)
                UNROLL for (int j = 0; j < 4; j++)
                    sum += column(q) < a.c ? (y[q].v[j] - mean) * (y[q].v[j] - mean) : 0.0f;
            float norm = rsqrtf(warp_sum(sum) / a.c + a.eps);
            size_t to = (static_cast<size_t>(prompt) * a.hw + pixel) * a.out.stride;
            UNROLL for (int q = 0; q < QUADS; q++) {
                if (pixel >= a.hw || column(q) >= a.c) continue;
                auto result = [&](int j) { return (y[q].v[j] - mean) * norm * gamma[q].v[j] + beta[q].v[j]; };
                store8(static_cast<T*>(a.out.p) + to + column(q),
                       uint2{pack<T>(result(0), result(1)), pack<T>(result(2), result(3))});
            }
        }
    }
}

// The same in f32. A warp takes a pixel, and a lane takes one of 32 keys (four tokens) at a time. The weights of those
// keys are then given to every lane, which holds some columns of the sum. Shared memory holds the pixel of each warp,
// then the weights. Grid: (pixels by 4, p).
DEVICE void update32(const UpdateArgs& a) {
    constexpr int MOST = 8;  // the most columns of a lane, 32 apart
    int pixel = block_x() * 4 + thread_x() / 32, prompt = block_y(), lane = thread_x() % 32;
    if (pixel >= a.hw) return;
    float* x = reinterpret_cast<float*>(shared_memory()) + thread_x() / 32 * (256 + 32);
    float* weights = x + 256;
    View row = {x, 0, F32};
    size_t from = (static_cast<size_t>(a.source[prompt]) * a.hw + pixel) * a.keys.stride;
    float y[MOST];
    UNROLL for (int i = 0; i < MOST; i++) {
        int col = lane + i * 32;
        bool there = col < a.c;
        float own = there ? load1(a.keys, from + col) : 0.0f;
        if (there) x[col] = own + load1(a.pos, static_cast<size_t>(pixel) * a.pos.stride + col);
        y[i] = there ? own + a.bias[col] : 0.0f;
    }
    warp_barrier();
    int keys = a.lens[prompt] * HEADS;
    size_t first = static_cast<size_t>(prompt) * a.t * HEADS;
    auto score = [&](int key) {
        if (key >= keys) return MASKED_SCORE;
        float s = 0;
        for (int c = 0; c < a.c; c += 4) {  // c is a multiple of 32
            Vec4 u = load4(row, c, 4), v = load4(a.k, (first + key) * a.k.stride + c, 4);
            UNROLL for (int j = 0; j < 4; j++) s = fmaf(u.v[j], v.v[j], s);
        }
        return (s + a.score_bias[first + key]) * a.scale;
    };
    // Lanes that are 8 apart have the same head.
    float most = MASKED_SCORE, total = 0, s = MASKED_SCORE;
    for (int start = 0; start < keys; start += 32) {
        s = score(start + lane);
        float next = fmaxf(most, s);
        next = fmaxf(next, shuffle_xor(next, 8));
        next = fmaxf(next, shuffle_xor(next, 16));
        float sum = s > MASKED_SCORE ? exp2_fast(s - next) : 0.0f;
        sum += shuffle_xor(sum, 8);
        sum += shuffle_xor(sum, 16);
        total = total * exp2_fast(most - next) + sum;
        most = next;
    }
    for (int start = 0; start < keys; start += 32) {
        if (keys > 32) s = score(start + lane);
        warp_barrier();
        weights[lane] = s > MASKED_SCORE ? exp2_fast(s - most) / total : 0.0f;
        warp_barrier();
        int n = min(32, keys - start);
        for (int key = 0; key < n; key++) {
            float w = weights[key];
            size_t value = (first + start + key) * a.v.stride;
            UNROLL for (int i = 0; i < MOST; i++) {
                int col = lane + i * 32;
                if (col < a.c) y[i] = fmaf(w, load1(a.v, value + col), y[i]);
            }
        }
    }
    float sum = 0;
    UNROLL for (int i = 0; i < MOST; i++) sum += y[i];
    float mean = warp_sum(sum) / a.c;
    sum = 0;
    UNROLL for (int i = 0; i < MOST; i++) sum += lane + i * 32 < a.c ? (y[i] - mean) * (y[i] - mean) : 0.0f;
    float norm = rsqrtf(warp_sum(sum) / a.c + a.eps);
    size_t out = (static_cast<size_t>(prompt) * a.hw + pixel) * a.out.stride;
    UNROLL for (int i = 0; i < MOST; i++) {
        int col = lane + i * 32;
        if (col < a.c) store1(a.out, out + col, (y[i] - mean) * norm * a.gamma[col] + a.beta[col]);
    }
}

#define IMAGE(D)                                                           \
    KERNEL(attend_image_f32_##D, AttendArgs, 128) { attend32<D>(a); }      \
    KERNEL(attend_image_bf16_##D, AttendArgs, 128) { attend16<bf16, D>(a); } \
    KERNEL(attend_image_f16_##D, AttendArgs, 128) { attend16<f16, D>(a); } \
    KERNEL(update_image_bf16_##D, UpdateArgs, 128) { update16<bf16, D>(a); } \
    KERNEL(update_image_f16_##D, UpdateArgs, 128) { update16<f16, D>(a); }
IMAGE(64)
IMAGE(128)
IMAGE(256)
KERNEL(update_image_f32, UpdateArgs, 128) { update32(a); }
