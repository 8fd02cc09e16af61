/* host MODEL FRAMES COUNT X Y [X Y]...: stands in for a game engine. Draws at 60 Hz, passes every image to the tracker,
 * and prints the objects of each. The objects are selected by the points, and the last of several is removed after half
 * of the images. The duration of the longest call is printed to stderr. */
#include "tracker.h"

#include <sam2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Converts an image to a texture, the bottom row first. */
static uint8_t *read_texture(const char *folder, int i, int *width, int *height) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%05d.jpg", folder, i);
    sam2_picture *picture;
    sam2_image image = SAM2_IMAGE_INIT;
    if (sam2_picture_read(path, &picture) || sam2_picture_get_image(picture, &image) || image.format != SAM2_FORMAT_RGB8)
        fprintf(stderr, "%s: %s\n", path, sam2_last_error()), exit(1);
    uint64_t row = image.strides[0] ? image.strides[0] : 3ull * image.width;
    uint8_t *rgba = malloc(4ull * image.width * image.height), *to = rgba;
    if (!rgba) fprintf(stderr, "no memory\n"), exit(1);
    for (uint32_t y = image.height; y-- > 0;) {
        const uint8_t *from = (const uint8_t *)image.planes[0] + y * row;
        for (uint32_t x = 0; x < image.width; x++, from += 3, to += 4) memcpy(to, from, 3), to[3] = 255;
    }
    *width = (int)image.width, *height = (int)image.height;
    sam2_picture_destroy(picture);
    return rgba;
}

/* Prints an object, with the number of its pixels in the map and their mean row. The map starts at the bottom. */
static void print_object(int64_t frame, const tracker_object *o, const uint8_t *map, int width, int height) {
    long long pixels = 0, rows = 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            if (map[(size_t)y * (size_t)width + (size_t)x] == o->id) pixels++, rows += height - 1 - y;
    printf("%lld %d %d %d %d %d %d %lld %lld\n", (long long)frame, o->id, o->visible, o->box[0], o->box[1], o->box[2],
           o->box[3], pixels, pixels ? rows / pixels : -1);
}

int main(int argc, char **argv) {
    if (argc < 6 || argc % 2 != 0) return fprintf(stderr, "host MODEL FRAMES COUNT X Y [X Y]...\n"), 2;
    int count = atoi(argv[3]), objects = (argc - 4) / 2, width, height;
    char error[512];
    uint8_t *texture = read_texture(argv[2], 0, &width, &height);
    tracker *t = tracker_open(argv[1], width, height, 0, TRACKER_BOTTOM_UP, error, sizeof error);
    if (!t) return fprintf(stderr, "%s\n", error), 1;
    uint8_t *map = malloc((size_t)width * (size_t)height);
    if (!map) return fprintf(stderr, "no memory\n"), 1;
    for (int i = 0; i < objects; i++)
        tracker_add_point(t, i + 1, (float)atof(argv[4 + 2 * i]), (float)atof(argv[5 + 2 * i]), 1);
    double longest = 0;
    int drawn = 0;
    for (int next = 0, found = 0; found < count; drawn++) {
        tracker_object seen[TRACKER_MAX_ID];
        int32_t num_seen = TRACKER_MAX_ID;
        int64_t frame;
        double start = now();
        int pushed = next < count ? tracker_push(t, texture, 0, next) : 0;
        int polled = tracker_poll(t, &frame, seen, &num_seen, map);
        double took = now() - start;
        longest = took > longest ? took : longest;
        if (pushed < 0 || polled < 0) return fprintf(stderr, "%s\n", tracker_error(t)), 1;
        if (pushed && ++next < count) free(texture), texture = read_texture(argv[2], next, &width, &height);
        if (pushed && objects > 1 && next == count / 2) tracker_remove(t, objects);
        if (polled) {
            found++;
            for (int i = 0; i < num_seen; i++) print_object(frame, &seen[i], map, width, height);
        }
        nanosleep(&(struct timespec){0, 16666667}, NULL);
    }
    fprintf(stderr, "%d images drawn, %d tracked, a call took %.2f ms at most\n", drawn, count, longest);
    tracker_close(t);
    free(texture), free(map);
    return 0;
}
