// A small image, and a click on it.
#include "check.h"

static uint8_t pixels[64 * 64 * 3];
static float at[2] = {20, 20};
static int32_t label = 1;

static void draw(void) {
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * i >> 5);
}

static sam2_image image(void) {
    sam2_image image = SAM2_IMAGE_INIT;
    image.planes[0] = pixels, image.width = image.height = 64;
    return image;
}

static sam2_prompt click(void) {
    sam2_prompt prompt = SAM2_PROMPT_INIT;
    prompt.num_points = 1, prompt.points = at, prompt.labels = &label;
    return prompt;
}
