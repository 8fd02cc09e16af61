// latency MODEL FRAMES [--frames N] [--objects N] [--device auto|cpu|cuda] [--index N] [--threads N]
//
// Measures the latency of a frame of a stream, and of an image with a click. Prints percentiles as JSON. FRAMES is a
// folder of images of one size, which are read in advance and repeated as necessary.
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sam2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { MOST_PICTURES = 64 };

static void check(int status) {
    if (status != SAM2_OK) fprintf(stderr, "%s\n", sam2_last_error()), exit(1);
}

static void *some(size_t bytes) {
    void *p = calloc(1, bytes);
    if (!p) fprintf(stderr, "no memory\n"), exit(1);
    return p;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

// Counts the allocations of the whole process. These definitions take precedence over those of the C library.
static atomic_long allocations;

#ifdef __GLIBC__
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
    return atomic_fetch_add(&allocations, 1), __libc_malloc(size);
}
void *calloc(size_t n, size_t size) {
    return atomic_fetch_add(&allocations, 1), __libc_calloc(n, size);
}
void *realloc(void *p, size_t size) {
    return atomic_fetch_add(&allocations, 1), __libc_realloc(p, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    return atomic_fetch_add(&allocations, 1), __libc_memalign(alignment, size);
}
int posix_memalign(void **out, size_t alignment, size_t size) {
    void *p = aligned_alloc(alignment, size);
    if (p) *out = p;
    return p ? 0 : ENOMEM;
}
#endif

static int ascending(const void *a, const void *b) {
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void report(const char *name, double *ms, int n) {
    qsort(ms, (size_t)n, sizeof *ms, ascending);
    double sum = 0;
    for (int i = 0; i < n; i++) sum += ms[i];
    // The percentile.
    double p[3];
    const int percent[3] = {50, 95, 99};
    for (int i = 0; i < 3; i++) p[i] = ms[(percent[i] * n + 99) / 100 - 1];
    printf("  \"%s\": {\"p50_ms\": %.3f, \"p95_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"mean_ms\": %.3f},\n", name,
           p[0], p[1], p[2], ms[n - 1], sum / n);
}

// Natural order: numbers in names are compared as numbers, so 2.jpg comes before 10.jpg.
static int by_number(const struct dirent **one, const struct dirent **other) {
    const char *a = (*one)->d_name, *b = (*other)->d_name;
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            a += strspn(a, "0"), b += strspn(b, "0");
            size_t n = strspn(a, "0123456789"), m = strspn(b, "0123456789");
            int order = n != m ? (n < m ? -1 : 1) : strncmp(a, b, n);
            if (order) return order;
            a += n, b += m;
        } else if (*a != *b) {
            break;
        } else {
            a++, b++;
        }
    }
    return (unsigned char)*a - (unsigned char)*b;
}

static int has_suffix(const struct dirent *e, const char *suffix) {
    size_t n = strlen(e->d_name), m = strlen(suffix);
    return e->d_name[0] != '.' && n > m && !strcasecmp(e->d_name + n - m, suffix);
}

static int is_jpeg(const struct dirent *e) {
    return has_suffix(e, ".jpg") || has_suffix(e, ".jpeg");
}

static int is_png(const struct dirent *e) {
    return has_suffix(e, ".png");
}

// Lists the JPEG files of a folder, or its PNG files if there are none, in natural order, as the library does.
static int read_pictures(const char *folder, sam2_image *images) {
    struct dirent **entries;
    int found = scandir(folder, &entries, is_jpeg, by_number), n = 0;
    if (found == 0) free(entries), found = scandir(folder, &entries, is_png, by_number);
    if (found <= 0) fprintf(stderr, "%s: no pictures\n", folder), exit(1);
    for (int i = 0; i < found; i++) {
        if (n < MOST_PICTURES) {
            char path[4096];
            sam2_picture *picture;
            snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
            check(sam2_picture_read(path, &picture));
            images[n] = (sam2_image)SAM2_IMAGE_INIT;
            check(sam2_picture_get_image(picture, &images[n++]));
        }
        free(entries[i]);
    }
    free(entries);
    return n;
}

// Places a click in the middle of cell `i` of a grid of at least `n` cells.
static void click_at(const sam2_image *image, int i, int n, float *xy) {
    int side = 1;
    while (side * side < n) side++;
    xy[0] = ((float)(i % side) + 0.5f) * (float)image->width / (float)side;
    xy[1] = ((float)(i / side) + 0.5f) * (float)image->height / (float)side;
}

typedef struct {
    int frames, objects;
    sam2_model_options model;
} options;

static int number(const char *text, int least) {
    char *end;
    long v = strtol(text, &end, 10);
    if (*end || end == text || v < least || v > 1000000) fprintf(stderr, "%s: a number from %d\n", text, least), exit(2);
    return (int)v;
}

static options parse(int argc, char **argv) {
    options o = {100, 1, SAM2_MODEL_OPTIONS_INIT};
    for (int i = 3; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(name, "--frames")) o.frames = number(value, 1);
        else if (!strcmp(name, "--objects")) o.objects = number(value, 1);
        else if (!strcmp(name, "--index")) o.model.device_index = number(value, 0);
        else if (!strcmp(name, "--threads")) o.model.threads = (uint32_t)number(value, 0);
        else if (!strcmp(name, "--device") && !strcmp(value, "auto")) o.model.device = SAM2_DEVICE_AUTO;
        else if (!strcmp(name, "--device") && !strcmp(value, "cpu")) o.model.device = SAM2_DEVICE_CPU;
        else if (!strcmp(name, "--device") && !strcmp(value, "cuda")) o.model.device = SAM2_DEVICE_CUDA;
        else fprintf(stderr, "%s %s: not an option; the source begins with them\n", name, value), exit(2);
    }
    return o;
}

