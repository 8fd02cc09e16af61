// The memory bank: gathers memories, writes slots, resizes the mask for the memory encoder, and convolves it depthwise.
// All are bound by memory bandwidth.

#include "common.cuh"

struct GatherArgs {
    View keys, values;    // (p, m, c)
    View maps;            // (slots, hw, c)
    View pointers;        // (slots', parts, c)
    View space;           // (hw, c)
    View time;            // (t, c)
    View pointer_times;   // (p, q, c)
    const int* counts;    // (p, 2): frames and pointers of each object
    const int* map_of;    // (p, b): slots of frames
    const int* time_of;   // (p, b): their rows of time
    const int* pointer_of;  // (p, q)
    int m, c, hw, parts, b, q;
};

// Keys are values plus their positions in space and time, with zeros beyond an object's rows. Grid: (quads of columns
// of m rows by 256, p).
KERNEL(gather_memories, GatherArgs, 256) {
    int quads = (a.c + 3) / 4, i = block_x() * 256 + thread_x(), row = i / quads, object = block_y();
    int frames = a.counts[2 * object], pointers = a.counts[2 * object + 1], spatial = frames * a.hw;
    if (row >= a.m) return;
    int col = i % quads * 4, n = min(4, a.c - col);
    Vec4 value = {}, key = {};
    if (row < spatial) {
        int at = object * a.b + row / a.hw, place = row % a.hw;
        value = load4(a.maps, (static_cast<size_t>(a.map_of[at]) * a.hw + place) * a.c + col, n);
        Vec4 where = load4(a.space, static_cast<size_t>(place) * a.c + col, n);
        Vec4 when = load4(a.time, static_cast<size_t>(a.time_of[at]) * a.c + col, n);
        UNROLL for (int j = 0; j < 4; j++) key.v[j] = value.v[j] + when.v[j] + where.v[j];
    } else if (row < spatial + pointers * a.parts) {
        int at = object * a.q + (row - spatial) / a.parts, part = (row - spatial) % a.parts;
        value = load4(a.pointers, (static_cast<size_t>(a.pointer_of[at]) * a.parts + part) * a.c + col, n);
        Vec4 when = load4(a.pointer_times, static_cast<size_t>(at) * a.c + col, n);
        UNROLL for (int j = 0; j < 4; j++) key.v[j] = value.v[j] + when.v[j];
    }
    size_t out = static_cast<size_t>(object) * a.m + row;
    store4(a.values, out * a.values.stride + col, value, n);
    store4(a.keys, out * a.keys.stride + col, key, n);
}

struct WriteBankSlotsArgs {
    View bank;            // (slots, n, c)
    View x;               // (p, n, c)
    const int* slots;     // (p)
    const float* scores;  // (p), or null if all objects are visible
    const float* absent;  // (c)
    int n, c, replace, pad;
};

// Grid: (quads of columns of n rows by 256, p).
KERNEL(write_bank_slots, WriteBankSlotsArgs, 256) {
    int quads = (a.c + 3) / 4, i = block_x() * 256 + thread_x(), row = i / quads, object = block_y();
    if (row >= a.n) return;
    int col = i % quads * 4, n = min(4, a.c - col);
    Vec4 y = load4(a.x, (static_cast<size_t>(object) * a.n + row) * a.x.stride + col, n);
    bool visible = !a.scores || a.scores[object] > 0;
    UNROLL for (int j = 0; j < 4; j++) {
        if (!visible && j < n) y.v[j] = a.absent[col + j] + (a.replace ? 0.0f : y.v[j]);
    }
    store4(a.bank, (static_cast<size_t>(a.slots[object]) * a.n + row) * a.c + col, y, n);
}

struct GatherRowsArgs {
    View out;         // (p, c)
    View x;           // (p, n, c)
    const int* rows;  // (p)
    int p, n, c, first;
};

// Grid: columns of all rows by 256.
KERNEL(gather_rows, GatherRowsArgs, 256) {
    int i = block_x() * 256 + thread_x(), object = i / a.c, col = i % a.c;
    if (object >= a.p) return;
    store1(a.out, static_cast<size_t>(object) * a.out.stride + col,
        load1(a.x, (static_cast<size_t>(object) * a.n + a.first + a.rows[object]) * a.x.stride + col));
}

struct MaskAbsentArgs {
    float* masks;         // (p, pixels)
    const float* scores;  // (p)
    int pixels;
    float value;
};

// Grid: (pixels by 256, p).
KERNEL(mask_absent_objects, MaskAbsentArgs, 256) {
    int i = block_x() * 256 + thread_x(), object = block_y();
    if (i < a.pixels && !(a.scores[object] > 0)) a.masks[static_cast<size_t>(object) * a.pixels + i] = a.value;
}

struct MemoryMaskArgs {
    View out;             // (p, side, side)
    const float* masks;   // (p, n, h, w)
    const int* selected;  // (p)
    const int* binary;    // (p)
    int n, h, w, side;
    float scale, bias;
};

