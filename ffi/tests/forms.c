// What comes in and goes out in every form, jobs, cameras, and memory of the caller's: all the same masks.
#include "check.h"
#include <fcntl.h>
#include <unistd.h>

enum { W = 61, H = 47, SIDE = 64, SIZE = W * H };

static uint8_t rgb[SIZE * 3];
static sam2_model *model;

static sam2_image image_of(int32_t format, const void *data) {
    sam2_image image = SAM2_IMAGE_INIT;
    image.format = format, image.width = W, image.height = H, image.planes[0] = data;
    return image;
}

static sam2_image_predictor *make(const sam2_image_predictor_options *options) {
    sam2_image_predictor *p;
    OK(sam2_image_predictor_create(model, options, &p));
    return p;
}

static float at[2] = {30, 20}, spot[4] = {12, 9, 44, 40};
static int32_t on = 1;

static sam2_prompt click(uint32_t image) {
    sam2_prompt p = SAM2_PROMPT_INIT;
    p.num_points = 1, p.points = at, p.labels = &on, p.image = image;
    return p;
}

static sam2_mask_buffer into(int32_t kind, void *data, uint64_t size) {
    sam2_mask_buffer b = SAM2_MASK_BUFFER_INIT;
    b.kind = kind, b.data = data, b.size = size;
    return b;
}

// The logits of a click on a picture.
static void logits_of(const sam2_image *image, float *out) {
    sam2_image_predictor *p = make(NULL);
    OK(sam2_image_predictor_set_image(p, image));
    sam2_prompt prompt = click(0);
    sam2_mask_buffer buffer = into(SAM2_MASK_LOGITS, out, SIZE * 4);
    float iou;
    OK(sam2_image_predictor_predict(p, &prompt, 1, 0, &buffer, &iou, NULL, NULL));
    OK(sam2_image_predictor_destroy(p));
}

static int same(const sam2_image *image, const float *want) {
    static float got[SIZE];
    logits_of(image, got);
    return memcmp(got, want, sizeof got) == 0;
}

static void pictures(void) {
    static float want[SIZE], gray_want[SIZE], floats_want[SIZE], f32[SIZE * 3], planar[SIZE * 3];
    static uint8_t bgr[SIZE * 3], rgba[SIZE * 4], upside[H * (W * 3 + 5)], gray[SIZE], uv[(H + 1) / 2 * (W + 1)];
    static uint8_t yuyv[H * (W + 1) * 2], uyvy[H * (W + 1) * 2], gray_rgb[SIZE * 3];
    memset(uv, 128, sizeof uv), memset(yuyv, 128, sizeof yuyv), memset(uyvy, 128, sizeof uyvy);
    for (int i = 0; i < SIZE; i++) {
        gray[i] = rgb[3 * i];
        yuyv[i / W * (W + 1) * 2 + i % W * 2] = uyvy[i / W * (W + 1) * 2 + i % W * 2 + 1] = gray[i];
        for (int c = 0; c < 3; c++) {
            bgr[3 * i + 2 - c] = rgba[4 * i + c] = rgb[3 * i + c];
            upside[(H - 1 - i / W) * (W * 3 + 5) + i % W * 3 + c] = rgb[3 * i + c];
            f32[3 * i + c] = planar[c * SIZE + i] = (float)rgb[3 * i + c] / 255;
            gray_rgb[3 * i + c] = gray[i];
        }
    }
    sam2_image image = image_of(SAM2_FORMAT_RGB8, rgb);
    logits_of(&image, want);
    image = image_of(SAM2_FORMAT_BGR8, bgr);
    CHECK(same(&image, want));
    image = image_of(SAM2_FORMAT_RGBA8, rgba);
    CHECK(same(&image, want));
    image = image_of(SAM2_FORMAT_RGB8, upside), image.strides[0] = W * 3 + 5, image.flip = 1;
    CHECK(same(&image, want));
    image.flip = 0;
    CHECK(!same(&image, want));
    image = image_of(SAM2_FORMAT_RGB_F32, f32);
    logits_of(&image, floats_want);
    image = image_of(SAM2_FORMAT_RGB_F32_PLANAR, planar), image.planes[1] = planar + SIZE;
    CHECK(sam2_image_predictor_set_image(make(NULL), &image) == SAM2_ERROR_INVALID_ARGUMENT);
    CHECK(strstr(sam2_last_error(), "planes[2]"));
    image.planes[2] = planar + 2 * SIZE;
    CHECK(same(&image, floats_want));
    image = image_of(SAM2_FORMAT_GRAY8, gray);
    logits_of(&image, gray_want);
    image = image_of(SAM2_FORMAT_RGB8, gray_rgb);
    CHECK(same(&image, gray_want));
    // Without colour, of the full range, luma is gray.
    image = image_of(SAM2_FORMAT_NV12, gray), image.planes[1] = uv, image.range = SAM2_RANGE_FULL;
    CHECK(same(&image, gray_want));
    image.matrix = SAM2_MATRIX_BT601;
    CHECK(same(&image, gray_want));
    image.range = SAM2_RANGE_LIMITED;
    CHECK(!same(&image, gray_want));
    image = image_of(SAM2_FORMAT_YUYV, yuyv), image.range = SAM2_RANGE_FULL;
    CHECK(same(&image, gray_want));
    image = image_of(SAM2_FORMAT_UYVY, uyvy), image.range = SAM2_RANGE_FULL;
    CHECK(same(&image, gray_want));
    image.matrix = 5;
    CHECK(bad(sam2_image_predictor_set_image(make(NULL), &image)) && strstr(sam2_last_error(), "no matrix"));
}

