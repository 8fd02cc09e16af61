// Image input: pixels are scaled to 0..1, resized with a filter that widens when it shrinks the image, and normalised.
//
// preprocess: a triangle filter, as PyTorch's interpolate(mode="bilinear", antialias=True). PyTorch resizes along rows
// first and then along columns. Here the order is reversed, which is the same up to rounding.
//
// bicubic, for bytes: equal to Pillow's Image.resize to the bit. It resizes along rows, rounds to bytes, and resizes
// along columns. The host computes the weights, which are integers.

#include "common.cuh"

enum { BYTES = 0, FLOATS = 1, YUV = 2, HALVES = 3, BFLOATS = 4 };

// One channel: red, green or blue, or Y, U or V.
struct Channel {
    const char* at;  // its first value
    int row, step;   // bytes from row to row, and from value to value
    int halved[2];   // 1: one value serves two columns, or two rows
};

struct PictureArgs {
    View out;  // (side, side, 3)
    Channel channel[3];
    float* lines;        // (side, width, 3), columns resized; for bicubic (height, side, 3) bytes, rows resized
    const int* weights;  // for bicubic (2, side, 2 + taps): along rows, then columns; first sample, count, weights
    int width, height, side, taps;
    int flipped;  // the first row in memory is the last of the image
    int kind;     // type of values: BYTES, YUV (bytes too), FLOATS, HALVES (binary16) or BFLOATS (bfloat16)
    int yuv[6];   // black; then factors in units of 2^-16: Y in all, V in red, U and V in green, U in blue
};

DEVICE const char* value(const PictureArgs& a, int c, int x, int y) {
    const Channel& from = a.channel[c];
    int row = a.flipped ? a.height - 1 - y : y;
    return from.at + static_cast<size_t>(row >> from.halved[1]) * from.row + (x >> from.halved[0]) * from.step;
}

DEVICE int clamped(int v) { return min(max(v, 0), 255); }

// Red, green and blue of a pixel of an image of bytes, 0 to 255.
struct Pixel {
    int v[3];
};
DEVICE Pixel pixel(const PictureArgs& a, int x, int y) {
    Pixel p;
    UNROLL for (int c = 0; c < 3; c++) p.v[c] = *reinterpret_cast<const uint8_t*>(value(a, c, x, y));
    if (a.kind == YUV) {
        int luma = (p.v[0] - a.yuv[0]) * a.yuv[1] + (1 << 15), u = p.v[1] - 128, v = p.v[2] - 128;
        p.v[0] = clamped((luma + a.yuv[2] * v) >> 16);
        p.v[1] = clamped((luma - a.yuv[3] * u - a.yuv[4] * v) >> 16);
        p.v[2] = clamped((luma + a.yuv[5] * u) >> 16);
    }
    return p;
}

// A value of an image of floats.
DEVICE float number(const PictureArgs& a, int c, int x, int y) {
    const char* at = value(a, c, x, y);
    if (a.kind == HALVES) return to_float(*reinterpret_cast<const f16*>(at));
    if (a.kind == BFLOATS) return to_float(*reinterpret_cast<const bf16*>(at));
    return *reinterpret_cast<const float*>(at);
}

DEVICE float normalised(float x, int c) {
    const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f};  // ImageNet's
    return (x - mean[c]) / deviation[c];
}

// The source samples of output sample i, and their weights before division by their sum.
struct Filter {
    int first, count;
    double center, support;
    DEVICE float height(int j) const {
        double x = 1.0 - fabs((first + j - center + 0.5) / support);
        return x > 0 ? static_cast<float>(x) : 0.0f;
    }
};
DEVICE Filter filter(int i, int from, int to) {
    Filter f;
    double scale = static_cast<double>(from) / to;
    f.center = scale * (i + 0.5);
    f.support = scale > 1 ? scale : 1;
    f.first = static_cast<int>(f.center - f.support + 0.5 > 0 ? f.center - f.support + 0.5 : 0);
    f.count = min(static_cast<int>(f.center + f.support + 0.5), from) - f.first;
    return f;
}

