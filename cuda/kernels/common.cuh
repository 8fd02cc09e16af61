// What kernels share: operands whose type is known at run time, sums over a warp, activations.
#pragma once

#include <ptx.cuh>

#include "tiles.cuh"

enum { F32 = 0, F16 = 1, BF16 = 2 };
enum { NO_ACTIVATION = 0, RELU = 1, GELU = 2, SIGMOID = 3 };

// A tensor: rows `stride` elements apart. No tensor where `p` is null.
struct View {
    void* p;
    int stride;
    int dtype;
};

// Four elements next to each other.
struct Four {
    float v[4];
};

DEVICE int bytes_of(int dtype) { return dtype == F32 ? 4 : 2; }
DEVICE const char* address(View v, size_t i) { return static_cast<const char*>(v.p) + i * bytes_of(v.dtype); }
DEVICE bool aligned(const void* p, int bytes) { return (reinterpret_cast<uintptr_t>(p) & (bytes - 1)) == 0; }

DEVICE float get(View v, size_t i) {
    if (v.dtype == F32) return static_cast<const float*>(v.p)[i];
    if (v.dtype == BF16) return to_float(static_cast<const bf16*>(v.p)[i]);
    return to_float(static_cast<const f16*>(v.p)[i]);
}
DEVICE void put(View v, size_t i, float x) {
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

// Two 16-bit numbers next to each other, at a multiple of 4 bytes.
template <class T> DEVICE void get_pair(const T* p, float& x, float& y) {
    uint32_t bits = *reinterpret_cast<const uint32_t*>(p);
    x = low(bits & 0xffff, DTYPE<T>), y = low(bits >> 16, DTYPE<T>);
}
template <class T> DEVICE void put_pair(T* p, float x, float y) { *reinterpret_cast<uint32_t*>(p) = pack<T>(x, y); }

// Two 16-bit numbers of a register plus two floats, given by their bits.
template <class T> DEVICE uint32_t add_pair(uint32_t pair, uint32_t x, uint32_t y) {
    return pack<T>(low(pair & 0xffff, DTYPE<T>) + as_float(x), low(pair >> 16, DTYPE<T>) + as_float(y));
}

DEVICE Four four(uint4 u) { return {{as_float(u.x), as_float(u.y), as_float(u.z), as_float(u.w)}}; }
DEVICE Four four(uint2 u, int dtype) {
    return {{low(u.x & 0xffff, dtype), low(u.x >> 16, dtype), low(u.y & 0xffff, dtype), low(u.y >> 16, dtype)}};
}

// Elements i..i+4, at a multiple of their size.
DEVICE Four get4_aligned(View v, size_t i) {
    const char* p = address(v, i);
    return v.dtype == F32 ? four(load16(p)) : four(load8(p), v.dtype);
}

// Elements i..i+4, of which the first n (1 to 4) exist; the others are 0.
DEVICE Four get4(View v, size_t i, int n) {
    const char* p = address(v, i);
    if (n == 4 && aligned(p, 4 * bytes_of(v.dtype))) return v.dtype == F32 ? four(load16(p)) : four(load8(p), v.dtype);
    Four r = {{0, 0, 0, 0}};
    UNROLL for (int j = 0; j < 4; j++)
        if (j < n) r.v[j] = get(v, i + j);
    return r;
}
DEVICE void put4(View v, size_t i, Four x, int n) {
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
            if (j < n) put(v, i + j, x.v[j]);
    }
}

// Two floats at a multiple of 8 bytes.
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

// x times the share of a normal distribution below x, by 7.1.26 of Abramowitz and Stegun, Handbook of Mathematical
// Functions: the error function within 1.5e-7, with neither branches nor divisions.
DEVICE float gelu(float x) {
    float z = fabsf(x) * 0.70710678f, t = reciprocal_fast(fmaf(0.3275911f, z, 1.0f));
    float p = fmaf(1.061405429f, t, -1.453152027f);
    p = fmaf(p, t, 1.421413741f);
    p = fmaf(p, t, -0.284496736f);
    p = fmaf(p, t, 0.254829592f) * t;
    // 1 - erf(z), of which the half is the share beyond |x|.
    float beyond = 0.5f * p * exp2_fast(z * z * -1.44269504f);
    return x > 0 ? x - x * beyond : x * beyond;
}

DEVICE float activate(int activation, float x) {
    if (activation == RELU) return fmaxf(x, 0.0f);
    if (activation == GELU) return gelu(x);
    if (activation == SIGMOID) return 1.0f / (1.0f + expf(-x));
    return x;
}
