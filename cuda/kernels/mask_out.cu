// Mask output: masks are enlarged to the caller's size pixel by pixel, and written, labelled or measured. Every product
// and sum is a separate operation, so that all three see the same bits.

#include "common.cuh"

enum { BINARY = 0, BITS = 1, LOGITS = 2 };

// The masks of an operation, in order, and the size to which they are enlarged.
struct Planes {
    const float* masks;   // (p, n, h, w)
    const int* selected;  // (count), or null: all masks in order
    int count, per, n, h, w, out_h, out_w, pad;
};

DEVICE const float* plane(const Planes& a, int mask) {
    int plane = a.selected ? mask / a.per * a.n + a.selected[mask] : mask;
    return a.masks + static_cast<size_t>(plane) * a.h * a.w;
}

// The two samples around an output sample, and the weight of the second (PyTorch's bilinear, corners not aligned).
struct Sample {
    int first, second;
    float weight;
};

DEVICE Sample sample(int i, int from, int to) {
    float x = fmaxf(fmaf(i + 0.5f, static_cast<float>(from) / static_cast<float>(to), -0.5f), 0.0f);
    int first = min(static_cast<int>(x), from - 1);
    return {first, min(first + 1, from - 1), x - first};
}

DEVICE float mix(float a, float b, float t) { return fmaf(b, t, a * (1.0f - t)); }

DEVICE float enlarged(const float* from, int w, Sample y, Sample x) {
    const float *top = from + y.first * w, *bottom = from + y.second * w;
    return mix(mix(top[x.first], top[x.second], x.weight), mix(bottom[x.first], bottom[x.second], x.weight), y.weight);
}

struct WriteArgs {
    Planes planes;
    char* out;           // (count, out_h, items of a row)
    size_t row, plane;   // bytes from a row, and from a mask, to the next
    float limit;         // values above it are on the object; for logits, the bound
    int format, flipped;
    int blocks;          // blocks per mask
};

// An item is four pixels of a row, or a byte with the bits of eight. Grid: items of a mask by 256, for each mask.
KERNEL(write_masks, WriteArgs, 256) {
    const Planes& p = a.planes;
    int pixels = a.format == BITS ? 8 : 4, items = (p.out_w + pixels - 1) / pixels, mask = block_x() / a.blocks;
    int i = block_x() % a.blocks * 256 + thread_x(), row = i / items, column = i % items * pixels;
    if (row >= p.out_h) return;
    int n = min(pixels, p.out_w - column);
    const float* from = plane(p, mask);
    Sample y = sample(row, p.h, p.out_h);
    char* line = a.out + mask * a.plane + (a.flipped ? p.out_h - 1 - row : row) * a.row;
    auto value = [&](int j) { return enlarged(from, p.w, y, sample(column + j, p.w, p.out_w)); };
    if (a.format == BITS) {
        int bits = 0;
        for (int j = 0; j < n; j++) bits |= (value(j) > a.limit) << (7 - j);
        reinterpret_cast<uint8_t*>(line)[column / 8] = static_cast<uint8_t>(bits);
        return;
    }
    float v[4];
    UNROLL for (int j = 0; j < 4; j++) v[j] = j < n ? value(j) : 0.0f;
    if (a.format == LOGITS) {
        UNROLL for (int j = 0; j < 4; j++) v[j] = fminf(fmaxf(v[j], -a.limit), a.limit);
        store4({line, 0, F32}, column, {{v[0], v[1], v[2], v[3]}}, n);
        return;
    }
    uint8_t* out = reinterpret_cast<uint8_t*>(line) + column;
    uint32_t on = 0;
    UNROLL for (int j = 0; j < 4; j++) on |= static_cast<uint32_t>(v[j] > a.limit) << (8 * j);
    if (n == 4 && aligned(out, 4))
        *reinterpret_cast<uint32_t*>(out) = on;
    else
        for (int j = 0; j < n; j++) out[j] = static_cast<uint8_t>(on >> (8 * j));
}

struct LabelArgs {
    Planes planes;
    char* out;          // (out_h, out_w)
    size_t row;         // bytes from a row to the next
    const int* values;  // (count), or null: 1 + the index of the mask
    float threshold;
    int flipped;
    int bytes, pad;     // bytes of a value, 1 or 2
};

