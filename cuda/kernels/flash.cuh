// The steps of flash attention on tensor cores. A warp takes M times 16 queries by 64 keys.
#pragma once

#include "common.cuh"

constexpr float MASKED_SCORE = -1e30f;  // below every score; unlike infinity, its difference with itself is 0

// Copies eight 16-bit numbers from any address to a chunk of shared memory, with zeros beyond the first n.
template <class T> DEVICE void copy_chunk(char* to, const T* from, int n) {
    T* numbers = reinterpret_cast<T*>(to);
    KEEP_LOOP for (int i = 0; i < 8; i++) numbers[i] = i < n ? from[i] : from_float<T>(0.0f);
}

// Copies ROWS rows of `width` 16-bit numbers to a tile, with zeros beyond the first `rows` and beyond the width. A
// thread copies the same chunk of each of its rows. `fast`: rows are 16-byte aligned and widths are multiples of 8.
template <int ROWS, int THREADS, class T, int BYTES>
DEVICE void fetch_rows(Tile<BYTES> to, const T* from, int stride, int rows, int width, int fast) {
    constexpr int CHUNKS = BYTES / 16 / 2 * 2, PASS = THREADS / CHUNKS;
    static_assert(THREADS % CHUNKS == 0 && ROWS % PASS == 0, "whole passes");
    int row = thread_x() / CHUNKS, c = thread_x() % CHUNKS;
    const T* p = from + static_cast<int64_t>(row) * stride + c * 8;
    if (fast) {
        int end = c * 8 < width ? rows : 0;
        UNROLL_4 for (int i = 0; i < ROWS; i += PASS)
            copy_async16(to.at(row + i, c), p + static_cast<int64_t>(i) * stride, row + i < end ? 16 : 0);
    } else {
        int n = min(max(width - c * 8, 0), 8);
        KEEP_LOOP for (int i = 0; i < ROWS; i += PASS)
            copy_chunk(to.at(row + i, c), p + static_cast<int64_t>(i) * stride, row + i < rows ? n : 0);
    }
}

// s = rows row..row + 16 M of q times the 64 rows of k, over CHUNKS times eight columns. `kept` has the first `keep`
// operands of q, which were loaded before. LOOP uses fewer registers and more instructions.
template <class T, int CHUNKS, bool LOOP = false, int M, int BYTES>
DEVICE void scores(float (&s)[M][8][4], Tile<BYTES> q, int row, Tile<BYTES> k, const Fragment (*kept)[M][4] = nullptr,
                   int keep = 0) {
    UNROLL for (int i = 0; i < M; i++)
        UNROLL for (int j = 0; j < 8; j++)
            UNROLL for (int r = 0; r < 4; r++) s[i][j][r] = 0;
    auto columns = [&](int c) {
        Fragment left[M][4], right[8][2];
        load_b(right, k, 0, c);
        if (c < keep * 2) return mma<T>(s, kept[c / 2], right);
        UNROLL for (int i = 0; i < M; i++) load_a(left[i], q, row + i * 16, c);
        mma<T>(s, left, right);
    };
    if (LOOP) {
        KEEP_LOOP for (int c = 0; c + 1 < CHUNKS; c += 2) columns(c);
    } else {
        UNROLL for (int c = 0; c + 1 < CHUNKS; c += 2) columns(c);
    }
    if (CHUNKS % 2 > 0) {
        int lane = thread_x() % 32;
        Fragment left[M][2], right[8], r[4];
        UNROLL for (int i = 0; i < M; i++) {
            if (i % 2 == 0) ldmatrix(r, q.at(row + i * 16 + (M > 1 ? lane : lane % 16), CHUNKS - 1));
            left[i][0] = r[i % 2 * 2], left[i][1] = r[i % 2 * 2 + 1];
        }
        UNROLL for (int j = 0; j < 8; j += 4) {
            ldmatrix(r, k.at(j * 8 + lane, CHUNKS - 1));
            UNROLL for (int i = 0; i < 4; i++) right[j + i] = r[i];
        }
        mma_half<T>(s, left, right);
    }
}

