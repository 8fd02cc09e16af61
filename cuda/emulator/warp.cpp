// What the lanes of a warp do together: shuffles and products of matrices.

#include <cstring>

#include "launch.h"
#include "numbers.h"

namespace emulator {
namespace {

// Waits for the other lanes of the warp. The last lane runs `action` on the slots of all lanes.
template <class F> void meet(int kind, const char* file, int line, void* slot, F action) {
    Thread* t = launch->self;
    Warp* w = t->warp;
    if (w->arrived == 0) {
        w->file = file, w->line = line, w->kind = kind;
    } else if (w->kind != kind || w->line != line || (w->file != file && strcmp(w->file, file) != 0)) {
        fail("divergent warp: a lane is at %s:%d, others wait at %s:%d", file, line, w->file, w->line);
    }
    w->slots[t->index % WARP] = slot;
    if (++w->arrived < WARP) return yield();
    w->arrived = 0;
    action(w);
    for (int i = 0; i < WARP; i++) {
        Thread* other = t->block->threads[t->index / WARP * WARP + i];
        if (other != t) t->block->runnable.push_back(other);
    }
}

struct ShuffleSlot {
    uint32_t* value;
    int from;
};
struct MmaSlot {
    float* d;
    Fragment *a, *b;
};

// The numbers in a lane's register, which may come from a load by all lanes of the warp.
uint32_t resolve(const Fragment& f, int lane) {
    if (f.load < 0) return f.bits;
    Thread* t = launch->self;
    Thread** warp = &t->block->threads[size_t(t->index / WARP * WARP)];
    int64_t load = f.load / 4;
    int matrix = int(f.load % 4);
    auto row = [&](int of) -> const MatrixRow& {
        const MatrixRow& r = warp[matrix * 8 + of]->rows[load % MATRIX_ROWS];
        if (r.load != load) fail("a product of matrices that other lanes have not loaded, or long ago");
        return r;
    };
    const MatrixRow& own = row(lane / 4);
    int at = lane % 4 * 2;
    if (own.transposed != row(at).transposed) fail("lanes load a matrix as it is and transposed");
    if (own.transposed) return row(at).numbers[lane / 4] | uint32_t(row(at + 1).numbers[lane / 4]) << 16;
    return own.numbers[at] | uint32_t(own.numbers[at + 1]) << 16;
}

}  // namespace

void meet_warp(const char* file, int line) {
    meet(0, file, line, nullptr, [](Warp* w) { w->epoch++; });
}

void shuffle(const char* file, int line, uint32_t* value, int from) {
    ShuffleSlot slot{value, from};
    meet(1, file, line, &slot, [](Warp* w) {
        uint32_t all[WARP];
        for (int i = 0; i < WARP; i++) all[i] = *static_cast<ShuffleSlot*>(w->slots[i])->value;
        for (int i = 0; i < WARP; i++) {
            const ShuffleSlot* s = static_cast<ShuffleSlot*>(w->slots[i]);
            if (s->from < 0 || s->from >= WARP) fail("a shuffle from lane %d", s->from);
            *s->value = all[s->from];
        }
    });
}

uint32_t lanes_where(const char* file, int line, bool x) {
    uint32_t bits = x;
    meet(2, file, line, &bits, [](Warp* w) {
        uint32_t all = 0;
        for (int i = 0; i < WARP; i++) all |= *static_cast<uint32_t*>(w->slots[i]) << i;
        for (int i = 0; i < WARP; i++) *static_cast<uint32_t*>(w->slots[i]) = all;
    });
    return bits;
}

void ldmatrix(Fragment* r, const void* row, bool transposed) {
    Thread* t = launch->self;
    uintptr_t p = reinterpret_cast<uintptr_t>(row);
    if (p - reinterpret_cast<uintptr_t>(t->block->base) >= launch->shared) fail("a matrix outside of shared memory");
    check_access(p, 16, false);
    MatrixRow& kept = t->rows[t->loads % MATRIX_ROWS];
    kept.load = t->loads, kept.transposed = transposed;
    memcpy(kept.numbers, row, 16);
    for (int i = 0; i < 4; i++) r[i].load = t->loads * 4 + i;
    t->loads++;
}

void mma(bool is_bf16, int m, int n, float* d, const Fragment* a, const Fragment* b) {
    MmaSlot slot{d, const_cast<Fragment*>(a), const_cast<Fragment*>(b)};
    meet(2 + m * 64 + n, "mma", 0, &slot, [=](Warp* w) {
        auto number = [=](uint32_t pair, int half) {
            uint16_t bits = uint16_t(pair >> (16 * half));
            return is_bf16 ? emulator::bf16_to_float(bits) : emulator::f16_to_float(bits);
        };
        static thread_local float left[64 * 16][16], right[64 * 8][16];
        for (int lane = 0; lane < WARP; lane++) {
            const MmaSlot* s = static_cast<MmaSlot*>(w->slots[lane]);
            int row = lane / 4, column = lane % 4 * 2;
            // The register has the numbers from now on, since the rows of a load are not kept for ever.
            auto put = [&](float* to, Fragment& f) {
                f = resolve(f, lane);
                to[0] = number(f.bits, 0), to[1] = number(f.bits, 1);
            };
            for (int i = 0; i < m; i++)
                for (int r = 0; r < 4; r++) put(&left[i * 16 + row + r % 2 * 8][column + r / 2 * 8], s->a[i * 4 + r]);
            for (int j = 0; j < n; j++)
                for (int r = 0; r < 2; r++) put(&right[j * 8 + row][column + r * 8], s->b[j * 2 + r]);
        }
        for (int lane = 0; lane < WARP; lane++) {
            const MmaSlot* s = static_cast<MmaSlot*>(w->slots[lane]);
            for (int i = 0; i < m; i++)
                for (int j = 0; j < n; j++)
                    for (int r = 0; r < 4; r++) {
                        const float *x = left[i * 16 + lane / 4 + r / 2 * 8], *y = right[j * 8 + lane % 4 * 2 + r % 2];
                        float sum = 0;
                        for (int k = 0; k < 16; k++) sum += x[k] * y[k];
                        s->d[(i * n + j) * 4 + r] += sum;
                    }
        }
    });
}

}  // namespace emulator
