// Attention over maps: within windows cut from the map as it lies, over the whole of it, with pooled queries; and
// among the tokens of prompts.
//
//   out = softmax(q k^T / sqrt(d)) v
//
// Flash attention (Dao, arXiv:2307.08691): scores are never stored; a running maximum and total per query. A block takes
// 64 M queries of one head (16 M a warp), and the keys of their windows 64 at a time, the next keys and values fetched
// while these are used where two stages fit. Windows of fewer keys share a block; scores between windows are masked.
// Keys that pad a window to its size are all the same one, which stands in the softmax as often as they are many: one
// key more, with log2(count) added to its score. f32 numbers take plain loops. On an H200 the tensor cores are predicted to be
// at 19 to 23% of their peak in the tall kernels (M = 2). Not yet measured on a GPU.

#include "flash.cuh"

struct WindowArgs {
    View out, q;  // (hq, wq, heads * d)
    View k, v;    // (h, w, heads * d)
    const float* pad_k;  // (heads * d)
    const float* pad_v;
    int h, w, hq, wq;
    int size;  // side of a window of keys, or 0: the whole map; of queries: size / pool
    int pool, d;
    int windows_x, windows;  // windows across, and in all
    int per_block;           // windows that share a block
    int key_slots;           // keys of a window; its padding is one more only where there are fewer others
    int query_slots;         // queries of a window
    int tiles;               // blocks of a window, or 1
    int stages;              // 1 or 2
    float scale;             // log2(e) / sqrt(d)
    int fast;                // rows are 16 bytes aligned
};

// Where a window lies and how much of it is on the map.
struct Place {
    int y, x, h, w;
};
DEVICE Place place(const WindowArgs& a, int window, int side, int h, int w) {
    Place p = {0, 0, h, w};
    if (side == 0) return p;
    p.y = window / a.windows_x * side, p.x = window % a.windows_x * side;
    p.h = min(side, h - p.y), p.w = min(side, w - p.x);
    return p;
}

constexpr int PAD = -2;

// The token in slot i of the keys of a block's windows: -1 none, PAD the key that stands for a window's padding.
DEVICE int key_token(const WindowArgs& a, int first_window, int i) {
    if (a.size == 0) return i < a.h * a.w ? i : -1;
    int within = a.per_block > 1 ? i / a.key_slots : 0, j = i - within * a.key_slots, window = first_window + within;
    if (within >= a.per_block || window >= a.windows) return -1;
    Place p = place(a, window, a.size, a.h, a.w);
    int real = p.h * p.w;
    if (j < real) return (p.y + j / p.w) * a.w + p.x + j % p.w;
    return j == real && real < a.size * a.size ? PAD : -1;
}
// The token in slot i of the queries: -1 none.
DEVICE int query_token(const WindowArgs& a, int first_window, int i) {
    if (a.size == 0) return i < a.hq * a.wq ? i : -1;
    int within = a.per_block > 1 ? i / a.query_slots : 0, j = i - within * a.query_slots, window = first_window + within;
    if (within >= a.per_block || window >= a.windows) return -1;
    Place p = place(a, window, a.size / a.pool, a.hq, a.wq);
    return j < p.h * p.w ? (p.y + j / p.w) * a.wq + p.x + j % p.w : -1;
}

// The head's part of a token to a row of a tile, zeros beyond its width: every fourth chunk, four threads to a row.
template <class T, int BYTES>
DEVICE void fetch_token(Tile<BYTES> to, int row, View from, const float* pad, int token, int head, int d, int fast) {
    constexpr int CHUNKS = BYTES / 16;
    int part = thread_x() % 4;
    const T* p = static_cast<const T*>(from.p) + static_cast<int64_t>(token) * from.stride + head * d;
    if (fast && token != PAD) {
        UNROLL for (int i = 0; i < CHUNKS; i += 4) {
            int c = part + i, n = min(max(d - c * 8, 0), 8);
            if (CHUNKS % 4 == 0 || c < CHUNKS) copy_async16(to.at(row, c), p + c * 8, token < 0 ? 0 : n * 2);
        }
        return;
    }
    KEEP_LOOP for (int c = part; c < CHUNKS; c += 4) {
        T* numbers = reinterpret_cast<T*>(to.at(row, c));
        KEEP_LOOP for (int i = c * 8; i < c * 8 + 8; i++) {
            bool there = i < d && token != -1;
            numbers[i - c * 8] = !there ? from_float<T>(0.0f) : token == PAD ? from_float<T>(pad[head * d + i]) : p[i];
        }
    }
}

