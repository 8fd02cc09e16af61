// Numbers of configurations and changes are read in the same way if the program writes them with a comma.
//
//   locale LOCALE MODEL
#include <locale.h>
#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    char text[8];
    snprintf(text, sizeof text, "%.1f", setlocale(LC_ALL, argv[1]) ? 0.5 : 0);
    if (text[1] != ',') return fprintf(stderr, "no comma in %s\n", text), 1;
    sam2_model *model;
    sam2_automatic_mask_generator *generator;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    sam2_model_info info = SAM2_MODEL_INFO_INIT;
    options.device = SAM2_DEVICE_CPU;
    options.overrides = "model.image_size=512\nmodel.sigmoid_bias_for_mem_enc=-10.5";
    if (sam2_model_load(argv[2], &options, &model) != SAM2_OK) return fprintf(stderr, "%s\n", sam2_last_error()), 1;
    if (sam2_model_get_info(model, &info) != SAM2_OK || info.image_size != 512) return 1;
    if (sam2_automatic_mask_generator_create(model, NULL, &generator) != SAM2_OK) return 1;
    sam2_automatic_mask_generator_destroy(generator);
    return sam2_model_destroy(model) != SAM2_OK;
}
