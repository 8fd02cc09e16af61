// camera MODEL SOURCE X Y [--size WxH] [--frames N] [--overlay FOLDER]
//
// Tracks the object at pixel (X, Y) of the first frame. SOURCE is a folder of images, or a camera such as /dev/video0,
// a file or an address, which ffmpeg decodes and scales to --size (1280x720). Prints a line per frame: index,
// milliseconds, and left, top, right, bottom, area and score of the object, or "lost".
#include "overlay.hpp"

#include <chrono>
#include <cstdlib>
#include <iostream>

struct options {
    std::string model, source, overlay;
    float x = 0, y = 0;
    unsigned width = 1280, height = 720;
    long frames = -1;
};

static options parse(int argc, char** argv) {
    if (argc < 5) throw std::invalid_argument("camera MODEL SOURCE X Y [--size WxH] [--frames N] [--overlay FOLDER]");
    options o;
    o.model = argv[1], o.source = argv[2], o.x = std::stof(argv[3]), o.y = std::stof(argv[4]);
    for (int i = 5; i < argc; i += 2) {
        std::string name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
        if (name == "--size" && std::sscanf(value.c_str(), "%ux%u", &o.width, &o.height) == 2) continue;
        if (name == "--frames") o.frames = std::stol(value);
        else if (name == "--overlay" && !value.empty()) o.overlay = value;
        else throw std::invalid_argument(name + " " + value + ": not an option");
    }
    return o;
}

static void tell(const sam2::frame_masks& found, double ms) {
    std::printf("%llu %.1f ", static_cast<unsigned long long>(found.frame_idx), ms);
    if (found.lost[0]) {
        std::puts("lost");
    } else {
        auto [left, top, right, bottom] = found.boxes[0];
        auto area = static_cast<unsigned long long>(found.areas[0]);
        std::printf("%d %d %d %d %llu %.3f\n", left, top, right, bottom, area, found.object_score_logits[0]);
    }
    std::fflush(stdout);
}

static void run(const options& o) {
    auto model = sam2::model::load(o.model);
    std::unique_ptr<source> frames;
    if (std::filesystem::is_directory(o.source)) frames = std::make_unique<folder>(o.source);
    else frames = std::make_unique<ffmpeg>(o.source, o.width, o.height);
    if (!o.overlay.empty()) std::filesystem::create_directories(o.overlay);

    // One frame is tracked while the next one is read.
    frame pair[2];
    if (!frames->next(pair[0])) throw std::runtime_error("no frame");
    std::uint32_t width = pair[0].image.width, height = pair[0].image.height;
    std::vector<std::uint16_t> labels(std::size_t(width) * height);
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    buffer.format = SAM2_MASK_LABELS, buffer.data = labels.data(), buffer.size = labels.size() * sizeof labels[0];

    auto video = sam2::video_predictor::create_stream(model);
    video.reserve(1, width, height);
    sam2::prompt click;
    click.points = {{o.x, o.y}};
    for (long i = 0; i != o.frames; i++) {
        frame &current = pair[i % 2], &following = pair[(i + 1) % 2];
        auto start = std::chrono::steady_clock::now();
        bool more;
        sam2::frame_masks found;
        if (i == 0) {
            video.push_frame(current.image);
            found = video.add_new_points_or_box(0, 1, click, 0, &buffer);
            more = frames->next(following);
        } else {
            auto job = video.push_frame_async(current.image, &buffer);
            more = frames->next(following);
            found = job.get();
        }
        tell(found, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        char name[32];
        std::snprintf(name, sizeof name, "/%05ld.ppm", i);
        if (!o.overlay.empty()) write_overlay(o.overlay + name, current.image, labels);
        if (!more) break;
    }
}

int main(int argc, char** argv) {
    try {
        run(parse(argc, argv));
    } catch (const std::invalid_argument& e) {
        std::cerr << e.what() << '\n';
        return 2;
    } catch (const std::exception& e) {
        std::cerr << e.what() << '\n';
        return 1;
    }
}
