#include "numbers.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace emulator {

float bf16_to_float(uint16_t x) {
    uint32_t bits = uint32_t(x) << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
uint16_t bf16_from_float(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if (f != f) return uint16_t(bits >> 16 | 0x40);
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
float f16_to_float(uint16_t x) {
    int exponent = x >> 10 & 31, fraction = x & 1023;
    float f = exponent == 0    ? ldexpf(float(fraction), -24)
              : exponent == 31 ? (fraction ? NAN : INFINITY)
                               : ldexpf(float(fraction + 1024), exponent - 25);
    return x >> 15 ? -f : f;
}
uint16_t f16_from_float(float f) {
    uint16_t sign = std::signbit(f) ? 0x8000 : 0;
    float x = fabsf(f);
    if (f != f) return sign | 0x7e00;
    if (x >= 65520.0f) return sign | 0x7c00;
    int exponent;
    frexpf(x, &exponent);
    exponent = x == 0 ? -14 : std::max(exponent - 1, -14);  // -14: the exponent of the least normal number
    int fraction = int(rintf(ldexpf(x, 10 - exponent)));  // to even, 1024..2048 for normal numbers
    return uint16_t(sign | (fraction + ((exponent + 14) << 10)));
}

}  // namespace emulator