// Masks in every form; two pictures in one call; the same as a job.
static void masks(void) {
    static uint8_t u8[2 * SIZE], again[SIZE], bits[H * ((W + 7) / 8)];
    static uint16_t labels[SIZE], flipped[SIZE];
    static float low[SIDE * SIDE * 2], logits[2 * SIZE];
    sam2_image_predictor *p = make(NULL);
    sam2_image image = image_of(SAM2_FORMAT_RGB8, rgb);
    OK(sam2_image_predictor_set_image(p, &image));
    sam2_prompt list[2] = {click(0), SAM2_PROMPT_INIT};
    list[1].box_ = spot;
    sam2_mask_buffer buffer = into(SAM2_MASK_U8, u8, sizeof u8);
    float iou[6], score[2];
    OK(sam2_image_predictor_predict(p, list, 2, 0, &buffer, iou, low, score));
    buffer = into(SAM2_MASK_LOGITS, logits, sizeof logits);
    OK(sam2_image_predictor_predict(p, list, 2, 0, &buffer, iou, NULL, NULL));
    buffer = into(SAM2_MASK_BITS, bits, sizeof bits);
    OK(sam2_image_predictor_predict(p, list, 1, 0, &buffer, iou, NULL, NULL));
    buffer = into(SAM2_MASK_LABELS, labels, sizeof labels);
    OK(sam2_image_predictor_predict(p, list, 2, 0, &buffer, iou, NULL, NULL));
    buffer = into(SAM2_MASK_LABELS, flipped, sizeof flipped), buffer.flip = 1;
    OK(sam2_image_predictor_predict(p, list, 2, 0, &buffer, iou, NULL, NULL));
    CHECK(bad(sam2_image_predictor_predict(p, list, 2, SAM2_PREDICT_MULTIMASK, &buffer, iou, NULL, NULL)));
    buffer.kind = 7;
    CHECK(bad(sam2_image_predictor_predict(p, list, 2, 0, &buffer, iou, NULL, NULL)));
    int wrong = 0, areas[2] = {0, 0};
    for (int i = 0; i < SIZE; i++) {
        int x = i % W, y = i / W, first = logits[i] > 0, second = logits[SIZE + i] > 0;
        wrong += u8[i] != first || u8[SIZE + i] != second || (bits[y * ((W + 7) / 8) + x / 8] >> (7 - x % 8) & 1) != first;
        int want = !first && !second ? 0 : logits[SIZE + i] > logits[i] ? 2 : 1;
        wrong += labels[i] != want || flipped[(H - 1 - y) * W + x] != want;
        areas[0] += first, areas[1] += second;
    }
    CHECK(wrong == 0 && areas[0] > 0 && areas[1] > 0);
    list[0].mask_input = low;
    OK(sam2_image_predictor_predict(p, list, 1, 0, NULL, iou, NULL, NULL));
    // A mask of the picture is the logits that stand for it; two masks are none, nor are bytes logits, nor half a size.
    static float same_low[SIDE * SIDE], from_mask[SIDE * SIDE], logits_of_mask[SIDE * SIDE], bytes[SIDE * SIDE];
    static uint8_t square[SIDE * SIDE];
    for (int i = 0; i < SIDE * SIDE; i++) {
        square[i] = i % SIDE > 20 && i / SIDE > 30 ? 7 : 0;
        logits_of_mask[i] = square[i] ? 10 : -10, bytes[i] = square[i] ? 255 : 0;
    }
    sam2_prompt said = SAM2_PROMPT_INIT;
    said.mask_input = logits_of_mask;
    OK(sam2_image_predictor_predict(p, &said, 1, 0, NULL, iou, same_low, NULL));
    said.mask = square, said.mask_width = SIDE, said.mask_height = SIDE;
    CHECK(bad(sam2_image_predictor_predict(p, &said, 1, 0, NULL, iou, NULL, NULL)) && strstr(sam2_last_error(), "two masks"));
    said.mask_input = NULL;
    OK(sam2_image_predictor_predict(p, &said, 1, 0, NULL, iou, from_mask, NULL));
    CHECK(memcmp(same_low, from_mask, sizeof from_mask) == 0);
    sam2_job *making;
    int made = -1;
    memset(from_mask, 0, sizeof from_mask);
    OK(sam2_image_predictor_predict_async(p, &said, 1, 0, NULL, iou, from_mask, NULL, NULL, NULL, &making));
    OK(sam2_job_wait(making, SAM2_WAIT_FOREVER, &made));
    OK(sam2_job_destroy(making));
    CHECK(made == SAM2_OK && memcmp(same_low, from_mask, sizeof from_mask) == 0);
    said.mask_height = 0;
    CHECK(bad(sam2_image_predictor_predict(p, &said, 1, 0, NULL, iou, NULL, NULL)));
    said.mask = NULL, said.mask_input = bytes;
    CHECK(bad(sam2_image_predictor_predict(p, &said, 1, 0, NULL, iou, NULL, NULL)) && strstr(sam2_last_error(), "binary mask"));
    // An empty list of points is not none.
    said.mask_input = logits_of_mask, said.pad_points = 1;
    OK(sam2_image_predictor_predict(p, &said, 1, 0, NULL, iou, from_mask, NULL));
    CHECK(memcmp(same_low, from_mask, sizeof from_mask) != 0);
    list[0].mask_input = NULL;

    size_t size = 0;
    OK(sam2_mask_encode_rle(u8, W, H, NULL, &size));
    char *text = malloc(size);
    size_t small = size - 1;
    CHECK(bad(sam2_mask_encode_rle(u8, W, H, text, &small)) && small == size);
    OK(sam2_mask_encode_rle(u8, W, H, text, &size));
    CHECK(strlen(text) + 1 == size);
    OK(sam2_mask_decode_rle(text, W, H, again));
    CHECK(memcmp(again, u8, SIZE) == 0);
    CHECK(bad(sam2_mask_decode_rle(text, W, H - 1, again)) && bad(sam2_mask_encode_rle(u8, 0, H, text, &size)));
    free(text);

    // A batch, the second picture smaller.
    sam2_image both[2] = {image, image};
    both[1].height = H - 7;
    static uint8_t batch[SIZE + W * (H - 7)];
    sam2_image_predictor *q = make(NULL);
    OK(sam2_image_predictor_reserve(q, 2, 4, 1));
    sam2_job *job;
    int how = 77, gone = -1;
    OK(sam2_image_predictor_set_image_async(q, both, 2, NULL, NULL, &job));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &how));
    CHECK(how == SAM2_OK);
    OK(sam2_job_destroy(job));
    CHECK(bad(sam2_job_destroy(job)) && bad(sam2_job_wait(job, 0, &gone)) && gone == -1);
    sam2_image_predictor_info info = SAM2_IMAGE_PREDICTOR_INFO_INIT;
    OK(sam2_image_predictor_get_info(q, 1, &info));
    CHECK(info.num_images == 2 && info.width == W && info.height == H - 7 && info.device_bytes > 0);
    sam2_prompt each[2] = {click(0), click(1)};
    buffer = into(SAM2_MASK_U8, batch, sizeof batch);
    OK(sam2_image_predictor_predict_async(q, each, 2, 0, &buffer, iou, NULL, NULL, NULL, NULL, &job));
    while (sam2_job_wait(job, 1, &how) == SAM2_ERROR_BUSY) continue;
    CHECK(how == SAM2_OK && memcmp(batch, u8, SIZE) == 0);
    OK(sam2_job_destroy(job));
    sam2_prompt wrong_order[2] = {click(1), click(0)}, nowhere = click(2);
    CHECK(bad(sam2_image_predictor_predict(q, wrong_order, 2, 0, &buffer, iou, NULL, NULL)));
    CHECK(bad(sam2_image_predictor_predict(q, &nowhere, 1, 0, NULL, iou, NULL, NULL)));
    buffer.size--;
    CHECK(bad(sam2_image_predictor_predict(q, each, 2, 0, &buffer, iou, NULL, NULL)));

    uint32_t shape[3];
    OK(sam2_image_predictor_get_features(q, SAM2_FEATURE_HIGH_RES_0, 0, NULL, 0, shape));
    CHECK(shape[1] == SIDE && shape[2] == SIDE);
    OK(sam2_image_predictor_get_features(q, SAM2_FEATURE_IMAGE_EMBEDDING, 1, NULL, 0, shape));
    size_t count = (size_t)shape[0] * shape[1] * shape[2];
    float *values = calloc(count, sizeof *values);
    CHECK(bad(sam2_image_predictor_get_features(q, 0, 0, values, count - 1, shape)));
    CHECK(bad(sam2_image_predictor_get_features(q, 9, 0, values, count, shape)));
    OK(sam2_image_predictor_get_features(q, SAM2_FEATURE_IMAGE_EMBEDDING, 0, values, count, shape));
    CHECK(values[0] != 0 && values[count - 1] != 0);
    free(values);
    OK(sam2_image_predictor_reset(q));
    CHECK(bad(sam2_image_predictor_predict(q, each, 1, 0, NULL, iou, NULL, NULL)));
    OK(sam2_image_predictor_destroy(q));

    // In memory of the caller's: as much as the predictor before held.
    size_t room = info.device_bytes + 4096;
    sam2_image_predictor_options options = SAM2_IMAGE_PREDICTOR_OPTIONS_INIT;
    options.workspace = malloc(room), options.workspace_size = room;
    q = make(&options);
    OK(sam2_image_predictor_reserve(q, 2, 4, 1));
    OK(sam2_image_predictor_set_image_batch(q, both, 2));
    buffer.size++, memset(batch, 9, sizeof batch);
    OK(sam2_image_predictor_predict(q, each, 2, 0, &buffer, iou, NULL, NULL));
    CHECK(memcmp(batch, u8, SIZE) == 0);
    CHECK(sam2_image_predictor_reserve(q, 50, 4, 1) == SAM2_ERROR_OUT_OF_MEMORY);
    OK(sam2_image_predictor_set_image(q, &image));
    OK(sam2_image_predictor_destroy(q));
    free(options.workspace);
    OK(sam2_image_predictor_destroy(p));
}

