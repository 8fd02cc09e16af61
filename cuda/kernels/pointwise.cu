// Element by element: sums and pools. All are bound by memory bandwidth.

#include "common.cuh"

struct AddArgs {
    View out, x;     // (entries, rows, c)
    View y;          // (m, rows, c), optional
    View vector;     // (c): used instead of y where an entry has none
    const int* x_of; // (entries): the index in x, or null for the entry's own index
    const int* y_of; // (entries): the index in y, or -1; null: always the vector
    int entries, rows, c;
};

// out = x + y. Grid: quads of columns by 256.
KERNEL(add, AddArgs, 256) {
    int quads = (a.c + 3) / 4, i = block_x() * 256 + thread_x(), row = i / quads;
    if (row >= a.entries * a.rows) return;
    int entry = row / a.rows, col = i % quads * 4, n = min(4, a.c - col);
    size_t within = row % a.rows;
    size_t x = (a.x_of ? static_cast<size_t>(a.x_of[entry]) : entry) * a.rows + within;
    int other = a.y_of ? a.y_of[entry] : -1;
    Vec4 v = load4(a.x, x * a.x.stride + col, n), w;
    if (other >= 0)
        w = load4(a.y, (static_cast<size_t>(other) * a.rows + within) * a.y.stride + col, n);
    else
        w = load4(a.vector, col, n);
    UNROLL for (int j = 0; j < 4; j++) v.v[j] += w.v[j];
    store4(a.out, static_cast<size_t>(row) * a.out.stride + col, v, n);
}

struct PoolArgs {
    View out;  // (h, w, c)
    View x;    // (2h, 2w, c)
    int h, w, c;
};

// The maximum of each 2x2 block. Grid: quads of columns by 256.
KERNEL(max_pool2x2, PoolArgs, 256) {
    int quads = (a.c + 3) / 4;
    int i = block_x() * 256 + thread_x(), row = i / quads, col = i % quads * 4, n = min(4, a.c - col);
    if (row >= a.h * a.w) return;
    int y = row / a.w * 2, x = row % a.w * 2;
    Vec4 best = load4(a.x, (static_cast<size_t>(y) * a.w * 2 + x) * a.x.stride + col, n);
    UNROLL for (int k = 1; k < 4; k++) {
        size_t from = static_cast<size_t>(y + k / 2) * a.w * 2 + x + k % 2;
        Vec4 v = load4(a.x, from * a.x.stride + col, n);
        UNROLL for (int j = 0; j < 4; j++) best.v[j] = fmaxf(best.v[j], v.v[j]);
    }
    store4(a.out, static_cast<size_t>(row) * a.out.stride + col, best, n);
}

struct HoldArgs {
    int64_t nanoseconds;
};

// Waits for a given time. While kernels are timed, the host uses this time to enqueue the next kernels.
KERNEL(hold_back, HoldArgs, 32) {
    int64_t start = nanoseconds();
    while (nanoseconds() - start < a.nanoseconds) {
    }
}
