// Products: out = rotation(activation(A W^T + bias)) + addend, group by group.
//
// A is (m, k) and W is (n, k). The rows of both are 16-byte aligned. The preparing kernels at the end bring other
// operands into that form. Tiles of A and W go through shared memory in stages of cp.async, and sums are f32 in
// registers. The finished tile goes through shared memory once more, so that the epilogue reads and writes whole
// sectors. Grid: (tiles of m, tiles of n, groups). Tiles are 128 x 64, with 64 of k and three stages in 72 KB of shared
// memory, three blocks per multiprocessor. On an H200 they are predicted to reach 13 to 21% of the tensor cores' peak.

#include "common.cuh"

enum { NO_ADDEND = 0, TENSOR = 1, UPSAMPLED = 2 };

struct LinearArgs {
    const void* a;
    const void* w;
    const float* bias;  // (groups, n), or null
    View out;           // (m, groups * n)
    View addend;        // as out; an upsampled addend is (h/2, w/2, n) for an output (h, w, n)
    int m, n, k;
    int lda, ldw;       // elements
    int a_group;        // elements from the columns of A of one group to those of the next
    int activation, addend_kind;
    int out_w;          // rows of an entry of out; w of an upsampled addend
    View x, y;          // for few rows: A is x + y, (m, groups * k) each; y is optional
    // Rotary position embedding of the first `rotated` columns. It excludes an addend.
    const float* rotation;  // (rotation_rows, rotation_columns): cosine and sine of each pair of columns, or null
    const int* lens;        // (entries): the number of rotated rows, or null for all
    int rotated, rotation_rows, rotation_columns;
    int groups;
};

// Cosine and sine for two pairs of columns, for rows `row`, `row` + STEP and so on.
template <int STEP> struct Rotations {
    int col, entry = 0, within = 0, from = 0;  // `from` is the row of the table

    DEVICE Rotations(const LinearArgs& a, int row, int col) : col(col) {
        if (!any(a)) return;
        entry = row / a.out_w, within = row % a.out_w, from = within % a.rotation_rows;
    }
    DEVICE bool any(const LinearArgs& a) const { return a.rotation && col < a.rotated; }
    // 1 and 0 for rows and columns that are not rotated.
    DEVICE uint4 next(const LinearArgs& a) {
        const uint32_t one = 0x3f800000;
        uint4 next = {one, 0, one, 0};
        if (!a.lens || within < a.lens[entry]) {
            const float* row = a.rotation + from * a.rotation_columns;
            uint2 pair = load8(row + col % a.rotation_columns);
            next.x = pair.x, next.y = pair.y;
            if (col + 2 < a.rotated) pair = load8(row + (col + 2) % a.rotation_columns), next.z = pair.x, next.w = pair.y;
        }
        within += STEP, from += STEP;
        if (within >= a.out_w) {
            entry += within / a.out_w, within %= a.out_w, from = within;
        }
        if (from >= a.rotation_rows) from %= a.rotation_rows;
        return next;
    }
};

