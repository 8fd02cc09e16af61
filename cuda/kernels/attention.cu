// Attention over maps: within windows cut from the map as it lies, over the whole of it, with pooled queries; and
// among the tokens of prompts.
//
//   out = softmax(q k^T / sqrt(d)) v
//
// Flash attention (Dao, arXiv:2307.08691): scores are never stored; a running maximum and total per query. A block takes
// 64 queries of one head (16 a warp), and the keys of their windows 64 at a time. Windows of fewer keys share a block;
// scores between windows are masked. Keys that pad a window to its size are all the same one, which stands in the
// softmax as often as they are many: one key more, with ln(count) added to its score.
// Products in 16-bit numbers with f32 sums; f32 numbers take plain loops. Not yet measured on a GPU.

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

// A slot of a tile: its token, or -1, or PAD; which window; what is added to scores.
struct Slot {
    int token, window;
    float bias;
};
constexpr int PAD = -2;

DEVICE Slot key_slot(const WindowArgs& a, int first_window, int i) {
    Slot s = {-1, -1, 0.0f};
    int window = first_window + i / a.key_slots, j = i % a.key_slots;
    if (i >= a.per_block * a.key_slots || window >= a.windows) return s;
    Place p = place(a, window, a.size, a.h, a.w);
    int real = p.h * p.w, padding = a.size > 0 ? a.size * a.size - real : 0;
    if (j < real) {
        s.token = (p.y + j / p.w) * a.w + p.x + j % p.w;
        s.window = window;
    } else if (j == real && padding > 0) {
        s.token = PAD;
        s.window = window;
        s.bias = log2f(static_cast<float>(padding));
    }
    return s;
}
DEVICE Slot query_slot(const WindowArgs& a, int first_window, int i) {
    Slot s = {-1, -1, 0.0f};
    int window = first_window + i / a.query_slots, j = i % a.query_slots;
    if (i >= a.per_block * a.query_slots || window >= a.windows) return s;
    Place p = place(a, window, a.size / a.pool, a.hq, a.wq);
    if (j < p.h * p.w) {
        s.token = (p.y + j / p.w) * a.wq + p.x + j % p.w;
        s.window = window;
    }
    return s;
}

// Chunk `c` (8 numbers) of the head's part of a token to shared memory, zeros beyond its width.
template <class T> DEVICE void fetch_chunk(char* to, const WindowArgs& a, View v, const float* pad, int token, int head, int c) {
    int n = min(max(a.d - c * 8, 0), 8), from = head * a.d + c * 8;
    if (token != PAD && a.fast) {
        const char* row = static_cast<const char*>(v.p);
        if (token < 0) n = 0;
        if (n > 0) row = address(v, static_cast<size_t>(token) * v.stride + from);
        copy_async16(to, row, n * 2);
        return;
    }
    uint32_t words[4];
    UNROLL for (int j = 0; j < 4; j++) {
        float x[2];
        UNROLL for (int k = 0; k < 2; k++) {
            int i = j * 2 + k;
            x[k] = token == -1 || i >= n ? 0.0f
                   : token == PAD        ? pad[from + i]
                                         : get(v, static_cast<size_t>(token) * v.stride + from + i);
        }
        words[j] = pack<T>(x[0], x[1]);
    }
    store16(to, uint4{words[0], words[1], words[2], words[3]});
}

// 64 queries by 64 keys at a time, heads up to D wide; `shared`: queries, keys, values, then two tables of slots.
template <class T, int D> DEVICE void windows16(const WindowArgs& a) {
    constexpr int BYTES = D * 2, CHUNKS = BYTES / 16, TILE = 64 * BYTES;
    typedef Tile<BYTES> Rows;
    char* shared = shared_memory();
    Rows q = {shared}, k = {shared + TILE}, v = {shared + 2 * TILE};
    int* tokens = reinterpret_cast<int*>(shared + 3 * TILE);  // two tiles of keys in turn
    int* key_windows = tokens + 128;
    float* biases = reinterpret_cast<float*>(key_windows + 128);
    int head = block_y(), first_window = block_x() / a.tiles * a.per_block, tile = block_x() % a.tiles;
    int warp = thread_x() / 32, lane = thread_x() % 32;
    int keys = a.per_block * a.key_slots, steps = (keys + 63) / 64;

    auto table = [&](int step) {
        if (thread_x() < 64) {
            int at = step % 2 * 64 + thread_x();
            Slot s = key_slot(a, first_window, step * 64 + thread_x());
            tokens[at] = s.token, key_windows[at] = s.window, biases[at] = s.bias;
        }
    };
    auto fetch = [&](Rows to, View from, const float* pad, int step) {
        for (int i = thread_x(); i < 64 * CHUNKS; i += 128) {
            int row = i / CHUNKS, c = i % CHUNKS;
            fetch_chunk<T>(to.at(row, c), a, from, pad, tokens[step % 2 * 64 + row], head, c);
        }
        copy_commit();
    };
    table(0);
    for (int i = thread_x(); i < 64 * CHUNKS; i += 128) {
        int row = i / CHUNKS, c = i % CHUNKS;
        fetch_chunk<T>(q.at(row, c), a, a.q, nullptr, query_slot(a, first_window, tile * 64 + row).token, head, c);
    }
    barrier();
    fetch(k, a.k, a.pad_k, 0);

    int row = warp * 16 + lane / 4;
    Slot own[2] = {query_slot(a, first_window, tile * 64 + row), query_slot(a, first_window, tile * 64 + row + 8)};
    Softmax<T, D> softmax;
    for (int step = 0; step < steps; step++) {
        copy_wait<0>();
        barrier();
        fetch(v, a.v, a.pad_v, step);
        if (step + 1 < steps) table(step + 1);
        float s[1][8][4];
        scores<T>(s, q, warp * 16, k);
        copy_wait<0>();
        barrier();
        if (step + 1 < steps) fetch(k, a.k, a.pad_k, step + 1);
        UNROLL for (int j = 0; j < 8; j++)
            UNROLL for (int r = 0; r < 4; r++) {
                int key = step % 2 * 64 + j * 8 + lane % 4 * 2 + r % 2;
                bool same = key_windows[key] >= 0 && key_windows[key] == own[r / 2].window;
                s[0][j][r] = same ? s[0][j][r] * a.scale + biases[key] : NEVER;
            }
        softmax.add(s, v);
    }
    copy_wait<0>();
    softmax.finish();
    UNROLL for (int i = 0; i < 2; i++) {
        if (own[i].token < 0) continue;
        float inverse = 1.0f / softmax.total[i];
        size_t out = static_cast<size_t>(own[i].token) * a.out.stride + head * a.d;
        UNROLL for (int j = 0; j < D / 8; j++)
            UNROLL for (int r = 0; r < 2; r++) {
                int col = j * 8 + lane % 4 * 2 + r;
                if (col < a.d) put(a.out, out + col, softmax.sums[j][i * 2 + r] * inverse);
            }
    }
}

