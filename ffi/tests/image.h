// An image with an object, a click on it, and a buffer for its masks.
#include "check.h"

enum { W = 61, H = 47, SIDE = 64, SIZE = W * H };

static uint8_t rgb[SIZE * 3];
static sam2_model *model;

static sam2_image image_of(int32_t format, const void *data) {
    sam2_image image = SAM2_IMAGE_INIT;
    image.format = format, image.width = W, image.height = H, image.planes[0] = data;
    return image;
}

static float at[2] = {30, 20};
static int32_t on = 1;

static sam2_prompt click(uint32_t image) {
    sam2_prompt p = SAM2_PROMPT_INIT;
    p.num_points = 1, p.points = at, p.labels = &on, p.image = image;
    return p;
}

static sam2_mask_buffer into(int32_t format, void *data, uint64_t size) {
    sam2_mask_buffer b = SAM2_MASK_BUFFER_INIT;
    b.format = format, b.data = data, b.size = size;
    return b;
}

static sam2_image_predictor *make(const sam2_image_predictor_options *options) {
    sam2_image_predictor *p;
    OK(sam2_image_predictor_create(model, options, &p));
    return p;
}

static void draw(void) {
    for (int i = 0; i < SIZE; i++) {
        int x = i % W - 30, y = i / W - 20, in = x * x + y * y < 130;
        for (int c = 0; c < 3; c++) rgb[3 * i + c] = (uint8_t)(in ? 200 - 30 * c + x : 40 + 20 * c + y);
    }
}
