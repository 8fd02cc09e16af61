#include "plugin.h"
#include <sam2.h>

static sam2_model *model;
static sam2_image_predictor *predictor;

int plugin_run(const char *model_path, const char *picture_path) {
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.threads = 2, options.device = SAM2_DEVICE_CPU;
    if (sam2_model_load(model_path, &options, &model) != SAM2_OK) return 1;
    if (sam2_image_predictor_create(model, NULL, &predictor) != SAM2_OK) return 2;
    sam2_picture *picture;
    sam2_image image = SAM2_IMAGE_INIT;
    if (sam2_picture_read(picture_path, &picture) != SAM2_OK) return 3;
    if (sam2_picture_get_image(picture, &image) != SAM2_OK) return 4;
    if (sam2_image_predictor_set_image(predictor, &image) != SAM2_OK) return 5;
    return sam2_picture_destroy(picture);
}

int plugin_stop(void) { return sam2_image_predictor_destroy(predictor) != SAM2_OK || sam2_model_destroy(model) != SAM2_OK; }
