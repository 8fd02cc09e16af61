#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, sam2_last_error());
    return 1;
}

// usage MODEL PICTURE X Y MASK.png: the mask of what is at pixel (X, Y)
int main(int argc, char **argv) {
    if (argc != 6) return 2;
    sam2_model *model;
    sam2_picture *picture;
    sam2_image_predictor *predictor;
    if (sam2_model_load(argv[1], NULL, &model)) return fail("model");
    if (sam2_picture_read(argv[2], &picture)) return fail("picture");
    if (sam2_image_predictor_create(model, NULL, &predictor)) return fail("predictor");

    sam2_image image = SAM2_IMAGE_INIT;
    sam2_picture_get_image(picture, &image);
    if (sam2_image_predictor_set_image(predictor, &image)) return fail("set_image");

    float at[2] = {(float)atof(argv[3]), (float)atof(argv[4])}, iou;
    int32_t label = 1;
    sam2_prompt click = SAM2_PROMPT_INIT;
    click.num_points = 1, click.points = at, click.labels = &label;
    sam2_mask_buffer mask = SAM2_MASK_BUFFER_INIT;
    mask.size = (uint64_t)image.width * image.height, mask.data = malloc(mask.size);
    if (sam2_image_predictor_predict(predictor, &click, 1, 0, &mask, &iou, NULL, NULL)) return fail("predict");
    if (sam2_mask_write_png(argv[5], mask.data, image.width, image.height)) return fail("mask");
    printf("%.6f\n", iou);

    free(mask.data);
    sam2_image_predictor_destroy(predictor), sam2_picture_destroy(picture), sam2_model_destroy(model);
    return 0;
}
