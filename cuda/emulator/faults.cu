// Kernels with one mistake each, which the emulator must find.

#include "tiles.cuh"

struct FaultArgs {
    float* out;
    const float* in;
    int n;
};

KERNEL(fault_none, FaultArgs, 64) {
    float* shared = reinterpret_cast<float*>(shared_memory());
    shared[thread_x()] = a.in[thread_x()];
    barrier();
    a.out[thread_x()] = shared[63 - thread_x()];
}
KERNEL(fault_missing_barrier, FaultArgs, 64) {
    float* shared = reinterpret_cast<float*>(shared_memory());
    shared[thread_x()] = a.in[thread_x()];
    a.out[thread_x()] = shared[63 - thread_x()];
}
// The lanes of a warp do not run in step either.
KERNEL(fault_missing_warp_barrier, FaultArgs, 64) {
    float* shared = reinterpret_cast<float*>(shared_memory());
    shared[thread_x()] = a.in[thread_x()];
    a.out[thread_x()] = shared[thread_x() ^ 1];
}
// The second tile overwrites the first while other threads still read it.
KERNEL(fault_early_overwrite, FaultArgs, 64) {
    float* shared = reinterpret_cast<float*>(shared_memory());
    float sum = 0;
    for (int i = 0; i < 2; i++) {
        shared[thread_x()] = a.in[thread_x()];
        barrier();
        sum += shared[63 - thread_x()];
    }
    a.out[thread_x()] = sum;
}
KERNEL(fault_off_by_one, FaultArgs, 64) {
    if (thread_x() < a.n) a.out[thread_x() + 1] = 1;
}
KERNEL(fault_beyond_shared, FaultArgs, 64) {
    reinterpret_cast<float*>(shared_memory())[thread_x() + 1] = 1;
}
KERNEL(fault_unwritten_shared, FaultArgs, 64) {
    a.out[thread_x()] = reinterpret_cast<float*>(shared_memory())[thread_x()];
}
KERNEL(fault_unwritten_global, FaultArgs, 64) { a.out[thread_x()] = a.out[thread_x()] + 1; }
KERNEL(fault_unwaited_copy, FaultArgs, 64) {
    char* shared = shared_memory();
    if (thread_x() < 16) copy_async16(shared + thread_x() * 16, a.in + thread_x() * 4, 16);
    copy_commit();
    barrier();
    a.out[thread_x()] = reinterpret_cast<float*>(shared)[thread_x()];
    copy_wait<0>();
}
KERNEL(fault_abandoned_copy, FaultArgs, 64) {
    if (thread_x() < 16) copy_async16(shared_memory() + thread_x() * 16, a.in + thread_x() * 4, 16);
    copy_commit();
}
KERNEL(fault_divergent_barrier, FaultArgs, 64) {
    if (thread_x() < 32)
        barrier();
    else
        barrier();
}
KERNEL(fault_deadlock, FaultArgs, 64) {
    if (thread_x() < 63) barrier();
}
KERNEL(fault_divergent_warp, FaultArgs, 64) {
    float x = static_cast<float>(thread_x());
    if (thread_x() % 2)
        x = shuffle_xor(x, 1);
    else
        x = shuffle_xor(x, 2);
    a.out[thread_x()] = x;
}
KERNEL(fault_misaligned, FaultArgs, 64) {
    if (thread_x() == 0) store16(a.out + 1, uint4{0, 0, 0, 0});
}
KERNEL(fault_foreign_pointer, FaultArgs, 64) { reinterpret_cast<float*>(0x1000)[thread_x()] = 1; }

// The first warp multiplies the 16x16 numbers at `in` (16 bits each, rows of 32 bytes) with their transpose. The four
// sums of each lane go to `out`. SHIFT is added to the row that a lane loads of the left operand.
template <int SHIFT> DEVICE void product(const FaultArgs& a) {
    Tile<32> tile = {shared_memory()};
    int lane = thread_x();
    if (lane < 32) store16(tile.at(lane / 2, lane % 2), load16(a.in + lane * 4));
    barrier();
    if (lane >= 32) return;
    Fragment left[1][4], right[2][2];
    ldmatrix(left[0], tile.at((lane + SHIFT) & 15, lane >> 4));
    load_b(right, tile, 0, 0);
    float sums[1][2][4] = {};
    mma<bf16>(sums, left, right);
    a.out[lane] = sums[0][0][0] + sums[0][1][3] * 1000;
}
KERNEL(fault_none_product, FaultArgs, 64) { product<0>(a); }
KERNEL(fault_lane_address, FaultArgs, 64) { product<1>(a); }
// Some lanes load one matrix more than others, so their loads no longer correspond.
KERNEL(fault_lanes_apart, FaultArgs, 64) {
    Tile<32> tile = {shared_memory()};
    int lane = thread_x();
    if (lane < 32) store16(tile.at(lane / 2, lane % 2), load16(a.in + lane * 4));
    barrier();
    if (lane >= 32) return;
    Fragment left[1][4], right[2][2];
    if (lane < 16) load_a(left[0], tile, 0, 0);
    load_a(left[0], tile, 0, 0);
    load_b(right, tile, 0, 0);
    float sums[1][2][4] = {};
    mma<bf16>(sums, left, right);
    a.out[lane] = sums[0][0][0];
}
KERNEL(fault_matrix_address, FaultArgs, 64) {
    Fragment r[4];
    ldmatrix(r, shared_memory() + 8);
}
KERNEL(fault_unwritten_matrix, FaultArgs, 64) {
    Fragment r[4];
    ldmatrix(r, shared_memory());
}
