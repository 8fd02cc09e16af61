// Attention over maps: within windows, over the whole map, and with pooled queries. Attention among the tokens of
// prompts.
//
//   out = softmax(q k^T / sqrt(d)) v
//
// Flash attention (Dao, arXiv:2307.08691): scores are never stored, and each query has a running maximum and total. A
// block takes 64 M queries of one head, 16 M per warp. It reads the keys of their windows 64 at a time. Where two
// stages fit in shared memory, the next keys and values are fetched while the current ones are used. Small windows
// share a block, and scores between windows are masked. All keys that pad a window to its size are equal. One key
// stands for them, with log2(count) added to its score. The result is written through the query tile, so that whole
// 16-byte chunks are stored. f32 operands use plain loops. On an H200 the tall kernels (M = 2) are predicted to reach
// 28% of the tensor cores' peak over a whole map and 9 to 19% in windows.

#include "flash.cuh"

struct WindowArgs {
    View out, q;  // (hq, wq, heads * d)
    View k, v;    // (h, w, heads * d)
    const float* pad_k;  // (heads * d)
    const float* pad_v;
    int h, w, hq, wq;
    int size;  // side of a window of keys, or 0 for the whole map; a window of queries has the side size / pool
    int pool, d;
    int windows_x, windows;  // number of windows in a row, and in all
    int per_block;           // number of windows that share a block
    int key_slots;           // keys of a full window; the padding key uses a free slot
    int query_slots;         // queries of a window
    int tiles;               // number of blocks per window, or 1
    int stages;              // 1 or 2
    float scale;             // log2(e) / sqrt(d)
    int fast;                // rows are 16-byte aligned
    int uneven;              // some windows have padding
    int unused;
};

// The position of a window, and the size of its part on the map.
struct WindowRect {
    int y, x, h, w;
};
DEVICE WindowRect window_rect(const WindowArgs& a, int window, int side, int h, int w) {
    WindowRect p = {0, 0, h, w};
    if (side == 0) return p;
    p.y = window / a.windows_x * side, p.x = window % a.windows_x * side;
    p.h = min(side, h - p.y), p.w = min(side, w - p.x);
    return p;
}

constexpr int PAD = -2;

// The token in slot i of the keys of a block's windows. -1: no token. PAD: the key that stands for the window's
// padding.
DEVICE int key_token(const WindowArgs& a, int first_window, int i) {
    if (a.size == 0) return i < a.h * a.w ? i : -1;
    int within = a.per_block > 1 ? i / a.key_slots : 0, j = i - within * a.key_slots, window = first_window + within;
    if (within >= a.per_block || window >= a.windows) return -1;
    WindowRect p = window_rect(a, window, a.size, a.h, a.w);
    int real = p.h * p.w;
    if (j < real) return (p.y + j / p.w) * a.w + p.x + j % p.w;
    return j == real && real < a.size * a.size ? PAD : -1;
}
// The token in slot i of the queries. -1: no token.
DEVICE int query_token(const WindowArgs& a, int first_window, int i) {
    if (a.size == 0) return i < a.hq * a.wq ? i : -1;
    int within = a.per_block > 1 ? i / a.query_slots : 0, j = i - within * a.query_slots, window = first_window + within;
    if (within >= a.per_block || window >= a.windows) return -1;
    WindowRect p = window_rect(a, window, a.size / a.pool, a.hq, a.wq);
    return j < p.h * p.w ? (p.y + j / p.w) * a.wq + p.x + j % p.w : -1;
}

// Calls f(row, chunk) for each of 16 rows of CHUNKS chunks. The lanes of a warp take adjacent chunks.
template <int CHUNKS, class F> DEVICE void for_chunks(F f) {
    // After PASSES iterations a lane takes the same chunk again, ROWS rows further on.
    constexpr int PASSES = CHUNKS % 3 == 0 ? 3 : CHUNKS % 5 == 0 ? 5 : 1, ROWS = 32 * PASSES / CHUNKS;
    static_assert(ROWS * CHUNKS == 32 * PASSES && 16 % ROWS == 0, "whole passes");
    int lane = CHUNKS == 12 ? computed_again(thread_x() % 32) : thread_x() % 32;
    UNROLL for (int i = 0; i < PASSES; i++) {
        int place = lane + i * 32;
        UNROLL for (int j = 0; j < 16; j += ROWS) f(place / CHUNKS + j, place % CHUNKS);
    }
}

