// Arguments that are allowed but rare, and mistakes that programs make: files, prompts, object ids, and streams.
//
//   unusual MODEL FRAMES FOLDER
#include "small.h"

static char path[1000];

static const char *in(const char *folder, const char *name) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

// Files and folders that are something else.
static void files(const sam2_model *model, const char *folder) {
    sam2_model *none = NULL;
    sam2_picture *picture;
    sam2_video_predictor *video;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU;
    CHECK(sam2_model_load(folder, &options, &none) == SAM2_ERROR_MODEL && strstr(sam2_last_error(), "no checkpoint"));
    CHECK(sam2_model_load("", &options, &none) == SAM2_ERROR_IO);
    FILE *text = fopen(in(folder, "text.pt"), "w");
    CHECK(text && fputs("root:x:0:0:root:/root:/bin/sh\n", text) > 0 && fclose(text) == 0);
    CHECK(sam2_model_load(in(folder, "text.pt"), &options, &none) == SAM2_ERROR_MODEL);
    CHECK(sam2_model_load(in(folder, "none.pt"), &options, &none) == SAM2_ERROR_IO && sam2_last_errno() == ENOENT);
    CHECK(sam2_picture_read(in(folder, "text.pt"), &picture) == SAM2_ERROR_IO);
    CHECK(bad(sam2_video_predictor_open(model, folder, NULL, &video)) && strstr(sam2_last_error(), "no frames"));
    CHECK(sam2_video_predictor_open(model, in(folder, "none.mp4"), NULL, &video) == SAM2_ERROR_IO && sam2_last_errno() == ENOENT);
    CHECK(none == NULL);
    uint8_t mask[4] = {0, 1, 1, 0};
    CHECK(sam2_mask_write_png("/nowhere/x.png", mask, 2, 2) == SAM2_ERROR_IO && sam2_last_errno() == ENOENT);
    char tiny[2];
    size_t size = sizeof tiny;
    CHECK(bad(sam2_mask_encode_rle(mask, 2, 2, tiny, &size)) && size > sizeof tiny);
    CHECK(bad(sam2_mask_decode_rle("!!", 2, 2, mask)));
}

static void options_of_models(const char *model_path) {
    sam2_model *none = NULL;
    const char *wrong[] = {"model.nonsense=1", "model.image_size:512", "model.image_size=", "=1"};
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        options.overrides = wrong[i];
        sam2_status status = sam2_model_load(model_path, &options, &none);
        CHECK(status == SAM2_ERROR_MODEL || status == SAM2_ERROR_INVALID_ARGUMENT);
    }
    options.overrides = NULL, options.image_size = 1000;
    CHECK(sam2_model_load(model_path, &options, &none) != SAM2_OK);
    // A program that was compiled with a later version has more fields.
    struct {
        sam2_model_options options;
        char more[64];
    } later = {.options = SAM2_MODEL_OPTIONS_INIT};
    later.options.struct_size = sizeof later, later.options.device = SAM2_DEVICE_CPU;
    sam2_status status = sam2_model_load(model_path, &later.options, &none);
    CHECK(status == SAM2_OK || bad(status));
    if (status == SAM2_OK) OK(sam2_model_destroy(none));
    sam2_model_options empty = {0};
    CHECK(bad(sam2_model_load(model_path, &empty, &none)));
}

static void prompts(const sam2_model *model) {
    sam2_image_predictor *p;
    sam2_image one = image();
    float iou;
    OK(sam2_image_predictor_create(model, NULL, &p));
    OK(sam2_image_predictor_set_image(p, &one));
    sam2_prompt good = click(), prompt = good, none = SAM2_PROMPT_INIT;
    int32_t odd = 7;
    float far[2] = {1e9f, -5}, infinite[2] = {INFINITY, 1};
    prompt.labels = &odd;
    CHECK(bad(sam2_image_predictor_predict(p, &prompt, 1, 0, NULL, &iou, NULL, NULL)));
    prompt = good, prompt.points = infinite;
    CHECK(bad(sam2_image_predictor_predict(p, &prompt, 1, 0, NULL, &iou, NULL, NULL)));
    CHECK(bad(sam2_image_predictor_predict(p, &good, 1, 0, NULL, NULL, NULL, NULL)));
    CHECK(bad(sam2_image_predictor_predict(p, NULL, 1, 0, NULL, &iou, NULL, NULL)));
    // A point outside the image is not a mistake, and no points are allowed as in the reference.
    OK(sam2_image_predictor_predict(p, &none, 1, 0, NULL, &iou, NULL, NULL));
    prompt = good, prompt.points = far;
    OK(sam2_image_predictor_predict(p, &prompt, 1, 0, NULL, &iou, NULL, NULL));
    CHECK(isfinite(iou));
    OK(sam2_image_predictor_destroy(p));
}

struct seen {
    int frames;
    uint32_t objects;
    int64_t id;
};

