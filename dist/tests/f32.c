// f32 MODEL PICTURE FRAMES OUT: writes the float32 logits of a click and of four tracked frames to OUT.
#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>

static void check(sam2_status status) {
    if (status == SAM2_OK) return;
    fprintf(stderr, "%s\n", sam2_last_error());
    exit(1);
}

static int32_t write_frame(void *user, const sam2_frame *frame) {
    size_t pixels = (size_t)frame->width * frame->height;
    return fwrite(frame->masks, sizeof(float), pixels, user) != pixels;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.precision = SAM2_PRECISION_F32;
    sam2_model *model;
    check(sam2_model_load(argv[1], &options, &model));
    sam2_picture *picture;
    check(sam2_picture_read(argv[2], &picture));
    sam2_image image = SAM2_IMAGE_INIT;
    check(sam2_picture_get_image(picture, &image));
    FILE *out = fopen(argv[4], "wb");
    if (!out) return 1;

    sam2_image_predictor *predictor;
    check(sam2_image_predictor_create(model, NULL, &predictor));
    check(sam2_image_predictor_set_image(predictor, &image));
    float point[2] = {77, 400};
    int32_t label = 1;
    sam2_prompt click = SAM2_PROMPT_INIT;
    click.num_points = 1, click.points = point, click.labels = &label;
    sam2_mask_buffer mask = SAM2_MASK_BUFFER_INIT;
    mask.format = SAM2_MASK_LOGITS;
    mask.size = (uint64_t)image.width * image.height * sizeof(float);
    mask.data = malloc(mask.size);
    float iou;
    check(sam2_image_predictor_predict(predictor, &click, 1, 0, &mask, &iou, NULL, NULL));
    if (fwrite(mask.data, 1, mask.size, out) != mask.size) return 1;

    sam2_video_predictor *video;
    check(sam2_video_predictor_open(model, argv[3], NULL, &video));
    point[0] = 208, point[1] = 249;
    check(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &click, 0, NULL, NULL, NULL));
    check(sam2_video_predictor_propagate_in_video(video, -1, 3, 0, NULL, write_frame, out));
    sam2_video_predictor_destroy(video);
    sam2_image_predictor_destroy(predictor);
    sam2_picture_destroy(picture);
    sam2_model_destroy(model);
    free(mask.data);
    return fclose(out) != 0;
}
