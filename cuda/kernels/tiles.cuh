// Tiles of 16-bit numbers in shared memory, and the rows that a lane loads for a product.
#pragma once

#include <ptx.cuh>

// Rows of BYTES bytes, in chunks of 16 bytes. The chunks are permuted, so that neither storing a row nor reading a
// column of chunks has bank conflicts.
template <int BYTES> struct Tile {
    char* base;
    static constexpr int CHUNKS = BYTES / 16;
    DEVICE char* at(int row, int chunk) const {
        int swap = CHUNKS % 8 == 0 ? row & 7 : CHUNKS % 4 == 0 ? row >> 1 & 3 : CHUNKS % 2 == 0 ? row >> 2 & 1 : 0;
        return base + row * BYTES + ((chunk ^ swap) << 4);
    }
};

// Rows of D 16-bit numbers. Their number of chunks is odd, so that rows and columns of chunks have no bank conflicts
// without a permutation.
template <int D> using PaddedTile = Tile<(D / 8 | 1) * 16>;

// Loads the left operand of mma: rows row..row+16, columns 8*chunk..8*chunk+16 of a tile.
template <int BYTES> DEVICE void load_a(Fragment (&a)[4], Tile<BYTES> tile, int row, int chunk) {
    int lane = thread_x() & 31;
    ldmatrix(a, tile.at(row + (lane & 15), chunk + (lane >> 4)));
}
// Loads N right operands of mma from a tile that holds them transposed: columns row..row + 8 N, depth
// 8*chunk..8*chunk+16.
template <int N, int BYTES> DEVICE void load_b(Fragment (&b)[N][2], Tile<BYTES> tile, int row, int chunk) {
    int lane = thread_x() & 31;
    UNROLL for (int j = 0; j < N; j += 2) {
        Fragment r[4];
        ldmatrix(r, tile.at(row + j * 8 + (lane & 7) + (lane >> 4) * 8, chunk + (lane >> 3 & 1)));
        b[j][0] = r[0], b[j][1] = r[1], b[j + 1][0] = r[2], b[j + 1][1] = r[3];
    }
}
// Loads N right operands from a tile that holds them untransposed: depth row..row+16, columns 8*chunk..8*chunk + 8 N.
template <int N, int BYTES> DEVICE void load_b_rows(Fragment (&b)[N][2], Tile<BYTES> tile, int row, int chunk) {
    int lane = thread_x() & 31;
    UNROLL for (int j = 0; j < N; j += 2) {
        Fragment r[4];
        ldmatrix_trans(r, tile.at(row + (lane & 15), chunk + j + (lane >> 4)));
        b[j][0] = r[0], b[j][1] = r[1], b[j + 1][0] = r[2], b[j + 1][1] = r[3];
    }
}