// Writes the sums of a tile in shared memory, of `stride` floats a row, to rows and columns from (row0, col0). A thread
// keeps its four columns and takes two rows at a time.
template <int ROWS, int COLS, int THREADS>
DEVICE void apply_epilogue(const LinearArgs& a, const float* sums, int stride, int row0, int col0) {
    constexpr int QUADS = COLS / 4, PASS = THREADS / QUADS, TOGETHER = 2;
    static_assert(THREADS % QUADS == 0 && ROWS % (PASS * TOGETHER) == 0, "whole passes");
    int quad = thread_x() % QUADS, within = block_z() * a.n + col0 + quad * 4, n = min(4, a.n - col0 - quad * 4);
    if (n <= 0) return;
    float bias[4];
    UNROLL for (int j = 0; j < 4; j++) bias[j] = a.bias && j < n ? a.bias[within + j] : 0.0f;
    auto addend_at = [&](int row) {
        size_t from = row;
        if (a.addend_kind == UPSAMPLED)
            from = static_cast<size_t>(row / a.out_w / 2) * (a.out_w / 2) + row % a.out_w / 2;
        return from * a.addend.stride + within;
    };
    auto whole = [&](View v) { return aligned(address(v, within), 4 * bytes_of(v.dtype)) && v.stride % 4 == 0; };
    bool fast = n == 4 && whole(a.out) && (a.addend_kind == NO_ADDEND || whole(a.addend));
    Rotations<PASS> rotations(a, row0 + thread_x() / QUADS, within);
    bool rotate = rotations.any(a);
    KEEP_LOOP for (int start = thread_x() / QUADS; start < ROWS; start += PASS * TOGETHER) {
        uint4 words[TOGETHER] = {};
        if (fast && a.addend_kind != NO_ADDEND) {
            UNROLL for (int i = 0; i < TOGETHER; i++) {
                int row = row0 + start + i * PASS;
                if (row >= a.m) continue;
                const char* p = address(a.addend, addend_at(row));
                if (a.addend.dtype == F32) {
                    words[i] = load16(p);
                } else {
                    uint2 half = load8(p);
                    words[i].x = half.x, words[i].y = half.y;
                }
            }
        }
        if (rotate) {
            UNROLL for (int i = 0; i < TOGETHER; i++)
                if (row0 + start + i * PASS < a.m) words[i] = rotations.next(a);
        }
        Vec4 y[TOGETHER];
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            y[i] = vec4(load16(sums + (start + i * PASS) * stride + quad * 4));
            UNROLL for (int j = 0; j < 4; j++) y[i].v[j] += bias[j];
        }
        if (a.activation == GELU) {
            UNROLL for (int i = 0; i < TOGETHER; i++)
                UNROLL for (int j = 0; j < 4; j++) y[i].v[j] = activate(GELU, y[i].v[j]);
        } else if (a.activation != NO_ACTIVATION) {
            UNROLL for (int i = 0; i < TOGETHER; i++)
                UNROLL for (int j = 0; j < 4; j++) y[i].v[j] = activate(a.activation, y[i].v[j]);
        }
        if (rotate) {
            UNROLL for (int i = 0; i < TOGETHER; i++) {
                Vec4 t = vec4(words[i]);
                UNROLL for (int j = 0; j < 4; j += 2) {
                    float first = y[i].v[j], second = y[i].v[j + 1];
                    y[i].v[j] = first * t.v[j] - second * t.v[j + 1];
                    y[i].v[j + 1] = first * t.v[j + 1] + second * t.v[j];
                }
            }
        }
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            int row = row0 + start + i * PASS;
            if (row >= a.m) continue;
            if (a.addend_kind != NO_ADDEND) {
                Vec4 add;
                if (!fast)
                    add = load4(a.addend, addend_at(row), n);
                else if (a.addend.dtype == F32)
                    add = vec4(words[i]);
                else
                    add = vec4(uint2{words[i].x, words[i].y}, a.addend.dtype);
                UNROLL for (int j = 0; j < 4; j++) y[i].v[j] += add.v[j];
            }
            store4(a.out, static_cast<size_t>(row) * a.out.stride + within, y[i], n);
        }
    }
}

// Copies rows row0.. of a matrix, and the CHUNKS chunks of columns of step `step`, to a tile in shared memory, with zeros
// beyond its end.
template <int ROWS, int CHUNKS, int SIZE, int THREADS, class At>
DEVICE void fetch(At at, const void* matrix, size_t stride, int row0, int rows, int step, int k) {
    for (int i = thread_x(); i < ROWS * CHUNKS; i += THREADS) {
        int row = row0 + i / CHUNKS, col = (step * CHUNKS + i % CHUNKS) * (16 / SIZE);
        int bytes = row < rows ? min(max((k - col) * SIZE, 0), 16) : 0;
        const char* from = static_cast<const char*>(matrix);
        if (bytes > 0) from += (row * stride + col) * SIZE;
        copy_async16(at(i / CHUNKS, i % CHUNKS), from, bytes);
    }
}

