#include "tracker.h"

#include <sam2.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Owner of the buffers: the thread of the engine, or the job.
enum { IDLE, RUNNING, ENDED };

struct tracker {
    sam2_model *model;
    sam2_video_predictor *video;
    sam2_job *job;
    sam2_image image;
    sam2_mask_buffer labels;
    atomic_int turn;
    // State of the current frame.
    bool clicked;
    float at[2];
    uint64_t frames;
    int64_t number;
    tracker_result result;
    sam2_status status;
    char message[256];
    // For tracker_click.
    bool click_next, has_object;
    float next_at[2];
};

// Reason why tracker_open failed, because there is no tracker to hold it.
static char open_error[256] = "";

const char *tracker_error(const tracker *t) {
    return t ? t->message : open_error;
}

static int failed(tracker *t) {
    snprintf(t->message, sizeof t->message, "%s", sam2_last_error());
    return -1;
}

static int32_t keep(void *user, const sam2_frame *f) {
    tracker *t = user;
    t->frames = f->frame_idx + 1;
    if (f->num_objects == 1) {
        t->result.found = !f->lost[0], t->result.score = f->object_score_logits[0];
        memcpy(t->result.box, f->boxes, sizeof t->result.box);
    }
    return 0;
}

// Runs on a thread of the library. A click is decoded there too, so that no call waits for it.
static void done(void *user, sam2_status status) {
    tracker *t = user;
    if (status == SAM2_OK && t->clicked) {
        int32_t label = 1;
        sam2_prompt click = SAM2_PROMPT_INIT;
        click.num_points = 1, click.points = t->at, click.labels = &label;
        status = sam2_video_predictor_reset_state(t->video);
        if (status == SAM2_OK)
            status = sam2_video_predictor_add_new_points_or_box(t->video, t->frames - 1, 1, &click, 0, &t->labels, keep, t);
    }
    t->status = status;
    if (status != SAM2_OK) failed(t);
    atomic_store_explicit(&t->turn, ENDED, memory_order_release);
}

tracker *tracker_open(const char *model, int32_t width, int32_t height, int32_t threads) {
    tracker *t = calloc(1, sizeof *t);
    uint64_t pixels = width > 0 && height > 0 ? (uint64_t)width * (uint64_t)height : 0;
    void *rgba = calloc(pixels, 4), *labels = calloc(pixels, 2);
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.threads = threads > 0 ? (uint32_t)threads : 0;
    if (!t || !pixels || !rgba || !labels) {
        snprintf(open_error, sizeof open_error, "no memory for %d x %d pixels", (int)width, (int)height);
        free(t), free(rgba), free(labels);
        return NULL;
    }
    t->image = (sam2_image)SAM2_IMAGE_INIT;
    t->image.format = SAM2_FORMAT_RGBA8, t->image.flip = 1;
    t->image.width = (uint32_t)width, t->image.height = (uint32_t)height, t->image.planes[0] = rgba;
    t->labels = (sam2_mask_buffer)SAM2_MASK_BUFFER_INIT;
    t->labels.format = SAM2_MASK_LABELS, t->labels.flip = 1, t->labels.data = labels, t->labels.size = 2 * pixels;
    if (sam2_model_load(model, &options, &t->model) || sam2_video_predictor_create_stream(t->model, NULL, &t->video) ||
        sam2_video_predictor_reserve(t->video, 1, t->image.width, t->image.height)) {
        failed(t);
        memcpy(open_error, t->message, sizeof open_error);
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
    free((void *)t->image.planes[0]), free(t->labels.data), free(t);
}

void tracker_click(tracker *t, float x, float y) {
    t->click_next = true, t->next_at[0] = x, t->next_at[1] = y;
}

int32_t tracker_push(tracker *t, const uint8_t *rgba, int64_t frame) {
    if (atomic_load_explicit(&t->turn, memory_order_acquire) != IDLE) return 0;
    if (!t->has_object && !t->click_next) return 0;
    memcpy((void *)t->image.planes[0], rgba, (size_t)t->image.width * t->image.height * 4);
    t->clicked = t->click_next, t->number = frame, t->result = (tracker_result){0};
    memcpy(t->at, t->next_at, sizeof t->at);
    // The job has ended, so this does not block.
    if (t->job) sam2_job_destroy(t->job), t->job = NULL;
    atomic_store_explicit(&t->turn, RUNNING, memory_order_relaxed);
    const sam2_mask_buffer *labels = t->has_object ? &t->labels : NULL;
    if (sam2_video_predictor_push_frame_async(t->video, &t->image, labels, keep, done, t, &t->job)) {
        atomic_store_explicit(&t->turn, IDLE, memory_order_relaxed);
        return failed(t);
    }
    t->click_next = false;
    return 1;
}

int32_t tracker_poll(tracker *t, tracker_result *result, uint8_t *mask) {
    if (atomic_load_explicit(&t->turn, memory_order_acquire) != ENDED) return 0;
    atomic_store_explicit(&t->turn, IDLE, memory_order_relaxed);
    if (t->status != SAM2_OK) return -1;
    t->has_object = true;
    *result = t->result, result->frame = t->number;
    const uint16_t *labels = t->labels.data;
    for (size_t i = 0; i < (size_t)t->image.width * t->image.height; i++) mask[i] = labels[i] ? 255 : 0;
    return 1;
}
