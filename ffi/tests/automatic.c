// Tests automatic mask generation, label maps and polygons.
#include "check.h"

enum { W = 61, H = 47, SIZE = W * H };

static uint8_t rgb[SIZE * 3];
static sam2_image image = SAM2_IMAGE_INIT;

// State of a search: its results, and when to end it.
struct everything {
    int masks, calls, stop;
    uint64_t area, points;
};

static int32_t see_mask(void *user, const sam2_automatic_mask *m) {
    struct everything *e = user;
    static uint8_t mask[SIZE];
    OK(sam2_mask_decode_rle(m->rle, m->width, m->height, mask));
    uint64_t area = 0;
    for (int i = 0; i < SIZE; i++) area += mask[i];
    CHECK(area == m->area && m->predicted_iou > 0.3f && m->bbox[2] < W && m->crop_box[3] == H);
    e->masks++, e->area += area;
    return 0;
}

static int32_t on_the_way(void *user, uint64_t points, uint64_t of, uint64_t masks) {
    struct everything *e = user;
    CHECK(points <= of && of == 16 && masks <= 3 * points);
    e->calls++, e->points = points;
    return e->stop;
}

static void searches(const sam2_model *model) {
    sam2_automatic_mask_generator_options options = SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT;
    CHECK(options.points_per_side == 32 && options.pred_iou_thresh == 0.8f && options.crop_overlap_ratio == 512.0 / 1500.0);
    sam2_automatic_mask_generator *g;
    options.points_per_batch = 0;
    CHECK(bad(sam2_automatic_mask_generator_create(model, &options, &g)) && strstr(sam2_last_error(), "points_per_batch"));
    options.points_per_batch = 5, options.points_per_side = 4, options.pred_iou_thresh = 0.3f;
    options.stability_score_thresh = 0.3f;
    OK(sam2_automatic_mask_generator_create(model, &options, &g));
    struct everything all = {0}, some = {.stop = 1}, late = {0}, own = {0};
    int complete = 7;
    OK(sam2_automatic_mask_generator_generate(g, &image, SAM2_WAIT_FOREVER, on_the_way, see_mask, &all, &complete));
    CHECK(complete == 1 && all.masks > 0 && all.calls == 4 && all.points == 16);
    OK(sam2_automatic_mask_generator_generate(g, &image, SAM2_WAIT_FOREVER, on_the_way, see_mask, &some, &complete));
    CHECK(complete == 0 && some.calls == 1 && some.points == 5);
    OK(sam2_automatic_mask_generator_generate(g, &image, 0, on_the_way, see_mask, &late, &complete));
    CHECK(complete == 0 && late.points == 5 && late.masks == some.masks && late.area == some.area);
    CHECK(bad(sam2_automatic_mask_generator_generate(g, &image, 0, NULL, NULL, NULL, NULL)));
    OK(sam2_automatic_mask_generator_generate(g, &image, SAM2_WAIT_FOREVER, NULL, see_mask, &late, NULL));
    CHECK(late.masks == some.masks + all.masks);
    OK(sam2_automatic_mask_generator_destroy(g));

    // The same points, given one by one.
    double points[32];
    uint32_t sizes[2] = {16, 1};
    for (int i = 0; i < 16; i++) points[2 * i] = (i % 4 + 0.5) / 4, points[2 * i + 1] = (i / 4 + 0.5) / 4;
    options.point_grids = points, options.points_per_grid = sizes, options.num_point_grids = 1;
    CHECK(bad(sam2_automatic_mask_generator_create(model, &options, &g)) && strstr(sam2_last_error(), "exactly one"));
    options.points_per_side = 0;
    OK(sam2_automatic_mask_generator_create(model, &options, &g));
    OK(sam2_automatic_mask_generator_generate(g, &image, SAM2_WAIT_FOREVER, on_the_way, see_mask, &own, NULL));
    CHECK(own.masks == all.masks && own.area == all.area);
    OK(sam2_automatic_mask_generator_destroy(g));
    options.num_point_grids = 2;
    CHECK(bad(sam2_automatic_mask_generator_create(model, &options, &g)) && strstr(sam2_last_error(), "point_grids"));
    options.num_point_grids = 1, sizes[0] = 0;
    CHECK(bad(sam2_automatic_mask_generator_create(model, &options, &g)) && strstr(sam2_last_error(), "0 points"));
    sizes[0] = 1u << 31;
    CHECK(bad(sam2_automatic_mask_generator_create(model, &options, &g)) && strstr(sam2_last_error(), "1048576"));
    sizes[0] = 16, points[31] = NAN;
    CHECK(bad(sam2_automatic_mask_generator_create(model, &options, &g)) && strstr(sam2_last_error(), "0..1"));
    options.points_per_grid = NULL;
    CHECK(bad(sam2_automatic_mask_generator_create(model, &options, &g)) && strstr(sam2_last_error(), "together"));
    options.point_grids = NULL, options.num_point_grids = 0;
    CHECK(bad(sam2_automatic_mask_generator_create(model, &options, &g)) && strstr(sam2_last_error(), "per side"));
}