// Copies ROWS rows of 64 columns per step. A thread copies the same chunk of rows that are PASS apart.
template <class T, int ROWS, int THREADS> struct Panel {
    static constexpr int CHUNKS = 8, PASS = THREADS / CHUNKS;
    const T* from;  // this thread's chunk of its first row
    int stride, rows, left;  // remaining rows and columns, counted from this thread's first

    DEVICE Panel(const void* matrix, int stride, int row0, int rows, int k) : stride(stride) {
        int row = row0 + thread_x() / CHUNKS, c = thread_x() % CHUNKS * 8;
        from = static_cast<const T*>(matrix) + static_cast<size_t>(row) * stride + c;
        this->rows = rows - row, left = k - c;
    }
    // Copies the next panel, with zeros beyond the matrix.
    DEVICE void fetch(Tile<CHUNKS * 16> to) {
        int bytes = min(max(left, 0), 8) * 2, row = thread_x() / CHUNKS, c = thread_x() % CHUNKS;
        UNROLL for (int i = 0; i < ROWS; i += PASS)
            copy_async16(to.at(row + i, c), from + static_cast<int64_t>(i) * stride, i < rows ? bytes : 0);
        from += 64, left -= 64;
    }
};

// A tile of BM x BN by WM x WN warps, 64 of k at a time in three stages, 16-bit operands.
template <class T, int BM, int BN, int WM, int WN> DEVICE void linear16(const LinearArgs& a) {
    constexpr int THREADS = WM * WN * 32, M = BM / WM / 16, N = BN / WN / 8, STAGES = 3, ROW = 128;
    typedef Tile<ROW> Operand;
    constexpr int STAGE = (BM + BN) * ROW;
    char* shared = shared_memory();
    int row0 = block_x() * BM, col0 = block_y() * BN, warp = thread_x() / 32, lane = thread_x() % 32;
    const T* left = static_cast<const T*>(a.a) + static_cast<size_t>(block_z()) * a.a_group;
    const T* right = static_cast<const T*>(a.w) + static_cast<size_t>(block_z()) * a.n * a.ldw;
    Panel<T, BM, THREADS> x(left, a.lda, row0, a.m, a.k);
    Panel<T, BN, THREADS> y(right, a.ldw, col0, a.n, a.k);
    int steps = (a.k + 63) / 64, fetched = 0;
    auto fetch_step = [&] {
        if (fetched < steps) {
            Operand to = {shared + fetched % STAGES * STAGE};
            x.fetch(to);
            y.fetch(Operand{to.base + BM * ROW});
        }
        fetched++;
        copy_commit();
    };
    UNROLL for (int step = 0; step < STAGES - 1; step++) fetch_step();
    float sums[M][N][4] = {};
    int wm = warp / WN * (BM / WM), wn = warp % WN * (BN / WN);
    KEEP_LOOP for (int step = 0; step < steps; step++) {
        copy_wait<STAGES - 2>();
        barrier();
        fetch_step();
        Operand x = {shared + step % STAGES * STAGE}, y = {x.base + BM * ROW};
        UNROLL_2 for (int c = 0; c < 8; c += 2) {  // unrolled fully, it takes one register too many on sm_80
            Fragment left[M][4], right[N][2];
            UNROLL for (int i = 0; i < M; i++) load_a(left[i], x, wm + i * 16, c);
            load_b(right, y, wn, c);
            mma<T>(sums, left, right);
        }
    }
    copy_wait<0>();
    barrier();
    constexpr int STRIDE = BN + 8;
    float* tile = reinterpret_cast<float*>(shared);
    UNROLL for (int i = 0; i < M; i++)
        UNROLL for (int j = 0; j < N; j++)
            UNROLL for (int r = 0; r < 4; r += 2) {
                int row = wm + i * 16 + lane / 4 + r / 2 * 8, col = wn + j * 8 + lane % 4 * 2;
                store_pair(tile + row * STRIDE + col, sums[i][j][r], sums[i][j][r + 1]);
            }
    barrier();
    apply_epilogue<BM, BN, THREADS>(a, tile, STRIDE, row0, col0);
}

