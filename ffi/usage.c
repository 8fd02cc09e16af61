#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>

static void check(int status) {
    if (status != SAM2_OK) fprintf(stderr, "%s\n", sam2_last_error()), exit(1);
}

static int32_t show(void *user, const sam2_frame *f) {
    return printf("%s %d: %d pixels\n", (char *)user, (int)f->frame_idx, (int)f->areas[0]) < 0;
}

// usage MODEL PICTURE FRAMES X Y MASK.png: the mask of what is at pixel (X, Y) of a picture, then through frames
int main(int argc, char **argv) {
    if (argc != 7) return 2;
    sam2_model *model;
    sam2_picture *picture;
    sam2_image_predictor *predictor;
    sam2_video_predictor *video;
    check(sam2_model_load(argv[1], NULL, &model));
    check(sam2_picture_read(argv[2], &picture));
    check(sam2_image_predictor_create(model, NULL, &predictor));
    sam2_image image = SAM2_IMAGE_INIT;
    check(sam2_picture_get_image(picture, &image));
    check(sam2_image_predictor_set_image(predictor, &image));
    float at[2] = {(float)atof(argv[4]), (float)atof(argv[5])}, iou;
    sam2_prompt click = SAM2_PROMPT_INIT;
    click.num_points = 1, click.points = at, click.labels = (int32_t[]){1};
    sam2_mask_buffer mask = SAM2_MASK_BUFFER_INIT;
    mask.size = (uint64_t)image.width * image.height, mask.data = malloc(mask.size);
    check(sam2_image_predictor_predict(predictor, &click, 1, 0, &mask, &iou, NULL, NULL));
    check(sam2_mask_write_png(argv[6], mask.data, image.width, image.height));
    printf("predicted IoU %.6f\n", iou);
    check(sam2_video_predictor_open(model, argv[3], NULL, &video));
    check(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &click, 0, NULL, NULL, NULL));
    check(sam2_video_predictor_propagate_in_video(video, -1, -1, 0, NULL, show, "frame"));
    sam2_video_predictor_destroy(video), sam2_image_predictor_destroy(predictor), free(mask.data);
    return sam2_picture_destroy(picture) | sam2_model_destroy(model);
}
