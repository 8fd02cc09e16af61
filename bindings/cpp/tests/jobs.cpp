// Jobs of images and videos: their results, their ends, and objects that are destroyed in any order.
#include "check.hpp"

#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>

static sam2::prompt click(float x, float y) {
    sam2::prompt p;
    p.points = {{x, y}};
    return p;
}

static std::vector<std::uint8_t> pixels(640 * 480 * 3, 90);

static sam2_image gray() {
    sam2_image i = SAM2_IMAGE_INIT;
    i.width = 640, i.height = 480, i.planes[0] = pixels.data();
    return i;
}

// The job of a camera, its results and its predictor, as members in each order.
struct job_first {
    std::optional<sam2::job<sam2::frame_masks>> job;
    sam2::frame_masks out;
    std::optional<sam2::video_predictor> video;
};
struct job_between {
    sam2::frame_masks out;
    std::optional<sam2::job<sam2::frame_masks>> job;
    std::optional<sam2::video_predictor> video;
};
struct job_last {
    std::optional<sam2::video_predictor> video;
    sam2::frame_masks out;
    std::optional<sam2::job<sam2::frame_masks>> job;
};

// Leaves a camera in the middle of a frame. Its predictor is destroyed, whichever member is destroyed first.
template <class Camera> static void leave(const sam2::model& model) {
    sam2_video_predictor* handle = nullptr;
    try {
        Camera c{};
        c.video.emplace(TAKE(sam2::video_predictor::create_stream(model)));
        handle = c.video->get();
        TAKE(c.video->push_frame(gray()));
        TAKE(c.video->add_new_points_or_box(0, 1, click(100, 100)));
        c.job.emplace(TAKE(c.video->push_frame_async(gray())));
        throw std::runtime_error("the application's");
    } catch (const std::runtime_error& e) {
        CHECK(e.what() == std::string("the application's"));
    }
    CHECK(sam2_video_predictor_cancel(handle) == SAM2_ERROR_INVALID_HANDLE);
}

static void images(const sam2::model& model, const sam2_image& image) {
    auto predictor = TAKE(sam2::image_predictor::create(model));
    RUN(TAKE(predictor.set_image_async(image)).get());
    sam2::prompt prompts[] = {click(77, 400), click(300, 200)};
    auto want = TAKE(predictor.predict(prompts, false));
    auto same = [&](const sam2::prediction& p) {
        return p.masks == want.masks && p.iou_predictions == want.iou_predictions && p.low_res_masks == want.low_res_masks;
    };
    CHECK(same(TAKE(TAKE(predictor.predict_async(prompts, false)).get())));
    CHECK(same(TAKE(TAKE(predictor.predict_async({prompts[0], prompts[1]}, false)).get())));
    CHECK(TAKE(TAKE(predictor.predict_async(prompts[0])).get()).iou_predictions.size() == 3);
    std::vector<std::uint8_t> masks(want.masks.size());
    auto buffer = sam2::mask_buffer::binary(masks);
    auto into = TAKE(TAKE(predictor.predict_into_async(prompts, buffer, false)).get());
    CHECK(masks == want.masks && into.masks.empty() && into.iou_predictions == want.iou_predictions);
    // Errors are found before the job starts, or by it.
    auto wrong = prompts[0];
    wrong.mask_width = wrong.mask_height = 5;
    CHECK(status_of([&] { return predictor.predict_async(wrong); }) == SAM2_ERROR_INVALID_ARGUMENT);
    auto job = TAKE(predictor.predict_async(prompts, false));
    auto busy = status_of([&] { return predictor.predict(prompts); });
    CHECK(busy == SAM2_ERROR_BUSY || busy == SAM2_OK);
    // The end of the predictor ends the job.
    { auto gone = std::move(predictor); }
    auto ended = status_of([&] { return job.get(); });
    CHECK(ended == SAM2_OK || ended == SAM2_ERROR_CANCELLED);
}

static void videos(const sam2::model& model, const char* frames) {
    auto video = TAKE(sam2::video_predictor::open(model, frames));
    TAKE(video.add_new_points_or_box(0, 1, click(208, 249)));
    std::vector<std::vector<float>> want, got;
    auto keep = [](std::vector<std::vector<float>>& to) {
        return [&to](const sam2::frame_masks& f) { return to.push_back(f.masks), true; };
    };
    RUN(video.propagate_in_video(keep(want), 0, 3));
    auto job = TAKE(video.propagate_in_video_async(keep(got), 0, 3));
    RUN(job.get());
    CHECK(want.size() == 4 && got == want);

    // Ended by its callback, by an exception and by another thread.
    std::atomic<int> seen{0};
    RUN(TAKE(video.propagate_in_video_async([&](const sam2::frame_masks&) { return ++seen < 2; })).get());
    CHECK(seen == 2);
    auto angry = TAKE(video.propagate_in_video_async([](const sam2::frame_masks&) -> bool { throw 5; }));
    int thrown = 0;
    try {
        RUN(angry.get());
    } catch (int e) {
        thrown = e;
    }
    CHECK(thrown == 5);
    seen = 0;
    auto cancelled = TAKE(video.propagate_in_video_async([&](const sam2::frame_masks&) { return ++seen, true; }));
    while (!seen) CHECK(!TAKE(cancelled.wait(1)) || seen);
    RUN(video.cancel());
    CHECK(status_of([&] { return cancelled.get(); }) == SAM2_ERROR_CANCELLED);

    // By the job, by a limit, and by the end of the predictor. A job owns its callback.
    auto count = std::make_shared<std::atomic<int>>(0);
    auto forever = [count](const sam2::frame_masks&) { return ++*count, true; };
    auto late = TAKE(video.propagate_in_video_async(forever));
    RUN(late.cancel());
    CHECK(status_of([&] { return late.get(); }) == SAM2_ERROR_CANCELLED);
    {
        sam2::time_limit none(0);
        late = TAKE(video.propagate_in_video_async(forever));
    }
    CHECK(status_of([&] { return late.get(); }) == SAM2_ERROR_TIMED_OUT);
    late = TAKE(video.propagate_in_video_async(forever));
    { auto gone = std::move(video); }
    CHECK(status_of([&] { return late.get(); }) == SAM2_ERROR_CANCELLED);
    CHECK(count.use_count() == 3);
    // A job that is replaced is destroyed.
    auto predictor = TAKE(sam2::image_predictor::create(model));
    late = TAKE(predictor.set_image_async(gray()));
    CHECK(count.use_count() == 2);
    RUN(late.get());
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    auto model = TAKE(sam2::model::load(argv[1]));
    auto picture = TAKE(sam2::picture::read(argv[2]));
    images(model, TAKE(picture.image()));
    videos(model, argv[3]);
    leave<job_first>(model);
    leave<job_between>(model);
    leave<job_last>(model);
}
