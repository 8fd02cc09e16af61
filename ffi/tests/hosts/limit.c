// Works with a limit of the address space. Every call ends with a status, and a failure has a message.
//
//   limit MODEL PICTURE MIB
#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

// Ends the program with the result of a call that failed.
static void check(sam2_status status, const char *what) {
    if (status == SAM2_OK) return;
    printf("%s: %s\n", what, sam2_last_error());
    // The system may have no memory for the map of a file, or for a thread.
    int system = status == SAM2_ERROR_IO || status == SAM2_ERROR_DEVICE;
    exit(status == SAM2_ERROR_OUT_OF_MEMORY || system ? 0 : 1);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    rlim_t bytes = (rlim_t)atol(argv[3]) << 20;
    struct rlimit limit = {bytes, bytes};
    if (setrlimit(RLIMIT_AS, &limit) != 0) return 3;
    sam2_model *model;
    sam2_image_predictor *predictor;
    sam2_picture *picture;
    sam2_image image = SAM2_IMAGE_INIT;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.threads = 2;
    check(sam2_model_load(argv[1], &options, &model), "load");
    check(sam2_image_predictor_create(model, NULL, &predictor), "create");
    check(sam2_picture_read(argv[2], &picture), "read");
    check(sam2_picture_get_image(picture, &image), "image");
    check(sam2_image_predictor_set_image(predictor, &image), "set_image");
    puts("done");
    return 0;
}
