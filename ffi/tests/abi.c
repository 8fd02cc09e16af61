// Calls every function with NULL, stale handles and handles of another kind. Then tests a stream, a fork and a saved
// state.
#include "check.h"
#include "layout.h"

// The reason why a folder is not opened as a file.
#ifdef _WIN32
#define OPENED_FOLDER EACCES
#else
#define OPENED_FOLDER EISDIR
#endif

// Results that the callbacks received.
struct seen {
    int frames, stop_after;
    uint32_t objects;
    float score;
    double sum;
};

static int32_t see(void *user, const sam2_frame *frame) {
    struct seen *seen = user;
    seen->frames++;
    seen->objects = frame->num_objects;
    if (frame->num_objects) seen->score = frame->object_score_logits[0];
    if (frame->masks) {
        seen->sum = 0;
        for (size_t i = 0; i < (size_t)frame->num_objects * frame->width * frame->height; i++) seen->sum += frame->masks[i];
    }
    return seen->stop_after && seen->frames >= seen->stop_after;
}

struct bytes {
    uint8_t *data;
    size_t size;
};

static int32_t append(void *user, const uint8_t *data, size_t size) {
    struct bytes *b = user;
    b->data = realloc(b->data, b->size + size);
    memcpy(b->data + b->size, data, size);
    b->size += size;
    return 0;
}

static int32_t refuse(void *user, const uint8_t *data, size_t size) {
    (void)user, (void)data, (void)size;
    return 7;
}

static void log_nothing(void *user, int32_t level, const char *message) { (void)user, (void)level, (void)message; }

static int32_t see_mask(void *user, const sam2_automatic_mask *mask) { return (void)user, (void)mask, 0; }

// Calls functions of models and images with an invalid handle.
static void nothing_of_images(void *h) {
    int here = 0;
    void *out = &here;
    sam2_image image = SAM2_IMAGE_INIT;
    sam2_model_info model_info = SAM2_MODEL_INFO_INIT;
    sam2_prompt prompt = SAM2_PROMPT_INIT;
    sam2_mask_buffer masks = SAM2_MASK_BUFFER_INIT;
    float iou;
    CHECK(bad(sam2_model_destroy(h)));
    CHECK(bad(sam2_model_get_info(h, &model_info)) && bad(sam2_model_get_info(h, NULL)));
    CHECK(bad(sam2_picture_destroy(h)) && bad(sam2_picture_get_image(h, &image)) && bad(sam2_picture_get_image(h, NULL)));
    CHECK(bad(sam2_image_predictor_create(h, NULL, (sam2_image_predictor **)&out)) && out == &here);
    CHECK(bad(sam2_image_predictor_create(h, NULL, NULL)));
    CHECK(bad(sam2_image_predictor_destroy(h)) && bad(sam2_image_predictor_reserve(h, 1, 3, 1)));
    CHECK(bad(sam2_image_predictor_set_image(h, &image)) && bad(sam2_image_predictor_set_image(h, NULL)));
    CHECK(bad(sam2_image_predictor_predict(h, &prompt, 1, 0, &masks, &iou, NULL, NULL)));
    CHECK(bad(sam2_image_predictor_predict(h, NULL, 1, 0, NULL, NULL, NULL, NULL)));
    CHECK(bad(sam2_image_predictor_take_features(h, (sam2_features **)&out)) && out == &here);
    CHECK(bad(sam2_image_predictor_take_features(h, NULL)) && bad(sam2_image_predictor_set_features(h, h)));
}