// dlpack.h's struct, with which tensors of other libraries come.
struct tensor {
    uint32_t version[2];
    void *context;
    void (*deleter)(struct tensor *);
    uint64_t flags;
    void *data;
    int32_t device_type, device_id, ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
};

static void tensors(void) {
    static float want[SIZE];
    sam2_image image = image_of(SAM2_FORMAT_RGB8, rgb), described = SAM2_IMAGE_INIT;
    logits_of(&image, want);
    int64_t shape[4] = {H, W, 3};
    struct tensor t = {.version = {1, 1}, .data = rgb - 8, .device_type = 1, .ndim = 3, .code = 1, .bits = 8, .lanes = 1};
    t.shape = shape, t.byte_offset = 8;
    const DLManagedTensorVersioned *theirs = (const void *)&t;
    OK(sam2_image_from_dlpack(theirs, &described));
    CHECK(same(&described, want));
    t.version[0] = 2;
    CHECK(bad(sam2_image_from_dlpack(theirs, &described)));
    t.version[0] = 1, t.code = 0;
    CHECK(bad(sam2_image_from_dlpack(theirs, &described)) && strstr(sam2_last_error(), "int8"));
    t.code = 1;
    // The same with channels first: planes, and a view of pixels; and as a batch of one.
    static uint8_t planes[3 * SIZE];
    for (int i = 0; i < SIZE; i++) planes[i] = rgb[3 * i], planes[SIZE + i] = rgb[3 * i + 1], planes[2 * SIZE + i] = rgb[3 * i + 2];
    int64_t first[4] = {1, 3, H, W}, within[4] = {SIZE * 3, 1, W * 3, 3}, dense[4] = {3 * SIZE, SIZE, W, 1};
    t.shape = first + 1, t.strides = within + 1;
    OK(sam2_image_from_dlpack(theirs, &described));
    CHECK(described.format == SAM2_FORMAT_RGB8 && same(&described, want));
    t.data = planes - 8, t.strides = NULL;
    OK(sam2_image_from_dlpack(theirs, &described));
    CHECK(described.format == SAM2_FORMAT_RGB8_PLANAR && same(&described, want));
    t.ndim = 4, t.shape = first, t.strides = dense;
    OK(sam2_image_from_dlpack(theirs, &described));
    CHECK(described.format == SAM2_FORMAT_RGB8_PLANAR && same(&described, want));
    first[0] = 2;
    CHECK(bad(sam2_image_from_dlpack(theirs, &described)) && strstr(sam2_last_error(), "[2, 3, "));
    // Half floats, of pixels and of planes: the floats that they are.
    static uint16_t f16[3 * SIZE], bf16[3 * SIZE];
    static float of_f16[3 * SIZE], of_bf16[3 * SIZE], half_want[SIZE];
    for (int i = 0; i < 3 * SIZE; i++) {
        // Between 0.5 and 1 of either kind: the exponent and the first bits of the fraction.
        unsigned bits = rgb[i] & 127;
        f16[i] = (uint16_t)(14 << 10 | bits << 3), of_f16[i] = 0.5f + (float)bits / 256;
        bf16[i] = (uint16_t)(126 << 7 | bits), of_bf16[i] = of_f16[i];
    }
    for (int kind = 0; kind < 2; kind++) {
        sam2_image floats = image_of(SAM2_FORMAT_RGB_F32, kind ? of_bf16 : of_f16);
        logits_of(&floats, half_want);
        t = (struct tensor){.version = {1, 0}, .data = kind ? bf16 : f16, .device_type = 1, .ndim = 3, .bits = 16, .lanes = 1};
        t.code = kind ? 4 : 2, t.shape = shape;
        OK(sam2_image_from_dlpack(theirs, &described));
        CHECK(described.format == (kind ? SAM2_FORMAT_RGB_BF16 : SAM2_FORMAT_RGB_F16) && same(&described, half_want));
        static uint16_t apart[3 * SIZE];
        for (int i = 0; i < 3 * SIZE; i++) apart[i % 3 * SIZE + i / 3] = (kind ? bf16 : f16)[i];
        t.data = apart, t.shape = first + 1;
        OK(sam2_image_from_dlpack(theirs, &described));
        CHECK(described.format == (kind ? SAM2_FORMAT_RGB_BF16_PLANAR : SAM2_FORMAT_RGB_F16_PLANAR) && same(&described, half_want));
    }
    static float bright[3 * SIZE];
    for (int i = 0; i < 3 * SIZE; i++) bright[i] = rgb[i];
    sam2_image unscaled = image_of(SAM2_FORMAT_RGB_F32, bright);
    CHECK(bad(sam2_image_predictor_set_image(make(NULL), &unscaled)) && strstr(sam2_last_error(), "divide by 255"));
    t = (struct tensor){.version = {1, 0}, .data = rgb, .device_type = 1, .ndim = 3, .code = 1, .bits = 8, .lanes = 1};
    t.shape = shape, t.flags = 1;
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    CHECK(bad(sam2_mask_buffer_from_dlpack(theirs, &buffer)));

    int64_t dims[4] = {1, 1, H, W}, negative[1] = {-1};
    DLManagedTensorVersioned *ours;
    CHECK(bad(sam2_tensor_create(model, SAM2_MASK_BITS, SAM2_MEMORY_HOST, dims, 4, &ours)));
    CHECK(bad(sam2_tensor_create(model, SAM2_MASK_U8, SAM2_MEMORY_CUDA, dims, 4, &ours)));
    CHECK(bad(sam2_tensor_create(model, SAM2_MASK_U8, SAM2_MEMORY_HOST, negative, 1, &ours)));
    OK(sam2_tensor_create(model, SAM2_MASK_LOGITS, SAM2_MEMORY_HOST, dims, 4, &ours));
    struct tensor *inside = (void *)ours;
    CHECK(inside->ndim == 4 && inside->shape[3] == W && inside->strides[2] == W && inside->code == 2 && inside->bits == 32);
    OK(sam2_mask_buffer_from_dlpack(ours, &buffer));
    CHECK(buffer.kind == SAM2_MASK_LOGITS && buffer.size == SIZE * 4);
    sam2_image_predictor *p = make(NULL);
    OK(sam2_image_predictor_set_image(p, &image));
    sam2_prompt prompt = click(0);
    float iou;
    OK(sam2_image_predictor_predict(p, &prompt, 1, 0, &buffer, &iou, NULL, NULL));
    CHECK(memcmp(inside->data, want, sizeof want) == 0);
    inside->deleter(inside);
    OK(sam2_image_predictor_destroy(p));
}