// Masks the scores of 64 keys from slot `first_key` on with the query in slot `query`: rows i * 2 and i * 2 + 1 of the
// lane's. Scores are not yet scaled.
DEVICE void mask_window(float (&s)[8][4], int i, const WindowArgs& a, int first_window, int query, int first_key) {
    int within = a.per_block > 1 ? query / a.query_slots : 0, begin = within * a.key_slots;
    // A slot without a query takes the first key, so that its numbers are numbers.
    int end = begin + 1, pad = -1;
    float bias = 0;
    if (within < a.per_block && first_window + within < a.windows) {
        Place p = place(a, first_window + within, a.size, a.h, a.w);
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
            if (key < begin || key >= end) s[j][r] = NEVER;
        }
}

// 64 M queries by 64 keys at a time, heads up to D wide; `shared`: queries, then keys and values of each stage.
template <class T, int D, int M> DEVICE void windows16(const WindowArgs& a) {
    constexpr int BYTES = D * 2, TILE = 64 * BYTES, QUERIES = 64 * M;
    typedef Tile<BYTES> Rows;
    char* shared = shared_memory();
    Rows q = {shared};
    auto keys = [&](int step) { return Rows{shared + M * TILE + (step & (a.stages - 1)) * 2 * TILE}; };
    auto values = [&](int step) { return Rows{keys(step).base + TILE}; };
    int head = block_y(), first_window = block_x() / a.tiles * a.per_block, tile = block_x() % a.tiles;
    int warp = thread_x() / 32, lane = thread_x() % 32;
    // Keys of the block: those of its windows, or of its one window as far as it is on the map, and its padding.
    int count = a.per_block * a.key_slots, whole = 0;
    if (a.per_block == 1) {
        Place p = place(a, first_window, a.size, a.h, a.w);
        whole = p.h * p.w;
        count = min(count, whole + 1);
    }
    int steps = (count + 63) / 64;

    auto fetch = [&](int step) {
        KEEP_LOOP for (int row = thread_x() / 4; row < 64; row += 32) {
            int token = key_token(a, first_window, step * 64 + row);
            fetch_token<T>(keys(step), row, a.k, a.pad_k, token, head, a.d, a.fast);
            fetch_token<T>(values(step), row, a.v, a.pad_v, token, head, a.d, a.fast);
        }
        copy_commit();
    };
    KEEP_LOOP for (int row = thread_x() / 4; row < QUERIES; row += 32)
        fetch_token<T>(q, row, a.q, nullptr, query_token(a, first_window, tile * QUERIES + row), head, a.d, a.fast);
    fetch(0);
    Softmax<T, M, D> softmax;
    KEEP_LOOP for (int step = 0; step < steps; step++) {
        copy_wait<0>();
        barrier();
        if (a.stages == 2 && step + 1 < steps) fetch(step + 1);
        float s[M][8][4];
        scores<T>(s, q, warp * 16 * M, keys(step));
        if ((step + 1) * 64 > whole) {
            UNROLL for (int m = 0; m < M; m++)
                UNROLL for (int i = 0; i < 2; i++)
                    mask_window(s[m], i, a, first_window, (warp * M + m) * 16 + lane / 4 + i * 8, step * 64);
        }
        softmax.add(s, a.scale, values(step));
        if (a.stages == 1) {
            barrier();
            if (step + 1 < steps) fetch(step + 1);
        }
    }
    copy_wait<0>();
    softmax.finish();
    UNROLL for (int m = 0; m < M; m++)
        UNROLL for (int i = 0; i < 2; i++) {
            int token = query_token(a, first_window, tile * QUERIES + (warp * M + m) * 16 + lane / 4 + i * 8);
            if (token < 0) continue;
            float inverse = 1.0f / softmax.total[m][i];
            T* out = static_cast<T*>(a.out.p) + static_cast<size_t>(token) * a.out.stride + head * a.d;
            UNROLL for (int j = 0; j < D / 8; j++) {
                int col = j * 8 + lane % 4 * 2;
                float x = softmax.sums[m][j][i * 2] * inverse, y = softmax.sums[m][j][i * 2 + 1] * inverse;
                if (a.fast) {
                    if (col < a.d) put_pair(out + col, x, y);
                } else {
                    if (col < a.d) out[col] = from_float<T>(x);
                    if (col + 1 < a.d) out[col + 1] = from_float<T>(y);
                }
            }
        }
}

