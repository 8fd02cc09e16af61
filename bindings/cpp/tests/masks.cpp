// Masks in memory of the caller: gaps between rows, maps of ids, several formats; and images with gaps.
#include "check.hpp"

#include <algorithm>
#include <string>

static sam2::prompt click(float x, float y) {
    sam2::prompt p;
    p.points = {{x, y}};
    return p;
}

// A part of an image, as a matrix of OpenCV describes it.
struct part {
    std::uint32_t x, y, width, height;
};

static sam2_image part_of(sam2_image image, part p) {
    image.strides[0] = std::uint64_t(image.width) * 3;
    image.planes[0] = static_cast<const std::uint8_t*>(image.planes[0]) + p.y * image.strides[0] + p.x * 3;
    image.width = p.width, image.height = p.height;
    return image;
}

static void images(const sam2::model& model, const sam2_image& image, const std::string& png) {
    part at{10, 200, 401, 301};
    auto predictor = TAKE(sam2::image_predictor::create(model));
    auto view = part_of(image, at), copy = view;
    std::vector<std::uint8_t> rows;
    for (std::uint32_t y = 0; y < at.height; y++) {
        auto* row = static_cast<const std::uint8_t*>(view.planes[0]) + y * view.strides[0];
        rows.insert(rows.end(), row, row + 3 * at.width);
    }
    copy.planes[0] = rows.data(), copy.strides[0] = 0;
    RUN(predictor.set_image(view));
    auto want = TAKE(predictor.predict(click(67, 200), false));
    RUN(predictor.set_image(copy));
    CHECK(TAKE(predictor.predict({click(67, 200)}, false)).masks == want.masks);
    CHECK(std::count(want.masks.begin(), want.masks.end(), 1) > 1000);

    // A mask into the same part of a larger canvas, whose other bytes are left.
    std::vector<std::uint8_t> canvas(std::size_t(image.width) * image.height, 7);
    auto* first = &canvas[at.y * image.width + at.x];
    std::size_t room = std::size_t(image.width) * (at.height - 1) + at.width;
    auto into = sam2::mask_buffer::binary({first, room}).strides(image.width);
    sam2::prompt prompts[] = {click(67, 200)};
    CHECK(TAKE(predictor.predict_into(prompts, into, false)).iou_predictions == want.iou_predictions);
    std::size_t outside = 0;
    for (std::uint32_t y = 0; y < image.height; y++)
        for (std::uint32_t x = 0; x < image.width; x++) {
            bool in = x - at.x < at.width && y - at.y < at.height;
            auto value = canvas[y * image.width + x];
            if (in) CHECK(value == want.masks[(y - at.y) * at.width + x - at.x]);
            outside += !in && value != 7;
        }
    CHECK(outside == 0);

    // Two masks with a gap between them, with the bottom row first.
    sam2::prompt two[] = {click(67, 200), click(300, 50)};
    std::size_t plane = std::size_t(at.width) * at.height;
    std::vector<std::uint8_t> gapped(2 * plane + 9, 7);
    TAKE(predictor.predict_into(two, sam2::mask_buffer::binary(gapped).strides(0, plane + 9).flipped(), false));
    for (std::uint32_t y = 0; y < at.height; y++)
        CHECK(std::equal(&want.masks[y * at.width], &want.masks[y * at.width] + at.width, &gapped[(at.height - 1 - y) * at.width]));
    CHECK(std::count(gapped.begin(), gapped.end(), 7) == 9);

    // The other formats are the same mask.
    std::vector<float> logits(plane);
    std::vector<std::uint8_t> bits(at.height * ((at.width + 7) / 8));
    std::vector<std::uint16_t> labels(plane);
    TAKE(predictor.predict_into(prompts, sam2::mask_buffer::logits(logits), false));
    TAKE(predictor.predict_into(prompts, sam2::mask_buffer::bits(bits), false));
    TAKE(predictor.predict_into(prompts, sam2::mask_buffer::labels(labels), false));
    for (std::uint32_t y = 0; y < at.height; y++)
        for (std::uint32_t x = 0; x < at.width; x++) {
            std::size_t i = y * at.width + x;
            auto bit = bits[y * ((at.width + 7) / 8) + x / 8] >> (7 - x % 8) & 1;
            CHECK((logits[i] > 0) == want.masks[i] && bit == want.masks[i] && labels[i] == want.masks[i]);
        }
    auto refused = [&](sam2::mask_buffer b) { return status_of([&] { return predictor.predict_into(prompts, b, false); }); };
    CHECK(refused(sam2::mask_buffer::ids(labels)) == SAM2_ERROR_INVALID_ARGUMENT);
    CHECK(refused(sam2::mask_buffer::binary({first, room}).strides(at.width - 1)) == SAM2_ERROR_INVALID_ARGUMENT);

    // Coordinates from 0 to 1 are the same point.
    auto relative = click(67.0f / float(at.width), 200.0f / float(at.height));
    CHECK(TAKE(predictor.predict(relative, {false, true})).masks == want.masks);

    // A file, which is white on the object.
    RUN(sam2::write_png(png, want.masks, at.width, at.height));
    auto file = TAKE(sam2::picture::read(png));
    auto white = TAKE(file.image());
    for (std::size_t i = 0; i < plane; i++)
        CHECK(static_cast<const std::uint8_t*>(white.planes[0])[i] == 255 * want.masks[i]);
    CHECK(white.format == SAM2_FORMAT_GRAY8 && white.width == at.width);
    CHECK(status_of([&] { return sam2::write_png(png, want.masks, at.width, at.height + 1); }) == SAM2_ERROR_INVALID_ARGUMENT);
    CHECK(status_of([&] { return sam2::write_png("/nowhere/x.png", want.masks, at.width, at.height); }) == SAM2_ERROR_IO);

    // An empty matrix.
    CHECK(status_of([&] { return predictor.set_image(SAM2_IMAGE_INIT); }) == SAM2_ERROR_INVALID_ARGUMENT);
}

