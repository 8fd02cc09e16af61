// The steps of flash attention on tensor cores, a warp at a time: 16 queries by 64 keys.
#pragma once

#include "common.cuh"

constexpr float NEVER = -1e30f;  // below every score; its difference with itself is 0, unlike infinity's

// s = rows row..row+16 of q times the 64 rows of k.
template <class T, int BYTES> DEVICE void scores(float (&s)[1][8][4], Tile<BYTES> q, int row, Tile<BYTES> k) {
    UNROLL for (int j = 0; j < 8; j++)
        UNROLL for (int r = 0; r < 4; r++) s[0][j][r] = 0;
    auto columns = [&](int c) {
        uint32_t left[1][4], right[8][2];
        load_a(left[0], q, row, c);
        UNROLL for (int j = 0; j < 8; j += 2) load_b(*reinterpret_cast<uint32_t(*)[2][2]>(right[j]), k, j * 8, c);
        mma<T>(s, left, right);
    };
    if (BYTES < 512) {
        UNROLL for (int c = 0; c < BYTES / 16; c += 2) columns(c);
    } else {
        KEEP_LOOP for (int c = 0; c < BYTES / 16; c += 2) columns(c);
    }
}

// sums += w times the 64 rows of v, w as `scores` leaves its results.
template <class T, int N, int BYTES> DEVICE void weigh(float (&sums)[N][4], const float (&w)[1][8][4], Tile<BYTES> v) {
    constexpr int PART = N % 8 == 0 ? 8 : N % 4 == 0 ? 4 : 2;  // columns at once, or registers run out
    UNROLL for (int c = 0; c < 4; c++) {
        uint32_t left[1][4];
        UNROLL for (int r = 0; r < 4; r++) {
            const float* pair = &w[0][c * 2 + r / 2][r % 2 * 2];
            left[0][r] = pack<T>(pair[0], pair[1]);
        }
        UNROLL for (int j = 0; j < N; j += PART) {
            uint32_t right[PART][2];
            UNROLL for (int i = 0; i < PART; i += 2)
                load_b_rows(*reinterpret_cast<uint32_t(*)[2][2]>(right[i]), v, c * 16, j + i);
            mma<T>(*reinterpret_cast<float(*)[1][PART][4]>(sums[j]), left, right);
        }
    }
}

// The running softmax of 16 queries: of a lane, rows lane/4 and lane/4 + 8.
template <class T, int D> struct Softmax {
    float most[2] = {NEVER, NEVER}, total[2] = {0, 0};
    float sums[D / 8][4] = {};

    // Takes the scores (times log2 e) of 64 keys, NEVER where there is none, and their values.
    DEVICE void add(float (&s)[1][8][4], Tile<D * 2> values) {
        float next[2] = {most[0], most[1]};
        UNROLL for (int j = 0; j < 8; j++)
            UNROLL for (int r = 0; r < 4; r++) next[r / 2] = fmaxf(next[r / 2], s[0][j][r]);
        UNROLL for (int i = 0; i < 2; i++) {
            next[i] = fmaxf(next[i], shuffle_xor(next[i], 1));
            next[i] = fmaxf(next[i], shuffle_xor(next[i], 2));
            float shrink = exp2_fast(most[i] - next[i]);
            most[i] = next[i];
            total[i] *= shrink;
            UNROLL for (int j = 0; j < D / 8; j++) sums[j][i * 2] *= shrink, sums[j][i * 2 + 1] *= shrink;
        }
        UNROLL for (int j = 0; j < 8; j++)
            UNROLL for (int r = 0; r < 4; r++) {
                // A row that has met none of its keys yet has the maximum NEVER, and every weight would be 1.
                s[0][j][r] = s[0][j][r] > NEVER ? exp2_fast(s[0][j][r] - most[r / 2]) : 0.0f;
                total[r / 2] += s[0][j][r];
            }
        weigh<T>(sums, s, values);
    }

    // Adds up what the four lanes of a row have.
    DEVICE void finish() {
        UNROLL for (int i = 0; i < 2; i++) {
            total[i] += shuffle_xor(total[i], 1);
            total[i] += shuffle_xor(total[i], 2);
        }
    }
};