// Copies one head's columns of 16 tokens to 16 rows of a tile, with zeros beyond the head's width. Lanes 0 to 15 hold
// the tokens. `pad` is the row of the padding, or null if no token is PAD. `whole_map` is the number of tokens of a
// whole map, whose tokens are consecutive, and 0 for windows.
template <class T, int BYTES>
DEVICE void fetch_tokens(Tile<BYTES> to, int row0, View from, const float* pad, int token, int head, int d, int fast,
                         int whole_map) {
    const T* first = static_cast<const T*>(from.p) + head * d;
    int at = token < 0 ? token : token * from.stride, lane = thread_x() % 32;
    auto number = [&](int row, int i) { return reinterpret_cast<T*>(to.at(row0 + row, i / 8)) + i % 8; };
    if (fast && whole_map) {
        int of_first = shuffle_from(token, 0), many = of_first < 0 ? 0 : whole_map - of_first;
        const T* p = first + of_first * from.stride;
        for_chunks<BYTES / 16>([&](int row, int c) {
            copy_async16(to.at(row0 + row, c), p + (row * from.stride + c * 8), row >= many || c * 8 >= d ? 0 : 16);
        });
    } else if (fast) {
        for_chunks<BYTES / 16>([&](int row, int c) {
            int of_row = shuffle_from(at, row);
            if (of_row != PAD)
                copy_async16(to.at(row0 + row, c), first + (of_row + c * 8), of_row < 0 || c * 8 >= d ? 0 : 16);
        });
    } else {
        KEEP_LOOP for (int row = 0; row < 16; row++) {
            int of_row = shuffle_from(at, row);
            if (of_row == PAD) continue;
            KEEP_LOOP for (int i = lane; i < BYTES / 2; i += 32)
                *number(row, i) = of_row < 0 || i >= d ? from_float<T>(0.0f) : first[of_row + i];
        }
    }
    if (!pad) return;
    KEEP_LOOP for (int row = 0; row < 16; row++) {
        if (shuffle_from(at, row) != PAD) continue;
        KEEP_LOOP for (int i = lane; i < BYTES / 2; i += 32)
            *number(row, i) = from_float<T>(i < d ? pad[head * d + i] : 0.0f);
    }
}

// Masks the scores of 64 keys, starting at slot `first_key`, for the query in slot `query`. The scores are rows i * 2
// and i * 2 + 1 of the lane's results. They are not scaled yet.
DEVICE void mask_window(float (&s)[8][4], int i, const WindowArgs& a, int first_window, int query, int first_key) {
    int within = a.per_block > 1 ? query / a.query_slots : 0, begin = within * a.key_slots;
    // A slot without a query attends to the first key, so that its results are not NaN.
    int end = begin + 1, pad = -1;
    float bias = 0;
    if (within < a.per_block && first_window + within < a.windows) {
        WindowRect p = window_rect(a, first_window + within, a.size, a.h, a.w);
        int padding = a.size > 0 ? a.size * a.size - p.h * p.w : 0;
        end = begin + p.h * p.w;
        if (padding > 0) pad = end++, bias = log2f(static_cast<float>(padding)) / a.scale;
    } else {
        begin = 0, end = 1;
    }
    int lane = thread_x() % 32;
    UNROLL for (int j = 0; j < 8; j++)
        UNROLL for (int r = i * 2; r < i * 2 + 2; r++) {
            int key = first_key + j * 8 + lane % 4 * 2 + r % 2;
            if (key == pad) s[j][r] += bias;
            if (key < begin || key >= end) s[j][r] = MASKED_SCORE;
        }
}