// Calls functions of videos with an invalid handle.
static void nothing_of_videos(void *h) {
    int here = 0;
    void *out = &here;
    sam2_image image = SAM2_IMAGE_INIT;
    sam2_video_predictor_info video_info = SAM2_VIDEO_PREDICTOR_INFO_INIT;
    sam2_prompt prompt = SAM2_PROMPT_INIT;
    CHECK(bad(sam2_video_predictor_open(h, "demo", NULL, (sam2_video_predictor **)&out)) || h == NULL || out == &here);
    CHECK(bad(sam2_video_predictor_open(h, NULL, NULL, (sam2_video_predictor **)&out)) && out == &here);
    CHECK(bad(sam2_video_predictor_create_stream(h, NULL, (sam2_video_predictor **)&out)) && out == &here);
    CHECK(bad(sam2_video_predictor_fork(h, (sam2_video_predictor **)&out)) && bad(sam2_video_predictor_fork(h, NULL)));
    CHECK(bad(sam2_video_predictor_destroy(h)) && bad(sam2_video_predictor_cancel(h)));
    CHECK(bad(sam2_video_predictor_add_new_points_or_box(h, 0, 1, &prompt, 0, NULL, see, NULL)));
    CHECK(bad(sam2_video_predictor_add_new_mask(h, 0, 1, NULL, 1, 1, NULL, NULL, NULL)));
    CHECK(bad(sam2_video_predictor_add_new_mask_f32(h, 0, 1, NULL, 1, 1, NULL, NULL, NULL)));
    CHECK(bad(sam2_video_predictor_clear_all_prompts_in_frame(h, 0, 1, NULL, NULL, NULL)));
    CHECK(bad(sam2_video_predictor_remove_object(h, 1)) && bad(sam2_video_predictor_reset_state(h)));
    CHECK(bad(sam2_video_predictor_propagate_in_video(h, -1, -1, 0, NULL, NULL, NULL)));
    CHECK(bad(sam2_video_predictor_push_frame(h, &image, NULL, NULL, NULL)));
    CHECK(bad(sam2_video_predictor_get_info(h, &video_info)) && bad(sam2_video_predictor_get_info(h, NULL)));
    CHECK(bad(sam2_video_predictor_save_state(h, append, NULL)) && bad(sam2_video_predictor_save_state(h, NULL, NULL)));
    CHECK(bad(sam2_video_predictor_load_state(h, NULL, 0)));
    CHECK(bad(sam2_video_predictor_take_features(h, 0, (sam2_features **)&out)) && out == &here);
    CHECK(bad(sam2_video_predictor_take_features(h, 0, NULL)) && bad(sam2_video_predictor_set_features(h, h)));
    uint64_t bytes = 7;
    CHECK(bad(sam2_features_get_bytes(h, &bytes)) && bad(sam2_features_get_bytes(h, NULL)) && bytes == 7);
    CHECK(bad(sam2_features_destroy(h)));
}

// Calls functions of jobs, batches and generators with an invalid handle.
static void nothing_of_others(void *h) {
    int here = 0;
    void *out = &here;
    sam2_image image = SAM2_IMAGE_INIT;
    sam2_prompt prompt = SAM2_PROMPT_INIT;
    float iou;
    size_t count = 0;
    uint32_t shape[3];
    int status, *job = &here;
    sam2_image_predictor_info held = SAM2_IMAGE_PREDICTOR_INFO_INIT;
    sam2_video_push push = SAM2_VIDEO_PUSH_INIT;
    push.video = h, push.image = &image;
    CHECK(bad(sam2_image_predictor_set_image_batch(h, &image, 1)) && bad(sam2_image_predictor_set_image_batch(h, NULL, 1)));
    CHECK(bad(sam2_image_predictor_set_image_batch_async(h, &image, 1, NULL, NULL, (sam2_job **)&job)));
    CHECK(bad(sam2_image_predictor_set_image_batch_async(h, &image, 1, NULL, NULL, NULL)));
    CHECK(bad(sam2_image_predictor_predict_async(h, &prompt, 1, 0, NULL, &iou, NULL, NULL, NULL, NULL, (sam2_job **)&job)));
    CHECK(bad(sam2_image_predictor_reset(h)) && bad(sam2_image_predictor_get_info(h, 0, &held)));
    CHECK(bad(sam2_image_predictor_get_features(h, 0, 0, NULL, 0, shape)));
    CHECK(bad(sam2_video_predictor_push_frame_async(h, &image, NULL, NULL, NULL, NULL, (sam2_job **)&job)));
    CHECK(bad(sam2_video_predictor_propagate_in_video_async(h, 0, 1, 0, NULL, NULL, NULL, NULL, (sam2_job **)&job)));
    CHECK(bad(sam2_video_predictor_push_frames(&push, 1)) && bad(push.status) && job == &here);
    CHECK(bad(sam2_video_predictor_get_obj_ids(h, NULL, &count)) && bad(sam2_video_predictor_reserve(h, 1, 64, 64)));
    CHECK(bad(sam2_job_wait(h, 0, &status)) && bad(sam2_job_destroy(h)));
    sam2_automatic_mask_generator *generator = (void *)&here;
    CHECK(bad(sam2_automatic_mask_generator_create(h, NULL, &generator)) && generator == (void *)&here);
    CHECK(bad(sam2_automatic_mask_generator_create(h, NULL, NULL)) && bad(sam2_automatic_mask_generator_destroy(h)));
    CHECK(bad(sam2_automatic_mask_generator_generate(h, &image, 0, NULL, NULL, NULL, NULL)));
    CHECK(bad(sam2_automatic_mask_generator_generate(h, NULL, 0, NULL, see_mask, NULL, NULL)));
    int64_t dims[1] = {4};
    CHECK(bad(sam2_tensor_create(h, SAM2_MASK_BINARY, SAM2_MEMORY_HOST, dims, 1, (DLManagedTensorVersioned **)&out)));
}