struct found {
    int calls;
    int64_t timestamp;
    uint64_t area;
    int32_t box[4];
    uint8_t lost;
    double sum;
    atomic_int done;
};

static int32_t keep(void *user, const sam2_frame *f) {
    struct found *found = user;
    found->calls++, found->timestamp = f->timestamp, found->sum = 0;
    if (f->num_objects) {
        found->area = f->areas[0], found->lost = f->lost[0];
        memcpy(found->box, f->boxes, sizeof found->box);
    }
    for (size_t i = 0; f->masks && i < (size_t)f->num_objects * SIZE; i++) found->sum += f->masks[i];
    return 0;
}

static void done(void *user, int32_t status) {
    struct found *found = user;
    found->done = status == SAM2_OK ? 1 : -1;
}

static sam2_video_predictor *stream(const sam2_video_options *options) {
    sam2_video_predictor *v;
    OK(sam2_video_predictor_stream(model, options, &v));
    return v;
}

// Frames pushed one by one, as jobs, by several cameras at once, and in memory of the caller's.
static void cameras(void) {
    sam2_image image = image_of(SAM2_FORMAT_RGB8, rgb);
    sam2_prompt prompt = click(0);
    sam2_video_predictor *v = stream(NULL), *other = stream(NULL), *third;
    OK(sam2_video_predictor_reserve(v, 1, W, H));
    CHECK(bad(sam2_video_predictor_reserve(v, 1, 0, H)));
    struct found want = {0}, got = {0}, more = {0};
    static uint8_t u8[SIZE], bits[H * ((W + 7) / 8)];
    static uint16_t labels[SIZE];
    OK(sam2_video_predictor_push_frame(v, &image, NULL, keep, &want));
    sam2_mask_buffer buffer = into(SAM2_MASK_U8, u8, sizeof u8);
    OK(sam2_video_predictor_add_new_points_or_box(v, 0, 5, &prompt, 0, &buffer, keep, &want));
    CHECK(want.sum == 0 && want.area > 0);
    uint64_t area = 0;
    int box[4] = {W, H, -1, -1};
    for (int i = 0; i < SIZE; i++) {
        int x = i % W, y = i / W;
        area += u8[i];
        if (!u8[i]) continue;
        box[0] = x < box[0] ? x : box[0], box[1] = y < box[1] ? y : box[1];
        box[2] = x > box[2] ? x : box[2], box[3] = y > box[3] ? y : box[3];
    }
    CHECK(area == want.area && memcmp(box, want.box, sizeof box) == 0 && want.lost == 0);
    int64_t ids[2];
    size_t count = 2;
    OK(sam2_video_predictor_get_object_ids(v, ids, &count));
    CHECK(count == 1 && ids[0] == 5);
    count = 0;
    CHECK(bad(sam2_video_predictor_get_object_ids(v, ids, &count)) && count == 1);
    image.timestamp = 123456789;
    OK(sam2_video_predictor_push_frame(v, &image, NULL, keep, &want));
    CHECK(want.timestamp == 123456789 && want.sum != 0);

    // The same by a job; a predictor that has one is busy.
    OK(sam2_video_predictor_push_frame(other, &image, NULL, NULL, NULL));
    OK(sam2_video_predictor_add_new_points_or_box(other, 0, 5, &prompt, 0, NULL, NULL, NULL));
    sam2_video_predictor *ahead;
    OK(sam2_video_predictor_fork(other, &third));
    OK(sam2_video_predictor_fork(other, &ahead));
    sam2_job *job, *second;
    int status = -1;
    OK(sam2_video_predictor_push_frame_async(other, &image, NULL, keep, done, &got, &job));
    int busy = sam2_video_predictor_push_frame_async(other, &image, NULL, keep, NULL, &more, &second);
    CHECK(busy == SAM2_ERROR_BUSY || got.done);
    if (busy == SAM2_OK) OK(sam2_job_destroy(second));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    CHECK(status == SAM2_OK && got.done == 1 && got.sum == want.sum && got.area == want.area);
    OK(sam2_job_destroy(job));
    // A job that fails says why.
    sam2_image wrong = image;
    wrong.height--;
    got.done = 0;
    OK(sam2_video_predictor_push_frame_async(other, &wrong, NULL, NULL, done, &got, &job));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    CHECK(bad(status) && got.done == -1 && strstr(sam2_last_error(), "pixels"));
    OK(sam2_job_destroy(job));

    // Several cameras at once, one of which is none.
    struct found both[2] = {{0}, {0}};
    sam2_push pushes[3] = {SAM2_PUSH_INIT, SAM2_PUSH_INIT, SAM2_PUSH_INIT};
    sam2_mask_buffer map = into(SAM2_MASK_LABELS, labels, sizeof labels);
    pushes[0].video = third, pushes[2].video = ahead;
    for (int i = 0; i < 3; i++) pushes[i].image = &image, pushes[i].each = keep, pushes[i].user = &both[i / 2];
    pushes[2].masks = &map;
    CHECK(sam2_push_frames(pushes, 3) == SAM2_ERROR_INVALID_HANDLE);
    CHECK(pushes[0].status == SAM2_OK && pushes[1].status == SAM2_ERROR_INVALID_HANDLE && pushes[2].status == SAM2_OK);
    CHECK(both[0].sum == want.sum && both[1].area == want.area && both[1].timestamp == 123456789);
    area = 0;
    for (int i = 0; i < SIZE; i++) area += labels[i] == 1;
    CHECK(area == want.area);

    // Offline calls into a buffer, by a job that is cancelled.
    buffer = into(SAM2_MASK_BITS, bits, sizeof bits);
    got.calls = 0;
    CHECK(bad(sam2_video_predictor_propagate_in_video(v, 1, 0, 0, &buffer, NULL, NULL)) || got.calls == 0);

    // In memory of the caller's.
    sam2_video_info info = SAM2_VIDEO_INFO_INIT;
    sam2_video_predictor *ordinary = stream(NULL);
    OK(sam2_video_predictor_reserve(ordinary, 1, W, H));
    OK(sam2_video_predictor_get_info(ordinary, &info));
    CHECK(info.object_device_bytes > 0 && info.object_host_bytes > 0);
    sam2_video_options options = SAM2_VIDEO_OPTIONS_INIT;
    options.workspace_size = info.device_bytes + 4096, options.workspace = malloc(options.workspace_size);
    sam2_video_predictor *within = stream(&options);
    OK(sam2_video_predictor_reserve(within, 1, W, H));
    OK(sam2_video_predictor_push_frame(within, &image, NULL, NULL, NULL));
    OK(sam2_video_predictor_add_new_points_or_box(within, 0, 5, &prompt, 0, NULL, NULL, NULL));
    struct found inside = {0};
    for (int i = 0; i < 12; i++) OK(sam2_video_predictor_push_frame(within, &image, NULL, i ? NULL : keep, &inside));
    CHECK(inside.sum == want.sum);
    CHECK(sam2_video_predictor_reserve(within, 500, W, H) == SAM2_ERROR_OUT_OF_MEMORY);
    sam2_video_predictor *all[] = {v, other, third, ahead, ordinary, within};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) OK(sam2_video_predictor_destroy(all[i]));
    free(options.workspace);
}

