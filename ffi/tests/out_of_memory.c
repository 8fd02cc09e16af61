// Fails every allocation in turn: the i-th of a piece of work, for each i. The work must end with a status, and succeed
// when it is repeated.
//
//   out_of_memory MODEL PICTURE TINY FRAMES STEP    every STEP-th allocation of each piece of work; with thousands of TINY
//   pictures, a folder of thousands of FRAMES and a mask of noise every one of 32 KiB and more
#include "small.h"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// The allocator of glibc, under names that are not replaced here.
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

// Allocations of at least this size until one fails. Negative if none fails.
static long fail_after = -1;
static size_t at_least;
static int failed;

static int fails(size_t size) {
    if (size < at_least) return 0;
    if (__atomic_load_n(&fail_after, __ATOMIC_SEQ_CST) < 0 || __atomic_fetch_sub(&fail_after, 1, __ATOMIC_SEQ_CST)) return 0;
    failed = 1;
    return 1;
}

void *malloc(size_t size) { return fails(size) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return fails(count * size) ? NULL : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return fails(size) ? NULL : __libc_realloc(old, size); }
void *aligned_alloc(size_t align, size_t size) { return fails(size) ? NULL : __libc_memalign(align, size); }
int posix_memalign(void **out, size_t align, size_t size) {
    void *memory = fails(size) ? NULL : __libc_memalign(align, size);
    if (memory) *out = memory;
    return memory ? 0 : 12;
}

static const char *model_path, *picture_path, *tiny_path, *frames_path;
static sam2_model *model;

static int load(void) {
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.threads = 1, options.image_size = 64;
    return sam2_model_load(model_path, &options, &model);
}

static int load_and_destroy(void) {
    int status = load();
    return status ? status : sam2_model_destroy(model);
}

static int picture(void) {
    sam2_picture *picture;
    int status = sam2_picture_read(picture_path, &picture);
    return status ? status : sam2_picture_destroy(picture);
}

static int predict(void) {
    sam2_image_predictor *predictor;
    sam2_image one = image();
    sam2_prompt prompt = click();
    static uint8_t mask[64 * 64];
    float iou;
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    buffer.data = mask, buffer.size = sizeof mask;
    int status = sam2_image_predictor_create(model, NULL, &predictor);
    if (status) return status;
    if (!(status = sam2_image_predictor_set_image(predictor, &one)))
        status = sam2_image_predictor_predict(predictor, &prompt, 1, 0, &buffer, &iou, NULL, NULL);
    int destroyed = sam2_image_predictor_destroy(predictor);
    return status ? status : destroyed;
}

static int32_t on_frame(void *user, const sam2_frame *frame) {
    (void)user, (void)frame;
    return 0;
}

static int stream(void) {
    sam2_video_predictor *video;
    sam2_image one = image();
    sam2_prompt prompt = click();
    int status = sam2_video_predictor_create_stream(model, NULL, &video);
    if (status) return status;
    if (!(status = sam2_video_predictor_push_frame(video, &one, NULL, on_frame, NULL)) &&
        !(status = sam2_video_predictor_add_new_points_or_box(video, 0, 1, &prompt, 0, NULL, NULL, NULL)))
        status = sam2_video_predictor_push_frame(video, &one, NULL, on_frame, NULL);
    int destroyed = sam2_video_predictor_destroy(video);
    return status ? status : destroyed;
}

static int32_t on_mask(void *user, const sam2_automatic_mask *mask) {
    (void)user, (void)mask;
    return 0;
}

static int everything(void) {
    sam2_automatic_mask_generator *generator;
    sam2_automatic_mask_generator_options options = SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT;
    options.points_per_side = 3, options.pred_iou_thresh = 0, options.stability_score_thresh = 0;
    sam2_image one = image();
    int status = sam2_automatic_mask_generator_create(model, &options, &generator), complete;
    if (status) return status;
    status = sam2_automatic_mask_generator_generate(generator, &one, SAM2_WAIT_FOREVER, NULL, on_mask, NULL, &complete);
    int destroyed = sam2_automatic_mask_generator_destroy(generator);
    return status ? status : destroyed;
}

static int handles(void) {
    enum { MANY = 3000 };
    static sam2_picture *pictures[MANY];
    int status = SAM2_OK, made = 0;
    while (made < MANY && !(status = sam2_picture_read(tiny_path, &pictures[made]))) made++;
    while (made > 0) OK(sam2_picture_destroy(pictures[--made]));
    return status;
}

static int names(void) {
    sam2_video_predictor *video;
    int status = sam2_video_predictor_open(model, frames_path, NULL, &video);
    return status ? status : sam2_video_predictor_destroy(video);
}

// A mask of noise has a million runs and outlines.
enum { SIDE = 1024 };
static uint8_t noise[SIDE * SIDE], decoded[SIDE * SIDE];
static char runs[4 * SIDE * SIDE];

static int encode(void) {
    size_t size = sizeof runs;
    return sam2_mask_encode_rle(noise, SIDE, SIDE, runs, &size);
}

static int decode(void) {
    int status = sam2_mask_decode_rle(runs, SIDE, SIDE, decoded);
    if (!status) CHECK(!memcmp(decoded, noise, sizeof noise));
    return status;
}

static int outlines(void) {
    size_t points, rings;
    return sam2_mask_get_polygons(runs, SIDE, SIDE, NULL, &points, NULL, &rings);
}

// Fails each STEP-th allocation of some work in a process of its own. Exit codes of that: 0 failed with a status, 1
// went on all the same, 2 the work has fewer allocations.
static void attack(const char *name, int (*work)(void), long step) {
    long counts[2] = {0};
    for (long i = 0;; i += step) {
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            __atomic_store_n(&fail_after, i, __ATOMIC_SEQ_CST);
            int status = work();
            fail_after = -1;
            if (!failed) _exit(2);
            if (status != SAM2_OK && status != SAM2_ERROR_OUT_OF_MEMORY && status != SAM2_ERROR_IO) _exit(10 + status);
            if (work() != SAM2_OK) _exit(9);
            _exit(status == SAM2_OK);
        }
        int status;
        waitpid(child, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) > 2) {
            fprintf(stderr, "%s, allocation %ld: wait status %d\n", name, i, status);
            exit(1);
        }
        if (WEXITSTATUS(status) == 2) break;
        counts[WEXITSTATUS(status)]++;
    }
    printf("%s: %ld failed with a status, %ld went on\n", name, counts[0], counts[1]);
    fflush(stdout);
    CHECK(counts[0] > 0);
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    model_path = argv[1], picture_path = argv[2], tiny_path = argv[3], frames_path = argv[4];
    long step = atol(argv[5]);
    draw();
    attack("picture", picture, step);
    // A load has thousands.
    attack("load", load_and_destroy, 25 * step);
    OK(load());
    attack("image", predict, step);
    attack("stream", stream, step);
    attack("everything", everything, step);
    at_least = 32 << 10;
    attack("handles", handles, 1);
    attack("names", names, 1);
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)(i * 2654435761u >> 13 & 1);
    attack("encode", encode, 1);
    OK(encode());
    attack("decode", decode, 1);
    attack("outlines", outlines, 1);
    return 0;
}
