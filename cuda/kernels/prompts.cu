// Turns points into tokens.

#include "common.cuh"

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

// Writes the output tokens, then the Fourier features of each point plus the embedding of its label. Grid: (t, p).
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
        store1(a.out, out + col, v);
    }
}