// Jobs that nobody waits for: without a handle, and with one that a callback of the job lets go of.
static struct {
    sam2_job *job;
    atomic_int frames, ended;
    int waited, destroyed, again;
} alone;

static int32_t leave_in_frame(void *user, const sam2_frame *f) {
    int status;
    (void)user, (void)f;
    if (alone.frames++ == 0 && alone.job) {
        alone.waited = sam2_job_wait(alone.job, SAM2_WAIT_FOREVER, &status);
        alone.destroyed = sam2_job_destroy(alone.job), alone.again = sam2_job_destroy(alone.job);
    }
    return 0;
}

static void leave_in_done(void *user, int32_t status) {
    int how;
    (void)user;
    if (alone.job && alone.frames == 0) {
        alone.waited = sam2_job_wait(alone.job, SAM2_WAIT_FOREVER, &how);
        alone.destroyed = sam2_job_destroy(alone.job), alone.again = sam2_job_destroy(alone.job);
    }
    alone.ended = status == SAM2_OK ? 1 : -1;
}

static void ended(int waited, int destroyed, int again) {
    while (!alone.ended) continue;
    CHECK(alone.ended == 1 && alone.waited == waited && alone.destroyed == destroyed && alone.again == again);
    alone.waited = alone.destroyed = alone.again = 0, alone.job = NULL;
    alone.ended = 0;
    alone.frames = 0;
}

