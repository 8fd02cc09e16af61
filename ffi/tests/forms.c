// Tests every format of images and masks, tensors and workspaces. All must give the same masks.
#include "image.h"
#include <fcntl.h>
#include <unistd.h>

// Predicts the logits of a click on an image.
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

static float spot[4] = {12, 9, 44, 40};
// Masks of a click and a box.
static uint8_t u8[2 * SIZE];

// A click and a box in every format of masks.
static void mask_formats(sam2_image_predictor *p) {
    static uint8_t bits[H * ((W + 7) / 8)];
    static uint16_t labels[SIZE], flipped[SIZE];
    static float low[SIDE * SIDE * 2], logits[2 * SIZE];
    sam2_prompt list[2] = {click(0), SAM2_PROMPT_INIT};
    list[1].bounds = spot;
    sam2_mask_buffer buffer = into(SAM2_MASK_BINARY, u8, sizeof u8);
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
    buffer.format = 7;
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
}

// A mask as a prompt equals its logits. Two masks, bytes as logits, and an incomplete size are errors.
static void mask_prompts(sam2_image_predictor *p) {
    float iou[6];
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
    // An empty list of points differs from none.
    said.mask_input = logits_of_mask, said.pad_points = 1;
    OK(sam2_image_predictor_predict(p, &said, 1, 0, NULL, iou, from_mask, NULL));
    CHECK(memcmp(same_low, from_mask, sizeof from_mask) != 0);
}

static void run_lengths(void) {
    static uint8_t again[SIZE];
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
}

static void features(sam2_image_predictor *q) {
    uint32_t shape[3];
    OK(sam2_image_predictor_get_features(q, SAM2_FEATURE_HIGH_RES_0, 0, NULL, 0, shape));
    CHECK(shape[1] == SIDE && shape[2] == SIDE);
    OK(sam2_image_predictor_get_features(q, SAM2_FEATURE_IMAGE_EMBEDDING, 1, NULL, 0, shape));
    size_t count = (size_t)shape[0] * shape[1] * shape[2];
    float *values = calloc(count, sizeof *values), *again = calloc(count, sizeof *again);
    CHECK(bad(sam2_image_predictor_get_features(q, 0, 0, values, count - 1, shape)));
    CHECK(bad(sam2_image_predictor_get_features(q, 9, 0, values, count, shape)));
    OK(sam2_image_predictor_get_features(q, SAM2_FEATURE_IMAGE_EMBEDDING, 0, values, count, shape));
    sam2_features *features = NULL;
    uint64_t bytes = 0;
    OK(sam2_image_predictor_take_features(q, &features));
    OK(sam2_features_get_bytes(features, &bytes));
    CHECK(bytes >= count * sizeof *values);
    CHECK(bad(sam2_image_predictor_get_features(q, 0, 0, NULL, 0, shape)));
    OK(sam2_image_predictor_set_features(q, features));
    CHECK(sam2_image_predictor_set_features(q, features) == SAM2_ERROR_INVALID_HANDLE);
    CHECK(sam2_features_destroy(features) == SAM2_ERROR_INVALID_HANDLE);
    CHECK(values[0] != 0 && values[count - 1] != 0);
    OK(sam2_image_predictor_get_features(q, SAM2_FEATURE_IMAGE_EMBEDDING, 0, again, count, shape));
    CHECK(memcmp(values, again, count * sizeof *values) == 0);
    OK(sam2_image_predictor_get_features(q, SAM2_FEATURE_IMAGE_EMBEDDING, 1, again, count, shape));
    CHECK(memcmp(values, again, count * sizeof *values) != 0);
    free(values);
    free(again);
}

// A batch, whose second image is smaller, as a job. Returns the device memory of its predictor.
static uint64_t batches(const sam2_image *both) {
    static uint8_t batch[SIZE + W * (H - 7)];
    float iou[6];
    sam2_image_predictor *q = make(NULL);
    OK(sam2_image_predictor_reserve(q, 2, 4, 1));
    sam2_job *job;
    int how = 77, gone = -1;
    OK(sam2_image_predictor_set_image_batch_async(q, both, 2, NULL, NULL, &job));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &how));
    CHECK(how == SAM2_OK);
    OK(sam2_job_destroy(job));
    CHECK(bad(sam2_job_destroy(job)) && bad(sam2_job_wait(job, 0, &gone)) && gone == -1);
    sam2_image_predictor_info info = SAM2_IMAGE_PREDICTOR_INFO_INIT;
    OK(sam2_image_predictor_get_info(q, 1, &info));
    CHECK(info.num_images == 2 && info.width == W && info.height == H - 7 && info.device_bytes > 0);
    sam2_prompt each[2] = {click(0), click(1)};
    sam2_mask_buffer buffer = into(SAM2_MASK_BINARY, batch, sizeof batch);
    OK(sam2_image_predictor_predict_async(q, each, 2, 0, &buffer, iou, NULL, NULL, NULL, NULL, &job));
    while (sam2_job_wait(job, 1, &how) == SAM2_ERROR_BUSY) continue;
    CHECK(how == SAM2_OK && memcmp(batch, u8, SIZE) == 0);
    OK(sam2_job_destroy(job));
    sam2_prompt wrong_order[2] = {click(1), click(0)}, nowhere = click(2);
    CHECK(bad(sam2_image_predictor_predict(q, wrong_order, 2, 0, &buffer, iou, NULL, NULL)));
    CHECK(bad(sam2_image_predictor_predict(q, &nowhere, 1, 0, NULL, iou, NULL, NULL)));
    buffer.size--;
    CHECK(bad(sam2_image_predictor_predict(q, each, 2, 0, &buffer, iou, NULL, NULL)));

    features(q);
    OK(sam2_image_predictor_reset(q));
    CHECK(bad(sam2_image_predictor_predict(q, each, 1, 0, NULL, iou, NULL, NULL)));
    OK(sam2_image_predictor_destroy(q));
    return info.device_bytes;
}