// Grid: pixels by 256.
KERNEL(write_labels, LabelArgs, 256) {
    const Planes& p = a.planes;
    int i = block_x() * 256 + thread_x(), row = i / p.out_w, column = i % p.out_w;
    if (row >= p.out_h) return;
    Sample y = sample(row, p.h, p.out_h), x = sample(column, p.w, p.out_w);
    float highest = a.threshold;
    int best = -1;
    for (int mask = 0; mask < p.count; mask++) {
        float v = enlarged(plane(p, mask), p.w, y, x);
        if (v > highest) highest = v, best = mask;
    }
    int value = best >= 0 && a.values ? a.values[best] : best + 1;
    char* line = a.out + (a.flipped ? p.out_h - 1 - row : row) * a.row;
    if (a.bytes == 1)
        reinterpret_cast<uint8_t*>(line)[column] = static_cast<uint8_t>(value);
    else
        reinterpret_cast<uint16_t*>(line)[column] = static_cast<uint16_t>(value);
}

// The number of pixels above three thresholds, and left, top, right and bottom of the pixels above the first.
struct Measures {
    int above[3], left, top, right, bottom;
};

DEVICE Measures empty_measures() { return {{0, 0, 0}, 0x7fffffff, 0x7fffffff, -1, -1}; }

DEVICE void merge(Measures& a, const Measures& b) {
    UNROLL for (int i = 0; i < 3; i++) a.above[i] += b.above[i];
    a.left = min(a.left, b.left), a.top = min(a.top, b.top);
    a.right = max(a.right, b.right), a.bottom = max(a.bottom, b.bottom);
}

DEVICE void merge_warp(Measures& a) {
    UNROLL for (int mask = 16; mask > 0; mask /= 2) {
        Measures b;
        UNROLL for (int i = 0; i < 3; i++) b.above[i] = shuffle_xor(a.above[i], mask);
        b.left = shuffle_xor(a.left, mask), b.top = shuffle_xor(a.top, mask);
        b.right = shuffle_xor(a.right, mask), b.bottom = shuffle_xor(a.bottom, mask);
        merge(a, b);
    }
}

struct MeasureArgs {
    Planes planes;
    Measures* parts;  // (count, blocks)
    float thresholds[3];
    int blocks;       // blocks per mask, of MEASURED rows each
};

// Grid: blocks of MEASURED rows, for each mask.
constexpr int MEASURED = 4;  // as in mask_out.rs
KERNEL(measure_masks, MeasureArgs, 256) {
    const Planes& p = a.planes;
    int first = block_x() % a.blocks * MEASURED, last = min(first + MEASURED, p.out_h);
    const float* from = plane(p, block_x() / a.blocks);
    Measures all = empty_measures();
    for (int column = thread_x(); column < p.out_w; column += 256) {
        Sample x = sample(column, p.w, p.out_w);
        for (int row = first; row < last; row++) {
            float v = enlarged(from, p.w, sample(row, p.h, p.out_h), x);
            UNROLL for (int i = 0; i < 3; i++) all.above[i] += v > a.thresholds[i];
            if (v > a.thresholds[0]) merge(all, {{0, 0, 0}, column, row, column, row});
        }
    }
    merge_warp(all);
    Measures* warps = reinterpret_cast<Measures*>(shared_memory());  // (8)
    if (thread_x() % 32 == 0) warps[thread_x() / 32] = all;
    barrier();
    if (thread_x() > 0) return;
    for (int i = 1; i < 8; i++) merge(all, warps[i]);
    a.parts[block_x()] = all;
}

struct MeasureMergeArgs {
    Measures* out;          // (count)
    const Measures* parts;  // (count, blocks)
    int blocks, pad;
};

// Grid: (count).
KERNEL(measure_merge, MeasureMergeArgs, 32) {
    Measures all = empty_measures();
    for (int i = thread_x(); i < a.blocks; i += 32) merge(all, a.parts[static_cast<size_t>(block_x()) * a.blocks + i]);
    merge_warp(all);
    if (all.above[0] == 0) all.left = all.top = all.right = all.bottom = 0;
    if (thread_x() == 0) a.out[block_x()] = all;
}
