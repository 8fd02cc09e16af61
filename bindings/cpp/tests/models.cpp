// Models and images from memory and from open files, progress, features, log messages, and several threads.
#include "check.hpp"

#include <atomic>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#ifndef _WIN32
#include <fcntl.h>
#include <unistd.h>
#endif

static sam2::prompt click() {
    sam2::prompt p;
    p.points = {{77, 400}};
    return p;
}

static void sources(const std::string& folder) {
    std::string path = folder + "/sam2.1_hiera_demo.safetensors";
    std::ifstream file(path, std::ios::binary);
    std::vector<std::uint8_t> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.config_yaml = "sam2.1_hiera_demo";
    auto side = TAKE(TAKE(sam2::model::load(folder)).info()).image_size;
    CHECK(TAKE(TAKE(sam2::model::load_memory(bytes, options)).info()).image_size == side);
    CHECK(status_of([&] { return sam2::model::load_memory({bytes.data(), 100}, options); }) == SAM2_ERROR_MODEL);
#ifndef _WIN32
    int fd = open(path.c_str(), O_RDONLY);
    CHECK(TAKE(TAKE(sam2::model::load_fd(fd, 0, 0, options)).info()).image_size == side);
    close(fd);
#endif
    // Loading tells how far it is, and can be ended.
    float last = 0;
    int calls = 0;
    auto forwards = [&](float fraction) { return calls++, fraction >= last && (last = fraction) <= 1; };
    CHECK(TAKE(TAKE(sam2::model::load_until(folder, forwards)).info()).image_size == side && last == 1 && calls > 10);
    calls = 0;
    CHECK(status_of([&] { return sam2::model::load_until(folder, [&](float) { return ++calls < 3; }); }) == SAM2_ERROR_CANCELLED);
    CHECK(calls == 3);
    try {
        (void)sam2::model::load_until(folder, [&](float) -> bool { throw ++calls; });
    } catch (int thrown) {
        CHECK(thrown == 4);
    }
    CHECK(calls == 4);
    sam2::time_limit none(0);
    CHECK(status_of([&] { return sam2::model::load(folder); }) == SAM2_ERROR_TIMED_OUT);
}

static void pictures(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::vector<std::uint8_t> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    auto read = TAKE(sam2::picture::read(path)), decoded = TAKE(sam2::picture::decode(bytes));
    auto a = TAKE(read.image()), b = TAKE(decoded.image());
    CHECK(a.width == b.width && a.height == b.height && a.format == SAM2_FORMAT_RGB8 && b.format == a.format);
    CHECK(std::memcmp(a.planes[0], b.planes[0], std::size_t(3) * a.width * a.height) == 0);
    CHECK(status_of([&] { return sam2::picture::decode({bytes.data(), 9}); }) == SAM2_ERROR_IO);
}

// Calls that another thread ends.
static void cancelled(const sam2::model& model, const sam2_image& image) {
    auto predictor = TAKE(sam2::image_predictor::create(model));
    sam2_automatic_mask_generator_options options = SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT;
    auto generator = TAKE(sam2::automatic_mask_generator::create(model, options));
    std::atomic<bool> ended{false};
    std::thread other([&] {
        while (!ended) RUN(predictor.cancel()), RUN(generator.cancel());
    });
    // A call may begin and end between two cancellations.
    sam2_status one = SAM2_OK, all = SAM2_OK;
    while (one == SAM2_OK) one = status_of([&] { return predictor.set_image(image); });
    while (all == SAM2_OK) all = status_of([&] { return generator.generate(image); });
    ended = true;
    other.join();
    CHECK(one == SAM2_ERROR_CANCELLED && all == SAM2_ERROR_CANCELLED);
    RUN(predictor.set_image(image));
}