// 64 M queries by 64 keys at a time, heads up to D wide. Shared memory holds the queries, then the keys and values of
// each stage.
template <class T, int D, int M> DEVICE void windows16(const WindowArgs& a) {
    constexpr int BYTES = D * 2, TILE = 64 * BYTES, QUERIES = 64 * M;
    typedef Tile<BYTES> Rows;
    char* shared = shared_memory();
    Rows q = {shared};
    auto keys = [&](int step) { return Rows{shared + M * TILE + (step & (a.stages - 1)) * 2 * TILE}; };
    auto values = [&](int step) { return Rows{keys(step).base + TILE}; };
    int head = block_y(), first_window = block_x() / a.tiles * a.per_block, tile = block_x() % a.tiles;
    int warp = thread_x() / 32, lane = thread_x() % 32;
    // The number of keys of the block: those of its windows, or those of its one window on the map, with the padding
    // key.
    int count = a.per_block * a.key_slots, whole = 0;
    if (a.per_block == 1) {
        WindowRect p = window_rect(a, first_window, a.size, a.h, a.w);
        whole = p.h * p.w;
        count = min(count, whole + 1);
    }
    int steps = (count + 63) / 64;
    int whole_map = a.size == 0 ? a.h * a.w : 0;
    bool padded = a.uneven && whole < a.size * a.size;
    const float *pad_k = padded ? a.pad_k : nullptr, *pad_v = padded ? a.pad_v : nullptr;

    auto fetch = [&](int step) {
        int row = warp * 16, token = key_token(a, first_window, step * 64 + row + lane % 16);
        fetch_tokens<T>(keys(step), row, a.k, pad_k, token, head, a.d, a.fast, whole_map);
        fetch_tokens<T>(values(step), row, a.v, pad_v, token, head, a.d, a.fast, whole_map);
        copy_commit();
    };
    // Each warp fetches its own queries.
    int own = warp * 16 * M;
    auto own_token = [&](int m) { return query_token(a, first_window, tile * QUERIES + own + m * 16 + lane % 16); };
    UNROLL for (int m = 0; m < M; m++)
        fetch_tokens<T>(q, own + m * 16, a.q, nullptr, own_token(m), head, a.d, a.fast, 0);
    fetch(0);
    Softmax<T, M, D> softmax;
    KEEP_LOOP for (int step = 0; step < steps; step++) {
        copy_wait<0>();
        barrier();
        if (a.stages == 2 && step + 1 < steps) fetch(step + 1);
        float s[M][8][4];
        scores<T>(s, q, own, keys(step));
        if ((step + 1) * 64 > whole) {
            UNROLL for (int m = 0; m < M; m++)
                UNROLL for (int i = 0; i < 2; i++)
                    mask_window(s[m], i, a, first_window, own + m * 16 + lane / 4 + i * 8, step * 64);
        }
        softmax.add(s, a.scale, values(step));
        if (a.stages == 1) {
            barrier();
            if (step + 1 < steps) fetch(step + 1);
        }
    }
    copy_wait<0>();
    softmax.apply_epilogue();
    // The result is written through the warp's own query rows, which were read before, so that whole chunks are stored.
    warp_barrier();
    UNROLL for (int m = 0; m < M; m++)
        UNROLL for (int i = 0; i < 2; i++) {
            int row = own + m * 16 + lane / 4 + i * 8;
            float inverse = 1.0f / softmax.total[m][i];
            UNROLL for (int j = 0; j < D / 8; j++)
                store_pair(reinterpret_cast<T*>(q.at(row, j)) + lane % 4 * 2, softmax.sums[m][j][i * 2] * inverse,
                         softmax.sums[m][j][i * 2 + 1] * inverse);
        }
    warp_barrier();
    UNROLL for (int m = 0; m < M; m++) {
        int token = own_token(m);
        for_chunks<D / 8>([&](int row, int c) {
            int of_row = shuffle_from(token, row), n = of_row < 0 ? 0 : min(a.d - c * 8, 8);
            T* out = static_cast<T*>(a.out.p) + static_cast<int64_t>(of_row) * a.out.stride + head * a.d + c * 8;
            const char* chunk = q.at(own + m * 16 + row, c);
            if (a.fast) {
                if (n > 0) store16(out, load16(chunk));
            } else {
                KEEP_LOOP for (int j = 0; j < n; j++) out[j] = reinterpret_cast<const T*>(chunk)[j];
            }
        });
    }
}

// The same in f32: 32 queries, with four threads per query. Each thread takes a quarter of the columns and keys of a
// row.
template <int D> DEVICE void windows32(const WindowArgs& a) {
    constexpr int KEYS = D > 128 ? 16 : 32, ROW = D + 4;
    typedef PlainSoftmax<D, D, KEYS> Softmax;
    float* q = reinterpret_cast<float*>(shared_memory());
    float *k = q + 32 * ROW, *v = k + KEYS * ROW, *p = v + KEYS * ROW;
    int head = block_y(), window = block_x() / a.tiles, tile = block_x() % a.tiles, row = thread_x() / 4;
    WindowRect on_map = window_rect(a, window, a.size, a.h, a.w);
    int real = on_map.h * on_map.w, padding = a.size > 0 ? a.size * a.size - real : 0;
    float bias = padding > 0 ? log2f(static_cast<float>(padding)) : 0.0f;
    int count = real + (padding > 0);

    auto fetch = [&](float* to, View from, const float* pad, int token, int i) {
        int n = min(max(a.d - i, 0), 4);
        Vec4 x = {{0, 0, 0, 0}};
        if (token >= 0 && n > 0) x = load4(from, static_cast<size_t>(token) * from.stride + head * a.d + i, n);
        UNROLL for (int j = 0; j < 4; j++)
            to[i + j] = token == PAD && j < n ? pad[head * a.d + i + j] : x.v[j];
    };
    for (int i = thread_x(); i < 32 * (D / 4); i += 128) {
        int r = i / (D / 4);
        fetch(q + r * ROW, a.q, nullptr, query_token(a, window, tile * 32 + r), i % (D / 4) * 4);
    }
    Softmax softmax;
    for (int start = 0; start < count; start += KEYS) {
        barrier();
        for (int i = thread_x(); i < KEYS * (D / 4); i += 128) {
            int r = i / (D / 4), c = i % (D / 4) * 4, token = key_token(a, window, start + r);
            fetch(k + r * ROW, a.k, a.pad_k, token, c);
            fetch(v + r * ROW, a.v, a.pad_v, token, c);
        }
        barrier();
        softmax.add(q + row * ROW, k, v, p + row * Softmax::WEIGHT_ROW, [&](int key, float s) {
            return start + key < count ? s * a.scale + (start + key == real ? bias : 0.0f) : MASKED_SCORE;
        });
    }
    softmax.apply_epilogue();
    int token = query_token(a, window, tile * 32 + row);
    if (token < 0) return;
    softmax.store1(a.out, static_cast<size_t>(token) * a.out.stride + head * a.d, a.d, 1.0f / softmax.total);
}

