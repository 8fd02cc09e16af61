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
// 16-byte chunks are stored. Whole maps have kernels of their own. f32 operands use plain loops. On an H200, maps are
// predicted to reach 31 to 35% of the tensor cores' peak, and windows with the tall kernels (M = 2) 10 to 20%.

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

// For divisions by w, which take many instructions: divide(i, reciprocal(w)) is i / w, if i * w is below 2^31.
DEVICE uint32_t reciprocal(int w) { return 0x80000000u / static_cast<uint32_t>(w) + 1; }
DEVICE int divide(int i, uint32_t reciprocal) { return static_cast<int>(static_cast<uint64_t>(i) * reciprocal >> 31); }

// The slots of the keys of a block, or of its queries: those of its windows.
struct Slots {
    WindowRect rect;    // of the first window
    uint32_t by_width;  // reciprocal(rect.w)
    int first, per_window, side, h, w;

    // The token in slot i. -1: no token. PAD: the key that stands for the window's padding.
    DEVICE int token(const WindowArgs& a, int i, bool padding) const {
        if (a.size == 0) return i < h * w ? i : -1;
        WindowRect p = rect;
        uint32_t factor = by_width;
        if (a.per_block > 1) {
            int within = i / per_window, window = first + within;
            if (within >= a.per_block || window >= a.windows) return -1;
            i -= within * per_window;
            p = window_rect(a, window, side, h, w), factor = reciprocal(p.w);
        }
        int real = p.h * p.w;
        int row = divide(i, factor);
        if (i < real) return (p.y + row) * w + p.x + i - row * p.w;
        return padding && i == real && real < side * side ? PAD : -1;
    }
};
DEVICE Slots key_slots(const WindowArgs& a, int first) {
    WindowRect p = window_rect(a, first, a.size, a.h, a.w);
    return {p, reciprocal(p.w), first, a.key_slots, a.size, a.h, a.w};
}
DEVICE Slots query_slots(const WindowArgs& a, int first) {
    int side = a.pool > 1 ? a.size / 2 : a.size;
    WindowRect p = window_rect(a, first, side, a.hq, a.wq);
    return {p, reciprocal(p.w), first, a.query_slots, side, a.hq, a.wq};
}

// ROWS rows of CHUNKS chunks, among THREADS threads: adjacent threads take adjacent chunks. A thread has PASSES places,
// each a row and a chunk. Its other places are PERIOD rows further on, and so on. Some may be beyond the rows.
template <int CHUNKS, int THREADS, int ROWS> struct Places {
    static constexpr int REPEAT = CHUNKS % 9 == 0 ? 9 : CHUNKS % 3 == 0 ? 3 : 1, PERIOD = REPEAT * THREADS / CHUNKS;
    static constexpr int ALL = (ROWS * CHUNKS + THREADS - 1) / THREADS, PASSES = ALL < REPEAT ? ALL : REPEAT;
    static_assert(PERIOD * CHUNKS == REPEAT * THREADS, "whole rows");
    int row[PASSES], chunk[PASSES];

    DEVICE Places(int thread) {
        UNROLL for (int i = 0; i < PASSES; i++) {
            int place = thread + i * THREADS;
            row[i] = place / CHUNKS, chunk[i] = place % CHUNKS;
        }
    }
    // Calls f(row, chunk) for each place.
    template <class F> DEVICE void each(F f) const {
        UNROLL for (int n = 0; n < ALL; n++) f(row[n % PASSES] + n / PASSES * PERIOD, chunk[n % PASSES]);
    }
};