// Results other than times.
typedef struct {
    long long bytes_grown;
    double allocations_per_frame, allocations_per_click;
} steady;

// Measures frames of a stream after the first ones.
static void follow(const sam2_model *model, const options *o, const sam2_image *images, int n, double *ms, steady *s) {
    sam2_video_predictor *video;
    sam2_mask_buffer labels = SAM2_MASK_BUFFER_INIT;
    labels.format = SAM2_MASK_LABELS, labels.size = 2ull * images->width * images->height, labels.data = some(labels.size);
    check(sam2_video_predictor_create_stream(model, NULL, &video));
    check(sam2_video_predictor_reserve(video, (uint32_t)o->objects, images->width, images->height));
    check(sam2_video_predictor_push_frame(video, images, NULL, NULL, NULL));
    for (int i = 0; i < o->objects; i++) {
        float xy[2];
        int32_t label = 1;
        sam2_prompt click = SAM2_PROMPT_INIT;
        click.num_points = 1, click.points = xy, click.labels = &label;
        click_at(images, i, o->objects, xy);
        check(sam2_video_predictor_add_new_points_or_box(video, 0, i + 1, &click, 0, NULL, NULL, NULL));
    }
    // The memory of an object is full after 16 frames. Then all frames are alike.
    const int warm = 16;
    long start_count = 0;
    sam2_video_predictor_info before = SAM2_VIDEO_PREDICTOR_INFO_INIT, after = SAM2_VIDEO_PREDICTOR_INFO_INIT;
    for (int i = 0; i < warm + o->frames; i++) {
        if (i == warm) check(sam2_video_predictor_get_info(video, &before)), start_count = atomic_load(&allocations);
        double start = now();
        check(sam2_video_predictor_push_frame(video, &images[(i + 1) % n], &labels, NULL, NULL));
        if (i >= warm) ms[i - warm] = now() - start;
    }
    s->allocations_per_frame = (double)(atomic_load(&allocations) - start_count) / o->frames;
    check(sam2_video_predictor_get_info(video, &after));
    s->bytes_grown = (long long)(after.device_bytes + after.host_bytes) - (long long)(before.device_bytes + before.host_bytes);
    check(sam2_video_predictor_destroy(video));
    free(labels.data);
}

// Measures images with a click in the middle.
static void segment(const sam2_model *model, const options *o, const sam2_image *images, int n, double *ms, steady *s) {
    sam2_image_predictor *predictor;
    sam2_mask_buffer mask = SAM2_MASK_BUFFER_INIT;
    mask.size = (uint64_t)images->width * images->height, mask.data = some(mask.size);
    check(sam2_image_predictor_create(model, NULL, &predictor));
    check(sam2_image_predictor_reserve(predictor, 1, 1, 0));
    float xy[2], iou;
    int32_t label = 1;
    sam2_prompt click = SAM2_PROMPT_INIT;
    click.num_points = 1, click.points = xy, click.labels = &label;
    click_at(images, 0, 1, xy);
    long start_count = 0;
    for (int i = -1; i < o->frames; i++) {
        if (i == 0) start_count = atomic_load(&allocations);
        double start = now();
        check(sam2_image_predictor_set_image(predictor, &images[(i + 1) % n]));
        check(sam2_image_predictor_predict(predictor, &click, 1, 0, &mask, &iou, NULL, NULL));
        if (i >= 0) ms[i] = now() - start;
    }
    s->allocations_per_click = (double)(atomic_load(&allocations) - start_count) / o->frames;
    check(sam2_image_predictor_destroy(predictor));
    free(mask.data);
}

int main(int argc, char **argv) {
    if (argc < 3) fprintf(stderr, "latency MODEL FRAMES [--frames N] [--objects N] [--device auto|cpu|cuda] ...\n"), exit(2);
    options o = parse(argc, argv);
    static sam2_image images[MOST_PICTURES];
    int n = read_pictures(argv[2], images);
    for (int i = 1; i < n; i++)
        if (images[i].width != images->width || images[i].height != images->height)
            fprintf(stderr, "pictures of several sizes\n"), exit(1);
    sam2_model *model;
    sam2_model_info info = SAM2_MODEL_INFO_INIT;
    check(sam2_model_load(argv[1], &o.model, &model));
    check(sam2_model_get_info(model, &info));
    double *frames = some(sizeof(double) * (size_t)o.frames), *clicks = some(sizeof(double) * (size_t)o.frames);
    steady s;
    fprintf(stderr, "%d frames\n", o.frames);
    follow(model, &o, images, n, frames, &s);
    fprintf(stderr, "%d pictures\n", o.frames);
    segment(model, &o, images, n, clicks, &s);
    printf("{\n  \"build\": \"%s\", \"device\": \"%s\", \"input\": %u, \"picture\": [%u, %u],\n", sam2_build_info(),
           info.device_name, info.image_size, images->width, images->height);
    printf("  \"frames\": %d, \"objects\": %d, \"threads\": %u,\n", o.frames, o.objects, o.model.threads);
    report("frame", frames, o.frames);
    report("set_image_and_click", clicks, o.frames);
    printf("  \"steady_state\": {\"bytes_grown\": %lld", s.bytes_grown);
#ifdef __GLIBC__
    printf(", \"allocations_per_frame\": %.2f, \"allocations_per_click\": %.2f", s.allocations_per_frame, s.allocations_per_click);
#endif
    printf("}\n}\n");
    free(frames), free(clicks);
    // The images are kept until the end.
    return sam2_model_destroy(model);
}
