// Tests paths that are not UTF-8. On Unix a path is any bytes.
//
//   paths MODEL FRAMES CONFIGURATION FOLDER
#include "check.h"
#include <unistd.h>

static const char *folder;

// A path in the folder with a name that is not UTF-8.
static const char *named(const char *name) {
    static char path[1000];
    snprintf(path, sizeof path, "%s/%s\xff\xe9", folder, name);
    return path;
}

static const char *other_name_of(const char *path, const char *name) {
    CHECK(symlink(path, named(name)) == 0);
    return named(name);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    folder = argv[4];
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.image_size = 64;
    sam2_model *model;
    OK(sam2_model_load(other_name_of(argv[1], "model"), &options, &model));
    sam2_video_predictor *video;
    OK(sam2_video_predictor_open(model, other_name_of(argv[2], "frames"), NULL, &video));
    OK(sam2_video_predictor_destroy(video));
    OK(sam2_model_destroy(model));
    char configuration[1000];
    snprintf(configuration, sizeof configuration, "%s", other_name_of(argv[3], "yaml"));
    options.config_yaml = configuration;
    OK(sam2_model_load(argv[1], &options, &model));
    OK(sam2_model_destroy(model));

    static uint8_t mask[64 * 64];
    mask[7] = 1;
    OK(sam2_mask_write_png(named("mask"), mask, 64, 64));
    sam2_picture *picture;
    OK(sam2_picture_read(named("mask"), &picture));
    sam2_image one = SAM2_IMAGE_INIT;
    OK(sam2_picture_get_image(picture, &one));
    CHECK(one.width == 64 && ((const uint8_t *)one.planes[0])[7] == 255);
    OK(sam2_picture_destroy(picture));

    // Messages about such files are UTF-8.
    CHECK(sam2_picture_read(named("absent"), &picture) == SAM2_ERROR_IO && sam2_last_errno() == ENOENT);
    CHECK(strstr(sam2_last_error(), "absent\xef\xbf\xbd\xef\xbf\xbd"));
    CHECK(sam2_mask_write_png(named("absent/mask"), mask, 64, 64) == SAM2_ERROR_IO);
    // Texts are UTF-8.
    options.config_yaml = "model: \xff";
    CHECK(sam2_model_load(argv[1], &options, &model) == SAM2_ERROR_INVALID_ARGUMENT);
    CHECK(strstr(sam2_last_error(), "config_yaml is not UTF-8"));
    options.config_yaml = NULL, options.overrides = "model.image_size=64\n\xff";
    CHECK(sam2_model_load(argv[1], &options, &model) == SAM2_ERROR_INVALID_ARGUMENT);
    return 0;
}
