// The upscaling of the mask decoder, around its two products. A product is a transposed convolution whose four output
// pixels are adjacent. Rows are aligned: channels are a multiple of 4 or 8.

#include "common.cuh"

struct Upscale1Args {
    View x;     // (p, h, w, 2, 2, c): the first product, normalised in place
    View high;  // (images, 2h, 2w, c)
    const int* image;  // (p)
    const float *gamma, *beta;  // (c)
    float eps;
    int p, h, w, c;
};

// x = gelu(norm(x + high)). Eight threads per output pixel, each with eight channels. Grid: (4 h w by 32, p).
KERNEL(upscale_norm, Upscale1Args, 256) {
    int i = block_x() * 32 + thread_x() / 8, col = thread_x() % 8 * 8, hw = a.h * a.w, prompt = block_y();
    bool there = i < hw * 4 && col < a.c;  // c is a multiple of 8 and at most 64
    size_t from = 0;
    float v[8] = {}, sum = 0;
    if (there) {
        int pixel = i / 4, corner = i % 4;
        int y = pixel / a.w * 2 + corner / 2, x = pixel % a.w * 2 + corner % 2;
        from = (static_cast<size_t>(prompt) * hw + pixel) * a.x.stride + corner * a.c + col;
        size_t high = ((static_cast<size_t>(a.image[prompt]) * 2 * a.h + y) * 2 * a.w + x) * a.high.stride + col;
        UNROLL for (int j = 0; j < 8; j += 4) {
            Vec4 own = load4_aligned(a.x, from + j), add = load4_aligned(a.high, high + j);
            UNROLL for (int k = 0; k < 4; k++) sum += v[j + k] = own.v[k] + add.v[k];
        }
    }
    auto over_pixel = [](float x) {
        UNROLL for (int mask = 4; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
        return x;
    };
    float mean = over_pixel(sum) / a.c;
    sum = 0;
    UNROLL for (int j = 0; j < 8; j++) sum += there ? (v[j] - mean) * (v[j] - mean) : 0.0f;
    float norm = rsqrtf(over_pixel(sum) / a.c + a.eps);
    if (!there) return;
    UNROLL for (int j = 0; j < 8; j += 4) {
        Vec4 y;
        UNROLL for (int k = 0; k < 4; k++)
            y.v[k] = activate(GELU, (v[j + k] - mean) * norm * a.gamma[col + j + k] + a.beta[col + j + k]);
        store4(a.x, from + j, y, 4);
    }
}

struct Upscale2Args {
    float* out;  // (p, masks, 4h, 4w)
    View x;      // (p, h, w, 2, 2, 2, 2, c): the second product
    View high;   // (images, 4h, 4w, c)
    const float* hyper;  // (p, masks, c)
    const int* image;  // (p)
    int p, h, w, c, masks;
};

// out = hyper . gelu(x + high). Eight threads per output pixel, each with four channels. The 32 pixels of a block are
// stored together. Grid: (16 h w by 32, p).
KERNEL(upscale_masks, Upscale2Args, 256) {
    float* results = reinterpret_cast<float*>(shared_memory());  // (masks, 32)
    int col = thread_x() % 8 * 4, slot = thread_x() / 8, width = 4 * a.w, pixels = 16 * a.h * a.w;
    int first = block_x() * 32, at = first + slot, prompt = block_y();
    bool there = at < pixels && col < a.c;  // c is a multiple of 4 and at most 32
    Vec4 u = {};
    if (there) {
        int y = at / width, x = at % width;
        size_t row = (static_cast<size_t>(prompt) * a.h + y / 4) * a.w + x / 4;
        int outer = y / 2 % 2 * 2 + x / 2 % 2, inner = y % 2 * 2 + x % 2;
        Vec4 own = load4_aligned(a.x, (row * 4 + outer) * a.x.stride + inner * a.c + col);
        size_t high = ((static_cast<size_t>(a.image[prompt]) * 4 * a.h + y) * width + x) * a.high.stride + col;
        Vec4 add = load4_aligned(a.high, high);
        UNROLL for (int j = 0; j < 4; j++) u.v[j] = activate(GELU, own.v[j] + add.v[j]);
    }
    for (int m = 0; m < a.masks; m++) {
        float sum = 0;
        if (there) {
            Vec4 h = vec4(load16(a.hyper + (static_cast<size_t>(prompt) * a.masks + m) * a.c + col));
            UNROLL for (int j = 0; j < 4; j++) sum = fmaf(u.v[j], h.v[j], sum);
        }
        UNROLL for (int mask = 4; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
        if (col == 0) results[m * 32 + slot] = sum;
    }
    barrier();
    for (int j = thread_x(); j < a.masks * 32; j += 256) {
        int pixel = first + j % 32;
        if (pixel < pixels) a.out[(static_cast<size_t>(prompt) * a.masks + j / 32) * pixels + pixel] = results[j];
    }
}
