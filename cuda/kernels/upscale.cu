// The decoder's upscaling around its two products (transposed convolutions whose four output pixels stand side by side).
// Not yet measured on a GPU.

#include "common.cuh"

struct Upscale1Args {
    View x;     // (p, h, w, 2, 2, c): the first product; normalised in place
    View high;  // (images, 2h, 2w, c)
    const int* image;  // (p)
    const float *gamma, *beta;  // (c)
    float eps;
    int p, h, w, c;
};

// x = gelu(norm(x + high)). A warp per output pixel. Grid: p * 4 h w by 8.
KERNEL(upscale_norm, Upscale1Args, 256) {
    size_t i = static_cast<size_t>(block_x()) * 8 + thread_x() / 32;
    int lane = thread_x() % 32, hw = a.h * a.w;
    if (i >= static_cast<size_t>(a.p) * hw * 4) return;
    int prompt = static_cast<int>(i / (hw * 4)), pixel = static_cast<int>(i / 4 % hw), corner = static_cast<int>(i % 4);
    int y = pixel / a.w * 2 + corner / 2, x = pixel % a.w * 2 + corner % 2;
    size_t from = i / 4 * a.x.stride + corner * a.c;
    size_t high = ((static_cast<size_t>(a.image[prompt]) * 2 * a.h + y) * 2 * a.w + x) * a.high.stride;
    constexpr int MOST = 2;  // c is a quarter of at most 256
    float v[MOST], sum = 0;
    UNROLL for (int j = 0; j < MOST; j++) {
        int col = lane + j * 32;
        v[j] = col < a.c ? get(a.x, from + col) + get(a.high, high + col) : 0.0f;
        sum += v[j];
    }
    float mean = warp_sum(sum) / a.c;
    sum = 0;
    UNROLL for (int j = 0; j < MOST; j++) sum += lane + j * 32 < a.c ? (v[j] - mean) * (v[j] - mean) : 0.0f;
    float norm = rsqrtf(warp_sum(sum) / a.c + a.eps);
    UNROLL for (int j = 0; j < MOST; j++) {
        int col = lane + j * 32;
        if (col < a.c) put(a.x, from + col, activate(GELU, (v[j] - mean) * norm * a.gamma[col] + a.beta[col]));
    }
}

struct Upscale2Args {
    float* out;  // (p, masks, 4h, 4w)
    View x;      // (p, h, w, 2, 2, 2, 2, c): the second product
    View high;   // (images, 4h, 4w, c)
    View hyper;  // (p, masks, c)
    const int* image;  // (p)
    int p, h, w, c, masks;
};

// out = hyper . gelu(x + high). A warp per output pixel, eight neighbours of a row in a block's shared memory, so that
// they are stored together. Grid: p * 16 h w by 8.
KERNEL(upscale_masks, Upscale2Args, 256) {
    float* results = reinterpret_cast<float*>(shared_memory());  // (8, masks)
    int lane = thread_x() % 32, warp = thread_x() / 32, width = 4 * a.w, pixels = 16 * a.h * a.w;
    size_t i = static_cast<size_t>(block_x()) * 8 + warp;
    if (i < static_cast<size_t>(a.p) * pixels) {
        int prompt = static_cast<int>(i / pixels), at = static_cast<int>(i % pixels), y = at / width, x = at % width;
        size_t row = (static_cast<size_t>(prompt) * a.h + y / 4) * a.w + x / 4;
        int outer = y / 2 % 2 * 2 + x / 2 % 2, inner = y % 2 * 2 + x % 2;
        size_t from = (row * 4 + outer) * a.x.stride + inner * a.c;
        size_t high = ((static_cast<size_t>(a.image[prompt]) * 4 * a.h + y) * width + x) * a.high.stride;
        bool there = lane < a.c;  // an eighth of at most 256
        float u = there ? activate(GELU, get(a.x, from + lane) + get(a.high, high + lane)) : 0.0f;
        for (int m = 0; m < a.masks; m++) {
            size_t h = (static_cast<size_t>(prompt) * a.masks + m) * a.hyper.stride + lane;
            float sum = warp_sum(there ? u * get(a.hyper, h) : 0.0f);
            if (lane == 0) results[warp * a.masks + m] = sum;
        }
    }
    barrier();
    int m = thread_x() / 8;
    size_t j = static_cast<size_t>(block_x()) * 8 + thread_x() % 8;
    if (m < a.masks && j < static_cast<size_t>(a.p) * pixels)
        a.out[(j / pixels * a.masks + m) * pixels + j % pixels] = results[thread_x() % 8 * a.masks + m];
}
