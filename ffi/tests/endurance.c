// Creates and destroys predictors, and predicts many masks. Memory must not grow.
#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void ok(int status) {
    if (status) fprintf(stderr, "%s\n", sam2_last_error()), exit(1);
}

static long resident(void) {
    long total, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &total, &pages) != 2) exit(2);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static uint8_t pixels[64 * 64 * 3], mask[64 * 64];

static sam2_image_predictor *start(const sam2_model *model) {
    sam2_image_predictor *p;
    ok(sam2_image_predictor_create(model, NULL, &p));
    sam2_image image = SAM2_IMAGE_INIT;
    image.planes[0] = pixels, image.width = image.height = 64;
    ok(sam2_image_predictor_set_image(p, &image));
    return p;
}

static void predict(sam2_image_predictor *p, int i) {
    float at[2] = {(float)(i * 7 % 64), (float)(i * 13 % 64)}, iou;
    int32_t label = 1;
    sam2_prompt click = SAM2_PROMPT_INIT;
    click.num_points = 1, click.points = at, click.labels = &label;
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    buffer.data = mask, buffer.size = sizeof mask;
    ok(sam2_image_predictor_predict(p, &click, 1, 0, &buffer, &iou, NULL, NULL));
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int cycles = atoi(argv[2]), predictions = atoi(argv[3]);
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * i >> 5);
    sam2_model *model;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.image_size = 128;  // quick, where it is watched
    ok(sam2_model_load(argv[1], &options, &model));
    long before = 0, most = 0;
    for (int i = 0; i < cycles; i++) {
        sam2_image_predictor *p = start(model);
        predict(p, i);
        ok(sam2_image_predictor_destroy(p));
        if (i == cycles / 10) before = resident();
    }
    most = resident() - before;
    sam2_image_predictor *p = start(model);
    for (int i = 0; i < predictions; i++) {
        predict(p, i);
        if (i == predictions / 10) before = resident();
    }
    if (resident() - before > most) most = resident() - before;
    ok(sam2_image_predictor_destroy(p));
    ok(sam2_model_destroy(model));
    printf("%ld\n", most);
    return 0;
}