// A workspace of the size that the previous predictor needed.
static void workspaces(const sam2_image *both, uint64_t device_bytes) {
    static uint8_t batch[SIZE + W * (H - 7)];
    sam2_prompt each[2] = {click(0), click(1)};
    sam2_mask_buffer buffer = into(SAM2_MASK_BINARY, batch, sizeof batch);
    float iou[6];
    size_t room = device_bytes + 4096;
    sam2_image_predictor_options options = SAM2_IMAGE_PREDICTOR_OPTIONS_INIT;
    options.workspace = malloc(room), options.workspace_size = room;
    sam2_image_predictor *q = make(&options);
    OK(sam2_image_predictor_reserve(q, 2, 4, 1));
    OK(sam2_image_predictor_set_image_batch(q, both, 2));
    memset(batch, 9, sizeof batch);
    OK(sam2_image_predictor_predict(q, each, 2, 0, &buffer, iou, NULL, NULL));
    CHECK(memcmp(batch, u8, SIZE) == 0);
    CHECK(sam2_image_predictor_reserve(q, 50, 4, 1) == SAM2_ERROR_OUT_OF_MEMORY);
    OK(sam2_image_predictor_set_image(q, both));
    OK(sam2_image_predictor_destroy(q));
    free(options.workspace);
}

static void masks(void) {
    sam2_image both[2] = {image_of(SAM2_FORMAT_RGB8, rgb), image_of(SAM2_FORMAT_RGB8, rgb)};
    both[1].height = H - 7;
    sam2_image_predictor *p = make(NULL);
    OK(sam2_image_predictor_set_image(p, both));
    mask_formats(p);
    mask_prompts(p);
    OK(sam2_image_predictor_destroy(p));
    run_lengths();
    workspaces(both, batches(both));
}

// The struct of dlpack.h.
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
    CHECK(bad(sam2_tensor_create(model, SAM2_MASK_BINARY, SAM2_MEMORY_CUDA, dims, 4, &ours)));
    CHECK(bad(sam2_tensor_create(model, SAM2_MASK_BINARY, SAM2_MEMORY_HOST, negative, 1, &ours)));
    OK(sam2_tensor_create(model, SAM2_MASK_LOGITS, SAM2_MEMORY_HOST, dims, 4, &ours));
    struct tensor *inside = (void *)ours;
    CHECK(inside->ndim == 4 && inside->shape[3] == W && inside->strides[2] == W && inside->code == 2 && inside->bits == 32);
    OK(sam2_mask_buffer_from_dlpack(ours, &buffer));
    CHECK(buffer.format == SAM2_MASK_LOGITS && buffer.size == SIZE * 4);
    sam2_image_predictor *p = make(NULL);
    OK(sam2_image_predictor_set_image(p, &image));
    sam2_prompt prompt = click(0);
    float iou;
    OK(sam2_image_predictor_predict(p, &prompt, 1, 0, &buffer, &iou, NULL, NULL));
    CHECK(memcmp(inside->data, want, sizeof want) == 0);
    inside->deleter(inside);
    OK(sam2_image_predictor_destroy(p));
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

static struct heard heard;