static void videos(const sam2::model& model, const sam2_image& image) {
    std::size_t pixels = std::size_t(image.width) * image.height;
    auto stream = TAKE(sam2::video_predictor::create_stream(model));
    TAKE(stream.push_frame(image));
    CHECK(TAKE(stream.add_new_points_or_box(0, 42, click(208, 249))).masks_written == 1);
    auto fork = TAKE(stream.fork());
    auto relative = click(0.3125f, 0.3125f);
    auto both = TAKE(stream.add_new_points_or_box(0, 71, relative, SAM2_PROMPT_NORMALIZED));
    CHECK(both.obj_ids == (std::vector<std::int64_t>{42, 71}) && both.masks_written == 2 && both.masks.size() == 2 * pixels);
    CHECK(TAKE(fork.add_new_points_or_box(0, 71, click(150, 112.5))).masks == both.masks);

    // A buffer gets the masks that it has room for.
    std::vector<std::uint8_t> one(pixels), ids8(pixels);
    auto room = sam2::mask_buffer::binary(one);
    auto next = TAKE(stream.push_frame(image, &room));
    CHECK(next.masks_written == 1 && next.obj_ids.size() == 2 && next.masks.empty());
    CHECK(std::count(one.begin(), one.end(), 1) == std::ptrdiff_t(next.areas[0]));

    // Maps have the ids of the objects, also after one is removed.
    std::vector<std::uint16_t> ids16(pixels);
    auto bytes = sam2::mask_buffer::ids(ids8), words = sam2::mask_buffer::ids(ids16);
    auto found = TAKE(stream.push_frame(image, &bytes));
    CHECK(std::count(ids8.begin(), ids8.end(), 42) > 0 && std::count(ids8.begin(), ids8.end(), 71) > 0);
    RUN(stream.remove_object(42));
    found = TAKE(stream.push_frame(image, &words));
    CHECK(std::count(ids16.begin(), ids16.end(), 71) == std::ptrdiff_t(found.areas[0]) && found.areas[0] > 0);
    CHECK(std::count(ids16.begin(), ids16.end(), 0) == std::ptrdiff_t(pixels - found.areas[0]));

    // A mask as bytes or as floats.
    std::vector<std::uint8_t> half(pixels);
    std::vector<float> soft(pixels);
    for (std::size_t i = 0; i < pixels; i++) half[i] = i % image.width < image.width / 2, soft[i] = half[i];
    auto from_bytes = TAKE(fork.add_new_mask(0, 5, half, image.width, image.height));
    auto from_floats = TAKE(fork.add_new_mask(0, 5, soft, image.width, image.height));
    CHECK(from_bytes.areas.back() > pixels / 3 && from_bytes.areas == from_floats.areas);
    auto wrong = status_of([&] { return fork.add_new_mask(0, 5, half, image.width, image.height + 1); });
    CHECK(wrong == SAM2_ERROR_INVALID_ARGUMENT);
}

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    auto model = TAKE(sam2::model::load(argv[1]));
    auto picture = TAKE(sam2::picture::read(argv[2])), frame = TAKE(sam2::picture::read(argv[3]));
    images(model, TAKE(picture.image()), argv[4]);
    videos(model, TAKE(frame.image()));
}
