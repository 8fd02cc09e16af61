// Makes all calls of a program, and reads deeply nested files, on threads with small stacks.
//
//   stack MODEL CONFIGURATION JPEG TIFF FRAMES DEEP_MODEL DEEP_CONFIGURATION
#include "check.h"

static const char *model_path, *configuration, *jpeg, *tiff, *frames, *deep_model, *deep_configuration;

static sam2_prompt click(void) {
    static float at[2] = {100, 100};
    static int32_t label = 1;
    sam2_prompt prompt = SAM2_PROMPT_INIT;
    prompt.num_points = 1, prompt.points = at, prompt.labels = &label;
    return prompt;
}

static int32_t all_is_well(void *user, const sam2_frame *frame) {
    (void)user;
    return frame->num_objects == 0;
}

static int32_t written(void *user, const uint8_t *data, size_t size) {
    (void)data;
    return *(size_t *)user += size, 0;
}

static int32_t found(void *user, const sam2_automatic_mask *mask) {
    (void)mask;
    return ++*(int *)user, 0;
}

static void pictures(const sam2_model *model, const sam2_image *picture) {
    sam2_image_predictor *predictor;
    sam2_automatic_mask_generator *generator;
    sam2_prompt prompt = click();
    static uint8_t mask[1024 * 1024];
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    float iou;
    buffer.data = mask, buffer.size = picture->width * picture->height;
    OK(sam2_image_predictor_create(model, NULL, &predictor));
    OK(sam2_image_predictor_set_image(predictor, picture));
    OK(sam2_image_predictor_predict(predictor, &prompt, 1, 0, &buffer, &iou, NULL, NULL));
    OK(sam2_image_predictor_destroy(predictor));

    sam2_automatic_mask_generator_options options = SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT;
    int masks = 0;
    options.points_per_side = 4, options.pred_iou_thresh = 0.1f, options.stability_score_thresh = 0.1f;
    options.crop_n_layers = 1, options.min_mask_region_area = 20;
    OK(sam2_automatic_mask_generator_create(model, &options, &generator));
    OK(sam2_automatic_mask_generator_generate(generator, picture, SAM2_WAIT_FOREVER, NULL, found, &masks, NULL));
    CHECK(masks > 0);
    OK(sam2_automatic_mask_generator_destroy(generator));
}

static void videos(const sam2_model *model, const sam2_image *picture) {
    sam2_video_predictor *stream, *folder;
    sam2_prompt prompt = click();
    size_t state = 0;
    OK(sam2_video_predictor_create_stream(model, NULL, &stream));
    OK(sam2_video_predictor_push_frame(stream, picture, NULL, NULL, NULL));
    OK(sam2_video_predictor_add_new_points_or_box(stream, 0, 1, &prompt, 0, NULL, all_is_well, NULL));
    OK(sam2_video_predictor_push_frame(stream, picture, NULL, all_is_well, NULL));
    OK(sam2_video_predictor_save_state(stream, written, &state));
    CHECK(state > 0);
    OK(sam2_video_predictor_destroy(stream));

    OK(sam2_video_predictor_open(model, frames, NULL, &folder));
    OK(sam2_video_predictor_add_new_points_or_box(folder, 0, 1, &prompt, 0, NULL, NULL, NULL));
    OK(sam2_video_predictor_propagate_in_video(folder, 0, 2, 0, NULL, all_is_well, NULL));
    OK(sam2_video_predictor_destroy(folder));
}

static void *everything(void *unused) {
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    sam2_model *model;
    sam2_picture *picture;
    sam2_image image = SAM2_IMAGE_INIT;
    options.device = SAM2_DEVICE_CPU, options.config_yaml = configuration;
    OK(sam2_model_load(model_path, &options, &model));
    OK(sam2_picture_read(jpeg, &picture));
    OK(sam2_picture_get_image(picture, &image));
    pictures(model, &image);
    videos(model, &image);
    OK(sam2_picture_destroy(picture));
    OK(sam2_picture_read(tiff, &picture));
    OK(sam2_picture_destroy(picture));
    OK(sam2_model_destroy(model));
    return unused;
}

static void *nested(void *unused) {
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    sam2_model *model;
    options.device = SAM2_DEVICE_CPU;
    CHECK(sam2_model_load(deep_model, &options, &model) == SAM2_ERROR_MODEL);
    CHECK(strstr(sam2_last_error(), "no tensor"));
    options.config_yaml = deep_configuration;
    CHECK(sam2_model_load(model_path, &options, &model) == SAM2_ERROR_MODEL);
    CHECK(strstr(sam2_last_error(), "recursion limit"));
    return unused;
}

static void run(void *(*work)(void *), size_t kib) {
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    CHECK(pthread_attr_setstacksize(&small, kib * 1024) == 0);
    CHECK(pthread_create(&thread, &small, work, NULL) == 0);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv) {
    if (argc != 8) return 2;
    model_path = argv[1], configuration = argv[2], jpeg = argv[3], tiff = argv[4], frames = argv[5];
    deep_model = argv[6], deep_configuration = argv[7];
    run(everything, 128);
    run(nested, 256);
    return 0;
}
