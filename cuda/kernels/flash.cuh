// The steps of flash attention on tensor cores, a warp at a time: 16 queries by 64 keys.
#pragma once

#include "common.cuh"

constexpr float NEVER = -1e30f;  // below every score; its difference with itself is 0, unlike infinity's

// s = rows row..row+16 of q times the 64 rows of k.
template <class T, int BYTES> DEVICE void scores(float (&s)[1][8][4], Tile<BYTES> q, int row, Tile<BYTES> k) {
    UNROLL for (int j = 0; j < 8; j++)
        UNROLL for (int r = 0; r < 4; r++) s[0][j][r] = 0;
    UNROLL for (int c = 0; c < BYTES / 16; c += 2) {
        uint32_t left[1][4], right[8][2];
        load_a(left[0], q, row, c);
        UNROLL for (int j = 0; j < 8; j += 2) load_b(*reinterpret_cast<uint32_t(*)[2][2]>(right[j]), k, j * 8, c);
        mma<T>(s, left, right);
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