#define WINDOWS(name, D, M, BLOCKS)                                                                           \
    KERNEL_SHARING(window_attention_bf16_##name, WindowArgs, 128, BLOCKS) { windows16<bf16, D, M>(a); }       \
    KERNEL_SHARING(window_attention_f16_##name, WindowArgs, 128, BLOCKS) { windows16<f16, D, M>(a); }
WINDOWS(32, 32, 1, 4)
WINDOWS(64, 64, 1, 3)
WINDOWS(80, 80, 1, 3)
WINDOWS(96, 96, 1, 3)
WINDOWS(256, 256, 1, 2)
WINDOWS(64_tall, 64, 2, 2)
WINDOWS(80_tall, 80, 2, 2)
WINDOWS(96_tall, 96, 2, 2)
KERNEL(window_attention_f32_32, WindowArgs, 128) { windows32<32>(a); }
KERNEL(window_attention_f32_96, WindowArgs, 128) { windows32<96>(a); }
KERNEL(window_attention_f32_256, WindowArgs, 128) { windows32<256>(a); }

struct TokenArgs {
    View out, q, k, v;  // (p, t, heads * d)
    const int* lens;    // (p)
    int t, heads, d;
    float scale;  // log2(e) / sqrt(d)
};

// One warp per token and head. Keys are read one after another, so a prompt of any length needs no memory. Grid: (t by
// 8, heads, p).
KERNEL(token_attention, TokenArgs, 256) {
    int token = block_x() * 8 + thread_x() / 32, head = block_y(), prompt = block_z(), lane = thread_x() % 32;
    if (token >= a.t) return;
    auto at = [&](View x, int row) {
        return (static_cast<size_t>(prompt) * a.t + row) * x.stride + head * a.d;
    };
    // A lane holds columns lane, lane + 32, ... of the query and of the sum.
    constexpr int MOST = 8;
    float q[MOST], sums[MOST] = {};
    UNROLL for (int i = 0; i < MOST; i++) {
        int col = lane + i * 32;
        q[i] = col < a.d ? load1(a.q, at(a.q, token) + col) * a.scale : 0.0f;
    }
    constexpr int TOGETHER = 4;  // number of keys that are fetched at once
    float most = MASKED_SCORE, total = 0;
    int len = a.lens[prompt];
    for (int first = 0; first < len; first += TOGETHER) {
        float s[TOGETHER] = {}, values[TOGETHER][MOST];
        UNROLL for (int j = 0; j < TOGETHER; j++)
            UNROLL for (int i = 0; i < MOST; i++) {
                int col = lane + i * 32, key = min(first + j, len - 1);
                values[j][i] = 0;
                if (col >= a.d) continue;
                s[j] += q[i] * load1(a.k, at(a.k, key) + col);
                values[j][i] = load1(a.v, at(a.v, key) + col);
            }
        float next = most;
        UNROLL for (int j = 0; j < TOGETHER; j++) {
            s[j] = warp_sum(s[j]);
            if (first + j >= len) s[j] = MASKED_SCORE;
            next = fmaxf(next, s[j]);
        }
        float shrink = exp2_fast(most - next);
        most = next;
        total *= shrink;
        UNROLL for (int i = 0; i < MOST; i++) sums[i] *= shrink;
        UNROLL for (int j = 0; j < TOGETHER; j++) {
            float w = first + j < len ? exp2_fast(s[j] - next) : 0.0f;
            total += w;
            UNROLL for (int i = 0; i < MOST; i++) sums[i] += w * values[j][i];
        }
    }
    UNROLL for (int i = 0; i < MOST; i++) {
        int col = lane + i * 32;
        if (col < a.d) store1(a.out, at(a.out, token) + col, sums[i] / total);
    }
}