// Calls functions without handles with invalid arguments.
static void nothing_of_anything(void) {
    sam2_image image = SAM2_IMAGE_INIT;
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    sam2_gpu_info gpu = SAM2_GPU_INFO_INIT;
    CHECK(bad(sam2_image_from_dlpack(NULL, &image)) && bad(sam2_mask_buffer_from_dlpack(NULL, &buffer)));
    CHECK(bad(sam2_video_predictor_push_frames(NULL, 1)) && sam2_video_predictor_push_frames(&(sam2_video_push)SAM2_VIDEO_PUSH_INIT, 0) == SAM2_OK);
    CHECK(bad(sam2_mask_encode_rle(NULL, 1, 1, NULL, NULL)) && bad(sam2_mask_decode_rle(NULL, 1, 1, NULL)));
    size_t number = 0;
    CHECK(bad(sam2_mask_get_label_map(NULL, 1, 1, 1, NULL)) && bad(sam2_mask_get_label_map(&(const char *){NULL}, 1, 1, 1, &(uint16_t){0})));
    CHECK(bad(sam2_mask_get_polygons(NULL, 1, 1, NULL, &number, NULL, &number)) && bad(sam2_mask_get_polygons("01", 1, 1, NULL, NULL, NULL, NULL)));
    CHECK(bad(sam2_gpu_get_count(NULL)) && sam2_gpu_get_info(999, &gpu) != SAM2_OK && bad(sam2_set_log_callback(9, log_nothing, NULL)));
    CHECK(bad(sam2_model_load(NULL, NULL, NULL)) && bad(sam2_model_load("demo", NULL, NULL)));
    void *out;
    CHECK(bad(sam2_model_load(NULL, NULL, (sam2_model **)&out)));
    CHECK(bad(sam2_model_load_memory(NULL, 5, NULL, (sam2_model **)&out)));
    CHECK(bad(sam2_model_load_fd(-1, 0, 0, NULL, (sam2_model **)&out)) && bad(sam2_model_load_fd(0, 0, 0, NULL, NULL)));
    CHECK(bad(sam2_picture_read(NULL, (sam2_picture **)&out)) && bad(sam2_picture_read("x", NULL)));
    sam2_picture_options reading = SAM2_PICTURE_OPTIONS_INIT;
    CHECK(bad(sam2_picture_read_with(NULL, &reading, (sam2_picture **)&out)) && bad(sam2_picture_read_with("x", &reading, NULL)));
    reading.bit_depth = 17;
    CHECK(bad(sam2_picture_read_with("x", &reading, (sam2_picture **)&out)));
    reading.bit_depth = 264;  // 8 as a byte
    CHECK(bad(sam2_picture_read_with("x", &reading, (sam2_picture **)&out)));
    uint8_t file[4] = {'P', '4', '\n', 0};
    CHECK(bad(sam2_picture_decode(NULL, 4, NULL, (sam2_picture **)&out)) && bad(sam2_picture_decode(file, 0, NULL, (sam2_picture **)&out)));
    CHECK(bad(sam2_picture_decode(file, 4, &reading, (sam2_picture **)&out)) && bad(sam2_picture_decode(file, 4, NULL, NULL)));
    CHECK(sam2_picture_decode(file, 4, NULL, (sam2_picture **)&out) == SAM2_ERROR_IO && strstr(sam2_last_error(), "in memory"));
    CHECK(bad(sam2_mask_write_png(NULL, NULL, 1, 1)) && bad(sam2_mask_write_png("x", NULL, 1, 1)));
    CHECK(sam2_abi_version() == SAM2_ABI_VERSION && SAM2_ABI_VERSION == 1 && strcmp(sam2_version(), "0.1.0") == 0 && strstr(sam2_build_info(), "sam2 0.1.0, "));
}

