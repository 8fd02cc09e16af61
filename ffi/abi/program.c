// A program that is kept in compiled form: predicts masks of an image, and tracks an object through a video.
#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>

static void ok(sam2_status status) {
    if (status) fprintf(stderr, "%d: %s\n", status, sam2_last_error()), exit(1);
}

static void show(const char *what, const void *data, size_t size) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
    printf("%s %zu %016llx\n", what, size, (unsigned long long)hash);
}

static int32_t show_frame(void *user, const sam2_frame *f) {
    ++*(int *)user;
    printf("frame %llu, %u x %u\n", (unsigned long long)f->frame_idx, f->width, f->height);
    show("ids", f->obj_ids, f->num_objects * sizeof(int64_t));
    show("scores", f->object_score_logits, f->num_objects * sizeof(float));
    show("logits", f->masks, (size_t)f->num_objects * f->width * f->height * sizeof(float));
    return 0;
}

// program MODEL PICTURE FRAMES
int main(int argc, char **argv) {
    if (argc != 4) return 2;
    sam2_model *model;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.threads = 2;
    ok(sam2_model_load(argv[1], &options, &model));
    sam2_model_info info = SAM2_MODEL_INFO_INIT;
    ok(sam2_model_get_info(model, &info));
    printf("interface %u, %s, %u pixels, masks of %u\n", sam2_abi_version(), info.device_name, info.image_size, info.mask_side);

    sam2_picture *picture;
    sam2_image image = SAM2_IMAGE_INIT;
    ok(sam2_picture_read(argv[2], &picture));
    ok(sam2_picture_get_image(picture, &image));
    sam2_image_predictor *predictor;
    sam2_image_predictor_options how = SAM2_IMAGE_PREDICTOR_OPTIONS_INIT;
    how.max_hole_area = 8;
    ok(sam2_image_predictor_create(model, &how, &predictor));
    ok(sam2_image_predictor_set_image(predictor, &image));
    float at[2] = {77, 400}, box[4] = {20, 160, 365, 511}, iou[2];
    int32_t label = 1;
    sam2_prompt prompts[2] = {SAM2_PROMPT_INIT, SAM2_PROMPT_INIT};
    prompts[0].num_points = 1, prompts[0].points = at, prompts[0].labels = &label;
    prompts[1].bounds = box;
    sam2_mask_buffer masks = SAM2_MASK_BUFFER_INIT;
    masks.size = 2 * (uint64_t)image.width * image.height, masks.data = malloc(masks.size);
    ok(sam2_image_predictor_predict(predictor, prompts, 2, 0, &masks, iou, NULL, NULL));
    show("masks", masks.data, masks.size);
    show("iou", iou, sizeof iou);
    free(masks.data);
    ok(sam2_image_predictor_destroy(predictor));
    ok(sam2_picture_destroy(picture));

    sam2_video_predictor *video;
    sam2_video_predictor_options keep = SAM2_VIDEO_PREDICTOR_OPTIONS_INIT;
    ok(sam2_video_predictor_open(model, argv[3], &keep, &video));
    ok(sam2_model_destroy(model));
    at[0] = 208, at[1] = 249;
    int frames = 0;
    ok(sam2_video_predictor_add_new_points_or_box(video, 0, 7, prompts, 0, NULL, show_frame, &frames));
    ok(sam2_video_predictor_propagate_in_video(video, 0, 3, 0, NULL, show_frame, &frames));
    sam2_video_predictor_info about = SAM2_VIDEO_PREDICTOR_INFO_INIT;
    ok(sam2_video_predictor_get_info(video, &about));
    printf("%d of %llu frames, %u objects\n", frames, (unsigned long long)about.num_frames, about.num_objects);
    printf("a stale handle: %d\n", sam2_image_predictor_destroy(predictor));
    ok(sam2_video_predictor_destroy(video));
    return 0;
}