// As above in f32: 32 queries, a quarter of a row's columns and keys to each of four threads.
template <int D> DEVICE void windows32(const WindowArgs& a) {
    constexpr int KEYS = D > 128 ? 16 : 32, ROW = D + 4;
    typedef PlainSoftmax<D, D, KEYS> Softmax;
    float* q = reinterpret_cast<float*>(shared_memory());
    float *k = q + 32 * ROW, *v = k + KEYS * ROW, *p = v + KEYS * ROW;
    int* tokens = reinterpret_cast<int*>(p + 32 * (KEYS + 1));
    int* key_windows = tokens + KEYS;
    float* biases = reinterpret_cast<float*>(key_windows + KEYS);
    int head = block_y(), first_window = block_x() / a.tiles * a.per_block, tile = block_x() % a.tiles;
    int row = thread_x() / 4;
    int steps = (a.per_block * a.key_slots + KEYS - 1) / KEYS;

    auto fetch = [&](float* to, View from, const float* pad, int token, int i) {
        int n = min(max(a.d - i, 0), 4);
        Four x = {{0, 0, 0, 0}};
        if (token >= 0 && n > 0) x = get4(from, static_cast<size_t>(token) * from.stride + head * a.d + i, n);
        UNROLL for (int j = 0; j < 4; j++)
            to[i + j] = token == PAD && j < n ? pad[head * a.d + i + j] : x.v[j];
    };
    for (int i = thread_x(); i < 32 * (D / 4); i += 128) {
        int r = i / (D / 4);
        fetch(q + r * ROW, a.q, nullptr, query_slot(a, first_window, tile * 32 + r).token, i % (D / 4) * 4);
    }
    Slot own = query_slot(a, first_window, tile * 32 + row);
    Softmax softmax;
    for (int step = 0; step < steps; step++) {
        barrier();
        if (thread_x() < KEYS) {
            Slot s = key_slot(a, first_window, step * KEYS + thread_x());
            tokens[thread_x()] = s.token, key_windows[thread_x()] = s.window, biases[thread_x()] = s.bias;
        }
        barrier();
        for (int i = thread_x(); i < KEYS * (D / 4); i += 128) {
            int r = i / (D / 4), c = i % (D / 4) * 4;
            fetch(k + r * ROW, a.k, a.pad_k, tokens[r], c);
            fetch(v + r * ROW, a.v, a.pad_v, tokens[r], c);
        }
        barrier();
        softmax.add(q + row * ROW, k, v, p + row * Softmax::WEIGHT_ROW, [&](int key, float s) {
            bool same = key_windows[key] >= 0 && key_windows[key] == own.window;
            return same ? s * a.scale + biases[key] : NEVER;
        });
    }
    softmax.finish();
    if (own.token < 0) return;
    softmax.put(a.out, static_cast<size_t>(own.token) * a.out.stride + head * a.d, a.d, 1.0f / softmax.total);
}

#define WINDOWS(D)                                                                          \
    KERNEL(window_attention_f32_##D, WindowArgs, 128) { windows32<D>(a); }                  \
    KERNEL(window_attention_bf16_##D, WindowArgs, 128) { windows16<bf16, D>(a); }           \
    KERNEL(window_attention_f16_##D, WindowArgs, 128) { windows16<f16, D>(a); }
WINDOWS(16)
WINDOWS(32)
WINDOWS(64)
WINDOWS(80)
WINDOWS(96)
WINDOWS(128)
WINDOWS(256)

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