// sums += w times the 64 rows of v. w has the layout of the results of `scores`.
template <class T, int M, int N, int BYTES>
DEVICE void add_weighted_values(float (&sums)[M][N][4], const float (&w)[M][8][4], Tile<BYTES> v) {
    // Columns at once; more would need too many registers.
    constexpr int EVEN = N / 2 * 2, PART = EVEN % 8 == 0 ? 8 : EVEN % 4 == 0 ? 4 : 2;
    Fragment last[4];  // the last columns of two times 16 rows, if N is odd
    UNROLL for (int c = 0; c < 4; c++) {
        Fragment left[M][4];
        UNROLL for (int i = 0; i < M; i++)
            UNROLL for (int r = 0; r < 4; r++) {
                const float* pair = &w[i][c * 2 + r / 2][r % 2 * 2];
                left[i][r] = pack<T>(pair[0], pair[1]);
            }
        auto multiply = [&](auto& right, int j) {
            constexpr int COLUMNS = sizeof(right) / sizeof(right[0]);
            UNROLL for (int i = 0; i < M; i++)
                mma<T>(*reinterpret_cast<float(*)[1][COLUMNS][4]>(sums[i][j]),
                       *reinterpret_cast<Fragment(*)[1][4]>(left[i]), right);
        };
        UNROLL for (int j = 0; j < EVEN; j += PART) {
            Fragment right[PART][2];
            load_b_rows(right, v, c * 16, j);
            multiply(right, j);
        }
        if (N % 2 > 0) {
            if (c % 2 == 0) ldmatrix_trans(last, v.at(c * 16 + thread_x() % 32, N - 1));
            Fragment right[1][2] = {{last[c % 2 * 2], last[c % 2 * 2 + 1]}};
            multiply(right, N - 1);
        }
    }
}

// The running softmax of 16 M queries. A lane holds rows lane/4 and lane/4 + 8 of every 16.
template <class T, int M, int D> struct Softmax {
    float most[M][2], total[M][2] = {};
    float sums[M][D / 8][4] = {};

    DEVICE Softmax() {
        UNROLL for (int m = 0; m < M; m++) most[m][0] = most[m][1] = MASKED_SCORE;
    }

    // Adds 64 keys: their products with the queries, MASKED_SCORE where there is no key, and their values. A weight is
    // 2^(scale (product - maximum)). The first call has a key for every row.
    template <int BYTES> DEVICE void add(float (&s)[M][8][4], float scale, Tile<BYTES> values) {
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
        add_weighted_values<T>(sums, s, values);
    }

    // Adds up the totals of the four lanes of a row.
    DEVICE void apply_epilogue() {
        UNROLL for (int m = 0; m < M; m++)
            UNROLL for (int i = 0; i < 2; i++) {
                total[m][i] += shuffle_xor(total[m][i], 1);
                total[m][i] += shuffle_xor(total[m][i], 2);
            }
    }
};

// Stores the result of one split of the keys for a query, for `merge_splits`. The D sums of values, not yet divided, go
// to sums + place * D. The maximum times the scale, and the total, go to stats + place * 2. `i` selects one of the
// lane's two rows of 16.
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

// The running softmax in f32. Four adjacent threads share a query. Each holds a quarter of the scores and of the
// columns. Rows in shared memory are padded, so that they begin in different banks.
template <int D, int DV, int KEYS> struct PlainSoftmax {
    static constexpr int ROW = D + 4, VALUE_ROW = DV + 4, WEIGHT_ROW = KEYS + 1, PART = KEYS / 4;
    float most = MASKED_SCORE, total = 0, sums[DV / 4] = {};

    // Adds KEYS keys and values. `weights` is the query's own memory. `score(key, s)` turns a product into a score.
    template <class F> DEVICE void add(float* query, float* keys, float* values, float* weights, F score) {
        View q = {query, 0, F32}, k = {keys, 0, F32}, v = {values, 0, F32};
        int part = thread_x() % 4;
        float s[PART] = {};
        for (int c = 0; c < D; c += 4) {
            Vec4 x = load4(q, c, 4);
            UNROLL for (int j = 0; j < PART; j++) {
                Vec4 y = load4(k, (part + j * 4) * ROW + c, 4);
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
            float w = s[j] > MASKED_SCORE ? exp2_fast(s[j] - most) : 0.0f;
            total += w;
            weights[part + j * 4] = w;
        }
        warp_barrier();
        for (int key = 0; key < KEYS; key++) {
            float w = weights[key];
            UNROLL for (int i = 0; i < DV / 16; i++) {
                Vec4 y = load4(v, key * VALUE_ROW + (i * 4 + part) * 4, 4);
                UNROLL for (int c = 0; c < 4; c++) sums[i * 4 + c] = fmaf(w, y.v[c], sums[i * 4 + c]);
            }
        }
    }

    // Adds up the totals of the four threads of a query.
    DEVICE void apply_epilogue() {
        total += shuffle_xor(total, 1);
        total += shuffle_xor(total, 2);
    }

    // Stores this thread's columns of the first `width`, times `factor`.
    DEVICE void store1(View out, size_t at, int width, float factor) const {
        UNROLL for (int i = 0; i < DV / 16; i++) {
            int col = (i * 4 + thread_x() % 4) * 4, n = min(4, width - col);
            Vec4 y;
            UNROLL for (int c = 0; c < 4; c++) y.v[c] = sums[i * 4 + c] * factor;
            if (n > 0) store4(out, at + col, y, n);
        }
    }
};
