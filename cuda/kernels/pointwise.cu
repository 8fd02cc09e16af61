// Element by element: sums, pools, the decoder's inputs. All are limited by memory. Not yet measured on a GPU.

#include "common.cuh"

struct AddArgs {
    View out, x;     // (entries, rows, c)
    View y;          // (m, rows, c), or none
    View vector;     // (c): in place of y where an entry has none
    const int* x_of; // (entries): which of x, or null: in order
    const int* y_of; // (entries): which of y, or -1; null: always the vector
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
    Four v = get4(a.x, x * a.x.stride + col, n), w;
    if (other >= 0)
        w = get4(a.y, (static_cast<size_t>(other) * a.rows + within) * a.y.stride + col, n);
    else
        w = get4(a.vector, col, n);
    UNROLL for (int j = 0; j < 4; j++) v.v[j] += w.v[j];
    put4(a.out, static_cast<size_t>(row) * a.out.stride + col, v, n);
}

struct PoolArgs {
    View out;  // (h, w, c)
    View x;    // (2h, 2w, c)
    int h, w, c;
};

// The largest of each 2x2 block. Grid: quads of columns by 256.
KERNEL(max_pool2x2, PoolArgs, 256) {
    int quads = (a.c + 3) / 4;
    int i = block_x() * 256 + thread_x(), row = i / quads, col = i % quads * 4, n = min(4, a.c - col);
    if (row >= a.h * a.w) return;
    int y = row / a.w * 2, x = row % a.w * 2;
    Four best = get4(a.x, (static_cast<size_t>(y) * a.w * 2 + x) * a.x.stride + col, n);
    UNROLL for (int k = 1; k < 4; k++) {
        size_t from = static_cast<size_t>(y + k / 2) * a.w * 2 + x + k % 2;
        Four v = get4(a.x, from * a.x.stride + col, n);
        UNROLL for (int j = 0; j < 4; j++) best.v[j] = fmaxf(best.v[j], v.v[j]);
    }
    put4(a.out, static_cast<size_t>(row) * a.out.stride + col, best, n);
}

struct PointsArgs {
    View out;             // (p, t, c)
    const float* points;  // (p, t - outputs, 2)
    const int* labels;    // (p, t - outputs)
    const int* lens;      // (p)
    const float* output_tokens;  // (outputs, c)
    const float* gaussian;       // (2, c/2)
    const float* embeddings;     // (5, c)
    int t, c, outputs;
};

// Output tokens, then each point's Fourier features and the embedding of its label. Grid: (t, p).
KERNEL(embed_points, PointsArgs, 128) {
    int i = block_x(), prompt = block_y(), half = a.c / 2, at = prompt * (a.t - a.outputs) + i - a.outputs;
    size_t out = (static_cast<size_t>(prompt) * a.t + i) * a.out.stride;
    for (int col = thread_x(); col < a.c; col += 128) {
        float v = 0;
        if (i < a.outputs) {
            v = a.output_tokens[i * a.c + col];
        } else if (i < a.lens[prompt]) {
            int label = a.labels[at];
            v = a.embeddings[(label + 1) * a.c + col];
            if (label >= 0) {
                float x = 2.0f * a.points[2 * at] - 1.0f, y = 2.0f * a.points[2 * at + 1] - 1.0f;
                int f = col < half ? col : col - half;
                float angle = 6.28318531f * (x * a.gaussian[f] + y * a.gaussian[half + f]);
                v += col < half ? sinf(angle) : cosf(angle);
            }
        }
        put(a.out, out + col, v);
    }
}

struct HoldArgs {
    int64_t nanoseconds;
};

// Does nothing for so long: while kernels are timed, the host enqueues what comes next meanwhile.
KERNEL(hold_back, HoldArgs, 32) {
    int64_t start = nanoseconds();
    while (nanoseconds() - start < a.nanoseconds) {
    }
}