// Encodes a mask. The caller frees the string.
static char *text_of(const uint8_t *mask) {
    size_t size = 0;
    OK(sam2_mask_encode_rle(mask, W, H, NULL, &size));
    char *text = malloc(size);
    OK(sam2_mask_encode_rle(mask, W, H, text, &size));
    return text;
}

// Outlines that are filled by the even-odd rule reproduce the mask.
static void outlines(const uint8_t *mask, const char *text) {
    size_t corners = 0, rings = 0;
    OK(sam2_mask_get_polygons(text, W, H, NULL, &corners, NULL, &rings));
    CHECK(rings > 1 && corners >= 4 * rings);
    uint32_t *points = malloc(corners * 2 * sizeof *points), *sizes = malloc(rings * sizeof *sizes);
    size_t few = corners - 1, less = rings - 1;
    CHECK(bad(sam2_mask_get_polygons(text, W, H, points, &few, sizes, &less)) && few == corners && less == rings);
    few = corners - 1, less = rings - 1;
    CHECK(bad(sam2_mask_get_polygons(text, W, H, points, &few, sizes, &rings)) && few == corners);
    CHECK(bad(sam2_mask_get_polygons(text, W, H, points, &corners, sizes, &less)) && less == rings);
    OK(sam2_mask_get_polygons(text, W, H, points, &corners, sizes, &rings));
    static uint8_t filled[SIZE];
    size_t first = 0;
    for (size_t i = 0; i < rings; first += sizes[i++])
        for (uint32_t k = 0; k < sizes[i]; k++) {
            uint32_t *a = points + 2 * (first + k), *b = points + 2 * (first + (k + 1) % sizes[i]);
            CHECK(a[0] <= W && a[1] <= H && (a[0] == b[0]) != (a[1] == b[1]));
            for (uint32_t y = a[1] < b[1] ? a[1] : b[1]; y < (a[1] < b[1] ? b[1] : a[1]); y++)
                for (uint32_t x = a[0]; x < W; x++) filled[y * W + x] ^= 1;
        }
    CHECK(first == corners && memcmp(filled, mask, SIZE) == 0);
    CHECK(bad(sam2_mask_get_polygons(text, W - 1, H, points, &corners, sizes, &rings)));
    CHECK(bad(sam2_mask_get_polygons("01", 100000, 1, NULL, &corners, NULL, &rings)));
    free(points), free(sizes);
}

static void shapes(void) {
    // A ring, and beside it a chain of pixels that touch at their corners.
    static uint8_t mask[SIZE], whole[SIZE];
    for (int i = 0; i < SIZE; i++) {
        int x = i % W, y = i / W, d = (x - 20) * (x - 20) + (y - 23) * (y - 23);
        mask[i] = (d < 300 && d > 60) || (x > 40 && x == y + 14), whole[i] = 1;
    }
    char *text = text_of(mask), *all = text_of(whole);
    outlines(mask, text);
    // It lies on a mask of everything.
    const char *texts[2] = {text, all};
    static uint16_t map[SIZE];
    int wrong = 0;
    OK(sam2_mask_get_label_map(texts, 2, W, H, map));
    for (int i = 0; i < SIZE; i++) wrong += map[i] != (mask[i] ? 1 : 2);
    OK(sam2_mask_get_label_map(texts, 1, W, H, map));
    for (int i = 0; i < SIZE; i++) wrong += map[i] != mask[i];
    OK(sam2_mask_get_label_map(NULL, 0, W, H, map));
    for (int i = 0; i < SIZE; i++) wrong += map[i] != 0;
    CHECK(wrong == 0 && bad(sam2_mask_get_label_map(texts, 2, W, H - 1, map)) && bad(sam2_mask_get_label_map(texts, 65536, W, H, map)));
    texts[1] = NULL;
    CHECK(bad(sam2_mask_get_label_map(texts, 2, W, H, map)));
    free(text), free(all);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    for (int i = 0; i < SIZE; i++) {
        int x = i % W - 30, y = i / W - 20, in = x * x + y * y < 130;
        for (int c = 0; c < 3; c++) rgb[3 * i + c] = (uint8_t)(in ? 200 - 30 * c + x : 40 + 20 * c + y);
    }
    image.format = SAM2_FORMAT_RGB8, image.width = W, image.height = H, image.planes[0] = rgb;
    shapes();
    sam2_model *model;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU;
    OK(sam2_model_load(argv[1], &options, &model));
    searches(model);
    OK(sam2_model_destroy(model));
    return 0;
}
