// Shared by the kernels: operands whose type is known at run time, sums over a warp, activations.
#pragma once

#include <ptx.cuh>

#include "tiles.cuh"

enum { F32 = 0, F16 = 1, BF16 = 2 };
enum { NO_ACTIVATION = 0, RELU = 1, GELU = 2, SIGMOID = 3 };

// A tensor with rows `stride` elements apart. A null `p` means no tensor.
struct View {
    void* p;
    int stride;
    int dtype;
};

// Four consecutive elements.
struct Vec4 {
    float v[4];
};

DEVICE int bytes_of(int dtype) { return dtype == F32 ? 4 : 2; }
DEVICE const char* address(View v, size_t i) { return static_cast<const char*>(v.p) + i * bytes_of(v.dtype); }
DEVICE bool aligned(const void* p, int bytes) { return (reinterpret_cast<uintptr_t>(p) & (bytes - 1)) == 0; }

DEVICE float load1(View v, size_t i) {
    if (v.dtype == F32) return static_cast<const float*>(v.p)[i];
    if (v.dtype == BF16) return to_float(static_cast<const bf16*>(v.p)[i]);
    return to_float(static_cast<const f16*>(v.p)[i]);
}
DEVICE void store1(View v, size_t i, float x) {
    if (v.dtype == F32)
        static_cast<float*>(v.p)[i] = x;
    else if (v.dtype == BF16)
        static_cast<bf16*>(v.p)[i] = from_float<bf16>(x);
    else
        static_cast<f16*>(v.p)[i] = from_float<f16>(x);
}

DEVICE float as_float(uint32_t bits) {
    union {
        uint32_t bits;
        float value;
    } f;
    f.bits = bits;
    return f.value;
}

DEVICE float low(uint32_t bits, int dtype) {
    union {
        uint16_t bits;
        f16 value;
    } h;
    h.bits = static_cast<uint16_t>(bits);
    return dtype == BF16 ? as_float(bits << 16) : to_float(h.value);
}

template <class T> constexpr int DTYPE = F32;
template <> constexpr int DTYPE<f16> = F16;
template <> constexpr int DTYPE<bf16> = BF16;

// Two consecutive 16-bit numbers, 4-byte aligned.
template <class T> DEVICE void load_pair(const T* p, float& x, float& y) {
    uint32_t bits = *reinterpret_cast<const uint32_t*>(p);
    x = low(bits & 0xffff, DTYPE<T>), y = low(bits >> 16, DTYPE<T>);
}
template <class T> DEVICE void store_pair(T* p, float x, float y) { *reinterpret_cast<uint32_t*>(p) = pack<T>(x, y); }

// Adds two floats, given by their bits, to the two 16-bit numbers of a register.
template <class T> DEVICE uint32_t add_pair(uint32_t pair, uint32_t x, uint32_t y) {
    return pack<T>(low(pair & 0xffff, DTYPE<T>) + as_float(x), low(pair >> 16, DTYPE<T>) + as_float(y));
}

DEVICE Vec4 vec4(uint4 u) { return {{as_float(u.x), as_float(u.y), as_float(u.z), as_float(u.w)}}; }
DEVICE Vec4 vec4(uint2 u, int dtype) {
    return {{low(u.x & 0xffff, dtype), low(u.x >> 16, dtype), low(u.y & 0xffff, dtype), low(u.y >> 16, dtype)}};
}

// Elements i..i+4, aligned to four elements.
DEVICE Vec4 load4_aligned(View v, size_t i) {
    const char* p = address(v, i);
    return v.dtype == F32 ? vec4(load16(p)) : vec4(load8(p), v.dtype);
}

// Elements i..i+4, of which the first n (1 to 4) exist. The others are 0.
DEVICE Vec4 load4(View v, size_t i, int n) {
    const char* p = address(v, i);
    if (n == 4 && aligned(p, 4 * bytes_of(v.dtype))) return v.dtype == F32 ? vec4(load16(p)) : vec4(load8(p), v.dtype);
    Vec4 r = {{0, 0, 0, 0}};
    UNROLL for (int j = 0; j < 4; j++)
        if (j < n) r.v[j] = load1(v, i + j);
    return r;
}
DEVICE void store4(View v, size_t i, Vec4 x, int n) {
    char* p = const_cast<char*>(address(v, i));
    if (n == 4 && aligned(p, 4 * bytes_of(v.dtype))) {
        if (v.dtype == F32) {
            uint32_t words[4];
            UNROLL for (int j = 0; j < 4; j++) {
                union {
                    float value;
                    uint32_t bits;
                } f;
                f.value = x.v[j];
                words[j] = f.bits;
            }
            store16(p, uint4{words[0], words[1], words[2], words[3]});
        } else if (v.dtype == BF16) {
            store8(p, uint2{pack<bf16>(x.v[0], x.v[1]), pack<bf16>(x.v[2], x.v[3])});
        } else {
            store8(p, uint2{pack<f16>(x.v[0], x.v[1]), pack<f16>(x.v[2], x.v[3])});
        }
    } else {
        UNROLL for (int j = 0; j < 4; j++)
            if (j < n) store1(v, i + j, x.v[j]);
    }
}

// Two floats, 8-byte aligned.
DEVICE void store_pair(float* p, float x, float y) {
    union {
        float value;
        uint32_t bits;
    } a, b;
    a.value = x, b.value = y;
    store8(p, uint2{a.bits, b.bits});
}

DEVICE float warp_sum(float x) {
    UNROLL for (int mask = 16; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
    return x;
}

// GELU: x times the normal distribution function of x, by formula 7.1.26 of Abramowitz and Stegun, Handbook
// of Mathematical Functions. The error function is within 1.5e-7, without branches or divisions.
DEVICE float gelu(float x) {
    float z = fabsf(x) * 0.70710678f, t = reciprocal_fast(fmaf(0.3275911f, z, 1.0f));
    float p = fmaf(1.061405429f, t, -1.453152027f);
    p = fmaf(p, t, 1.421413741f);
    p = fmaf(p, t, -0.284496736f);
    p = fmaf(p, t, 0.254829592f) * t;
    // 1 - erf(z). Half of it is the probability beyond |x|.
    float beyond = 0.5f * p * exp2_fast(z * z * -1.44269504f);
    return x > 0 ? x - x * beyond : x * beyond;
}

DEVICE float activate(int activation, float x) {
    if (activation == RELU) return fmaxf(x, 0.0f);
    if (activation == GELU) return gelu(x);
    if (activation == SIGMOID) return 1.0f / (1.0f + expf(-x));
    return x;
}