// Grid: (width by 256, side).
KERNEL(preprocess_columns, PictureArgs, 256) {
    int x = block_x() * 256 + thread_x(), y = block_y();
    if (x >= a.width) return;
    Filter f = filter(y, a.height, a.side);
    float sum[3] = {0, 0, 0}, total = 0;
    for (int j = 0; j < f.count; j++) {
        float weight = f.height(j);
        if (a.kind == BYTES || a.kind == YUV) {
            Pixel p = pixel(a, x, f.first + j);
            UNROLL for (int c = 0; c < 3; c++) sum[c] += weight * (p.v[c] * (1.0f / 255.0f));
        } else {
            UNROLL for (int c = 0; c < 3; c++) sum[c] += weight * number(a, c, x, f.first + j);
        }
        total += weight;
    }
    for (int c = 0; c < 3; c++) a.lines[(static_cast<size_t>(y) * a.width + x) * 3 + c] = sum[c] / total;
}

// A thread takes four rows, which share the weights. Grid: (side by 256, side by 4).
KERNEL(preprocess_rows, PictureArgs, 256) {
    constexpr int ROWS = 4;
    int x = block_x() * 256 + thread_x(), y = block_y() * ROWS, rows = min(ROWS, a.side - y);
    if (x >= a.side) return;
    Filter f = filter(x, a.width, a.side);
    float sum[ROWS][3] = {}, total = 0;
    for (int j = 0; j < f.count; j++) {
        float weight = f.height(j);
        UNROLL for (int i = 0; i < ROWS; i++) {
            const float* pixel = a.lines + (static_cast<size_t>(y + min(i, rows - 1)) * a.width + f.first + j) * 3;
            UNROLL for (int c = 0; c < 3; c++) sum[i][c] += weight * pixel[c];
        }
        total += weight;
    }
    UNROLL for (int i = 0; i < ROWS; i++)
        if (i < rows)
            for (int c = 0; c < 3; c++)
                store1(a.out, (static_cast<size_t>(y + i) * a.side + x) * 3 + c, normalised(sum[i][c] / total, c));
}

// Converts a sum of bytes times weights, in units of 2^-22, to a byte.
DEVICE uint8_t byte(int sum) { return static_cast<uint8_t>(clamped((sum + (1 << 21)) >> 22)); }

// Grid: (side by 256, height).
KERNEL(bicubic_rows, PictureArgs, 256) {
    int x = block_x() * 256 + thread_x(), y = block_y();
    if (x >= a.side) return;
    const int* filter = a.weights + static_cast<size_t>(x) * (2 + a.taps);
    int sum[3] = {0, 0, 0};
    for (int j = 0; j < filter[1]; j++) {
        Pixel p = pixel(a, filter[0] + j, y);
        UNROLL for (int c = 0; c < 3; c++) sum[c] += filter[2 + j] * p.v[c];
    }
    uint8_t* out = reinterpret_cast<uint8_t*>(a.lines) + (static_cast<size_t>(y) * a.side + x) * 3;
    for (int c = 0; c < 3; c++) out[c] = byte(sum[c]);
}

// Grid: (side by 256, side).
KERNEL(bicubic_columns, PictureArgs, 256) {
    int x = block_x() * 256 + thread_x(), y = block_y();
    if (x >= a.side) return;
    const int* filter = a.weights + (static_cast<size_t>(a.side) + y) * (2 + a.taps);
    const uint8_t* pixel = reinterpret_cast<const uint8_t*>(a.lines) + (static_cast<size_t>(filter[0]) * a.side + x) * 3;
    int sum[3] = {0, 0, 0};
    for (int j = 0; j < filter[1]; j++, pixel += a.side * 3)
        for (int c = 0; c < 3; c++) sum[c] += filter[2 + j] * pixel[c];
    for (int c = 0; c < 3; c++)
        store1(a.out, (static_cast<size_t>(y) * a.side + x) * 3 + c, normalised(byte(sum[c]) / 255.0f, c));
}