// As above in f32: 32 queries, a quarter of a row's columns and keys to each of four threads.
template <int D> DEVICE void windows32(const WindowArgs& a) {
    constexpr int KEYS = D > 128 ? 16 : 32, ROW = D + 4;
    typedef PlainSoftmax<D, D, KEYS> Softmax;
    float* q = reinterpret_cast<float*>(shared_memory());
    float *k = q + 32 * ROW, *v = k + KEYS * ROW, *p = v + KEYS * ROW;
    int head = block_y(), window = block_x() / a.tiles, tile = block_x() % a.tiles, row = thread_x() / 4;
    Place on_map = place(a, window, a.size, a.h, a.w);
    int real = on_map.h * on_map.w, padding = a.size > 0 ? a.size * a.size - real : 0;
    float bias = padding > 0 ? log2f(static_cast<float>(padding)) : 0.0f;
    int count = real + (padding > 0);

    auto fetch = [&](float* to, View from, const float* pad, int token, int i) {
        int n = min(max(a.d - i, 0), 4);
        Four x = {{0, 0, 0, 0}};
        if (token >= 0 && n > 0) x = get4(from, static_cast<size_t>(token) * from.stride + head * a.d + i, n);
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
            return start + key < count ? s * a.scale + (start + key == real ? bias : 0.0f) : NEVER;
        });
    }
    softmax.finish();
    int token = query_token(a, window, tile * 32 + row);
    if (token < 0) return;
    softmax.put(a.out, static_cast<size_t>(token) * a.out.stride + head * a.d, a.d, 1.0f / softmax.total);
}

#define WINDOWS(name, D, M)                                                                    \
    KERNEL(window_attention_bf16_##name, WindowArgs, 128) { windows16<bf16, D, M>(a); }        \
    KERNEL(window_attention_f16_##name, WindowArgs, 128) { windows16<f16, D, M>(a); }
WINDOWS(32, 32, 1)
WINDOWS(64, 64, 1)
WINDOWS(80, 80, 1)
WINDOWS(96, 96, 1)
WINDOWS(256, 256, 1)
WINDOWS(64_tall, 64, 2)
WINDOWS(80_tall, 80, 2)
WINDOWS(96_tall, 96, 2)
KERNEL(window_attention_f32_32, WindowArgs, 128) { windows32<32>(a); }
KERNEL(window_attention_f32_96, WindowArgs, 128) { windows32<96>(a); }
KERNEL(window_attention_f32_256, WindowArgs, 128) { windows32<256>(a); }

struct TokenArgs {
    View out, q, k, v;  // (p, t, heads * d)
    const int* lens;    // (p)
    int t, heads, d;
    float scale;  // log2(e) / sqrt(d)
};

// A warp per token and head; keys in turn, so a prompt of any length needs no memory. Grid: (t by 8, heads, p).
KERNEL(token_attention, TokenArgs, 256) {
    int token = block_x() * 8 + thread_x() / 32, head = block_y(), prompt = block_z(), lane = thread_x() % 32;
    if (token >= a.t) return;
    auto at = [&](View x, int row) {
        return (static_cast<size_t>(prompt) * a.t + row) * x.stride + head * a.d;
    };
    // A lane keeps columns lane, lane + 32, ... of the query and of the sum.
    constexpr int MOST = 8;
    float q[MOST], sums[MOST] = {};
    UNROLL for (int i = 0; i < MOST; i++) {
        int col = lane + i * 32;
        q[i] = col < a.d ? get(a.q, at(a.q, token) + col) * a.scale : 0.0f;
    }
    float most = NEVER, total = 0;
    for (int key = 0; key < a.lens[prompt]; key++) {
        float s = 0;
        UNROLL for (int i = 0; i < MOST; i++) {
            int col = lane + i * 32;
            if (col < a.d) s += q[i] * get(a.k, at(a.k, key) + col);
        }
        s = warp_sum(s);
        float next = fmaxf(most, s), shrink = exp2_fast(most - next), w = exp2_fast(s - next);
        most = next;
        total = total * shrink + w;
        UNROLL for (int i = 0; i < MOST; i++) {
            int col = lane + i * 32;
            if (col < a.d) sums[i] = sums[i] * shrink + w * get(a.v, at(a.v, key) + col);
        }
    }
    UNROLL for (int i = 0; i < MOST; i++) {
        int col = lane + i * 32;
        if (col < a.d) put(a.out, at(a.out, token) + col, sums[i] / total);
    }
}