static int32_t see(void *user, const sam2_frame *f) {
    struct seen *seen = user;
    seen->frames++, seen->objects = f->num_objects;
    if (f->num_objects) seen->id = f->obj_ids[0];
    CHECK(f->width == 64 && f->height == 64);
    return 0;
}

// Objects come and go in a stream that keeps the latest frame only.
static void streams(const sam2_model *model) {
    sam2_video_predictor *v;
    static uint8_t mask[64 * 64];
    static uint16_t labels[64 * 64];
    sam2_mask_buffer bytes = SAM2_MASK_BUFFER_INIT, map = SAM2_MASK_BUFFER_INIT;
    bytes.data = mask, bytes.size = sizeof mask;
    map.format = SAM2_MASK_LABELS, map.data = labels, map.size = sizeof labels;
    struct seen seen = {0};
    sam2_image one = image(), other = image();
    sam2_prompt prompt = click();
    OK(sam2_video_predictor_create_stream(model, NULL, &v));
    OK(sam2_video_predictor_push_frame(v, &one, NULL, see, &seen));
    labels[77] = 9;
    OK(sam2_video_predictor_push_frame(v, &one, &map, see, &seen));
    OK(sam2_video_predictor_push_frame(v, &one, &bytes, see, &seen));
    CHECK(seen.frames == 3 && seen.objects == 0 && labels[77] == 0);
    // The first frame is not kept any more, and there is no later one.
    CHECK(bad(sam2_video_predictor_add_new_points_or_box(v, 0, 1, &prompt, 0, NULL, see, &seen)));
    CHECK(bad(sam2_video_predictor_add_new_points_or_box(v, 99999, 1, &prompt, 0, NULL, see, &seen)));
    CHECK(seen.frames == 3);
    // Any number is an id.
    OK(sam2_video_predictor_add_new_points_or_box(v, 2, INT64_MIN, &prompt, 0, NULL, see, &seen));
    CHECK(seen.objects == 1 && seen.id == INT64_MIN);
    OK(sam2_video_predictor_push_frame(v, &one, &bytes, see, &seen));
    OK(sam2_video_predictor_push_frame(v, &one, NULL, NULL, NULL));  // nobody looks
    OK(sam2_video_predictor_remove_object(v, INT64_MIN));
    OK(sam2_video_predictor_push_frame(v, &one, &bytes, see, &seen));
    CHECK(seen.objects == 0);
    // A stream without prompts, and a frame of another size.
    CHECK(bad(sam2_video_predictor_propagate_in_video(v, -1, -1, 0, NULL, see, &seen)));
    other.width /= 2;
    CHECK(bad(sam2_video_predictor_push_frame(v, &other, NULL, see, &seen)));
    sam2_video_predictor_info info = SAM2_VIDEO_PREDICTOR_INFO_INIT;
    OK(sam2_video_predictor_get_info(v, &info));
    CHECK(info.num_frames == 6 && seen.frames == 6);
    OK(sam2_video_predictor_destroy(v));
}

// A video that a job uses, seen from another thread.
static atomic_int going, may_end;

static int32_t wait_here(void *user, const sam2_frame *f) {
    (void)user, (void)f;
    going = 1;
    while (!may_end) continue;
    return 0;
}

static void *use(void *video) {
    sam2_video_predictor_info info = SAM2_VIDEO_PREDICTOR_INFO_INIT;
    CHECK(sam2_video_predictor_get_info(video, &info) == SAM2_ERROR_BUSY);
    CHECK(sam2_video_predictor_reset_state(video) == SAM2_ERROR_BUSY);
    return NULL;
}

static void jobs(const sam2_model *model, const char *frames) {
    sam2_video_predictor *video;
    sam2_job *job;
    sam2_status status;
    pthread_t thread;
    sam2_prompt prompt = click();
    OK(sam2_video_predictor_open(model, frames, NULL, &video));
    OK(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &prompt, 0, NULL, NULL, NULL));
    OK(sam2_video_predictor_cancel(video));  // there is nothing to end
    OK(sam2_video_predictor_propagate_in_video_async(video, -1, 1, 0, NULL, wait_here, NULL, NULL, &job));
    while (!going) continue;
    pthread_create(&thread, NULL, use, video);
    pthread_join(thread, NULL);
    CHECK(sam2_job_wait(job, 0, &status) == SAM2_ERROR_BUSY);
    may_end = 1;
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    OK(status);
    OK(sam2_job_destroy(job));
    CHECK(bad(sam2_job_destroy(job)));
    OK(sam2_video_predictor_reset_state(video));
    OK(sam2_video_predictor_destroy(video));
    CHECK(bad(sam2_video_predictor_destroy(video)));
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    draw();
    options_of_models(argv[1]);
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    sam2_model *model;
    options.device = SAM2_DEVICE_CPU, options.threads = 2, options.image_size = 128;
    OK(sam2_model_load(argv[1], &options, &model));
    files(model, argv[3]);
    prompts(model);
    streams(model);
    jobs(model, argv[2]);
    OK(sam2_model_destroy(model));
    return 0;
}
