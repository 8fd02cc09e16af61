#include "tracker.h"

#include <sam2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Owner of all fields but `next`: the thread of the engine (IDLE, ENDED) or the job (RUNNING). */
enum { IDLE, RUNNING, ENDED };

/* What the caller asked for an object. */
typedef struct {
    uint8_t remove, has_box;
    uint32_t num_points;
    float points[2 * TRACKER_MAX_POINTS], box[4];
    int32_t labels[TRACKER_MAX_POINTS];
} request;

struct tracker {
    sam2_model *model;
    sam2_video_predictor *video;
    sam2_job *job;
    sam2_image image;
    sam2_mask_buffer places; /* 1 + the place of an object in the library's list */
    uint8_t *map;            /* the ids in its stead */
    atomic_int turn;
    /* Prompts for the next image, and for the current one. */
    request next[TRACKER_MAX_ID + 1], now[TRACKER_MAX_ID + 1];
    /* The current image. */
    int64_t number;
    uint64_t num_frames;
    int32_t num_objects;
    tracker_object objects[TRACKER_MAX_ID];
    uint8_t ids[TRACKER_MAX_ID + 1]; /* ids by values of `places` */
    sam2_status status;
    char message[512];
    size_t num_tracked;
};

static int has_prompt(const request *r) {
    return r->num_points || r->has_box;
}

/* Keeps the message of the latest failure. */
static sam2_status failed(tracker *t, sam2_status status) {
    if (status != SAM2_OK) snprintf(t->message, sizeof t->message, "%s", sam2_last_error());
    return status;
}

static int32_t keep(void *user, const sam2_frame *f) {
    tracker *t = user;
    t->num_frames = f->frame_idx + 1, t->num_objects = (int32_t)f->num_objects;
    for (uint32_t i = 0; i < f->num_objects; i++) {
        tracker_object *o = &t->objects[i];
        o->id = (int32_t)f->obj_ids[i], o->visible = !f->lost[i], o->score = f->object_score_logits[i];
        memcpy(o->box, f->boxes + 4 * i, sizeof o->box);
        t->ids[i + 1] = (uint8_t)o->id;
    }
    return 0;
}

/* Removes an object, and deletes it from the results of the current image. */
static sam2_status remove_object(tracker *t, int32_t id) {
    for (int32_t i = 0; i < t->num_objects; i++) {
        if (t->objects[i].id != id) continue;
        t->num_objects--;
        memmove(&t->objects[i], &t->objects[i + 1], (size_t)(t->num_objects - i) * sizeof *t->objects);
        for (int32_t k = 1; k <= TRACKER_MAX_ID; k++)
            if (t->ids[k] == id) t->ids[k] = 0;
        return sam2_video_predictor_remove_object(t->video, id);
    }
    return SAM2_OK;
}

/* Passes on the prompts of an object. `last` asks for the results of all objects. */
static sam2_status add_prompts(tracker *t, int32_t id, const request *r, int last) {
    sam2_prompt prompt = SAM2_PROMPT_INIT;
    prompt.num_points = r->num_points, prompt.points = r->points, prompt.labels = r->labels;
    prompt.bounds = r->has_box ? r->box : NULL;
    return sam2_video_predictor_add_new_points_or_box(
        t->video, t->num_frames - 1, id, &prompt, 0, last ? &t->places : NULL, last ? keep : NULL, t);
}

static sam2_status apply_requests(tracker *t) {
    sam2_status status = SAM2_OK;
    int32_t last = 0;
    for (int32_t id = 1; id <= TRACKER_MAX_ID && status == SAM2_OK; id++) {
        if (t->now[id].remove) status = remove_object(t, id);
        if (has_prompt(&t->now[id])) last = id;
    }
    for (int32_t id = 1; id <= last && status == SAM2_OK; id++)
        if (has_prompt(&t->now[id])) status = add_prompts(t, id, &t->now[id], id == last);
    return status;
}

/* Replaces places with ids. */
static void draw_map(tracker *t) {
    const uint16_t *places = t->places.data;
    uint64_t pixels = t->places.size / sizeof *places;
    for (uint64_t i = 0; i < pixels; i++) t->map[i] = t->ids[places[i]];
}

/* Runs on a thread of the library. Prompts are decoded there too, so that no call of the engine waits for them. */
static void done(void *user, sam2_status status) {
    tracker *t = user;
    failed(t, status);
    if (status == SAM2_OK) status = failed(t, apply_requests(t));
    if (status == SAM2_OK) draw_map(t);
    sam2_video_predictor_get_obj_ids(t->video, NULL, &t->num_tracked);
    t->status = status;
    atomic_store_explicit(&t->turn, ENDED, memory_order_release);
}

