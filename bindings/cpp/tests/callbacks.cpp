// Exceptions of callbacks, and of allocations in them, are rethrown to the caller. The predictor remains usable.
#include "check.hpp"

#include <atomic>
#include <new>
#include <stdexcept>

// Size from which an allocation fails.
static std::atomic<std::size_t> limit{SIZE_MAX};

void* operator new(std::size_t n) {
    void* p = n < limit ? std::malloc(n) : nullptr;
    if (!p) throw std::bad_alloc();
    return p;
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

// Returns whether a call throws a `T`.
template <class T, class F> static bool throws(F call) {
    try {
        call();
    } catch (const T&) {
        return true;
    }
    return false;
}

// Returns whether it does if allocations of `bytes` or more fail.
template <class F> static bool runs_out(std::size_t bytes, F call) {
    limit = bytes;
    bool thrown = throws<std::bad_alloc>(call);
    limit = SIZE_MAX;
    return thrown;
}

int main(int, char** argv) {
    auto model = TAKE(sam2::model::load(argv[1]));
    auto picture = TAKE(sam2::picture::read(argv[2]));
    auto image = TAKE(picture.image());
    sam2::prompt click;
    click.points = {{208, 249}};

    auto video = TAKE(sam2::video_predictor::open(model, argv[3]));
    TAKE(video.add_new_points_or_box(0, 1, click));
    int seen = 0;
    auto third = [&](const sam2::frame_masks&) -> bool {
        if (++seen == 3) throw std::runtime_error("mine");
        return true;
    };
    CHECK(throws<std::runtime_error>([&] { (void)video.propagate_in_video(third); }) && seen == 3);
    CHECK(throws<int>([&] { (void)video.propagate_in_video([](const sam2::frame_masks&) -> bool { throw 5; }); }));
    RUN(video.propagate_in_video([&](const sam2::frame_masks&) { return ++seen < 5; }));
    CHECK(seen == 5);
    // The callbacks of the header copy a frame of 480x360 floats.
    CHECK(runs_out(100000, [&] { (void)video.add_new_points_or_box(0, 1, click); }));
    CHECK(runs_out(100000, [&] { (void)video.propagate_in_video([](const sam2::frame_masks&) { return true; }); }));
    CHECK(runs_out(100000, [&] { (void)video.save_state(); }));
    TAKE(video.add_new_points_or_box(0, 1, click));

    auto stream = TAKE(sam2::video_predictor::create_stream(model));
    TAKE(stream.push_frame(image));
    TAKE(stream.add_new_points_or_box(0, 1, click));
    CHECK(runs_out(100000, [&] { (void)stream.push_frame(image); }));
    auto fork = TAKE(stream.fork());
    auto push_both = [&] { (void)sam2::video_predictor::push_frames(std::array{&stream, &fork}, std::array{image, image}); };
    CHECK(runs_out(100000, push_both));
    auto job = TAKE(stream.push_frame_async(image));
    CHECK(TAKE(job.get()).areas.size() == 1);
    limit = 100000;
    auto late = TAKE(stream.push_frame_async(image));
    CHECK(throws<std::bad_alloc>([&] { (void)late.wait(); }) && throws<std::bad_alloc>([&] { (void)late.get(); }));
    limit = SIZE_MAX;
    CHECK(TAKE(stream.push_frame(image)).areas.size() == 1);

    sam2_automatic_mask_generator_options grid = SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT;
    grid.points_per_side = 4, grid.pred_iou_thresh = 0.5f, grid.stability_score_thresh = 0.5f;
    auto generator = TAKE(sam2::automatic_mask_generator::create(model, grid));
    auto angry = [](std::uint64_t, std::uint64_t, std::uint64_t) -> bool { throw std::runtime_error("mine"); };
    CHECK(throws<std::runtime_error>([&] { (void)generator.generate_until(image, angry); }));
    CHECK(runs_out(200, [&] { (void)generator.generate(image); }));
    CHECK(!TAKE(generator.generate(image)).empty());

    // The results of an abandoned job outlive an exception.
    CHECK(throws<std::runtime_error>([&] {
        auto forgotten = TAKE(stream.push_frame_async(image));
        throw std::runtime_error("the application's");
    }));
    auto first = TAKE(stream.push_frame_async(image));
    first = TAKE(fork.push_frame_async(image));
    CHECK(TAKE(first.get()).obj_ids.size() == 1);
}
