#define SAM2_CPP_EXCEPTIONS
#include <sam2.hpp>

#include <cstdio>
#include <cstdlib>

// usage MODEL IMAGE FRAMES X Y MASK.png: segments the object at (X, Y) of an image, and tracks it through a video.
int main(int argc, char** argv) try {
    if (argc != 7) return 2;
    auto model = sam2::model::load(argv[1]);
    auto picture = sam2::picture::read(argv[2]);
    sam2_image image = picture.image();
    sam2::prompt click;
    click.points = {{std::strtof(argv[4], nullptr), std::strtof(argv[5], nullptr)}};

    auto predictor = sam2::image_predictor::create(model);
    predictor.set_image(image);
    sam2::prediction found = predictor.predict(click, false);
    sam2::write_png(argv[6], found.masks, image.width, image.height);
    std::printf("predicted IoU %.6f\n", found.iou_predictions[0]);

    auto video = sam2::video_predictor::open(model, argv[3]);
    video.add_new_points_or_box(0, 1, click);
    video.propagate_in_video([](const sam2::frame_masks& f) {
        std::printf("frame %d: %d pixels\n", int(f.frame_idx), int(f.areas[0]));
        return true;
    });
} catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
}