// The running softmax in f32: a query to four threads in a row, each with a quarter of the keys' scores and of the
// columns. Rows in shared memory are longer than they are wide, so that banks differ.
template <int D, int DV, int KEYS> struct PlainSoftmax {
    static constexpr int ROW = D + 4, VALUE_ROW = DV + 4, WEIGHT_ROW = KEYS + 1, PART = KEYS / 4;
    float most = NEVER, total = 0, sums[DV / 4] = {};

    // Takes KEYS keys and values; `weights` is the query's own; `score(key, s)` makes a score of a product.
    template <class F> DEVICE void add(float* query, float* keys, float* values, float* weights, F score) {
        View q = {query, 0, F32}, k = {keys, 0, F32}, v = {values, 0, F32};
        int part = thread_x() % 4;
        float s[PART] = {};
        for (int c = 0; c < D; c += 4) {
            Four x = get4(q, c, 4);
            UNROLL for (int j = 0; j < PART; j++) {
                Four y = get4(k, (part + j * 4) * ROW + c, 4);
                UNROLL for (int i = 0; i < 4; i++) s[j] = fmaf(x.v[i], y.v[i], s[j]);
            }
        }
        float next = most;
        UNROLL for (int j = 0; j < PART; j++) {
            s[j] = score(part + j * 4, s[j]);
            next = fmaxf(next, s[j]);
        }
        next = fmaxf(next, shuffle_xor(next, 1));
        next = fmaxf(next, shuffle_xor(next, 2));
        float shrink = exp2_fast(most - next);
        most = next;
        total *= shrink;
        UNROLL for (int i = 0; i < DV / 4; i++) sums[i] *= shrink;
        UNROLL for (int j = 0; j < PART; j++) {
            float w = s[j] > NEVER ? exp2_fast(s[j] - most) : 0.0f;
            total += w;
            weights[part + j * 4] = w;
        }
        warp_barrier();
        for (int key = 0; key < KEYS; key++) {
            float w = weights[key];
            UNROLL for (int i = 0; i < DV / 16; i++) {
                Four y = get4(v, key * VALUE_ROW + (i * 4 + part) * 4, 4);
                UNROLL for (int c = 0; c < 4; c++) sums[i * 4 + c] = fmaf(w, y.v[c], sums[i * 4 + c]);
            }
        }
    }

    // Adds up what the four threads of a query have.
    DEVICE void finish() {
        total += shuffle_xor(total, 1);
        total += shuffle_xor(total, 2);
    }

    // This thread's columns of the first `width`, times `factor`.
    DEVICE void put(View out, size_t at, int width, float factor) const {
        UNROLL for (int i = 0; i < DV / 16; i++) {
            int col = (i * 4 + thread_x() % 4) * 4, n = min(4, width - col);
            Four y;
            UNROLL for (int c = 0; c < 4; c++) y.v[c] = sums[i * 4 + c] * factor;
            if (n > 0) put4(out, at + col, y, n);
        }
    }
};

// Eight numbers of x as a chunk of 16-bit numbers, zeros beyond n.
template <class T> DEVICE void chunk_of(char* to, View x, size_t at, int n) {
    Four a = {{0, 0, 0, 0}}, b = a;
    if (n > 0) a = get4(x, at, min(n, 4));
    if (n > 4) b = get4(x, at + 4, n - 4);
    store16(to, uint4{pack<T>(a.v[0], a.v[1]), pack<T>(a.v[2], a.v[3]), pack<T>(b.v[0], b.v[1]), pack<T>(b.v[2], b.v[3])});
}

// As above, of x + y.
template <class T> DEVICE void chunk_of_sum(char* to, View x, size_t at, View y, size_t y_at, int n) {
    uint32_t words[4];
    UNROLL for (int half = 0; half < 2; half++) {
        Four a = {{0, 0, 0, 0}}, b = a;
        int here = min(n - half * 4, 4);
        if (here > 0) a = get4(x, at + half * 4, here), b = get4(y, y_at + half * 4, here);
        words[half * 2] = pack<T>(a.v[0] + b.v[0], a.v[1] + b.v[1]);
        words[half * 2 + 1] = pack<T>(a.v[2] + b.v[2], a.v[3] + b.v[3]);
    }
    store16(to, uint4{words[0], words[1], words[2], words[3]});
}
