// A stand-in for cuBLASLt, on the stand-in for the driver. Products are plain loops, in column-major order as in the
// library.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "numbers.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

int stand_in_enqueue(void* stream, std::function<int()> work);
void stand_in_list(const std::string& line);
extern "C" bool sam2_emulator_copy(uintptr_t, void*, size_t, int);

namespace {

enum { F32 = 0, F16 = 2, BF16 = 14, NOT_SUPPORTED = 15, INVALID_VALUE = 7 };

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t stride;
};
struct Desc {
    int compute, transposed_a = 0, epilogue = 1, bias_type = -1;
    uint64_t bias = 0;
};
struct Preference {
    uint64_t scratch = 0;
    uint32_t alignment[4] = {256, 256, 256, 256};
};
struct Heuristic {
    uint64_t algo[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

size_t size_of(int type) { return type == F32 ? 4 : 2; }

std::vector<float> column(uint64_t p, int type, size_t n, bool* good) {
    std::vector<char> bytes(n * size_of(type));
    *good = sam2_emulator_copy(p, bytes.data(), bytes.size(), 1) && *good;
    std::vector<float> values(n);
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, &bytes[i * size_of(type)], 2);
        if (type == F32)
            memcpy(&values[i], &bytes[i * 4], 4);
        else
            values[i] = type == F16 ? emulator::f16_to_float(half) : emulator::bf16_to_float(half);
    }
    return values;
}
bool put(uint64_t p, int type, const std::vector<float>& values) {
    std::vector<char> bytes(values.size() * size_of(type));
    for (size_t i = 0; i < values.size(); i++) {
        uint16_t half = type == F16 ? emulator::f16_from_float(values[i]) : emulator::bf16_from_float(values[i]);
        if (type == F32)
            memcpy(&bytes[i * 4], &values[i], 4);
        else
            memcpy(&bytes[i * 2], &half, 2);
    }
    return sam2_emulator_copy(p, bytes.data(), bytes.size(), 0);
}

long products = 0;
struct Count {
    ~Count() {
        // The library counts no products if it was only looked for.
        if (const char* mode = getenv("STAND_IN"); products && mode && strcmp(mode, "counts") == 0)
            fprintf(stderr, "%ld products\n", products);
    }
} count;

}  // namespace