// Invalid handles: NULL, small numbers, a pointer, all ones, and `stale`.
static void nothing(void *stale) {
    int here = 0;
    void *none[] = {NULL, (void *)1, (void *)3, &here, (void *)~(uintptr_t)0, stale};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        nothing_of_images(none[i]);
        nothing_of_videos(none[i]);
        nothing_of_others(none[i]);
    }
    nothing_of_anything();
}

static atomic_int running, stopped;

// Runs until it is cancelled.
static int32_t run(void *user, const sam2_frame *frame) {
    (void)user, (void)frame;
    running = 1;
    return 0;
}

static void *follow(void *video) {
    int status;
    do status = sam2_video_predictor_propagate_in_video(video, 0, -1, 0, NULL, run, NULL);
    while (status == SAM2_OK);
    stopped = 1;
    return (void *)(intptr_t)status;
}

static void wrong_options(const char *folder) {
    sam2_model *model;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.struct_size = 4;
    CHECK(bad(sam2_model_load(folder, &options, &model)) && strstr(sam2_last_error(), "struct_size"));
    options.struct_size = sizeof options, options.device = 77;
    CHECK(bad(sam2_model_load(folder, &options, &model)) && strstr(sam2_last_error(), "no device"));
    options.device = SAM2_DEVICE_CPU, options.precision = 9;
    CHECK(bad(sam2_model_load(folder, &options, &model)) && strstr(sam2_last_error(), "no precision"));
    options.precision = SAM2_PRECISION_F32, options.overrides = "model.image_size=100";
    CHECK(sam2_model_load(folder, &options, &model) == SAM2_ERROR_MODEL);
    options.overrides = NULL;
    CHECK(sam2_model_load("nowhere", &options, &model) == SAM2_ERROR_IO && sam2_last_errno() == ENOENT);
    CHECK(sam2_picture_read("demo", &(sam2_picture *){0}) == SAM2_ERROR_IO && sam2_last_errno() == OPENED_FOLDER);
    CHECK(bad(sam2_model_load(NULL, &options, &model)) && sam2_last_errno() == 0);
}

// A configuration is YAML text, a file or a name.
static void configurations(const char *folder) {
    sam2_model *model;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.precision = SAM2_PRECISION_F32;
    const char *names[] = {"configs/sam2.1/sam2.1_hiera_demo.yaml", "sam2.1_hiera_demo", "/none/sam2.1_hiera_demo.yaml"};
    for (int i = 0; i < 3; i++) {
        options.config_yaml = names[i];
        OK(sam2_model_load(folder, &options, &model));
        OK(sam2_model_destroy(model));
    }
    options.config_yaml = "none.yaml";
    CHECK(sam2_model_load(folder, &options, &model) == SAM2_ERROR_IO && strstr(sam2_last_error(), "sam2_hiera_b+"));
    options.config_yaml = "sam2_hiera_t";
    CHECK(sam2_model_load(folder, &options, &model) == SAM2_ERROR_MODEL);
    options.config_yaml = "a: b";
    CHECK(sam2_model_load(folder, &options, &model) == SAM2_ERROR_MODEL && strstr(sam2_last_error(), "model"));
}

// Loads the model as a caller with an older, smaller struct.
static sam2_model *load(const char *folder) {
    sam2_model *model;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.precision = SAM2_PRECISION_F32;
    options.struct_size = offsetof(sam2_model_options, config_yaml), options.config_yaml = (const char *)1;
    OK(sam2_model_load(folder, &options, &model));
    sam2_model_info info = SAM2_MODEL_INFO_INIT;
    OK(sam2_model_get_info(model, &info));
    CHECK(info.image_size == 256 && info.mask_side == 64 && strcmp(info.device_name, "CPU") == 0);
    info.struct_size = 8, info.mask_side = 5;
    OK(sam2_model_get_info(model, &info));
    CHECK(info.mask_side == 5 && info.image_size == 256);
    return model;
}

static uint8_t pixels[300];
static sam2_image image;
static float at[2] = {5, 5};
static int32_t label = 1;
static sam2_prompt click = SAM2_PROMPT_INIT;

