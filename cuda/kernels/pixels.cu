// Pictures in: scaled to 0..1, resized with a filter that widens when shrinking, normalised.
//
// preprocess, a triangle filter: as PyTorch's interpolate(mode="bilinear", antialias=True): along rows first, then along columns, here the other way
// round, which is the same up to rounding.
// bicubic, of bytes: to the bit as Pillow's Image.resize, along rows, rounded to bytes, then along columns. The host makes
// the weights, which are whole numbers. Not yet measured on a GPU.

#include "common.cuh"

struct PictureArgs {
    View out;            // (side, side, 3)
    const void* pixels;  // rows of `row` bytes
    float* lines;        // (side, width, 3): columns resized; of bicubic (height, side, 3) bytes: rows resized
    const int* weights;  // of bicubic (2, side, 2 + taps): along rows, then columns; first sample, count, weights
    int width, height, row, side;
    int step;            // values from a pixel to the next
    int offset[3];       // of red, green and blue within a pixel
    int is_float;
    int taps;
};

DEVICE float normalised(float x, int c) {
    const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f};  // ImageNet's
    return (x - mean[c]) / deviation[c];
}

// The source samples under output sample i, and their weights before they are divided by their sum.
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
        const char* row = static_cast<const char*>(a.pixels) + static_cast<size_t>(f.first + j) * a.row;
        for (int c = 0; c < 3; c++) {
            int at = x * a.step + a.offset[c];
            float v = a.is_float ? reinterpret_cast<const float*>(row)[at]
                                 : reinterpret_cast<const uint8_t*>(row)[at] * (1.0f / 255.0f);
            sum[c] += weight * v;
        }
        total += weight;
    }
    for (int c = 0; c < 3; c++) a.lines[(static_cast<size_t>(y) * a.width + x) * 3 + c] = sum[c] / total;
}

// Grid: (side by 256, side).
KERNEL(preprocess_rows, PictureArgs, 256) {
    int x = block_x() * 256 + thread_x(), y = block_y();
    if (x >= a.side) return;
    Filter f = filter(x, a.width, a.side);
    float sum[3] = {0, 0, 0}, total = 0;
    for (int j = 0; j < f.count; j++) {
        float weight = f.height(j);
        const float* pixel = a.lines + (static_cast<size_t>(y) * a.width + f.first + j) * 3;
        for (int c = 0; c < 3; c++) sum[c] += weight * pixel[c];
        total += weight;
    }
    for (int c = 0; c < 3; c++)
        put(a.out, (static_cast<size_t>(y) * a.side + x) * 3 + c, normalised(sum[c] / total, c));
}

// A sum of bytes times weights, in units of 2^-22, as a byte.
DEVICE uint8_t byte(int sum) { return static_cast<uint8_t>(min(max((sum + (1 << 21)) >> 22, 0), 255)); }

// Grid: (side by 256, height).
KERNEL(bicubic_rows, PictureArgs, 256) {
    int x = block_x() * 256 + thread_x(), y = block_y();
    if (x >= a.side) return;
    const int* filter = a.weights + static_cast<size_t>(x) * (2 + a.taps);
    const uint8_t* row = static_cast<const uint8_t*>(a.pixels) + static_cast<size_t>(y) * a.row + filter[0] * a.step;
    int sum[3] = {0, 0, 0};
    for (int j = 0; j < filter[1]; j++)
        for (int c = 0; c < 3; c++) sum[c] += filter[2 + j] * row[j * a.step + a.offset[c]];
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
        put(a.out, (static_cast<size_t>(y) * a.side + x) * 3 + c, normalised(byte(sum[c]) / 255.0f, c));
}
