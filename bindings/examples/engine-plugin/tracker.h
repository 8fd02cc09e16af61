/* Tracker for a game engine. No call blocks the thread that draws.
 *
 * Textures have 32 bits per pixel, red, green, blue, alpha, the bottom row first, as engines read them back. Coordinates are
 * pixels from the top left corner. One thread makes all calls on a tracker. */
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
    int64_t frame;      /* number of the frame, as pushed */
    int32_t found;      /* 1 if the object is visible */
    int32_t box[4];     /* left, top, right, bottom */
    float score;
} tracker_result;

/* Loads a model for images of one size. Call this from a loading thread, because it takes long. Returns NULL after a failure. */
TRACKER_API tracker *tracker_open(const char *model, int32_t width, int32_t height, int32_t threads);

/* Waits for the current frame and frees the tracker. */
TRACKER_API void tracker_close(tracker *t);

/* Selects the object at this pixel of the next pushed frame. */
TRACKER_API void tracker_click(tracker *t, float x, float y);

/* Copies a texture and starts to track it. Returns 1 if it is accepted, 0 if the previous frame is still in progress or no object
 * is selected, and a negative value after a failure. */
TRACKER_API int32_t tracker_push(tracker *t, const uint8_t *rgba, int64_t frame);

/* Returns 1 if a frame has ended since the last call. Then writes its result, and a mask of width times height bytes, 255 on the
 * object, the bottom row first. Returns 0 if no frame has ended, and a negative value after a failure. */
TRACKER_API int32_t tracker_poll(tracker *t, tracker_result *result, uint8_t *mask);

/* Gets the message of the latest failure. */
TRACKER_API const char *tracker_error(const tracker *t);

#ifdef __cplusplus
}
#endif

#endif