static void wrong_images(sam2_image_predictor *predictor) {
    image = (sam2_image)SAM2_IMAGE_INIT;
    CHECK(bad(sam2_image_predictor_set_image(predictor, &image)));
    memset(pixels, 99, sizeof pixels);
    image.planes[0] = pixels, image.width = image.height = 10, image.format = 55;
    CHECK(bad(sam2_image_predictor_set_image(predictor, &image)) && strstr(sam2_last_error(), "no format"));
    image.format = SAM2_FORMAT_RGB8, image.strides[0] = 29;
    CHECK(bad(sam2_image_predictor_set_image(predictor, &image)) && strstr(sam2_last_error(), "stride"));
    image.strides[0] = 30, image.memory = 3;
    CHECK(bad(sam2_image_predictor_set_image(predictor, &image)) && strstr(sam2_last_error(), "no memory"));
    image.memory = SAM2_MEMORY_CUDA;
    CHECK(bad(sam2_image_predictor_set_image(predictor, &image)) && strstr(sam2_last_error(), "CPU"));
}

static void wrong_prompts(sam2_image_predictor *predictor) {
    float iou[3], box[4] = {9, 9, 3, 3};
    click.num_points = 1, click.points = at, click.labels = &label;
    CHECK(bad(sam2_image_predictor_predict(predictor, &click, 1, 0, NULL, iou, NULL, NULL)));  // no image yet
    image.memory = SAM2_MEMORY_HOST;
    OK(sam2_image_predictor_set_image(predictor, &image));
    OK(sam2_image_predictor_predict(predictor, &click, 1, SAM2_PREDICT_MULTIMASK, NULL, iou, NULL, NULL));
    CHECK(bad(sam2_image_predictor_predict(predictor, &click, 1, 8, NULL, iou, NULL, NULL)));
    CHECK(bad(sam2_image_predictor_predict(predictor, &click, (size_t)1 << 60, 0, NULL, iou, NULL, NULL)));
    uint8_t mask[100];
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    buffer.data = mask, buffer.size = 99;
    CHECK(bad(sam2_image_predictor_predict(predictor, &click, 1, 0, &buffer, iou, NULL, NULL)));
    buffer.size = 100;
    OK(sam2_image_predictor_predict(predictor, &click, 1, 0, &buffer, iou, NULL, NULL));
    click.bounds = box;
    CHECK(bad(sam2_image_predictor_predict(predictor, &click, 1, 0, &buffer, iou, NULL, NULL)));
    at[0] = NAN, click.bounds = NULL;
    CHECK(bad(sam2_image_predictor_predict(predictor, &click, 1, 0, &buffer, iou, NULL, NULL)));
}

static void images(const sam2_model *model) {
    sam2_image_predictor *predictor;
    OK(sam2_image_predictor_create(model, NULL, &predictor));
    CHECK(sam2_image_predictor_destroy((void *)model) == SAM2_ERROR_INVALID_HANDLE);
    wrong_images(predictor);
    wrong_prompts(predictor);
    OK(sam2_image_predictor_destroy(predictor));
    nothing(predictor);
    sam2_image_predictor *next;  // where the other was
    OK(sam2_image_predictor_create(model, NULL, &next));
    nothing(predictor);
    OK(sam2_image_predictor_destroy(next));
}

