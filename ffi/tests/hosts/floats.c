// Masks do not depend on the floating-point modes of the calling thread, which are preserved: subnormal numbers become
// zero, or results are rounded up.
//
//   floats MODEL PICTURE
#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmmintrin.h>

#define CHECK(what) \
    if (!(what)) fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #what, sam2_last_error()), exit(1)

enum { SIDE = 64 };

static float iou, low[SIDE * SIDE];

static void predict(const char *model_path, const char *picture_path) {
    sam2_model *model;
    sam2_image_predictor *predictor;
    sam2_picture *picture;
    sam2_image image = SAM2_IMAGE_INIT;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    sam2_prompt prompt = SAM2_PROMPT_INIT;
    float at[2] = {77, 400};
    int32_t on = 1;
    options.device = SAM2_DEVICE_CPU, options.threads = 2, options.precision = SAM2_PRECISION_F32;
    prompt.num_points = 1, prompt.points = at, prompt.labels = &on;
    CHECK(sam2_model_load(model_path, &options, &model) == SAM2_OK);
    CHECK(sam2_image_predictor_create(model, NULL, &predictor) == SAM2_OK);
    CHECK(sam2_picture_read(picture_path, &picture) == SAM2_OK && sam2_picture_get_image(picture, &image) == SAM2_OK);
    CHECK(sam2_image_predictor_set_image(predictor, &image) == SAM2_OK);
    CHECK(sam2_image_predictor_predict(predictor, &prompt, 1, 0, NULL, &iou, low, NULL) == SAM2_OK);
    CHECK(sam2_image_predictor_destroy(predictor) == SAM2_OK && sam2_model_destroy(model) == SAM2_OK);
    CHECK(sam2_picture_destroy(picture) == SAM2_OK);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    static float want_low[SIDE * SIDE];
    unsigned usual = _mm_getcsr() & ~0x3fu;
    predict(argv[1], argv[2]);
    float want = iou;
    memcpy(want_low, low, sizeof low);
    // Flush to zero and subnormal numbers are zero; round up; both.
    unsigned modes[] = {usual | 0x8040, usual | 0x4000, usual | 0xc040};
    for (int i = 0; i < 3; i++) {
        _mm_setcsr(modes[i]);
        predict(argv[1], argv[2]);
        CHECK((_mm_getcsr() & ~0x3fu) == modes[i]);
        CHECK(iou == want && memcmp(low, want_low, sizeof low) == 0);
    }
    return 0;
}
