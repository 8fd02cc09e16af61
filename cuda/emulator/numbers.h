// 16-bit numbers on the host, rounded to nearest even.
#pragma once

#include <cstdint>

namespace emulator {
float bf16_to_float(uint16_t x);
uint16_t bf16_from_float(float f);
float f16_to_float(uint16_t x);
uint16_t f16_from_float(float f);
}  // namespace emulator

// A register of an operand of mma. The result of ldmatrix is known when all lanes have reached the product. Until then
// the register names the load and the matrix.
struct Fragment {
    uint32_t bits;
    int64_t load;  // index of the thread's load, from 0, times 4, plus the matrix; -1: `bits` are the numbers
    Fragment() = default;
    Fragment(uint32_t bits) : bits(bits), load(-1) {}
};
