// The C++ header in both its forms: pictures, a video offline and as a stream. Prints what Rust compares.
#include <sam2.hpp>

#include <cstdio>
#include <cstdlib>

#ifdef SAM2_CPP_EXCEPTIONS
#define TAKE(x) (x)
#define RUN(x) (x)
#else
template <class T> T taken(sam2::result<T> r) {
    if (!r) std::fprintf(stderr, "%s\n", r.error().message.c_str()), std::exit(1);
    return std::move(*r);
}
inline void taken(sam2::result<void> r) {
    if (!r) std::fprintf(stderr, "%s\n", r.error().message.c_str()), std::exit(1);
}
#define TAKE(x) taken(x)
#define RUN(x) taken(x)
#endif

// A sum that hangs by every bit and its place (FNV-1a).
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
    auto picture = TAKE(sam2::picture::read(argv[2]));
    auto predictor = TAKE(sam2::image_predictor::create(model));
    RUN(predictor.set_image(TAKE(picture.image())));
    std::vector<sam2::prompt> prompts(2);
    prompts[0].points = {{77, 400}};
    prompts[1].box = sam2::box{20, 160, 365, 511};
    auto found = TAKE(predictor.predict(prompts));
    show("masks", found.masks);
    show("iou", found.iou_predictions);
    show("low_res", found.low_res_masks);

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

    auto stream = TAKE(sam2::video_predictor::stream(model));
    for (int i = 0; i < 4; i++) {
        char name[16];
        std::snprintf(name, sizeof name, "/%05d.jpg", i);
        auto frame = TAKE(sam2::picture::read(argv[3] + std::string(name)));
        last = TAKE(stream.push_frame(TAKE(frame.image()))).masks;
        if (i == 0) TAKE(stream.add_new_points_or_box(0, 1, click));
    }
    show("video", last);
    auto other = TAKE(stream.fork());
    RUN(other.remove_object(1));
    RUN(other.load_state(TAKE(stream.save_state())));
    std::printf("objects %u\n", TAKE(other.info()).num_objects);

#ifdef SAM2_CPP_EXCEPTIONS
    try {
        sam2::model::load("nowhere");
    } catch (const sam2::failure& e) {
        std::printf("status %d\n", e.status());
    }
    try {
        video.propagate_in_video([](const sam2::frame_masks&) -> bool { throw 5; });
    } catch (int thrown) {
        std::printf("thrown %d\n", thrown);
    }
#else
    auto none = sam2::model::load("nowhere");
    std::printf("status %d\nthrown 5\n", none ? 0 : none.error().status);
#endif
    sam2::model moved = std::move(model);
    model = std::move(moved);
}