#ifdef _WIN32
// Descriptors are not of Windows, and neither are threads on chosen CPUs: the model is loaded by its path.
static void load(const char *weights, sam2_model_options *options) {
    OK(sam2_set_log_callback(SAM2_LOG_INFO, hear, &heard));
    CHECK(sam2_model_load_fd(0, 0, 0, options, &model) == SAM2_ERROR_INVALID_ARGUMENT);
    options->device = SAM2_DEVICE_CPU, options->threads = 2;
    OK(sam2_model_load(weights, options, &model));
    CHECK(heard.messages == 1 && heard.level == SAM2_LOG_INFO && heard.recursive == 1 && strstr(heard.last, "on CPU"));
    OK(sam2_set_log_callback(0, NULL, NULL));
}
#else
// Loads the model from a descriptor, on chosen CPUs, with messages logged.
static void load(const char *weights, sam2_model_options *options) {
    OK(sam2_set_log_callback(SAM2_LOG_INFO, hear, &heard));
    int fd = open(weights, O_RDONLY);
    // The options refer to them.
    static uint32_t none[1] = {4000}, cpus[1024];
    uint32_t some = 0;
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    for (uint32_t i = 0; i < 1024; i++)
        if (CPU_ISSET(i, &allowed)) cpus[some++] = i;
    options->device = SAM2_DEVICE_CPU, options->threads = 2, options->cpus = none, options->num_cpus = 1;
    CHECK(sam2_model_load_fd(fd, 0, 0, options, &model) != SAM2_OK);
    options->cpus = cpus, options->num_cpus = some;
    CHECK(sam2_model_load_fd(fd, 1, 0, options, &model) == SAM2_ERROR_MODEL);
    CHECK(sam2_model_load_fd(fd, 0, 100, options, &model) == SAM2_ERROR_MODEL);
    CHECK(heard.messages == 0);
    OK(sam2_model_load_fd(fd, 0, 0, options, &model));
    CHECK(heard.messages == 1 && heard.level == SAM2_LOG_INFO && heard.recursive == 1 && strstr(heard.last, "on CPU"));
    // The position of the file is unchanged, also if it is read.
    sam2_model_options reading = SAM2_MODEL_OPTIONS_INIT;
    reading.device = SAM2_DEVICE_CPU, reading.threads = 1, reading.no_mmap = 1;
    sam2_model *again;
    CHECK(lseek(fd, 123, SEEK_SET) == 123);
    OK(sam2_model_load_fd(fd, 0, 0, &reading, &again));
    CHECK(lseek(fd, 0, SEEK_CUR) == 123);
    OK(sam2_model_destroy(again));
    close(fd);
    // Allocations are logged as details, and nothing is logged without a callback.
    OK(sam2_set_log_callback(SAM2_LOG_DEBUG, hear, &heard));
    sam2_image_predictor *first = make(NULL);
    OK(sam2_image_predictor_reserve(first, 1, 2, 0));
    CHECK(heard.level == SAM2_LOG_DEBUG && strstr(heard.last, "bytes"));
    OK(sam2_image_predictor_destroy(first));
    OK(sam2_set_log_callback(0, NULL, NULL));
}
#endif

static void gpus_by_uuid(const char *folder, sam2_model_options *options) {
    int messages = heard.messages;
    options->device_uuid = "GPU-1";
    CHECK(bad(sam2_model_load(folder, options, &(sam2_model *){0})));
    options->device_uuid = "GPU-00000000-0000-0000-0000-000000000000";
    CHECK(sam2_model_load(folder, options, &(sam2_model *){0}) == SAM2_ERROR_DEVICE && heard.messages == messages);
    uint32_t gpus = 99;
    OK(sam2_gpu_get_count(&gpus));
    for (uint32_t i = 0; i < gpus; i++) {
        sam2_gpu_info gpu = SAM2_GPU_INFO_INIT;
        OK(sam2_gpu_get_info(i, &gpu));
        CHECK(gpu.memory > 0 && strncmp(gpu.uuid, "GPU-", 4) == 0 && strlen(gpu.uuid) == 40);
    }
}

// The model from memory gives the same results.
static void load_memory(const char *weights, sam2_model_options *options) {
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
    options->device_uuid = NULL;
    OK(sam2_model_load_memory(bytes, size, options, &model));
    free(bytes);
    CHECK(same(&image, want));
    OK(sam2_model_destroy(model));
}

// A file in memory has the pixels of the file on disk.
static void picture_in_memory(void) {
    const char *path = "demo/pictures/rocket.jpg";
    static uint8_t data[1 << 20];
    FILE *file = fopen(path, "rb");
    CHECK(file);
    size_t size = fread(data, 1, sizeof data, file);
    CHECK(size > 0 && size < sizeof data && fclose(file) == 0);
    sam2_picture *read, *decoded;
    sam2_image a = SAM2_IMAGE_INIT, b = SAM2_IMAGE_INIT;
    OK(sam2_picture_read(path, &read));
    OK(sam2_picture_decode(data, size, NULL, &decoded));
    memset(data, 0, size);
    OK(sam2_picture_get_image(read, &a));
    OK(sam2_picture_get_image(decoded, &b));
    CHECK(a.width == b.width && a.height == b.height && a.format == b.format);
    CHECK(memcmp(a.planes[0], b.planes[0], (size_t)a.width * a.height * 3) == 0);
    OK(sam2_picture_destroy(read));
    OK(sam2_picture_destroy(decoded));
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    draw();
    char weights[500];
    snprintf(weights, sizeof weights, "%s/sam2.1_hiera_demo.safetensors", argv[1]);
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.image_size = SIDE * 4;
    load(weights, &options);
    gpus_by_uuid(argv[1], &options);
    pictures();
    masks();
    picture_in_memory();
    tensors();
    load_memory(weights, &options);
    CHECK(sam2_mask_write_png(argv[2], u8, W, H) == SAM2_OK);
    printf("%d checks\n", checks);
    return 0;
}
