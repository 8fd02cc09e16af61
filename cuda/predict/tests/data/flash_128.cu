// A plain FlashAttention-2 forward pass for calibration: heads of 128, 128 queries of a block by 64 keys a step, 4 warps of
// 32 queries, f16. K and V each have one buffer: V is fetched while scores are computed, the next K while V is weighed.
#include "common.cuh"

struct FlashArgs {
    const f16 *q, *k, *v;  // (heads, n, 128)
    f16* out;
    int n, zero;
    float scale;  // log2(e) / sqrt(128)
};

DEVICE float exp2_raw(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// ROWS rows of 256 bytes to shared memory.
template <int ROWS> DEVICE void copy_rows(Tile<256> to, const f16* from) {
    int row = thread_x() / 16, chunk = thread_x() % 16;
    UNROLL for (int i = 0; i < ROWS; i += 8)
        copy_async16(to.at(row + i, chunk), from + (row + i) * 128 + chunk * 8, 16);
}

// Fragments at a row and chunk of a tile, as load_a, load_b and load_b_rows. `lane` depends on `zero`,
// which the compiler does not know: it would keep all addresses in registers, and there are not enough.
DEVICE void fragment(uint32_t (&r)[4], Tile<256> tile, int row, int chunk, int lane) {
    ldmatrix(r, tile.at(row + (lane & 15), chunk + (lane >> 4)));
}
DEVICE void pair(uint32_t (&b)[2][2], Tile<256> tile, int row, int chunk, int lane) {
    uint32_t r[4];
    ldmatrix(r, tile.at(row + (lane & 7) + (lane >> 4) * 8, chunk + (lane >> 3 & 1)));
    b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}
DEVICE void pair_rows(uint32_t (&b)[2][2], Tile<256> tile, int row, int chunk, int lane) {
    uint32_t r[4];
    ldmatrix_trans(r, tile.at(row + (lane & 15), chunk + (lane >> 4)));
    b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}

KERNEL(flash_128, FlashArgs, 128) {
    char* shared = shared_memory();
    Tile<256> q = {shared}, k = {shared + 128 * 256}, v = {shared + 192 * 256};
    int warp = thread_x() / 32, lane = thread_x() % 32;
    size_t head = static_cast<size_t>(block_y()) * a.n * 128;
    const f16 *keys = a.k + head, *values = a.v + head;
    copy_rows<128>(q, a.q + head + static_cast<size_t>(block_x()) * 128 * 128);
    copy_rows<64>(k, keys);
    copy_commit();
    float sums[2][16][4] = {}, most[2][2], total[2][2] = {};
    UNROLL for (int t = 0; t < 2; t++) most[t][0] = most[t][1] = -1e30f;
    for (int at = 0; at < a.n; at += 64) {
        int here = lane + (at & a.zero), later = lane + (at + 1 & a.zero);
        copy_wait<0>();
        barrier();
        copy_rows<64>(v, values), values += 64 * 128;
        copy_commit();
        float s[2][8][4] = {};
        UNROLL for (int c = 0; c < 16; c += 2) {
            uint32_t left[2][4], right[8][2];
            UNROLL for (int t = 0; t < 2; t++) fragment(left[t], q, warp * 32 + t * 16, c, here);
            UNROLL for (int j = 0; j < 8; j += 2) pair(*reinterpret_cast<uint32_t(*)[2][2]>(right[j]), k, j * 8, c, here);
            mma<f16>(s, left, right);
        }
        copy_wait<0>();
        barrier();
        keys += 64 * 128;
        if (at + 64 < a.n) copy_rows<64>(k, keys);
        copy_commit();
        uint32_t w[2][4][4];
        UNROLL for (int t = 0; t < 2; t++)
            UNROLL for (int i = 0; i < 2; i++) {
                float next = most[t][i];
                UNROLL for (int j = 0; j < 8; j++) next = fmaxf(next, fmaxf(s[t][j][i * 2], s[t][j][i * 2 + 1]));
                next = fmaxf(next, shuffle_xor(next, 1));
                next = fmaxf(next, shuffle_xor(next, 2));
                float shrink = exp2_raw((most[t][i] - next) * a.scale), offset = next * a.scale;
                most[t][i] = next;
                total[t][i] *= shrink;
                UNROLL for (int j = 0; j < 16; j++) sums[t][j][i * 2] *= shrink, sums[t][j][i * 2 + 1] *= shrink;
                UNROLL for (int j = 0; j < 8; j++) {
                    float x = exp2_raw(fmaf(s[t][j][i * 2], a.scale, -offset));
                    float y = exp2_raw(fmaf(s[t][j][i * 2 + 1], a.scale, -offset));
                    total[t][i] += x + y;
                    w[t][j / 2][i + j % 2 * 2] = pack<f16>(x, y);
                }
            }
        UNROLL for (int c = 0; c < 4; c++)
            UNROLL for (int j = 0; j < 16; j += 2) {
                uint32_t right[2][2], left[2][4];
                pair_rows(right, v, c * 16, j, later);
                UNROLL for (int t = 0; t < 2; t++)
                    UNROLL for (int r = 0; r < 4; r++) left[t][r] = w[t][c][r];
                UNROLL for (int t = 0; t < 2; t++)
                    UNROLL for (int i = 0; i < 2; i++) mma_16x8x16<f16>(sums[t][j + i], left[t], right[i]);
            }
    }
    UNROLL for (int t = 0; t < 2; t++)
        UNROLL for (int i = 0; i < 2; i++) {
            float sum = total[t][i] + shuffle_xor(total[t][i], 1);
            float inverse = __fdividef(1.0f, sum + shuffle_xor(sum, 2));
            int row = block_x() * 128 + warp * 32 + t * 16 + i * 8 + lane / 4;
            f16* out = a.out + head + static_cast<size_t>(row) * 128 + lane % 4 * 2;
            UNROLL for (int j = 0; j < 16; j++)
                *reinterpret_cast<uint32_t*>(out + j * 8) =
                    pack<f16>(sums[t][j][i * 2] * inverse, sums[t][j][i * 2 + 1] * inverse);
        }
}
