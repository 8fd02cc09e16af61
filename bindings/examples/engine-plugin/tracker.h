/* Tracks several objects in the images of a game engine. No call on the thread of the engine waits for the model.
 *
 * The example plugins for Unity, Godot and Unreal call these functions. An image has 32 bits per pixel. Coordinates are
 * pixels from the top left corner of the image. One thread makes all calls on a tracker, but tracker_open() and
 * tracker_close() may run on any thread. */
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

/* Objects have ids from 1 to this number. The caller chooses them. */
#define TRACKER_MAX_ID 255

/* Largest number of points for one object and one image. */
#define TRACKER_MAX_POINTS 16

/* Flags of tracker_open(). Without flags, pixels are red, green, blue, alpha, and the top row comes first. */
#define TRACKER_BOTTOM_UP 1 /* The bottom row comes first, in images and in maps. */
#define TRACKER_BGRA 2      /* Pixels are blue, green, red, alpha. */

typedef struct tracker tracker;

/* An object in a frame. */
typedef struct {
    int32_t id;
    int32_t visible; /* 1 or 0 */
    int32_t box[4];  /* Left, top, right and bottom of the outermost pixels. */
    float score;     /* Above 0 if the object is visible. */
} tracker_object;

/* Loads a model for images of one size. The path is UTF-8. 0 threads means all that the machine offers. This takes long,
 * so call it on a loading thread. After a failure it returns NULL and writes a message to `error`, which holds
 * `error_size` bytes. */
TRACKER_API tracker *tracker_open(const char *model, int32_t width, int32_t height, int32_t threads, int32_t flags,
                                  char *error, int32_t error_size);

/* Waits for the current frame and frees the tracker. */
TRACKER_API void tracker_close(tracker *t);

/* Adds a point for an object, which takes effect with the next pushed image. `on` is 1 for a point on the object and 0
 * for a point on the background. A new id adds an object, and a known id corrects it. Returns 1, or 0 if the id is out
 * of range or the object has too many points. */
TRACKER_API int32_t tracker_add_point(tracker *t, int32_t id, float x, float y, int32_t on);

/* As tracker_add_point(), with a box. */
TRACKER_API int32_t tracker_add_box(tracker *t, int32_t id, float left, float top, float right, float bottom);

/* Removes an object and its prompts that have not taken effect. It disappears with the next pushed image. Prompts that
 * follow start a new object of this id. Returns 1, or 0 if the id is out of range. */
TRACKER_API int32_t tracker_remove(tracker *t, int32_t id);

/* Copies an image and starts to track it. `stride` is the number of bytes from one row to the next in memory, and 0 means
 * rows without gaps. Returns 1 if the image is accepted, 0 if the previous image is still in progress or there is no
 * object, and -1 after a failure. */
TRACKER_API int32_t tracker_push(tracker *t, const uint8_t *pixels, int32_t stride, int64_t frame);

/* Returns 1 if an image has ended since the last call, 0 if none has, and -1 if tracking failed, which loses the image
 * and its prompts. After 1, `frame` is the number that was pushed, and `map` of width times height bytes contains the id
 * of the object at each pixel, or 0. `num_objects` contains the capacity of `objects` before the call and the number of
 * objects after it. A capacity of TRACKER_MAX_ID always suffices. `objects` and `map` may be NULL. */
TRACKER_API int32_t tracker_poll(tracker *t, int64_t *frame, tracker_object *objects, int32_t *num_objects, uint8_t *map);

/* Gets the message of the latest failure of tracker_push() or tracker_poll(), valid until the next call of either. */
TRACKER_API const char *tracker_error(const tracker *t);

#ifdef __cplusplus
}
#endif

#endif