// A video: ended by a callback, and by another thread. Returns the sum of the logits of the third frame.
static double videos(const sam2_model *model, const char *frames) {
    sam2_video_predictor *video;
    CHECK(sam2_video_predictor_open(model, "nowhere", NULL, &video) == SAM2_ERROR_IO && sam2_last_errno() == ENOENT);
    OK(sam2_video_predictor_open(model, frames, NULL, &video));
    sam2_video_predictor_info about = SAM2_VIDEO_PREDICTOR_INFO_INIT;
    OK(sam2_video_predictor_get_info(video, &about));
    CHECK(about.num_frames == 24 && about.width == 480 && about.height == 360 && about.num_objects == 0);
    CHECK(bad(sam2_video_predictor_push_frame(video, &image, NULL, NULL, NULL)));
    struct seen seen = {0};
    at[0] = 208, at[1] = 249;
    CHECK(bad(sam2_video_predictor_add_new_points_or_box(video, 24, 1, &click, 0, NULL, see, &seen)) && seen.frames == 0);
    OK(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &click, 0, NULL, see, &seen));
    CHECK(seen.frames == 1 && seen.objects == 1 && seen.score > 0);
    seen.frames = 0, seen.stop_after = 3;
    CHECK(sam2_video_predictor_propagate_in_video(video, -1, -1, 0, NULL, see, &seen) == SAM2_ERROR_CANCELLED && seen.frames == 3);
    seen = (struct seen){0};
    OK(sam2_video_predictor_propagate_in_video(video, 0, 2, 0, NULL, see, &seen));
    CHECK(seen.frames == 3);
    double third = seen.sum;
    pthread_t thread;
    void *status;
    pthread_create(&thread, NULL, follow, video);
    while (!running) continue;
    CHECK(sam2_video_predictor_reset_state(video) == SAM2_ERROR_BUSY);
    while (!stopped) OK(sam2_video_predictor_cancel(video));  // between two calls there is nothing to cancel
    pthread_join(thread, &status);
    CHECK((intptr_t)status == SAM2_ERROR_CANCELLED);
    OK(sam2_video_predictor_destroy(video));
    return third;
}

// The same as a stream, a fork, and a saved state. Destroys the model before its predictors.
static void streams(sam2_model *model, const char *frames, double third) {
    sam2_video_predictor *video, *fork;
    struct seen seen = {0};
    OK(sam2_video_predictor_create_stream(model, NULL, &video));
    for (int i = 0; i < 3; i++) {
        char path[500];
        snprintf(path, sizeof path, "%s/%05d.jpg", frames, i);
        sam2_picture *picture;
        OK(sam2_picture_read(path, &picture));
        image = (sam2_image)SAM2_IMAGE_INIT;
        OK(sam2_picture_get_image(picture, &image));
        seen = (struct seen){0};
        OK(sam2_video_predictor_push_frame(video, &image, NULL, see, &seen));
        if (i == 0) OK(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &click, 0, NULL, NULL, NULL));
        OK(sam2_picture_destroy(picture));
    }
    CHECK(fabs(seen.sum - third) < 1e-3 * fabs(third));  // a video of 24 frames has the same distances
    OK(sam2_video_predictor_fork(video, &fork));
    OK(sam2_video_predictor_remove_object(fork, 1));
    CHECK(bad(sam2_video_predictor_remove_object(fork, 1)));
    sam2_features *features = NULL;
    OK(sam2_video_predictor_take_features(fork, 2, &features));
    OK(sam2_video_predictor_set_features(fork, features));
    CHECK(sam2_video_predictor_set_features(fork, features) == SAM2_ERROR_INVALID_HANDLE);
    OK(sam2_video_predictor_take_features(fork, 2, &features));
    CHECK(bad(sam2_video_predictor_set_features(video, NULL)));
    uint64_t bytes = 0;
    OK(sam2_features_get_bytes(features, &bytes));  // refused features remain valid
    CHECK(bytes > 0);
    OK(sam2_features_destroy(features));
    CHECK(bad(sam2_video_predictor_take_features(fork, 99, &features)));
    struct bytes state = {0};
    OK(sam2_video_predictor_save_state(video, append, &state));
    CHECK(sam2_video_predictor_save_state(video, refuse, NULL) == SAM2_ERROR_IO);
    CHECK(bad(sam2_video_predictor_load_state(fork, state.data, state.size - 1)));
    OK(sam2_video_predictor_load_state(fork, state.data, state.size));
    sam2_video_predictor_info about = SAM2_VIDEO_PREDICTOR_INFO_INIT;
    OK(sam2_video_predictor_get_info(fork, &about));
    CHECK(about.num_objects == 1 && about.num_frames == 3);
    free(state.data);
    OK(sam2_model_destroy(model));  // before those who use it
    OK(sam2_video_predictor_reset_state(video));
    OK(sam2_video_predictor_destroy(video));
    CHECK(bad(sam2_video_predictor_destroy(video)));
    OK(sam2_video_predictor_destroy(fork));
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    nothing(NULL);
    wrong_options(argv[1]);
    configurations(argv[1]);
    sam2_model *model = load(argv[1]);
    images(model);
    double third = videos(model, argv[2]);
    streams(model, argv[2], third);
    printf("%d checks\n", checks);
    return 0;
}
