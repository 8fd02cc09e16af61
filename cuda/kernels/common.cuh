// What kernels share: operands whose type is known at run time, sums over a warp, activations.
#pragma once

#include <ptx.cuh>

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

DEVICE float low(uint32_t bits, int dtype) {
    union {
        uint16_t bits;
        f16 value;
    } h;
    h.bits = static_cast<uint16_t>(bits);
    union {
        uint32_t bits;
        float value;
    } f;
    f.bits = bits << 16;
    return dtype == BF16 ? f.value : to_float(h.value);
}

// Elements i..i+4, of which the first n (1 to 4) exist; the others are 0.
DEVICE Four get4(View v, size_t i, int n) {
    Four r = {{0, 0, 0, 0}};
    const char* p = address(v, i);
    if (n == 4 && aligned(p, 4 * bytes_of(v.dtype))) {
        if (v.dtype == F32) {
            uint4 u = load16(p);
            uint32_t words[4] = {u.x, u.y, u.z, u.w};
            UNROLL for (int j = 0; j < 4; j++) {
                union {
                    uint32_t bits;
                    float value;
                } f;
                f.bits = words[j];
                r.v[j] = f.value;
            }
        } else {
            uint2 u = load8(p);
            r.v[0] = low(u.x & 0xffff, v.dtype), r.v[1] = low(u.x >> 16, v.dtype);
            r.v[2] = low(u.y & 0xffff, v.dtype), r.v[3] = low(u.y >> 16, v.dtype);
        }
    } else {
        UNROLL for (int j = 0; j < 4; j++)
            if (j < n) r.v[j] = get(v, i + j);
    }
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

DEVICE float warp_sum(float x) {
    UNROLL for (int mask = 16; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
    return x;
}

DEVICE float activate(int activation, float x) {
    if (activation == RELU) return fmaxf(x, 0.0f);
    if (activation == GELU) return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    if (activation == SIGMOID) return 1.0f / (1.0f + expf(-x));
    return x;
}
