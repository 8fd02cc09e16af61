/* What a game engine calls: a tracker that never makes the thread that draws wait.
 *
 * Textures are 32 bits a pixel, red, green, blue, alpha, the lowest row first, as engines read them back. Coordinates are
 * pixels from the top left corner. All calls on a tracker are for one thread. */
#ifndef TRACKER_H
#define TRACKER_H

#include <stdint.h>

#if defined(_WIN32)
#define TRACKER_API __declspec(dllexport)
#else
#define TRACKER_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tracker tracker;

typedef struct {
    int64_t frame;      /* the number that the frame was pushed with */
    int32_t found;      /* 1 where the object is to be seen */
    int32_t box[4];     /* left, top, right, bottom */
    float score;
} tracker_result;

/* Loads a model, for pictures of one size: this takes long, and is for a loading thread. Null: see tracker_error. */
TRACKER_API tracker *tracker_open(const char *model, int32_t width, int32_t height, int32_t threads);

/* Waits for the frame in progress, and lets go of everything. */
TRACKER_API void tracker_close(tracker *t);

/* From the next frame that is pushed on, the object is what is at this pixel of it. */
TRACKER_API void tracker_click(tracker *t, float x, float y);

/* Gives the tracker a texture, which is copied, and the caller's number of it: 1 where it is taken, 0 where the frame before is
 * still in progress and this one is left out, or nothing was clicked yet; negative: an error. */
TRACKER_API int32_t tracker_push(tracker *t, const uint8_t *rgba, int64_t frame);

/* 1 where a frame has ended since the last call, and writes what was found, and width times height bytes of a mask, 255 on the
 * object, as a texture, the lowest row first; 0 where none has; negative: an error. */
TRACKER_API int32_t tracker_poll(tracker *t, tracker_result *result, uint8_t *mask);

/* What went wrong in the last call that failed. */
TRACKER_API const char *tracker_error(const tracker *t);

#ifdef __cplusplus
}
#endif

#endif