static void forgotten(const char *frames) {
    sam2_image image = image_of(SAM2_FORMAT_RGB8, rgb);
    sam2_image_predictor *p = make(NULL);
    sam2_prompt prompt = click(0);
    float iou;
    for (int i = 0; i < 3; i++) {
        OK(sam2_image_predictor_set_image_async(p, &image, 1, leave_in_done, NULL, NULL));
        ended(0, 0, 0);
        OK(sam2_image_predictor_predict_async(p, &prompt, 1, 0, NULL, &iou, NULL, NULL, leave_in_done, NULL, NULL));
        ended(0, 0, 0);
        // The handle is there before the callback is called.
        OK(sam2_image_predictor_set_image_async(p, &image, 1, leave_in_done, NULL, &alone.job));
        ended(SAM2_ERROR_BUSY, SAM2_OK, SAM2_ERROR_INVALID_HANDLE);
    }
    sam2_video_predictor *v = stream(NULL), *offline;
    OK(sam2_video_predictor_push_frame_async(v, &image, NULL, NULL, leave_in_done, NULL, NULL));
    ended(0, 0, 0);
    OK(sam2_video_predictor_open(model, frames, NULL, &offline));
    OK(sam2_video_predictor_add_new_points_or_box(offline, 0, 1, &prompt, 0, NULL, NULL, NULL));
    OK(sam2_video_predictor_propagate_in_video_async(offline, 0, 1, 0, NULL, leave_in_frame, leave_in_done, NULL, NULL));
    ended(0, 0, 0);
    OK(sam2_video_predictor_propagate_in_video_async(offline, 0, 1, 0, NULL, leave_in_frame, leave_in_done, NULL, &alone.job));
    ended(SAM2_ERROR_BUSY, SAM2_OK, SAM2_ERROR_INVALID_HANDLE);
    // A predictor stays while its job goes on, also where nobody waits for that.
    OK(sam2_video_predictor_push_frame_async(v, &image, NULL, NULL, leave_in_done, NULL, NULL));
    int destroyed = sam2_video_predictor_destroy(v);
    CHECK(destroyed == SAM2_OK || destroyed == SAM2_ERROR_BUSY);
    ended(0, 0, 0);
    if (destroyed == SAM2_ERROR_BUSY) OK(sam2_video_predictor_destroy(v));
    // A mask of floats: from 0.5 on, resized, it is what the bytes are.
    struct found bytes = {0}, floats = {0};
    static uint8_t on[SIZE];
    static float soft[SIZE];
    for (int i = 0; i < SIZE; i++) on[i] = i % W > 20, soft[i] = on[i] ? 1.0f : 0.0f;
    v = stream(NULL);
    OK(sam2_video_predictor_push_frame(v, &image, NULL, NULL, NULL));
    OK(sam2_video_predictor_add_new_mask(v, 0, 1, on, W, H, NULL, keep, &bytes));
    OK(sam2_video_predictor_add_new_mask_f32(v, 0, 1, soft, W, H, NULL, keep, &floats));
    CHECK(bytes.area > 0 && bytes.area == floats.area && bytes.sum == floats.sum);
    for (int i = 0; i < SIZE; i++) soft[i] = 0.4f;
    OK(sam2_video_predictor_add_new_mask_f32(v, 0, 1, soft, W, H, NULL, keep, &floats));
    CHECK(floats.area == 0);
    soft[3] = NAN;
    CHECK(bad(sam2_video_predictor_add_new_mask_f32(v, 0, 1, soft, W, H, NULL, keep, &floats)));
    OK(sam2_video_predictor_destroy(v));
    OK(sam2_video_predictor_destroy(offline));
    OK(sam2_image_predictor_destroy(p));
}

