// Switches between the threads of a kernel.
#pragma once

// Saves the callee-saved registers and the stack pointer, and continues on another stack.
extern "C" void sam2_emulator_switch(void** save, void* load);
// The number of registers that it pushes.
#if defined(__x86_64__)
constexpr int SAVED = 6;
#endif
