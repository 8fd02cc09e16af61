/* The class Sam2Tracker. */
#include "binding.h"

#include <tracker.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    /* Set by open(), which may run on another thread than the other methods. */
    tracker *_Atomic tracker;
    int32_t width, height;
    char error[512];
    /* Results of the latest frame. */
    int64_t frame;
    int32_t num_objects;
    tracker_object objects[TRACKER_MAX_ID];
    uint8_t *map;
} instance;

static void *create(void) {
    return calloc(1, sizeof(instance));
}

static void destroy(void *user) {
    instance *t = user;
    tracker_close(t->tracker);
    free(t->map), free(t);
}

/* Arguments of a method, by their C types. */
static int64_t get_int(const void *argument) { return *(const int64_t *)argument; }
static float get_float(const void *argument) { return (float)*(const double *)argument; }
static int32_t get_id(const void *argument) {
    int64_t id = get_int(argument);
    return id < 1 || id > TRACKER_MAX_ID ? 0 : (int32_t)id;
}

static GDExtensionBool open_model(instance *t, const char *model, int64_t width, int64_t height, int64_t threads) {
    if (t->tracker || !model || width < 1 || height < 1 || width > 32768 || height > 32768 || threads < 0 || threads > 4096) {
        snprintf(t->error, sizeof t->error, "open: already open, or no valid size or number of threads");
        return 0;
    }
    t->width = (int32_t)width, t->height = (int32_t)height;
    t->map = calloc((size_t)(width * height), 1);
    tracker *opened = tracker_open(model, t->width, t->height, (int32_t)threads, 0, t->error, sizeof t->error);
    if (t->map && opened) {
        t->tracker = opened;
        return 1;
    }
    tracker_close(opened);
    free(t->map), t->map = NULL;
    return 0;
}

/* A method with its arguments in `a`. */
#define METHOD(name) \
    static void name(void *user, GDExtensionClassInstancePtr self, const GDExtensionConstTypePtr *a, GDExtensionTypePtr result)
#define SELF            \
    instance *t = self; \
    (void)user, (void)a

METHOD(open) {
    SELF;
    char *model = string_to_utf8(a[0]);
    *(GDExtensionBool *)result = open_model(t, model, get_int(a[1]), get_int(a[2]), get_int(a[3]));
    free(model);
}

METHOD(get_error) {
    SELF;
    string_set(result, t->error);
}

METHOD(add_point) {
    SELF;
    int32_t on = *(const GDExtensionBool *)a[3];
    *(GDExtensionBool *)result =
        t->tracker && tracker_add_point(t->tracker, get_id(a[0]), get_float(a[1]), get_float(a[2]), on);
}

METHOD(add_box) {
    SELF;
    *(GDExtensionBool *)result = t->tracker && tracker_add_box(t->tracker, get_id(a[0]), get_float(a[1]), get_float(a[2]),
                                                               get_float(a[3]), get_float(a[4]));
}

METHOD(remove_object) {
    SELF;
    *(GDExtensionBool *)result = t->tracker && tracker_remove(t->tracker, get_id(a[0]));
}

/* Keeps the message of a call that returned a negative value. */
static int32_t checked(instance *t, int32_t status) {
    if (status < 0) snprintf(t->error, sizeof t->error, "%s", tracker_error(t->tracker));
    return status;
}

METHOD(push_frame) {
    SELF;
    int64_t status = 0;
    if (t->tracker && bytes_size(a[0]) != 4ll * t->width * t->height) {
        snprintf(t->error, sizeof t->error, "push_frame: an image of another size");
        status = -1;
    } else if (t->tracker) {
        status = checked(t, tracker_push(t->tracker, bytes_data(a[0]), 0, get_int(a[1])));
    }
    *(int64_t *)result = status;
}

METHOD(poll) {
    SELF;
    int64_t status = 0;
    if (t->tracker) {
        int32_t count = TRACKER_MAX_ID;
        status = checked(t, tracker_poll(t->tracker, &t->frame, t->objects, &count, t->map));
        if (status == 1) t->num_objects = count;
    }
    *(int64_t *)result = status;
}

METHOD(frame) {
    SELF;
    *(int64_t *)result = t->frame;
}

METHOD(object_ids) {
    SELF;
    int32_t *ids = ints_resize(result, t->num_objects);
    for (int32_t i = 0; ids && i < t->num_objects; i++) ids[i] = t->objects[i].id;
}

METHOD(object_box) {
    SELF;
    int32_t *rect = result;
    rect[0] = rect[1] = rect[2] = rect[3] = 0;
    for (int32_t i = 0; i < t->num_objects; i++) {
        const tracker_object *o = &t->objects[i];
        if (o->id != get_id(a[0]) || !o->visible) continue;
        rect[0] = o->box[0], rect[1] = o->box[1];
        rect[2] = o->box[2] - o->box[0] + 1, rect[3] = o->box[3] - o->box[1] + 1;
    }
}

METHOD(label_map) {
    SELF;
    int64_t size = t->map ? (int64_t)t->width * t->height : 0;
    uint8_t *to = bytes_resize(result, size);
    for (int64_t i = 0; to && i < size; i++) to[i] = t->map[i];
}

static const method methods[] = {
    {"open", open, BOOL, 4, {{"model", STRING}, {"width", INT}, {"height", INT}, {"threads", INT}}},
    {"get_error", get_error, STRING, 0, {{0}}},
    {"add_point", add_point, BOOL, 4, {{"id", INT}, {"x", FLOAT}, {"y", FLOAT}, {"on", BOOL}}},
    {"add_box", add_box, BOOL, 5, {{"id", INT}, {"left", FLOAT}, {"top", FLOAT}, {"right", FLOAT}, {"bottom", FLOAT}}},
    {"remove_object", remove_object, BOOL, 1, {{"id", INT}}},
    {"push_frame", push_frame, INT, 2, {{"pixels", BYTES}, {"frame", INT}}},
    {"poll", poll, INT, 0, {{0}}},
    {"frame", frame, INT, 0, {{0}}},
    {"object_ids", object_ids, INTS, 0, {{0}}},
    {"object_box", object_box, RECT2I, 1, {{"id", INT}}},
    {"label_map", label_map, BYTES, 0, {{0}}},
};

const class_description the_class = {"Sam2Tracker", create, destroy, methods, sizeof methods / sizeof *methods};