// A tile of 64 x 64 by 256 threads, each 4 x 4, 16 of k at a time, f32.
DEVICE void linear32(const LinearArgs& a) {
    constexpr int SIDE = 64, THREADS = 256, ROW = 20, STAGE = 2 * SIDE * ROW, STAGES = 4;
    float* shared = reinterpret_cast<float*>(shared_memory());
    int row0 = block_x() * SIDE, col0 = block_y() * SIDE, ty = thread_x() / 16, tx = thread_x() % 16;
    const float* left = static_cast<const float*>(a.a) + static_cast<size_t>(block_z()) * a.a_group;
    const float* right = static_cast<const float*>(a.w) + static_cast<size_t>(block_z()) * a.n * a.ldw;
    int steps = (a.k + 15) / 16;
    auto fetch_step = [&](int step) {
        if (step < steps) {
            float *x = shared + step % STAGES * STAGE, *y = x + SIDE * ROW;
            fetch<SIDE, 4, 4, THREADS>([&](int r, int c) { return x + r * ROW + c * 4; }, left, a.lda, row0, a.m, step, a.k);
            fetch<SIDE, 4, 4, THREADS>([&](int r, int c) { return y + r * ROW + c * 4; }, right, a.ldw, col0, a.n, step, a.k);
        }
        copy_commit();
    };
    UNROLL for (int step = 0; step < STAGES - 1; step++) fetch_step(step);
    float sums[4][4] = {};
    for (int step = 0; step < steps; step++) {
        copy_wait<STAGES - 2>();
        barrier();
        fetch_step(step + STAGES - 1);
        View x = {shared + step % STAGES * STAGE, 0, F32}, y = {shared + step % STAGES * STAGE + SIDE * ROW, 0, F32};
        UNROLL for (int k = 0; k < 16; k += 4) {
            Vec4 l[4], r[4];
            UNROLL for (int i = 0; i < 4; i++) l[i] = load4(x, (ty + 16 * i) * ROW + k, 4);
            UNROLL for (int j = 0; j < 4; j++) r[j] = load4(y, (tx + 16 * j) * ROW + k, 4);
            UNROLL for (int i = 0; i < 4; i++)
                UNROLL for (int j = 0; j < 4; j++)
                    UNROLL for (int c = 0; c < 4; c++) sums[i][j] = fmaf(l[i].v[c], r[j].v[c], sums[i][j]);
        }
    }
    copy_wait<0>();
    barrier();
    constexpr int STRIDE = SIDE + 4;
    UNROLL for (int i = 0; i < 4; i++)
        UNROLL for (int j = 0; j < 4; j++) shared[(ty + 16 * i) * STRIDE + tx + 16 * j] = sums[i][j];
    barrier();
    apply_epilogue<SIDE, SIDE, THREADS>(a, shared, STRIDE, row0, col0);
}

