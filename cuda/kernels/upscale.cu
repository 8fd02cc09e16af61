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
        Vec4 y, gamma = vec4(load16(a.gamma + col + j)), beta = vec4(load16(a.beta + col + j));
        UNROLL for (int k = 0; k < 4; k++) y.v[k] = activate(GELU, (v[j + k] - mean) * norm * gamma.v[k] + beta.v[k]);
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

// Four columns of each of four rows, aligned to four elements.
DEVICE void load_rows(Vec4 (&rows)[4], View v, const size_t (&at)[4]) {
    if (v.dtype == F32) {
        UNROLL for (int i = 0; i < 4; i++) rows[i] = vec4(load16(address(v, at[i])));
        return;
    }
    uint2 words[4];
    UNROLL for (int i = 0; i < 4; i++) words[i] = load8(address(v, at[i]));
    if (v.dtype == BF16) {
        UNROLL for (int i = 0; i < 4; i++) rows[i] = vec4(words[i], BF16);
    } else {
        UNROLL for (int i = 0; i < 4; i++) rows[i] = vec4(words[i], F16);
    }
}

// out = hyper . gelu(x + high). Eight threads take two by two output pixels, which are a row of the product. Each has
// four channels. Grid: (4 h w by 32, p).
KERNEL_SHARING(upscale_masks, Upscale2Args, 256, 4) {
    int col = thread_x() % 8 * 4, at = block_x() * 32 + thread_x() / 8, width = 2 * a.w, prompt = block_y();
    int y = at / width, x = at % width;
    bool there = y < 2 * a.h && col < a.c;  // c is a multiple of 4 and at most 32
    Vec4 u[4] = {};
    if (there) {
        size_t row = ((static_cast<size_t>(prompt) * a.h + y / 2) * a.w + x / 2) * 4 + y % 2 * 2 + x % 2;
        size_t pixel = (static_cast<size_t>(a.image[prompt]) * 4 * a.h + y * 2) * 2 * width + x * 2;
        size_t own[4], high[4];
        UNROLL for (int i = 0; i < 4; i++) {
            own[i] = row * a.x.stride + i * a.c + col;
            high[i] = (pixel + i / 2 * 2 * width + i % 2) * a.high.stride + col;
        }
        Vec4 more[4];
        load_rows(u, a.x, own);
        load_rows(more, a.high, high);
        UNROLL for (int i = 0; i < 4; i++)
            UNROLL for (int j = 0; j < 4; j++) u[i].v[j] = activate(GELU, u[i].v[j] + more[i].v[j]);
    }
    // The sums of the four pixels are added up over eight lanes. A lane is left with that of pixel lane / 2 % 4.
    int pixel = thread_x() / 2 % 4;
    size_t plane = static_cast<size_t>(a.h) * 8 * width;
    size_t to = (static_cast<size_t>(y) * 2 + pixel / 2) * 2 * width + x * 2 + pixel % 2;
    KEEP_LOOP for (int m = 0; m < a.masks; m++) {
        size_t mask = static_cast<size_t>(prompt) * a.masks + m;
        float sums[4] = {};
        if (there) {
            Vec4 h = vec4(load16(a.hyper + mask * a.c + col));
            UNROLL for (int i = 0; i < 4; i++)
                UNROLL for (int j = 0; j < 4; j++) sums[i] = fmaf(u[i].v[j], h.v[j], sums[i]);
        }
        bool lower = thread_x() & 4, right = thread_x() & 2;
        UNROLL for (int i = 0; i < 2; i++)
            sums[i] = (lower ? sums[i + 2] : sums[i]) + shuffle_xor(lower ? sums[i] : sums[i + 2], 4);
        float sum = (right ? sums[1] : sums[0]) + shuffle_xor(right ? sums[0] : sums[1], 2);
        sum += shuffle_xor(sum, 1);
        if (y < 2 * a.h && thread_x() % 2 == 0) a.out[mask * plane + to] = sum;
    }
}
