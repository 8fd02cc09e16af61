// A camera with NV12 pictures: two objects, a correction, an object that is removed, and a saved state.
//
//   camera MODEL FRAMES
#include "check.h"

enum { W = 480, H = 360, PIXELS = W * H, ROW = (W + 7) / 8 };

// The results of a frame.
struct found {
    uint32_t objects;
    int64_t ids[2], timestamp;
    uint64_t areas[2], frame_idx;
    int masks;
};

static int32_t keep(void *user, const sam2_frame *f) {
    struct found *found = user;
    CHECK(f->num_objects <= 2);
    found->objects = f->num_objects, found->timestamp = f->timestamp, found->frame_idx = f->frame_idx;
    found->masks = f->masks != NULL;
    for (uint32_t i = 0; i < f->num_objects; i++) found->ids[i] = f->obj_ids[i], found->areas[i] = f->areas[i];
    return 0;
}

// BT.601 in full range.
static void to_nv12(const uint8_t *rgb, uint8_t *y, uint8_t *uv) {
    for (int i = 0; i < PIXELS; i++) {
        const uint8_t *p = rgb + 3 * i;
        y[i] = (uint8_t)((77 * p[0] + 150 * p[1] + 29 * p[2]) >> 8);
    }
    for (int i = 0; i < PIXELS / 4; i++) {
        const uint8_t *p = rgb + 3 * (i / (W / 2) * 2 * W + i % (W / 2) * 2);
        uv[2 * i] = (uint8_t)(128 + (-43 * p[0] - 84 * p[1] + 127 * p[2]) / 256);
        uv[2 * i + 1] = (uint8_t)(128 + (127 * p[0] - 106 * p[1] - 21 * p[2]) / 256);
    }
}

static uint8_t luma[PIXELS], chroma[PIXELS / 2];

// Reads the picture of a camera.
static sam2_image picture(const char *frames, int i) {
    char path[500];
    snprintf(path, sizeof path, "%s/%05d.jpg", frames, i);
    sam2_picture *file;
    sam2_image rgb = SAM2_IMAGE_INIT, image = SAM2_IMAGE_INIT;
    OK(sam2_picture_read(path, &file));
    OK(sam2_picture_get_image(file, &rgb));
    CHECK(rgb.width == W && rgb.height == H && rgb.format == SAM2_FORMAT_RGB8);
    to_nv12(rgb.planes[0], luma, chroma);
    OK(sam2_picture_destroy(file));
    image.format = SAM2_FORMAT_NV12, image.width = W, image.height = H;
    image.planes[0] = luma, image.planes[1] = chroma;
    image.matrix = SAM2_MATRIX_BT601, image.range = SAM2_RANGE_FULL, image.timestamp = 1000 + i;
    return image;
}

static uint16_t map[PIXELS];

// The areas of a map are those of the objects, except where objects overlap.
static void is_map_of(const struct found *found) {
    uint64_t area[2] = {0, 0}, other = 0;
    for (int i = 0; i < PIXELS; i++) {
        if (map[i] == 0) continue;
        if (found->objects > 0 && map[i] == found->ids[0]) area[0]++;
        else if (found->objects > 1 && map[i] == found->ids[1]) area[1]++;
        else other++;
    }
    CHECK(other == 0);
    for (uint32_t k = 0; k < found->objects; k++)
        CHECK(found->areas[k] > 0 && area[k] <= found->areas[k] && area[k] > found->areas[k] * 9 / 10);
}

struct state {
    uint8_t *data;
    size_t size;
};

static int32_t append(void *user, const uint8_t *data, size_t size) {
    struct state *state = user;
    state->data = realloc(state->data, state->size + size);
    memcpy(state->data + state->size, data, size);
    state->size += size;
    return 0;
}

static sam2_prompt prompt(float *point, float *box) {
    static int32_t on = 1;
    sam2_prompt p = SAM2_PROMPT_INIT;
    p.num_points = point != NULL, p.points = point, p.labels = &on, p.bounds = box;
    return p;
}

