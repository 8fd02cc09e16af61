// 16-bit numbers on the host, rounded to even.
#pragma once

#include <cstdint>

namespace emulator {
float bf16_to_float(uint16_t x);
uint16_t bf16_from_float(float f);
float f16_to_float(uint16_t x);
uint16_t f16_from_float(float f);
}  // namespace emulator
