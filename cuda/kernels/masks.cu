// What happens to logits: which mask of a prompt is taken, and small areas mended. Not yet measured on a GPU.

#include "common.cuh"

enum { MULTIMASK = 0, SINGLE = 1, STABLE = 2, BEST = 3 };

struct SelectArgs {
    int* out;            // (p, n)
    const float* masks;  // (p, 4, pixels)
    const float* iou;    // (p, 4)
    int pixels, kind;
    float delta, thresh;
};

// Counts are exact: whole numbers below 2^24. Grid: (p).
KERNEL(select_masks, SelectArgs, 256) {
    int prompt = block_x();
    if (a.kind == MULTIMASK) {
        if (thread_x() < 3) a.out[prompt * 3 + thread_x()] = thread_x() + 1;
        return;
    }
    int* counts = reinterpret_cast<int*>(shared_memory());  // (2)
    if (thread_x() < 2) counts[thread_x()] = 0;
    barrier();
    if (a.kind == STABLE) {
        const float* mask = a.masks + static_cast<size_t>(prompt) * 4 * a.pixels;
        int inner = 0, outer = 0;
        for (int i = thread_x(); i < a.pixels; i += 256) inner += mask[i] > a.delta, outer += mask[i] > -a.delta;
        atomic_add(&counts[0], inner);
        atomic_add(&counts[1], outer);
    }
    barrier();
    if (thread_x() > 0) return;
    float stability = counts[1] > 0 ? static_cast<float>(counts[0]) / static_cast<float>(counts[1]) : 1.0f;
    int best = 0;
    if (a.kind == BEST || (a.kind == STABLE && stability < a.thresh)) {
        best = 1;
        for (int i = 2; i < 4; i++)
            if (a.iou[prompt * 4 + i] > a.iou[prompt * 4 + best]) best = i;
    }
    a.out[prompt] = best;
}

struct CleanArgs {
    float* out;           // (p, n, h, w)
    const float* masks;   // (p, all, h, w)
    const int* selected;  // (p, n)
    int* labels;          // (p, n, h, w)
    int* areas;           // (p, n, h, w)
    int planes, n, all, h, w;
    float threshold, hole, sprinkle, margin;
    int pad;
};

// Union-find over 8-neighbours of one kind (Playne and Hawick, 2018): every pixel points at one before it in its
// component, and in the end at the first. Four kernels, each with a pixel a thread. Grid: pixels of all planes by 256.
DEVICE const float* plane_of(const CleanArgs& a, size_t i) {
    size_t pixels = static_cast<size_t>(a.h) * a.w, plane = i / pixels;
    return a.masks + (plane / a.n * a.all + a.selected[plane]) * pixels;
}
DEVICE bool pixel(const CleanArgs& a, size_t* i) {
    *i = static_cast<size_t>(block_x()) * 256 + thread_x();
    return *i < static_cast<size_t>(a.planes) * a.h * a.w;
}

KERNEL(clean_start, CleanArgs, 256) {
    size_t i;
    if (!pixel(a, &i)) return;
    a.labels[i] = static_cast<int>(i % (static_cast<size_t>(a.h) * a.w));
    a.areas[i] = 0;
}

DEVICE int root(int* labels, int i) {
    for (int up = load_volatile(labels + i); up != i; up = load_volatile(labels + i)) i = up;
    return i;
}

KERNEL(clean_join, CleanArgs, 256) {
    size_t i;
    if (!pixel(a, &i)) return;
    int pixels = a.h * a.w, at = static_cast<int>(i % pixels), x = at % a.w;
    int* labels = a.labels + (i - at);
    const float* mask = plane_of(a, i);
    bool kind = mask[at] > a.threshold;
    // Left, and the three above.
    for (int k = 0; k < 4; k++) {
        int dx = k == 0 ? -1 : k - 2, dy = k == 0 ? 0 : -1;
        if (x + dx < 0 || x + dx >= a.w || at + dy * a.w < 0) continue;
        int other = at + dy * a.w + dx;
        if ((mask[other] > a.threshold) != kind) continue;
        int one = root(labels, at), two = root(labels, other);
        // The larger root takes the smaller as its parent; where another thread was faster, go on from what it left.
        while (one != two) {
            if (one < two) {
                int t = one;
                one = two, two = t;
            }
            int before = atomic_min(labels + one, two);
            if (before == one) break;
            one = root(labels, before);
            two = root(labels, two);
        }
    }
}

KERNEL(clean_count, CleanArgs, 256) {
    size_t i;
    if (!pixel(a, &i)) return;
    int at = static_cast<int>(i % (static_cast<size_t>(a.h) * a.w));
    atomic_add(a.areas + (i - at) + root(a.labels + (i - at), at), 1);
}

KERNEL(clean_write, CleanArgs, 256) {
    size_t i;
    if (!pixel(a, &i)) return;
    int at = static_cast<int>(i % (static_cast<size_t>(a.h) * a.w));
    float area = static_cast<float>(a.areas[(i - at) + root(a.labels + (i - at), at)]), v = plane_of(a, i)[at];
    if (v > a.threshold)
        v = area <= a.sprinkle ? a.threshold - a.margin : v;
    else
        v = area <= a.hole ? a.threshold + a.margin : v;
    a.out[i] = v;
}
