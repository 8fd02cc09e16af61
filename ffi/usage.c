#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>

static void check(sam2_status status) {
    if (status == SAM2_OK) return;
    fprintf(stderr, "%s\n", sam2_last_error());
    exit(1);
}

static int32_t print_frame(void *user, const sam2_frame *frame) {
    return fprintf(user, "frame %d: %d pixels\n", (int)frame->frame_idx, (int)frame->areas[0]) < 0;
}

// usage MODEL IMAGE FRAMES X Y MASK.png: segments the object at (X, Y) of an image, and tracks it through a video.
int main(int argc, char **argv) {
    if (argc != 7) return 2;
    sam2_model *model;
    check(sam2_model_load(argv[1], NULL, &model));
    sam2_picture *picture;
    check(sam2_picture_read(argv[2], &picture));
    sam2_image image = SAM2_IMAGE_INIT;
    check(sam2_picture_get_image(picture, &image));

    sam2_image_predictor *predictor;
    check(sam2_image_predictor_create(model, NULL, &predictor));
    check(sam2_image_predictor_set_image(predictor, &image));
    float point[2] = {(float)atof(argv[4]), (float)atof(argv[5])};
    int32_t label = 1;
    sam2_prompt click = SAM2_PROMPT_INIT;
    click.num_points = 1;
    click.points = point;
    click.labels = &label;
    sam2_mask_buffer mask = SAM2_MASK_BUFFER_INIT;
    mask.size = (uint64_t)image.width * image.height;
    mask.data = malloc(mask.size);
    float iou;
    check(sam2_image_predictor_predict(predictor, &click, 1, 0, &mask, &iou, NULL, NULL));
    check(sam2_mask_write_png(argv[6], mask.data, image.width, image.height));
    printf("predicted IoU %.6f\n", iou);

    sam2_video_predictor *video;
    check(sam2_video_predictor_open(model, argv[3], NULL, &video));
    check(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &click, 0, NULL, NULL, NULL));
    check(sam2_video_predictor_propagate_in_video(video, -1, -1, 0, NULL, print_frame, stdout));

    sam2_video_predictor_destroy(video);
    sam2_image_predictor_destroy(predictor);
    sam2_picture_destroy(picture);
    sam2_model_destroy(model);
    free(mask.data);
    return 0;
}