// Pushes frames, and returns the stream.
static sam2_video_predictor *watch(const sam2_model *model, const char *frames) {
    sam2_video_predictor *v;
    OK(sam2_video_predictor_create_stream(model, NULL, &v));
    float click[2] = {208, 249}, more[2] = {212, 255}, box[4] = {346, 175, 428, 266};
    sam2_prompt boxed = prompt(NULL, box), clicked = prompt(click, NULL), corrected = prompt(more, NULL);
    sam2_mask_buffer to = SAM2_MASK_BUFFER_INIT;
    to.format = SAM2_MASK_IDS16, to.data = map, to.size = sizeof map;
    struct found found = {0};
    for (int i = 0; i < 8; i++) {
        uint64_t frame = (uint64_t)i;
        sam2_image image = picture(frames, i);
        memset(map, 0xee, sizeof map);
        OK(sam2_video_predictor_push_frame(v, &image, &to, keep, &found));
        CHECK(found.objects == (i == 0 ? 0 : i <= 5 ? 2 : 1));
        if (i == 0) {
            is_map_of(&found);
            OK(sam2_video_predictor_add_new_points_or_box(v, 0, 71, &boxed, 0, NULL, NULL, NULL));
            OK(sam2_video_predictor_add_new_points_or_box(v, 0, 42, &clicked, 0, &to, keep, &found));
        } else if (i == 3) {
            is_map_of(&found);
            OK(sam2_video_predictor_add_new_points_or_box(v, 3, 42, &corrected, SAM2_PROMPT_KEEP_POINTS, &to, keep, &found));
        }
        is_map_of(&found);
        CHECK(found.frame_idx == frame && found.timestamp == 1000 + i && !found.masks);
        CHECK(found.ids[found.objects - 1] == 42);
        if (i == 5) {
            OK(sam2_video_predictor_remove_object(v, 71));
            CHECK(bad(sam2_video_predictor_remove_object(v, 71)) && strstr(sam2_last_error(), "71"));
        }
    }
    return v;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    sam2_model *model;
    options.device = SAM2_DEVICE_CPU, options.threads = 2;
    OK(sam2_model_load(argv[1], &options, &model));
    sam2_video_predictor *v = watch(model, argv[2]), *again;
    // A stream with the saved state gives the same bits.
    struct state state = {0};
    OK(sam2_video_predictor_save_state(v, append, &state));
    OK(sam2_video_predictor_create_stream(model, NULL, &again));
    OK(sam2_video_predictor_load_state(again, state.data, state.size));
    OK(sam2_model_destroy(model));
    static uint8_t bits[2][ROW * H];
    sam2_image image = picture(argv[2], 8);
    sam2_mask_buffer to = SAM2_MASK_BUFFER_INIT;
    to.format = SAM2_MASK_BITS, to.data = bits[0], to.size = sizeof bits[0];
    struct found found[2] = {{0}, {0}};
    OK(sam2_video_predictor_push_frame(v, &image, &to, keep, &found[0]));
    to.data = bits[1];
    OK(sam2_video_predictor_push_frame(again, &image, &to, keep, &found[1]));
    CHECK(memcmp(bits[0], bits[1], sizeof bits[0]) == 0 && found[0].areas[0] > 0);
    CHECK(found[0].areas[0] == found[1].areas[0] && found[1].frame_idx == 8 && found[1].ids[0] == 42);
    // A damaged state changes nothing.
    state.data[state.size / 2] ^= 1;
    CHECK(bad(sam2_video_predictor_load_state(again, state.data, state.size)));
    OK(sam2_video_predictor_destroy(v));
    OK(sam2_video_predictor_push_frame(again, &image, &to, keep, &found[1]));
    CHECK(found[1].frame_idx == 9 && found[1].objects == 1);
    OK(sam2_video_predictor_destroy(again));
    free(state.data);
    return 0;
}