EXPORT size_t cublasLtGetVersion() { return 130100; }
EXPORT int cublasLtCreate(void** h) { return *h = new int(0), 0; }
EXPORT int cublasLtDestroy(void* h) { return delete static_cast<int*>(h), 0; }
EXPORT int cublasLtMatrixLayoutCreate(Layout** l, int type, uint64_t rows, uint64_t columns, int64_t stride) {
    return *l = new Layout{type, rows, columns, stride}, 0;
}
EXPORT int cublasLtMatrixLayoutDestroy(Layout* l) { return delete l, 0; }
EXPORT int cublasLtMatmulDescCreate(Desc** d, int compute, int scale) {
    return *d = new Desc{compute}, scale == F32 ? 0 : INVALID_VALUE;
}
EXPORT int cublasLtMatmulDescDestroy(Desc* d) { return delete d, 0; }
EXPORT int cublasLtMatmulDescSetAttribute(Desc* d, int which, const void* v, size_t n) {
    if (which == 3 && n == 4) return memcpy(&d->transposed_a, v, 4), 0;
    if (which == 7 && n == 4) return memcpy(&d->epilogue, v, 4), 0;
    if (which == 8 && n == 8) return memcpy(&d->bias, v, 8), 0;
    if (which == 26 && n == 4) return memcpy(&d->bias_type, v, 4), 0;
    return INVALID_VALUE;
}
EXPORT int cublasLtMatmulPreferenceCreate(Preference** p) { return *p = new Preference, 0; }
EXPORT int cublasLtMatmulPreferenceDestroy(Preference* p) { return delete p, 0; }
EXPORT int cublasLtMatmulPreferenceSetAttribute(Preference* p, int which, const void* v, size_t n) {
    if (which == 1 && n == 8) return memcpy(&p->scratch, v, 8), 0;
    if (which >= 5 && which <= 8 && n == 4) return memcpy(&p->alignment[which - 5], v, 4), 0;
    return INVALID_VALUE;
}
EXPORT int cublasLtMatmulAlgoGetHeuristic(void*, Desc* d, Layout* a, Layout* b, Layout* c, Layout* out, Preference* p,
                                          int, Heuristic* found, int* number) {
    bool fits = d->compute == 68 && d->transposed_a == 1 && a->type == b->type && a->rows == b->rows &&
                a->columns == out->rows && b->columns == out->columns && c->type == out->type &&
                (out->type == F32 || out->type == a->type) && (d->bias_type == -1 || d->bias_type == out->type);
    if (!fits || p->scratch == 0) return INVALID_VALUE;
    // The real library may have no algorithm for some products. This one has none for some numbers of rows.
    *number = out->rows % 8 == 0 ? 1 : 0;
    // Like the choice of the real library, this choice depends on the number of rows that it is given.
    *found = Heuristic{{42, b->columns}, 1024, 0, 1, {}};
    return 0;
}
EXPORT int cublasLtMatmulAlgoCheck(void*, Desc*, Layout* a, Layout* b, Layout*, Layout* out, const uint64_t* algo,
                                   Heuristic* found) {
    if (algo[0] != 42 || a->rows != b->rows || a->columns != out->rows || b->columns != out->columns)
        return NOT_SUPPORTED;
    *found = Heuristic{{42, algo[1]}, 1024, 0, 1, {}};
    return 0;
}
EXPORT int cublasLtMatmul(void*, Desc* desc, const float* alpha, uint64_t a, Layout* la, uint64_t b, Layout* lb,
                          const float* beta, uint64_t c, Layout*, uint64_t out, Layout* lo, const uint64_t* algo,
                          uint64_t scratch, size_t scratch_bytes, void* stream) {
    if (*alpha != 1 || c != out || !scratch || scratch_bytes < 1024 || algo[0] != 42) return INVALID_VALUE;
    if ((a | b | out) % 16 != 0) return INVALID_VALUE;
    products++;
    // The algorithm determines the order of summation.
    size_t parts = 1 + algo[1] % 3;
    Desc d = *desc;
    Layout l[3] = {*la, *lb, *lo};
    float add = *beta;
    return stand_in_enqueue(stream, [=]() -> int {
        if (const char* mode = getenv("STAND_IN"); mode && strcmp(mode, "list") == 0) {
            auto field = [](const char* name, uint64_t n) { return std::string(name) + std::to_string(n); };
            stand_in_list(field("{\"kernel\": \"cublasLtMatmul\", \"m\": ", l[2].columns) + field(", \"n\": ", l[2].rows) +
                          field(", \"k\": ", l[0].rows) + field(", \"bytes\": ", size_of(l[0].type)) +
                          field(", \"out_bytes\": ", size_of(l[2].type)) + field(", \"add\": ", add != 0) + "}");
            return 0;
        }
        bool good = true;
        size_t m = l[2].rows, k = l[0].rows;
        std::vector<std::vector<float>> w;
        for (size_t i = 0; i < m; i++)
            w.push_back(column(a + i * size_t(l[0].stride) * size_of(l[0].type), l[0].type, k, &good));
        std::vector<float> bias(m);
        if (d.epilogue & 4) bias = column(d.bias, d.bias_type, m, &good);
        for (size_t j = 0; j < l[2].columns; j++) {
            uint64_t to = out + j * size_t(l[2].stride) * size_of(l[2].type);
            std::vector<float> x = column(b + j * size_t(l[1].stride) * size_of(l[1].type), l[1].type, k, &good);
            std::vector<float> y(m);
            if (add != 0) y = column(to, l[2].type, m, &good);
            for (size_t i = 0; i < m; i++) {
                float sum = 0;
                for (size_t part = 0; part < parts; part++) {
                    float of_part = 0;
                    for (size_t t = part; t < k; t += parts) of_part += w[i][t] * x[t];
                    sum += of_part;
                }
                y[i] = sum + bias[i] + add * y[i];
                if (d.epilogue & 2) y[i] = std::fmax(y[i], 0.0f);
                if (d.epilogue & 32)
                    y[i] *= 0.5f * (1 + std::tanh(0.79788456f * (y[i] + 0.044715f * y[i] * y[i] * y[i])));
            }
            good = put(to, l[2].type, y) && good;
        }
        return good ? 0 : 700;
    }) ? 14 : 0;
}