static tracker *allocate(int32_t width, int32_t height, int32_t flags) {
    if (width < 1 || height < 1) return NULL;
    tracker *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    uint64_t pixels = (uint64_t)width * (uint64_t)height;
    t->image = (sam2_image)SAM2_IMAGE_INIT;
    t->image.format = flags & TRACKER_BGRA ? SAM2_FORMAT_BGRA8 : SAM2_FORMAT_RGBA8;
    t->image.width = (uint32_t)width, t->image.height = (uint32_t)height;
    t->places = (sam2_mask_buffer)SAM2_MASK_BUFFER_INIT;
    t->places.format = SAM2_MASK_LABELS, t->places.size = 2 * pixels;
    t->image.flip = t->places.flip = flags & TRACKER_BOTTOM_UP ? 1 : 0;
    t->image.planes[0] = calloc(pixels, 4), t->places.data = calloc(pixels, 2), t->map = calloc(pixels, 1);
    if (t->image.planes[0] && t->places.data && t->map) return t;
    tracker_close(t);
    return NULL;
}

tracker *tracker_open(const char *model, int32_t width, int32_t height, int32_t threads, int32_t flags, char *error,
                      int32_t error_size) {
    size_t size = error_size > 0 ? (size_t)error_size : 0;
    tracker *t = allocate(width, height, flags);
    if (!t) {
        snprintf(error, size, "no memory for %d x %d pixels", (int)width, (int)height);
        return NULL;
    }
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.threads = threads > 0 ? (uint32_t)threads : 0;
    if (sam2_model_load(model, &options, &t->model) || sam2_video_predictor_create_stream(t->model, NULL, &t->video) ||
        sam2_video_predictor_reserve(t->video, 1, t->image.width, t->image.height)) {
        snprintf(error, size, "%s", sam2_last_error());
        tracker_close(t);
        return NULL;
    }
    return t;
}

void tracker_close(tracker *t) {
    if (!t) return;
    if (t->job) sam2_job_destroy(t->job);
    if (t->video) sam2_video_predictor_destroy(t->video);
    if (t->model) sam2_model_destroy(t->model);
    free((void *)t->image.planes[0]), free(t->places.data), free(t->map), free(t);
}

static request *request_for(tracker *t, int32_t id) {
    return id < 1 || id > TRACKER_MAX_ID ? NULL : &t->next[id];
}

int32_t tracker_add_point(tracker *t, int32_t id, float x, float y, int32_t on) {
    request *r = request_for(t, id);
    if (!r || r->num_points == TRACKER_MAX_POINTS) return 0;
    r->points[2 * r->num_points] = x, r->points[2 * r->num_points + 1] = y;
    r->labels[r->num_points++] = on ? 1 : 0;
    return 1;
}

int32_t tracker_add_box(tracker *t, int32_t id, float left, float top, float right, float bottom) {
    request *r = request_for(t, id);
    if (!r) return 0;
    r->has_box = 1, r->box[0] = left, r->box[1] = top, r->box[2] = right, r->box[3] = bottom;
    return 1;
}

int32_t tracker_remove(tracker *t, int32_t id) {
    request *r = request_for(t, id);
    if (!r) return 0;
    *r = (request){.remove = 1};
    return 1;
}

static int is_prompted(const tracker *t) {
    for (int32_t id = 1; id <= TRACKER_MAX_ID; id++)
        if (has_prompt(&t->next[id])) return 1;
    return 0;
}

static void copy_image(tracker *t, const uint8_t *pixels, size_t stride) {
    uint8_t *to = (uint8_t *)t->image.planes[0];
    size_t row = 4 * (size_t)t->image.width, rows = t->image.height;
    if (stride == row) row *= rows, rows = 1;
    for (size_t y = 0; y < rows; y++) memcpy(to + y * row, pixels + y * stride, row);
}

int32_t tracker_push(tracker *t, const uint8_t *pixels, int32_t stride, int64_t frame) {
    if (atomic_load_explicit(&t->turn, memory_order_acquire) != IDLE) return 0;
    if (!t->num_tracked && !is_prompted(t)) return 0;
    copy_image(t, pixels, stride > 0 ? (size_t)stride : 4 * (size_t)t->image.width);
    memcpy(t->now, t->next, sizeof t->now);
    t->number = frame, t->num_objects = 0;
    memset(t->ids, 0, sizeof t->ids);
    /* The job has ended, so this does not wait. */
    if (t->job) sam2_job_destroy(t->job), t->job = NULL;
    atomic_store_explicit(&t->turn, RUNNING, memory_order_relaxed);
    const sam2_mask_buffer *places = t->num_tracked ? &t->places : NULL;
    if (failed(t, sam2_video_predictor_push_frame_async(t->video, &t->image, places, keep, done, t, &t->job))) {
        atomic_store_explicit(&t->turn, IDLE, memory_order_relaxed);
        return -1;
    }
    memset(t->next, 0, sizeof t->next);
    return 1;
}

int32_t tracker_poll(tracker *t, int64_t *frame, tracker_object *objects, int32_t *num_objects, uint8_t *map) {
    if (atomic_load_explicit(&t->turn, memory_order_acquire) != ENDED) return 0;
    atomic_store_explicit(&t->turn, IDLE, memory_order_relaxed);
    if (t->status != SAM2_OK) return -1;
    int32_t room = *num_objects < t->num_objects ? *num_objects : t->num_objects;
    *frame = t->number, *num_objects = t->num_objects;
    if (objects && room > 0) memcpy(objects, t->objects, (size_t)room * sizeof *objects);
    if (map) memcpy(map, t->map, (size_t)t->image.width * t->image.height);
    return 1;
}

const char *tracker_error(const tracker *t) {
    return t->message;
}
