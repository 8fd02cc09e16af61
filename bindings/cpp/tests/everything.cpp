// Tests the C++ header in both forms: images, a video and a stream. Prints hashes that a Rust test compares.
#include "check.hpp"

#include <algorithm>

// Hashes values with FNV-1a.
static std::uint64_t hash(const void* data, std::size_t size) {
    std::uint64_t h = 0xcbf29ce484222325;
    for (std::size_t i = 0; i < size; i++) h = (h ^ static_cast<const std::uint8_t*>(data)[i]) * 0x100000001b3;
    return h;
}
template <class T> void show(const char* what, const std::vector<T>& v) {
    std::printf("%s %zu %016llx\n", what, v.size(), static_cast<unsigned long long>(hash(v.data(), v.size() * sizeof(T))));
}

int main(int, char** argv) {
    auto model = TAKE(sam2::model::load(argv[1]));
    sam2_model_options named = SAM2_MODEL_OPTIONS_INIT;
    named.config_yaml = "configs/sam2.1/sam2.1_hiera_demo.yaml";
    TAKE(sam2::model::load(argv[1], named));
    auto picture = TAKE(sam2::picture::read(argv[2]));
    auto predictor = TAKE(sam2::image_predictor::create(model));
    RUN(predictor.set_image(TAKE(picture.image())));
    std::vector<sam2::prompt> prompts(2);
    prompts[0].points = {{77, 400}};
    prompts[1].box = sam2::box{20, 160, 365, 511};
    auto found = TAKE(predictor.predict(prompts));
    // The same one by one, and as a list.
    auto listed = TAKE(predictor.predict({prompts[0], prompts[1]}));
    CHECK(listed.masks == found.masks && listed.low_res_masks == found.low_res_masks);
    auto alone = TAKE(predictor.predict(prompts[0]));
    CHECK(std::equal(alone.masks.begin(), alone.masks.end(), found.masks.begin()) && alone.iou_predictions.size() == 3);
    CHECK(TAKE(predictor.predict({prompts[0]}, false)).iou_predictions.size() == 1);
    show("masks", found.masks);
    show("iou", found.iou_predictions);
    show("low_res", found.low_res_masks);

    // The same in other ways: a batch as a job, a mask as a string, bits in a buffer.
    auto picture_image = TAKE(picture.image());
    sam2_image both[2] = {picture_image, picture_image};
    auto batch = TAKE(sam2::image_predictor::create(model));
    RUN(batch.reserve(4, true, 2));
    {
        auto job = TAKE(batch.set_image_batch_async({both, 2}));
        while (!TAKE(job.wait(1))) continue;
    }
    std::vector<sam2::prompt> two = {prompts[0], prompts[0]};
    two[1].image = 1;
    auto twice = TAKE(batch.predict(two));
    std::size_t size = std::size_t(picture_image.width) * picture_image.height;
    CHECK(twice.masks.size() == 6 * size && std::equal(&twice.masks[0], &twice.masks[3 * size], &found.masks[0]));
    CHECK(std::equal(&twice.masks[3 * size], &twice.masks[3 * size] + 3 * size, &found.masks[0]));
    CHECK(TAKE(batch.info(1)).num_images == 2 && TAKE(batch.get_features()).values.size() > 0);
    std::vector<std::uint8_t> mask(found.masks.begin(), found.masks.begin() + static_cast<std::ptrdiff_t>(size));
    auto text = TAKE(sam2::encode_rle(mask, picture_image.width, picture_image.height));
    CHECK(TAKE(sam2::decode_rle(text, picture_image.width, picture_image.height)) == mask);
    std::vector<std::uint8_t> bits(picture_image.height * ((picture_image.width + 7) / 8));
    sam2_mask_buffer packed = SAM2_MASK_BUFFER_INIT;
    packed.format = SAM2_MASK_BITS, packed.data = bits.data(), packed.size = bits.size();
    RUN(predictor.set_image(picture_image));
    // A mask of any size as a prompt equals its resized logits.
    sam2::prompt again, half;
    again.mask = mask, again.mask_width = picture_image.width, again.mask_height = picture_image.height;
    auto from_mask = TAKE(predictor.predict(again, false));
    auto agree = [](const std::uint8_t* a, const std::uint8_t* b, std::size_t n) {
        std::size_t both = 0, either = 0;
        for (std::size_t i = 0; i < n; i++) both += a[i] & b[i], either += a[i] | b[i];
        return double(both) / double(either);
    };
    CHECK(agree(from_mask.masks.data(), mask.data(), size) > 0.5);
    std::vector<std::uint8_t> small;
    for (std::size_t y = 0; y < picture_image.height; y += 2)
        for (std::size_t x = 0; x < picture_image.width; x += 2) small.push_back(mask[y * picture_image.width + x] * 255);
    half.mask = small, half.mask_width = picture_image.width / 2, half.mask_height = picture_image.height / 2;
    CHECK(agree(TAKE(predictor.predict(half, false)).masks.data(), from_mask.masks.data(), size) > 0.9);
    half.mask_height--, again.mask_input = found.low_res_masks;
    for (const auto* said : {&half, &again})
        CHECK(status_of([&] { return predictor.predict(*said); }) == SAM2_ERROR_INVALID_ARGUMENT);
    TAKE(predictor.predict_into({&prompts[1], 1}, packed, false));
    CHECK(std::count(bits.begin(), bits.end(), 255) > 0);
    RUN(batch.reset());
    sam2_automatic_mask_generator_options grid = SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT;
    grid.points_per_side = 4, grid.pred_iou_thresh = 0.5f, grid.stability_score_thresh = 0.5f;
    auto everything = TAKE(TAKE(sam2::automatic_mask_generator::create(model, grid)).generate(picture_image));
    CHECK(!everything.empty());
    for (const auto& m : everything) {
        auto there = TAKE(sam2::decode_rle(m.rle, m.width, m.height));
        CHECK(std::count(there.begin(), there.end(), 1) == static_cast<std::ptrdiff_t>(m.area) && m.predicted_iou > 0.5f);
        // The area inside the outlines without holes.
        long long area = 0;
        for (const sam2::ring& ring : TAKE(sam2::polygons(m.rle, m.width, m.height)))
            for (std::size_t i = 0; i < ring.size(); i++) {
                auto a = ring[i], b = ring[(i + 1) % ring.size()];
                area += static_cast<long long>(a[0]) * b[1] - static_cast<long long>(b[0]) * a[1];
            }
        CHECK(area == 2 * static_cast<long long>(m.area));
    }
    std::vector<std::string> rles;
    for (const auto& m : everything) rles.push_back(m.rle);
    auto labels = TAKE(sam2::label_map(rles, picture_image.width, picture_image.height));
    CHECK(labels.size() == size && *std::max_element(labels.begin(), labels.end()) <= everything.size());
    auto smallest = std::min_element(
        everything.begin(), everything.end(), [](const auto& a, const auto& b) { return a.area < b.area; });
    auto label = static_cast<std::uint16_t>(smallest - everything.begin() + 1);
    CHECK(std::count(labels.begin(), labels.end(), label) == static_cast<std::ptrdiff_t>(smallest->area));
    // A part of the same points as a grid.
    std::vector<std::vector<std::array<double, 2>>> grids(1);
    for (int i = 0; i < 16; i++) grids[0].push_back({(i % 4 + 0.5) / 4, (i / 4 + 0.5) / 4});
    grid.points_per_side = 0, grid.points_per_batch = 4;
    auto own = TAKE(sam2::automatic_mask_generator::create(model, grid, grids));
    std::uint64_t points = 0;
    auto go_on = [&](std::uint64_t n, std::uint64_t of, std::uint64_t) { return points = n, n < 8 && of == 16; };
    CHECK(!TAKE(own.generate_until(picture_image, go_on)).complete && points == 8);
    CHECK(!TAKE(own.generate_until(picture_image, go_on, 0)).complete && points == 4);
    auto all = TAKE(own.generate_until(picture_image, [](auto...) { return true; }));
    CHECK(all.complete && all.masks.size() == everything.size() && all.masks[0].rle == everything[0].rle);
    TAKE(sam2::gpus());

    auto video = TAKE(sam2::video_predictor::open(model, argv[3]));
    sam2::prompt click;
    click.points = {{208, 249}};
    TAKE(video.add_new_points_or_box(0, 1, click));
    int frames = 0;
    std::vector<float> last;
    RUN(video.propagate_in_video([&](const sam2::frame_masks& f) {
        last = f.masks;
        return ++frames < 4;
    }));
    std::printf("frames %d\n", frames);
    show("video", last);

    auto stream = TAKE(sam2::video_predictor::create_stream(model));
    for (int i = 0; i < 4; i++) {
        char name[16];
        std::snprintf(name, sizeof name, "/%05d.jpg", i);
        auto frame = TAKE(sam2::picture::read(argv[3] + std::string(name)));
        last = TAKE(stream.push_frame(TAKE(frame.image()))).masks;
        if (i == 0) TAKE(stream.add_new_points_or_box(0, 1, click));
    }
    show("video", last);
    // Two streams in one call, and a frame as a job.
    auto left = TAKE(stream.fork()), right = TAKE(stream.fork()), late = TAKE(stream.fork());
    RUN(late.reserve(1, 480, 360));
    auto next = TAKE(sam2::picture::read(argv[3] + std::string("/00004.jpg")));
    auto image = TAKE(next.image());
    image.timestamp = 77;
    auto pair = TAKE(sam2::video_predictor::push_frames(std::array{&left, &right}, std::array{image, image}));
    auto job = TAKE(late.push_frame_async(image));
    CHECK(TAKE(job.wait()));
    sam2::frame_masks seen = TAKE(job.get());
    auto here = TAKE(stream.fork());
    auto want = TAKE(here.push_frame(image));
    CHECK(want.timestamp == 77 && want.areas.size() == 1 && want.areas[0] > 0 && want.boxes[0][2] > want.boxes[0][0]);
    for (const auto* f : {&pair[0], &pair[1], &seen}) CHECK(f->masks == want.masks && f->areas == want.areas && !f->lost[0]);
    CHECK(TAKE(here.obj_ids()) == std::vector<std::int64_t>{1});
    auto other = TAKE(stream.fork());
    RUN(other.remove_object(1));
    RUN(other.load_state(TAKE(stream.save_state())));
    std::printf("objects %u\n", TAKE(other.info()).num_objects);

#ifdef SAM2_CPP_EXCEPTIONS
    try {
        sam2::model::load("nowhere");
    } catch (const sam2::failure& e) {
        std::printf("status %d number %d\n", e.status(), e.error().number);
    }
#else
    auto none = sam2::model::load("nowhere");
    std::printf("status %d number %d\n", none ? 0 : none.error().status, none.error().number);
#endif
    sam2::model moved = std::move(model);
    model = std::move(moved);
}