// A propagation as a job, cancelled from its own callback's thread's point of view by another.
static atomic_int going;
static int32_t go(void *user, const sam2_frame *f) {
    (void)user, (void)f;
    going = 1;
    return 0;
}

static void background(const char *frames) {
    sam2_video_predictor *v;
    float place[2] = {208, 249};
    sam2_prompt prompt = click(0);
    prompt.points = place;
    OK(sam2_video_predictor_open(model, frames, NULL, &v));
    static uint8_t bits[360 * 480 / 8];
    sam2_mask_buffer buffer = into(SAM2_MASK_BITS, bits, sizeof bits);
    OK(sam2_video_predictor_add_new_points_or_box(v, 0, 1, &prompt, 0, NULL, NULL, NULL));
    sam2_job *job;
    int status = -1;
    OK(sam2_video_predictor_propagate_in_video_async(v, 0, -1, 0, &buffer, go, NULL, NULL, &job));
    while (!going) CHECK(sam2_job_wait(job, 1, &status) == SAM2_ERROR_BUSY);
    OK(sam2_video_predictor_cancel(v));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    CHECK(status == SAM2_ERROR_CANCELLED);
    int set = 0;
    for (size_t i = 0; i < sizeof bits; i++) set += bits[i] != 0;
    CHECK(set > 0);
    OK(sam2_job_destroy(job));
    OK(sam2_video_predictor_destroy(v));
}