// Copies one head's columns of 16 tokens to 16 rows of a tile, with zeros beyond the head's width. Lanes 0 to 15 hold
// the tokens. `pad` is the row of the padding, or null if no token is PAD.
template <class T, int D>
DEVICE void fetch_tokens(PaddedTile<D> to, int row0, View from, const float* pad, int token, int head, int d, int fast,
                         const Places<D / 8, 32, 16>& places) {
    const T* first = static_cast<const T*>(from.p) + head * d;
    int at = token < 0 ? token : token * from.stride, lane = thread_x() % 32;
    auto number = [&](int row, int i) { return reinterpret_cast<T*>(to.at(row0 + row, i / 8)) + i % 8; };
    if (fast) {
        places.each([&](int row, int c) {
            int of_row = shuffle_from(at, row % 16);
            if (row < 16 && of_row != PAD)
                copy_async16(to.at(row0 + row, c), first + (of_row + c * 8), of_row < 0 || c * 8 >= d ? 0 : 16);
        });
    } else {
        KEEP_LOOP for (int row = 0; row < 16; row++) {
            int of_row = shuffle_from(at, row);
            if (of_row == PAD) continue;
            KEEP_LOOP for (int i = lane; i < D; i += 32)
                *number(row, i) = of_row < 0 || i >= d ? from_float<T>(0.0f) : first[of_row + i];
        }
    }
    if (!pad) return;
    KEEP_LOOP for (int row = 0; row < 16; row++) {
        if (shuffle_from(at, row) != PAD) continue;
        KEEP_LOOP for (int i = lane; i < D; i += 32)
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

// Writes the results of a warp's queries over the queries.
template <class T, int D, int M> DEVICE void store_own(const Softmax<T, M, D>& softmax, PaddedTile<D> q, int own) {
    int lane = thread_x() % 32;
    warp_barrier();
    UNROLL for (int m = 0; m < M; m++)
        UNROLL for (int i = 0; i < 2; i++) {
            float inverse = 1.0f / softmax.total[m][i];
            UNROLL for (int j = 0; j < D / 8; j++)
                store_pair(reinterpret_cast<T*>(q.at(own + m * 16 + lane / 4 + i * 8, j)) + lane % 4 * 2,
                           softmax.sums[m][j][i * 2] * inverse, softmax.sums[m][j][i * 2 + 1] * inverse);
        }
    warp_barrier();
}

// 64 M queries by 64 keys at a time, heads up to D wide. Shared memory holds the queries, then the keys and values of
// each stage.
template <class T, int D, int M> DEVICE void windows16(const WindowArgs& a) {
    typedef PaddedTile<D> Rows;
    constexpr int TILE = 64 * Rows::CHUNKS * 16, QUERIES = 64 * M;
    char* shared = shared_memory();
    Rows q = {shared};
    auto keys = [&](int step) { return Rows{shared + M * TILE + (step & (a.stages - 1)) * 2 * TILE}; };
    auto values = [&](int step) { return Rows{keys(step).base + TILE}; };
    int head = block_y(), first_window = block_x() / a.tiles * a.per_block, tile = block_x() % a.tiles;
    int warp = thread_x() / 32, lane = thread_x() % 32;
    // The number of keys of the block: those of its windows, or those of its one window on the map, with the padding
    // key.
    int count = a.per_block * a.key_slots, whole = 0;
    Slots slots = key_slots(a, first_window);
    if (a.per_block == 1) {
        whole = slots.rect.h * slots.rect.w;
        count = min(count, whole + 1);
    }
    int steps = (count + 63) / 64;
    bool padded = a.uneven && whole < a.size * a.size;
    const float *pad_k = padded ? a.pad_k : nullptr, *pad_v = padded ? a.pad_v : nullptr;
    // Wide heads have no registers to keep the places.
    auto places = [&] { return Places<D / 8, 32, 16>(D == 96 ? computed_again(lane) : lane); };

    auto fetch = [&](int step) {
        int row = warp * 16, token = slots.token(a, step * 64 + row + lane % 16, true);
        fetch_tokens<T, D>(keys(step), row, a.k, pad_k, token, head, a.d, a.fast, places());
        fetch_tokens<T, D>(values(step), row, a.v, pad_v, token, head, a.d, a.fast, places());
        copy_commit();
    };
    // Each warp fetches its own queries.
    int own = warp * 16 * M;
    auto own_token = [&](const Slots& slots, int m) {
        return slots.token(a, tile * QUERIES + own + m * 16 + lane % 16, false);
    };
    Slots of_queries = query_slots(a, first_window);
    UNROLL for (int m = 0; m < M; m++)
        fetch_tokens<T, D>(q, own + m * 16, a.q, nullptr, own_token(of_queries, m), head, a.d, a.fast, places());
    fetch(0);
    Softmax<T, M, D> softmax;
    KEEP_LOOP for (int step = 0; step < steps; step++) {
        copy_wait<0>();
        barrier();
        float s[M][8][4];
        scores<T, D / 8>(s, q, own, keys(step));
        // After the loads of the products, which would wait for these copies.
        if (a.stages == 2 && step + 1 < steps) fetch(step + 1);
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
    store_own<T, D, M>(softmax, q, own);
    of_queries = query_slots(a, computed_again(first_window));
    UNROLL for (int m = 0; m < M; m++) {
        int token = own_token(of_queries, m);
        places().each([&](int row, int c) {
            int of_row = shuffle_from(token, row % 16), n = row > 15 || of_row < 0 ? 0 : min(a.d - c * 8, 8);
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

// Attention over a whole map, whose tokens are consecutive rows: 128 queries by 128 keys at a time. Four warps take the
// even 64 keys and four warps the odd ones. In the end the results of both are combined. k and v have the same stride.
// Grid: (queries by 128, heads).
template <class T, int D> DEVICE void map16(const WindowArgs& a) {
    typedef PaddedTile<D> Rows;
    constexpr int M = 2, BYTES = Rows::CHUNKS * 16, TILE = 64 * BYTES;
    char* shared = shared_memory();
    int group = thread_x() / 128, thread = thread_x() % 128, lane = thread % 32, own = thread / 32 * 32;
    Rows q = {shared};
    auto keys = [&](int step) { return Rows{shared + (2 + group * 4 + step % 2 * 2) * TILE}; };
    auto values = [&](int step) { return Rows{keys(step).base + TILE}; };
    int first = block_x() * 128, head = block_y() * a.d, queries = a.hq * a.wq - first;
    int count = a.h * a.w - group * 64, steps = (a.h * a.w + 127) / 128;
    auto places = [&] { return Places<D / 8, 128, 64>(D == 96 ? computed_again(thread) : thread); };
    auto fetch = [&](int step) {
        int64_t start = static_cast<int64_t>(step * 2 + group) * 64 * a.k.stride + head;
        const T *k = static_cast<const T*>(a.k.p) + start, *v = static_cast<const T*>(a.v.p) + start;
        int left = count - step * 128;
        places().each([&](int row, int c) {
            if (row > 63) return;
            int at = row * a.k.stride + c * 8, bytes = row < left && c * 8 < a.d ? 16 : 0;
            copy_async16(keys(step).at(row, c), k + at, bytes);
            copy_async16(values(step).at(row, c), v + at, bytes);
        });
        copy_commit();
    };
    places().each([&](int row, int c) {
        int query = group * 64 + row;
        int64_t token = first + min(query, queries - 1);
        const T* p = static_cast<const T*>(a.q.p) + token * a.q.stride + head + c * 8;
        if (row < 64) copy_async16(q.at(query, c), p, c * 8 < a.d ? 16 : 0);
    });
    fetch(0);
    Softmax<T, M, D> softmax;
    KEEP_LOOP for (int step = 0; step < steps; step++) {
        copy_wait<0>();
        barrier();
        float s[M][8][4];
        scores<T, D / 8>(s, q, own, keys(step));
        // After the loads of the products, which would wait for these copies.
        if (step + 1 < steps) fetch(step + 1);
        int left = count - step * 128;
        if (left < 64) {
            UNROLL for (int m = 0; m < M; m++)
                UNROLL for (int j = 0; j < 8; j++)
                    UNROLL for (int r = 0; r < 4; r++)
                        if (j * 8 + lane % 4 * 2 + r % 2 >= left) s[m][j][r] = MASKED_SCORE;
        }
        softmax.add(s, a.scale, values(step));
    }
    barrier();
    // A thread of the first group combines its results with those of the same thread of the second.
    float* other = reinterpret_cast<float*>(shared + 2 * TILE) + thread;
    auto each = [&](auto f) {
        UNROLL for (int m = 0; m < M; m++)
            UNROLL for (int i = 0; i < 2; i++) f(m, i, other + (m * 2 + i) * (D / 4 + 2) * 128);
    };
    if (group == 1) {
        each([&](int m, int i, float* to) {
            to[0] = softmax.most[m][i], to[128] = softmax.total[m][i];
            UNROLL for (int j = 0; j < D / 4; j++) to[(2 + j) * 128] = softmax.sums[m][j / 2][i * 2 + j % 2];
        });
    }
    barrier();
    if (group == 0) {
        each([&](int m, int i, const float* from) {
            float next = fmaxf(softmax.most[m][i], from[0]);
            float mine = exp2_fast((softmax.most[m][i] - next) * a.scale), its = exp2_fast((from[0] - next) * a.scale);
            softmax.total[m][i] = softmax.total[m][i] * mine + from[128] * its;
            UNROLL for (int j = 0; j < D / 4; j++) {
                float& sum = softmax.sums[m][j / 2][i * 2 + j % 2];
                sum = sum * mine + from[(2 + j) * 128] * its;
            }
        });
        softmax.apply_epilogue();
        store_own<T, D, M>(softmax, q, own);
    }
    barrier();
    places().each([&](int row, int c) {
        int query = group * 64 + row;
        int64_t token = static_cast<int64_t>(first) + query;
        T* out = static_cast<T*>(a.out.p) + token * a.out.stride + head + c * 8;
        if (row < 64 && query < queries && c * 8 < a.d) store16(out, load16(q.at(query, c)));
    });
}

// The same in f32: 32 queries, with four threads per query. Each thread takes a quarter of the columns and keys of a
// row.
template <int D> DEVICE void windows32(const WindowArgs& a) {
    constexpr int KEYS = D > 128 ? 16 : 32, ROW = D + 4;
    typedef PlainSoftmax<D, D, KEYS> Softmax;
    float* q = reinterpret_cast<float*>(shared_memory());
    float *k = q + 32 * ROW, *v = k + KEYS * ROW, *p = v + KEYS * ROW;
    int head = block_y(), window = block_x() / a.tiles, tile = block_x() % a.tiles, row = thread_x() / 4;
    Slots slots = key_slots(a, window), of_queries = query_slots(a, window);
    int real = slots.rect.h * slots.rect.w, padding = a.size > 0 ? a.size * a.size - real : 0;
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
        fetch(q + r * ROW, a.q, nullptr, of_queries.token(a, tile * 32 + r, false), i % (D / 4) * 4);
    }
    Softmax softmax;
    for (int start = 0; start < count; start += KEYS) {
        barrier();
        for (int i = thread_x(); i < KEYS * (D / 4); i += 128) {
            int r = i / (D / 4), c = i % (D / 4) * 4, token = slots.token(a, start + r, true);
            fetch(k + r * ROW, a.k, a.pad_k, token, c);
            fetch(v + r * ROW, a.v, a.pad_v, token, c);
        }
        barrier();
        softmax.add(q + row * ROW, k, v, p + row * Softmax::WEIGHT_ROW, [&](int key, float s) {
            return start + key < count ? s * a.scale + (start + key == real ? bias : 0.0f) : MASKED_SCORE;
        });
    }
    softmax.apply_epilogue();
    int token = of_queries.token(a, tile * 32 + row, false);
    if (token < 0) return;
    softmax.store1(a.out, static_cast<size_t>(token) * a.out.stride + head * a.d, a.d, 1.0f / softmax.total);
}

#define WINDOWS(name, D, M, BLOCKS)                                                                           \
    KERNEL_SHARING(window_attention_bf16_##name, WindowArgs, 128, BLOCKS) { windows16<bf16, D, M>(a); }       \
    KERNEL_SHARING(window_attention_f16_##name, WindowArgs, 128, BLOCKS) { windows16<f16, D, M>(a); }
WINDOWS(32, 32, 1, 4)
WINDOWS(64, 64, 1, 3)
WINDOWS(72, 72, 1, 3)
WINDOWS(96, 96, 1, 3)
WINDOWS(256, 256, 1, 2)
WINDOWS(64_tall, 64, 2, 2)
WINDOWS(72_tall, 72, 2, 2)
WINDOWS(96_tall, 96, 2, 2)
#define MAP(D)                                                                                          \
    KERNEL_SHARING(map_attention_bf16_##D, WindowArgs, 256, 1) { map16<bf16, D>(a); }                   \
    KERNEL_SHARING(map_attention_f16_##D, WindowArgs, 256, 1) { map16<f16, D>(a); }
MAP(64)
MAP(72)
MAP(96)
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