// Products of few rows, such as the tokens of prompts, in f32. W is most of the data. The order of a sum depends only on
// k, a multiple of 4.
//
// Adds products of columns first, first + STEP, and so on, four at a time: ROWS rows of a group of A, from row0 on, by
// COLS rows of W. With SUM, A is x + y. If lanes divide k, the warps of a block go through it together: what a warp loads
// is then in the L1 cache for the others.
template <bool SUM, int STEP, int ROWS, int COLS>
DEVICE void few_rows(float (&sums)[ROWS][COLS], const LinearArgs& a, int row0, int group, const float* const (&w)[COLS],
                     int first) {
    const float* x = static_cast<const float*>(a.x.p) + group * a.k;
    const float* y = static_cast<const float*>(a.y.p) + group * a.k;
    auto multiply = [&](int k) {
        Vec4 columns[COLS], rows[ROWS];
        int last = computed_again(a.m - 1);
        UNROLL for (int j = 0; j < COLS; j++) columns[j] = vec4(load16(w[j] + k));
        UNROLL for (int i = 0; i < ROWS; i++) rows[i] = vec4(load16(x + k + min(row0 + i, last) * a.x.stride));
        if (SUM) {
            UNROLL for (int i = 0; i < ROWS; i++) {
                Vec4 more = vec4(load16(y + k + min(row0 + i, last) * a.y.stride));
                UNROLL for (int c = 0; c < 4; c++) rows[i].v[c] += more.v[c];
            }
        }
        UNROLL for (int i = 0; i < ROWS; i++)
            UNROLL for (int j = 0; j < COLS; j++)
                UNROLL for (int c = 0; c < 4; c++) sums[i][j] = fmaf(rows[i].v[c], columns[j].v[c], sums[i][j]);
    };
    if (STEP == 4) {
        UNROLL_4 for (int k = 0; k < a.k; k += STEP) multiply(k);
    } else {
        KEEP_LOOP for (int start = 0; start < a.k; start += STEP) {
            barrier();
            if (row0 < a.m && start + first < a.k) multiply(start + first);
        }
    }
}

// Adds up 2 BIT sums of each lane over the lanes of a warp. Lane i is left with sum i, in sums[0]. In each step a lane
// gives away half of its sums.
template <int BIT> DEVICE void add_over_warp(float* sums) {
    bool upper = thread_x() & BIT;
    UNROLL for (int i = 0; i < BIT; i++) {
        float keep = upper ? sums[i + BIT] : sums[i], give = upper ? sums[i] : sums[i + BIT];
        sums[i] = keep + shuffle_xor(give, BIT);
    }
    if constexpr (BIT > 1) add_over_warp<BIT / 2>(sums);
}

// A block has four warps for each half of its rows. If k is up to FEW_COLUMNS, such as the width of a head, a thread
// computes one column of four rows, and the columns of all groups follow each other. Grid: (groups * n by 128, m by 8).
// Otherwise a warp computes four columns of eight rows, and its lanes divide k. Grid: (n by 16, m by 16, groups).
constexpr int FEW_COLUMNS = 32;  // as in linear.rs
KERNEL_SHARING(linear_few_rows_f32, LinearArgs, 256, 2) {
    int warp = thread_x() / 32, lane = thread_x() % 32;
    const float* all = static_cast<const float*>(a.w);
    auto bias = [&](int at) { return a.bias ? a.bias[at] : 0.0f; };
    auto addend = [&](int row, int at) {
        return a.addend_kind == TENSOR ? load1(a.addend, static_cast<size_t>(row) * a.addend.stride + at) : 0.0f;
    };
    auto store = [&](int row, int at, float sum, float add) {
        store1(a.out, static_cast<size_t>(row) * a.out.stride + at, activate(a.activation, sum) + add);
    };
    if (a.k <= FEW_COLUMNS) {
        constexpr int ROWS = 4;
        int at = block_x() * 128 + thread_x() % 128, row0 = (block_y() * 2 + warp / 4) * ROWS;
        if (row0 >= a.m || at >= a.groups * a.n) return;
        float sums[ROWS][1] = {}, more = bias(at);
        const float* const w[1] = {all + static_cast<size_t>(at) * a.ldw};
        if (a.y.p)
            few_rows<true, 4>(sums, a, row0, at / a.n, w, 0);
        else
            few_rows<false, 4>(sums, a, row0, at / a.n, w, 0);
        UNROLL for (int i = 0; i < ROWS; i++)
            if (row0 + i < a.m) store(row0 + i, at, sums[i][0] + more, addend(row0 + i, at));
        return;
    }
    constexpr int ROWS = 8, COLS = 4;
    int row0 = (block_y() * 2 + warp / 4) * ROWS, col0 = block_x() * 16 + warp % 4 * COLS, first = block_z() * a.n;
    int row = row0 + lane / COLS, col = col0 + lane % COLS;
    bool there = row < a.m && col < a.n;
    float more = there ? bias(first + col) : 0.0f, add = there ? addend(row, first + col) : 0.0f;
    float sums[ROWS][COLS] = {};
    const float* w[COLS];
    UNROLL for (int j = 0; j < COLS; j++) w[j] = all + static_cast<size_t>(first + min(col0 + j, a.n - 1)) * a.ldw;
    if (a.y.p)
        few_rows<true, 128>(sums, a, row0, block_z(), w, lane * 4);
    else
        few_rows<false, 128>(sums, a, row0, block_z(), w, lane * 4);
    float* flat = &sums[0][0];
    add_over_warp<16>(flat);
    if (there) store(row, first + col, flat[0] + more, add);
}