struct heard {
    int messages, level, recursive;
    char last[500];
};

static void hear(void *user, int32_t level, const char *message) {
    struct heard *heard = user;
    heard->messages++, heard->level = level;
    snprintf(heard->last, sizeof heard->last, "%s", message);
    heard->recursive += sam2_set_log_callback(SAM2_LOG_INFO, NULL, NULL) != SAM2_OK;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    for (int i = 0; i < SIZE; i++) {
        int x = i % W - 30, y = i / W - 20, in = x * x + y * y < 130;
        for (int c = 0; c < 3; c++) rgb[3 * i + c] = (uint8_t)(in ? 200 - 30 * c + x : 40 + 20 * c + y);
    }
    // What is said before there is a model; a file by its descriptor, on chosen CPUs.
    struct heard heard = {0};
    OK(sam2_set_log_callback(SAM2_LOG_INFO, hear, &heard));
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.image_size = SIDE * 4;
    char weights[500];
    snprintf(weights, sizeof weights, "%s/sam2.1_hiera_demo.safetensors", argv[1]);
    int fd = open(weights, O_RDONLY);
    uint32_t none[1] = {4000}, cpus[1024], some = 0;
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    for (uint32_t i = 0; i < 1024; i++)
        if (CPU_ISSET(i, &allowed)) cpus[some++] = i;
    options.device = SAM2_DEVICE_CPU, options.threads = 2, options.cpus = none, options.num_cpus = 1;
    CHECK(sam2_model_load_fd(fd, 0, 0, &options, &model) != SAM2_OK);
    options.cpus = cpus, options.num_cpus = some;
    CHECK(sam2_model_load_fd(fd, 1, 0, &options, &model) == SAM2_ERROR_MODEL);
    CHECK(sam2_model_load_fd(fd, 0, 100, &options, &model) == SAM2_ERROR_MODEL);
    CHECK(heard.messages == 0);
    OK(sam2_model_load_fd(fd, 0, 0, &options, &model));
    CHECK(heard.messages == 1 && heard.level == SAM2_LOG_INFO && heard.recursive == 1 && strstr(heard.last, "on CPU"));
    // The position is the caller's, also where the file is read.
    sam2_model_options reading = SAM2_MODEL_OPTIONS_INIT;
    reading.device = SAM2_DEVICE_CPU, reading.threads = 1, reading.no_mmap = 1;
    sam2_model *again;
    CHECK(lseek(fd, 123, SEEK_SET) == 123);
    OK(sam2_model_load_fd(fd, 0, 0, &reading, &again));
    CHECK(lseek(fd, 0, SEEK_CUR) == 123);
    OK(sam2_model_destroy(again));
    close(fd);
    // What is allocated is said at the level of details, and nothing once nobody listens.
    OK(sam2_set_log_callback(SAM2_LOG_DEBUG, hear, &heard));
    sam2_image_predictor *first = make(NULL);
    OK(sam2_image_predictor_reserve(first, 1, 2, 0));
    CHECK(heard.level == SAM2_LOG_DEBUG && strstr(heard.last, "bytes"));
    OK(sam2_image_predictor_destroy(first));
    int messages = heard.messages;
    OK(sam2_set_log_callback(0, NULL, NULL));
    options.device_uuid = "GPU-1";
    CHECK(bad(sam2_model_load(argv[1], &options, &(sam2_model *){0})));
    options.device_uuid = "GPU-00000000-0000-0000-0000-000000000000";
    CHECK(sam2_model_load(argv[1], &options, &(sam2_model *){0}) == SAM2_ERROR_DEVICE && heard.messages == messages);
    uint32_t gpus = 99;
    OK(sam2_gpu_count(&gpus));
    for (uint32_t i = 0; i < gpus; i++) {
        sam2_gpu_info gpu = SAM2_GPU_INFO_INIT;
        OK(sam2_gpu_get_info(i, &gpu));
        CHECK(gpu.memory > 0 && strncmp(gpu.uuid, "GPU-", 4) == 0 && strlen(gpu.uuid) == 40);
    }
    pictures();
    masks();
    tensors();
    cameras();
    background(argv[2]);
    forgotten(argv[2]);
    // From memory it is the same model.
    FILE *file = fopen(weights, "rb");
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(size);
    CHECK(fread(bytes, 1, size, file) == size);
    fclose(file);
    static float want[SIZE];
    sam2_image image = image_of(SAM2_FORMAT_RGB8, rgb);
    logits_of(&image, want);
    OK(sam2_model_destroy(model));
    options.device_uuid = NULL;
    OK(sam2_model_load_memory(bytes, size, &options, &model));
    free(bytes);
    CHECK(same(&image, want));
    OK(sam2_model_destroy(model));
    CHECK(sam2_mask_write_png(argv[3], (const uint8_t *)want, W, H) == SAM2_OK);
    printf("%d checks\n", checks);
    return 0;
}