static void messages(const std::string& folder) {
    std::atomic<int> first{0}, second{0};
    auto count = [](std::atomic<int>& n) {
        return [&n](sam2_log_level level, const char* message) { n += level <= SAM2_LOG_DEBUG && *message; };
    };
    RUN(sam2::set_log_callback(SAM2_LOG_DEBUG, count(first)));
    TAKE(sam2::model::load(folder));
    int heard = first;
    RUN(sam2::set_log_callback(SAM2_LOG_DEBUG, count(second)));
    TAKE(sam2::model::load(folder));
    CHECK(heard > 0 && first == heard && second == heard);
    // A refused callback changes nothing. A callback cannot set another one.
    CHECK(status_of([&] { return sam2::set_log_callback(9, count(first)); }) == SAM2_ERROR_INVALID_ARGUMENT);
    std::atomic<int> refused{0};
    RUN(sam2::set_log_callback(SAM2_LOG_DEBUG, [&](sam2_log_level, const char*) {
        refused += status_of([] { return sam2::set_log_callback(SAM2_LOG_DEBUG, nullptr); }) == SAM2_ERROR_INVALID_ARGUMENT;
    }));
    TAKE(sam2::model::load(folder));
    RUN(sam2::set_log_callback(SAM2_LOG_DEBUG, nullptr));
    TAKE(sam2::model::load(folder));
    CHECK(refused == heard && first == heard && second == heard);
}

static void features(const sam2::model& model, const sam2_image& image) {
    auto one = TAKE(sam2::image_predictor::create(model)), other = TAKE(sam2::image_predictor::create(model));
    RUN(one.set_image(image));
    auto want = TAKE(one.predict(click()));
    CHECK(TAKE(one.get_features()).values.size() > 0);
    auto kept = TAKE(one.take_features());
    CHECK(TAKE(kept.bytes()) > 0 && TAKE(one.info()).num_images == 0);
    CHECK(status_of([&] { return one.predict(click()); }) == SAM2_ERROR_INVALID_ARGUMENT);
    // Features that are refused remain.
    auto video = TAKE(sam2::video_predictor::create_stream(model));
    TAKE(video.push_frame(image));
    CHECK(status_of([&] { return video.set_features(std::move(kept)); }) == SAM2_ERROR_INVALID_ARGUMENT);
    RUN(other.set_features(std::move(kept)));
    CHECK(TAKE(other.predict(click())).masks == want.masks);
    CHECK(kept.get() == nullptr);
    CHECK(status_of([&] { return one.set_features(std::move(kept)); }) == SAM2_ERROR_INVALID_HANDLE);
    RUN(video.set_features(TAKE(video.take_features(0))));
    TAKE(video.add_new_points_or_box(0, 1, click()));
}

static void threads(const sam2::model& model, const sam2_image& image) {
    auto shared = TAKE(sam2::image_predictor::create(model));
    RUN(shared.set_image(image));
    auto want = TAKE(shared.predict(click())).masks;
    std::atomic<int> different{0}, odd{0}, fine{0};
    // A predictor for each thread, and one for both.
    auto work = [&] {
        auto own = TAKE(sam2::image_predictor::create(model));
        for (int i = 0; i < 3; i++) {
            RUN(own.set_image(image));
            different += TAKE(own.predict(click())).masks != want;
        }
        for (int i = 0; i < 20; i++) {
            auto status = status_of([&] { return shared.predict(click()); });
            fine += status == SAM2_OK, odd += status != SAM2_OK && status != SAM2_ERROR_BUSY;
        }
    };
    std::thread a(work), b(work);
    a.join(), b.join();
    CHECK(different == 0 && odd == 0 && fine > 0);
    auto moved = std::move(shared);
    CHECK(status_of([&] { return shared.set_image(image); }) == SAM2_ERROR_INVALID_HANDLE);
    CHECK(TAKE(moved.predict(click())).masks == want);
    moved = std::move(shared);
    CHECK(moved.get() == nullptr);
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    sources(argv[1]);
    pictures(argv[2]);
    messages(argv[1]);
    auto model = TAKE(sam2::model::load(argv[1]));
    auto picture = TAKE(sam2::picture::read(argv[2]));
    auto image = TAKE(picture.image());
    features(model, image);
    cancelled(model, image);
    threads(model, image);
}