KERNEL(linear_f32, LinearArgs, 256) { linear32(a); }
KERNEL_SHARING(linear_bf16, LinearArgs, 256, 3) { linear16<bf16, 128, 64, 4, 2>(a); }
KERNEL_SHARING(linear_f16, LinearArgs, 256, 3) { linear16<f16, 128, 64, 4, 2>(a); }
KERNEL(linear_small_bf16, LinearArgs, 128) { linear16<bf16, 64, 64, 2, 2>(a); }
KERNEL(linear_small_f16, LinearArgs, 128) { linear16<f16, 64, 64, 2, 2>(a); }

// ---- preparing A -----------------------------------------------------------------------------------------------

struct RowsArgs {
    View out;  // (rows, groups * padded)
    View x, y; // (rows, groups * k); y is optional
    int rows, groups, k, padded;
};

// out = x + y, with the columns of each group padded with zeros to a multiple of 4. Grid: quads of elements by 256.
KERNEL(prepare_rows, RowsArgs, 256) {
    int quads = a.groups * a.padded / 4;
    int i = block_x() * 256 + thread_x(), at = i / quads;
    if (at >= a.rows) return;
    size_t row = at;
    int col = i % quads * 4, group = col / a.padded, within = col % a.padded;
    int n = min(4, a.k - within);
    Vec4 v = {{0, 0, 0, 0}};
    if (n > 0) {
        v = load4(a.x, row * a.x.stride + group * a.k + within, n);
        if (a.y.p) {
            Vec4 w = load4(a.y, row * a.y.stride + group * a.k + within, n);
            UNROLL for (int j = 0; j < 4; j++) v.v[j] += w.v[j];
        }
    }
    store4(a.out, row * a.out.stride + col, v, 4);
}

struct PatchesArgs {
    View out;  // (images * out_h * out_w, padded)
    View x;    // (images, h, w, c)
    int rows, h, w, c, out_h, out_w;
    int kernel, stride, pad, padded;
};

