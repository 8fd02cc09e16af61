// Threads of the library that have nothing to do use no CPU time.
//
//   idle MODEL PICTURE
#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define OK(call) \
    if ((call) != SAM2_OK) fprintf(stderr, "line %d: %s\n", __LINE__, sam2_last_error()), exit(1)

// CPU time of the process in milliseconds.
static double used(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e3 + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e3;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    sam2_model *model;
    sam2_image_predictor *predictor;
    sam2_picture *picture;
    sam2_image image = SAM2_IMAGE_INIT;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.threads = 4;
    OK(sam2_model_load(argv[1], &options, &model));
    OK(sam2_image_predictor_create(model, NULL, &predictor));
    OK(sam2_picture_read(argv[2], &picture));
    OK(sam2_picture_get_image(picture, &image));
    OK(sam2_image_predictor_set_image(predictor, &image));
    usleep(100000);
    double before = used();
    sleep(1);
    double after = used() - before;
    if (after > 20) return fprintf(stderr, "%.2f ms of CPU time in a second\n", after), 1;
    return 0;
}
