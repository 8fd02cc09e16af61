// Selects a mask of each prompt, fills holes and removes specks.

#include "common.cuh"

enum { MULTIMASK = 0, SINGLE = 1, STABLE = 2, BEST = 3 };

struct SelectArgs {
    int* out;            // (p, n)
    const float* masks;  // (p, 4, pixels)
    const float* iou;    // (p, 4)
    int pixels, kind;
    float delta, thresh;
};

// Counts are exact, since they are integers below 2^24. Grid: (p).
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

// Union-find over 8-neighbours of one kind (Playne and Hawick, 2018). Every pixel points to an earlier pixel of its
// component, and in the end to the first. Four kernels, each with one thread per pixel. Grid: pixels of all planes by
// 256.
struct MaskPixel {
    bool exists;
    size_t base;  // of its plane
    int at, x;    // in its plane, in its row
    const float* mask;
};
DEVICE MaskPixel mask_pixel(const CleanArgs& a) {
    size_t i = static_cast<size_t>(block_x()) * 256 + thread_x(), pixels = static_cast<size_t>(a.h) * a.w;
    size_t plane = min(i / pixels, static_cast<size_t>(a.planes - 1));
    int at = static_cast<int>(i - plane * pixels);
    const float* mask = a.masks + (plane / a.n * a.all + a.selected[plane]) * pixels;
    return {i < a.planes * pixels, plane * pixels, at, at % a.w, mask};
}

// A pixel first points to the start of its run, the neighbours of its kind in its row that are in its warp.
KERNEL(clean_start, CleanArgs, 256) {
    MaskPixel p = mask_pixel(a);
    int lane = thread_x() % 32;
    bool kind = p.exists && p.mask[p.at] > a.threshold;
    bool goes_on = p.exists && lane > 0 && p.x > 0 && (p.mask[p.at - 1] > a.threshold) == kind;
    int start = highest_bit(~lanes_where(goes_on) & 0xffffffffu >> (31 - lane));
    if (!p.exists) return;
    a.labels[p.base + p.at] = p.at - (lane - start);
    a.areas[p.base + p.at] = 0;
}

// The first pixel of the component. Halves the path on the way (Jaiganesh and Burtscher, 2018): a pixel only ever comes to
// point to an earlier pixel of its component.
DEVICE int root(int* labels, int i) {
    int up = load_volatile(labels + i);
    for (int next = load_volatile(labels + up); next != up; next = load_volatile(labels + up)) {
        atomic_min(labels + i, next);
        i = up, up = next;
    }
    return up;
}

DEVICE void unite(int* labels, int one, int two) {
    one = root(labels, one), two = root(labels, two);
    // The larger root takes the smaller one as its parent. If another thread changed it first, continue from that
    // thread's value.
    while (one != two) {
        if (one < two) {
            int t = one;
            one = two, two = t;
        }
        int before = atomic_min(labels + one, two);
        if (before == one) break;
        one = root(labels, before), two = root(labels, two);
    }
}

// Unites a pixel with the row above, once for each pair of runs that touch, and runs that continue from warp to warp.
KERNEL(clean_join, CleanArgs, 256) {
    MaskPixel p = mask_pixel(a);
    if (!p.exists) return;
    int* labels = a.labels + p.base;
    int above = p.at - a.w;
    bool kind = p.mask[p.at] > a.threshold, first = p.x == 0, last = p.x == a.w - 1;
    auto same = [&](int other) { return (p.mask[other] > a.threshold) == kind; };
    bool left = !first && same(p.at - 1);
    if (left && thread_x() % 32 == 0) unite(labels, p.at, p.at - 1);
    if (above < 0) return;
    bool corner = !first && same(above - 1);
    if (same(above)) {
        // If both on the left are of this kind, the left pixel unites the rows.
        if (!left || !corner) unite(labels, p.at, above);
        return;
    }
    // The neighbours in this row unite the rows if they are of this kind, since a corner is above them.
    if (corner && !left) unite(labels, p.at, above - 1);
    if (!last && same(above + 1) && !same(p.at + 1)) unite(labels, p.at, above + 1);
}

// Counts the pixels of every component. The first of consecutive lanes with the same component adds all of them.
KERNEL(clean_count, CleanArgs, 256) {
    MaskPixel p = mask_pixel(a);
    int lane = thread_x() % 32, first = p.exists ? root(a.labels + p.base, p.at) : -1;
    int before = shuffle_from(first, max(lane - 1, 0));
    bool goes_on = lane > 0 && p.at > 0 && before == first;
    uint32_t later = ~lanes_where(goes_on) >> lane >> 1;
    if (!p.exists) return;
    a.labels[p.base + p.at] = first;
    if (!goes_on) atomic_add(a.areas + p.base + first, later ? lowest_bit(later) + 1 : 32 - lane);
}

KERNEL(clean_write, CleanArgs, 256) {
    MaskPixel p = mask_pixel(a);
    if (!p.exists) return;
    size_t i = p.base + p.at;
    float area = static_cast<float>(a.areas[p.base + a.labels[i]]), v = p.mask[p.at];
    if (v > a.threshold)
        v = area <= a.sprinkle ? a.threshold - a.margin : v;
    else
        v = area <= a.hole ? a.threshold + a.margin : v;
    a.out[i] = v;
}