// Rows of patches, (kernel, kernel, c), with zeros beyond the map and beyond k. Rows of x are contiguous. So a row of a
// patch is a row of numbers of the map, some of which are beyond its left or right. Grid: eight elements by 256.
KERNEL(prepare_patches, PatchesArgs, 256) {
    int parts = (a.padded + 7) / 8;
    int i = block_x() * 256 + thread_x(), row = i / parts, col = i % parts * 8;
    if (row >= a.rows) return;
    int out_y = row / a.out_w, image = out_y / a.out_h;
    int width = a.kernel * a.c, ky = col / width, y = (out_y - image * a.out_h) * a.stride - a.pad + ky;
    int within = col - ky * width, start = ((row - out_y * a.out_w) * a.stride - a.pad) * a.c, line = a.w * a.c;
    size_t from = (static_cast<size_t>(image) * a.h + y) * line + start + within;
    UNROLL for (int part = 0; part < 8; part += 4) {
        if (col + part >= a.padded) return;
        Vec4 v;
        UNROLL for (int j = 0; j < 4; j++) {
            bool inside = ky < a.kernel && static_cast<unsigned>(y) < static_cast<unsigned>(a.h) &&
                          static_cast<unsigned>(start + within) < static_cast<unsigned>(line);
            v.v[j] = inside ? load1(a.x, from) : 0.0f;
            from++;
            if (++within == width) within = 0, ky++, y++, from += line - width;
        }
        store4(a.out, static_cast<size_t>(row) * a.out.stride + col + part, v, 4);
    }
}

struct ConvArgs {
    View out;     // (images, out_h, out_w, n)
    View x;       // (images, h, w, c)
    View weights; // (n, kernel, kernel, c)
    View addend;  // as out, or none
    const float* bias;  // (n), or null
    int h, w, c, out_h, out_w, n;
    int kernel, stride, pad, activation;
};

// A convolution of few channels, up to N, such as the first ones of mask downsampling. A thread computes a pixel of the
// result, in f32. Shared memory holds the weights (kernel, kernel, c, N). Grid: (pixels by 256, images).
template <int N> DEVICE void conv_few(const ConvArgs& a) {
    float* weights = reinterpret_cast<float*>(shared_memory());
    for (int i = thread_x(); i < a.kernel * a.kernel * a.c * N; i += 256)
        weights[i] = i % N < a.n ? load1(a.weights, static_cast<size_t>(i % N) * a.weights.stride + i / N) : 0.0f;
    barrier();
    int at = block_x() * 256 + thread_x(), image = block_y();
    if (at >= a.out_h * a.out_w) return;
    int y0 = at / a.out_w * a.stride - a.pad, x0 = at % a.out_w * a.stride - a.pad;
    float sums[N];
    UNROLL for (int j = 0; j < N; j++) sums[j] = a.bias && j < a.n ? a.bias[j] : 0.0f;
    KEEP_LOOP for (int i = 0; i < a.kernel * a.kernel; i++) {
        int y = y0 + i / a.kernel, x = x0 + i % a.kernel;
        if (y < 0 || y >= a.h || x < 0 || x >= a.w) continue;
        size_t from = ((static_cast<size_t>(image) * a.h + y) * a.w + x) * a.x.stride;
        KEEP_LOOP for (int c = 0; c < a.c; c += 4) {
            Vec4 v = load4(a.x, from + c, min(4, a.c - c));
            UNROLL for (int k = 0; k < 4; k++) {
                if (c + k >= a.c) continue;
                UNROLL for (int j = 0; j < N; j += 4) {
                    Vec4 w = vec4(load16(weights + (i * a.c + c + k) * N + j));
                    UNROLL for (int r = 0; r < 4; r++) sums[j + r] = fmaf(v.v[k], w.v[r], sums[j + r]);
                }
            }
        }
    }
    size_t pixel = static_cast<size_t>(image) * a.out_h * a.out_w + at;
    UNROLL for (int j = 0; j < N; j += 4) {
        int n = min(4, a.n - j);
        if (n <= 0) continue;
        Vec4 y;
        UNROLL for (int r = 0; r < 4; r++) y.v[r] = activate(a.activation, sums[j + r]);
        if (a.addend.p) {
            Vec4 add = load4(a.addend, pixel * a.addend.stride + j, n);
            UNROLL for (int r = 0; r < 4; r++) y.v[r] += add.v[r];
        }
        store4(a.out, pixel * a.out.stride + j, y, n);
    }
}
KERNEL(conv_few_4, ConvArgs, 256) { conv_few<4>(a); }
KERNEL(conv_few_16, ConvArgs, 256) { conv_few<16>(a); }