// Grid: (pixels by 256, p).
KERNEL(memory_mask, MemoryMaskArgs, 256) {
    int i = block_x() * 256 + thread_x(), object = block_y(), y = i / a.side, x = i % a.side;
    if (y >= a.side) return;
    const float* mask = a.masks + (static_cast<size_t>(object) * a.n + a.selected[object]) * a.h * a.w;
    float from_y = fmaxf((y + 0.5f) * (static_cast<float>(a.h) / a.side) - 0.5f, 0.0f);
    float from_x = fmaxf((x + 0.5f) * (static_cast<float>(a.w) / a.side) - 0.5f, 0.0f);
    int top = min(static_cast<int>(from_y), a.h - 1), left = min(static_cast<int>(from_x), a.w - 1);
    int bottom = min(top + 1, a.h - 1), right = min(left + 1, a.w - 1);
    float t = from_y - top, u = from_x - left;
    float upper = mask[top * a.w + left] * (1 - u) + mask[top * a.w + right] * u;
    float lower = mask[bottom * a.w + left] * (1 - u) + mask[bottom * a.w + right] * u;
    float v = upper * (1 - t) + lower * t;
    v = a.binary[object] ? (v > 0 ? 1.0f : 0.0f) : activate(SIGMOID, v);
    store1(a.out, static_cast<size_t>(object) * a.side * a.side + i, v * a.scale + a.bias);
}

struct DepthwiseArgs {
    View out, x;          // (p, h, w, c)
    const float* weights;  // (49, c)
    const float* bias;     // (c)
    int p, h, w, c;
};

// A block takes 16 x 8 pixels of 32 channels. Their surroundings and the weights are in shared memory. A thread takes
// four pixels of a row and four channels. Grid: (w by 16, h by 8, p times c by 32).
KERNEL(depthwise_conv7x7, DepthwiseArgs, 256) {
    constexpr int W = 16, H = 8, QUADS = 8, ROW = W + 6, PIXELS = ROW * (H + 6);
    int parts = (a.c + 31) / 32, image = block_z() / parts, channel0 = block_z() % parts * 32;
    int x0 = block_x() * W, y0 = block_y() * H;
    float* shared = reinterpret_cast<float*>(shared_memory());
    View tile = {shared, 0, F32}, weights = {shared + PIXELS * 32, 0, F32};
    View from_weights = {const_cast<float*>(a.weights), 0, F32}, bias = {const_cast<float*>(a.bias), 0, F32};
    for (int i = thread_x(); i < PIXELS * QUADS; i += 256) {
        int at = i / QUADS, y = y0 + at / ROW - 3, x = x0 + at % ROW - 3, col = channel0 + i % QUADS * 4;
        Vec4 v = {{0, 0, 0, 0}};
        if (y >= 0 && y < a.h && x >= 0 && x < a.w && col < a.c)
            v = load4(a.x, ((static_cast<size_t>(image) * a.h + y) * a.w + x) * a.x.stride + col, min(4, a.c - col));
        store4(tile, i * 4, v, 4);
    }
    for (int i = thread_x(); i < 49 * QUADS; i += 256) {
        int col = channel0 + i % QUADS * 4;
        Vec4 v = {{0, 0, 0, 0}};
        if (col < a.c) v = load4(from_weights, static_cast<size_t>(i / QUADS) * a.c + col, min(4, a.c - col));
        store4(weights, i * 4, v, 4);
    }
    barrier();
    int quad = thread_x() % QUADS, col = channel0 + quad * 4, n = min(4, a.c - col);
    int x = thread_x() / QUADS % (W / 4) * 4, y = thread_x() / QUADS / (W / 4);
    if (n <= 0 || y0 + y >= a.h) return;
    Vec4 sums[4];
    UNROLL for (int i = 0; i < 4; i++) sums[i] = load4(bias, col, n);
    KEEP_LOOP for (int dy = 0; dy < 7; dy++) {
        Vec4 row[10];
        UNROLL for (int i = 0; i < 10; i++) row[i] = vec4(load16(shared + (((y + dy) * ROW + x + i) * QUADS + quad) * 4));
        UNROLL for (int dx = 0; dx < 7; dx++) {
            Vec4 w = vec4(load16(shared + PIXELS * 32 + ((dy * 7 + dx) * QUADS + quad) * 4));
            UNROLL for (int i = 0; i < 4; i++)
                UNROLL for (int j = 0; j < 4; j++) sums[i].v[j] = fmaf(row[dx + i].v[j], w.v[j], sums[i].v[j]);
        }
    }
    UNROLL for (int i = 0; i < 4; i++) {
        if (x0 + x + i >= a.w) continue;
        size_t pixel = (static_cast<size_t>(image) * a.h + y0 + y) * a.w + x0 + x + i;
        store4(a.out, pixel * a.out.stride + col, sums[i], n);
    }
}
