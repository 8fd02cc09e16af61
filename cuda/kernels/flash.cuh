// The steps of flash attention on tensor cores, a warp at a time: M times 16 queries by 64 keys.
#pragma once

#include "common.cuh"

constexpr float NEVER = -1e30f;  // below every score; its difference with itself is 0, unlike infinity's

// Eight 16-bit numbers at any address to a chunk of shared memory, zeros beyond the first n.
template <class T> DEVICE void copy_chunk(char* to, const T* from, int n) {
    T* numbers = reinterpret_cast<T*>(to);
    KEEP_LOOP for (int i = 0; i < 8; i++) numbers[i] = i < n ? from[i] : from_float<T>(0.0f);
}

// ROWS rows of `width` 16-bit numbers to a tile, zeros beyond the first `rows` and beyond the width. A thread copies the
// same chunk of every row that it takes part in. `fast`: rows are 16 bytes aligned and widths multiples of 8.
template <int ROWS, int THREADS, class T, int BYTES>
DEVICE void fetch_rows(Tile<BYTES> to, const T* from, int stride, int rows, int width, int fast) {
    constexpr int CHUNKS = BYTES / 16, PASS = THREADS / CHUNKS;
    static_assert(THREADS % CHUNKS == 0 && ROWS % PASS == 0, "whole passes");
    int row = thread_x() / CHUNKS, c = thread_x() % CHUNKS, n = min(max(width - c * 8, 0), 8);
    const T* p = from + static_cast<int64_t>(row) * stride + c * 8;
    if (fast) {
        UNROLL_4 for (int i = 0; i < ROWS; i += PASS)
            copy_async16(to.at(row + i, c), p + static_cast<int64_t>(i) * stride, row + i < rows ? n * 2 : 0);
    } else {
        KEEP_LOOP for (int i = 0; i < ROWS; i += PASS)
            copy_chunk(to.at(row + i, c), p + static_cast<int64_t>(i) * stride, row + i < rows ? n : 0);
    }
}

// s = rows row..row + 16 M of q times the 64 rows of k. With LOOP it takes fewer registers and more instructions.
template <class T, bool LOOP = false, int M, int BYTES>
DEVICE void scores(float (&s)[M][8][4], Tile<BYTES> q, int row, Tile<BYTES> k) {
    UNROLL for (int i = 0; i < M; i++)
        UNROLL for (int j = 0; j < 8; j++)
            UNROLL for (int r = 0; r < 4; r++) s[i][j][r] = 0;
    auto columns = [&](int c) {
        Fragment left[M][4], right[8][2];
        UNROLL for (int i = 0; i < M; i++) load_a(left[i], q, row + i * 16, c);
        load_b(right, k, 0, c);
        mma<T>(s, left, right);
    };
    if (LOOP) {
        KEEP_LOOP for (int c = 0; c < BYTES / 16; c += 2) columns(c);
    } else {
        UNROLL for (int c = 0; c < BYTES / 16; c += 2) columns(c);
    }
}

// sums += w times the 64 rows of v, w as `scores` leaves its results.
template <class T, int M, int N, int BYTES>
DEVICE void weigh(float (&sums)[M][N][4], const float (&w)[M][8][4], Tile<BYTES> v) {
    constexpr int PART = N % 8 == 0 ? 8 : N % 4 == 0 ? 4 : 2;  // columns at once, or registers run out
    UNROLL for (int c = 0; c < 4; c++) {
        Fragment left[M][4];
        UNROLL for (int i = 0; i < M; i++)
            UNROLL for (int r = 0; r < 4; r++) {
                const float* pair = &w[i][c * 2 + r / 2][r % 2 * 2];
                left[i][r] = pack<T>(pair[0], pair[1]);
            }
        UNROLL for (int j = 0; j < N; j += PART) {
            Fragment right[PART][2];
            load_b_rows(right, v, c * 16, j);
            UNROLL for (int i = 0; i < M; i++)
                mma<T>(*reinterpret_cast<float(*)[1][PART][4]>(sums[i][j]), *reinterpret_cast<Fragment(*)[1][4]>(left[i]), right);
        }
    }
}

// The running softmax of 16 M queries: of a lane, rows lane/4 and lane/4 + 8 of every 16.
template <class T, int M, int D> struct Softmax {
    float most[M][2], total[M][2] = {};
    float sums[M][D / 8][4] = {};

    DEVICE Softmax() {
        UNROLL for (int m = 0; m < M; m++) most[m][0] = most[m][1] = NEVER;
    }

    // Takes the products with 64 keys, NEVER where there is none, and the keys' values. A weight is
    // 2^(scale (product - maximum)). Every row has met a key by the end of its first call.
    DEVICE void add(float (&s)[M][8][4], float scale, Tile<D * 2> values) {
        UNROLL for (int m = 0; m < M; m++)
            UNROLL for (int i = 0; i < 2; i++) {
                float next = most[m][i];
                UNROLL for (int j = 0; j < 8; j++) next = fmaxf(next, fmaxf(s[m][j][i * 2], s[m][j][i * 2 + 1]));
                next = fmaxf(next, shuffle_xor(next, 1));
                next = fmaxf(next, shuffle_xor(next, 2));
                float shrink = exp2_fast((most[m][i] - next) * scale), offset = next * scale;
                most[m][i] = next;
                total[m][i] *= shrink;
                UNROLL for (int j = 0; j < D / 8; j++) sums[m][j][i * 2] *= shrink, sums[m][j][i * 2 + 1] *= shrink;
                UNROLL for (int j = 0; j < 8; j++)
                    UNROLL for (int r = i * 2; r < i * 2 + 2; r++) {
                        s[m][j][r] = exp2_fast(fmaf(s[m][j][r], scale, -offset));
                        total[m][i] += s[m][j][r];
                    }
            }
        weigh<T>(sums, s, values);
    }

    // Adds up what the four lanes of a row have.
    DEVICE void finish() {
        UNROLL for (int m = 0; m < M; m++)
            UNROLL for (int i = 0; i < 2; i++) {
                total[m][i] += shuffle_xor(total[m][i], 1);
                total[m][i] += shuffle_xor(total[m][i], 2);
            }
    }
};

// What a part of the keys gave a query, for `merge_splits`: D sums of values at sums + place * D, not yet divided; the
// maximum, times the scale, and the total at stats + place * 2. `i`: which of the lane's two rows of 16.
template <class T, int M, int D>
DEVICE void store_split(const Softmax<T, M, D>& softmax, int m, int i, float scale, float* sums, float* stats, size_t place) {
    int lane = thread_x() % 32;
    if (lane % 4 == 0) {
        stats[place * 2] = softmax.most[m][i] * scale;
        stats[place * 2 + 1] = softmax.total[m][i];
    }
    UNROLL for (int j = 0; j < D / 8; j++)
        store_pair(sums + place * D + j * 8 + lane % 4 * 2, softmax.sums[m][j][i * 2], softmax.sums[m][j][i * 2 + 1]);
}

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
