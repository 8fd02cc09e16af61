// Ends the process while a job runs. With a fourth argument its objects are destroyed before.
//
//   quit MODEL PICTURE [DESTROY]
#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>

#define OK(call) \
    if ((call) != SAM2_OK) fprintf(stderr, "line %d: %s\n", __LINE__, sam2_last_error()), exit(1)

static void done(void *user, sam2_status status) { (void)user, (void)status; }

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    sam2_model *model;
    sam2_image_predictor *predictor;
    sam2_picture *picture;
    static sam2_image images[8];
    sam2_job *job;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.threads = 2;
    OK(sam2_model_load(argv[1], &options, &model));
    OK(sam2_image_predictor_create(model, NULL, &predictor));
    OK(sam2_picture_read(argv[2], &picture));
    for (int i = 0; i < 8; i++) {
        images[i] = (sam2_image)SAM2_IMAGE_INIT;
        OK(sam2_picture_get_image(picture, &images[i]));
    }
    OK(sam2_image_predictor_set_image_batch_async(predictor, images, 8, done, NULL, &job));
    if (argc > 3) {
        sam2_status status = sam2_image_predictor_destroy(predictor);
        if (status != SAM2_OK && status != SAM2_ERROR_BUSY) return 3;
        OK(sam2_model_destroy(model));
    }
    return 0;
}
