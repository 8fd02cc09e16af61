// Tests streams: frames one by one, as jobs, of several streams at once and in a workspace; and jobs of videos.
#include "image.h"

struct found {
    int calls;
    int64_t timestamp;
    uint32_t objects, written;
    uint64_t area;
    int32_t box[4];
    uint8_t lost;
    double sum;
    atomic_int done;
};

static int32_t keep(void *user, const sam2_frame *f) {
    struct found *found = user;
    found->calls++, found->timestamp = f->timestamp, found->sum = 0;
    found->objects = f->num_objects, found->written = f->masks_written;
    if (f->num_objects) {
        found->area = f->areas[0], found->lost = f->lost[0];
        memcpy(found->box, f->boxes, sizeof found->box);
    }
    for (size_t i = 0; f->masks && i < (size_t)f->num_objects * SIZE; i++) found->sum += f->masks[i];
    return 0;
}

static void done(void *user, int32_t status) {
    struct found *found = user;
    found->done = status == SAM2_OK ? 1 : -1;
}

static sam2_video_predictor *stream(const sam2_video_predictor_options *options) {
    sam2_video_predictor *v;
    OK(sam2_video_predictor_create_stream(model, options, &v));
    return v;
}

static sam2_image image;
static sam2_prompt prompt;
// Results of the second frame, which all other ways must reproduce.
static struct found want;

static void frames_of_a_stream(sam2_video_predictor *v) {
    OK(sam2_video_predictor_reserve(v, 1, W, H));
    CHECK(bad(sam2_video_predictor_reserve(v, 1, 0, H)));
    static uint8_t u8[SIZE];
    OK(sam2_video_predictor_push_frame(v, &image, NULL, keep, &want));
    sam2_mask_buffer buffer = into(SAM2_MASK_BINARY, u8, sizeof u8);
    OK(sam2_video_predictor_add_new_points_or_box(v, 0, 5, &prompt, 0, &buffer, keep, &want));
    CHECK(want.sum == 0 && want.area > 0);
    uint64_t area = 0;
    int box[4] = {W, H, -1, -1};
    for (int i = 0; i < SIZE; i++) {
        int x = i % W, y = i / W;
        area += u8[i];
        if (!u8[i]) continue;
        box[0] = x < box[0] ? x : box[0], box[1] = y < box[1] ? y : box[1];
        box[2] = x > box[2] ? x : box[2], box[3] = y > box[3] ? y : box[3];
    }
    CHECK(area == want.area && memcmp(box, want.box, sizeof box) == 0 && want.lost == 0);
    int64_t ids[2];
    size_t count = 2;
    OK(sam2_video_predictor_get_obj_ids(v, ids, &count));
    CHECK(count == 1 && ids[0] == 5);
    count = 0;
    CHECK(bad(sam2_video_predictor_get_obj_ids(v, ids, &count)) && count == 1);
    image.timestamp = 123456789;
    OK(sam2_video_predictor_push_frame(v, &image, NULL, keep, &want));
    CHECK(want.timestamp == 123456789 && want.sum != 0);
}

// The same as a job. A predictor with a job is busy.
static void frames_as_jobs(sam2_video_predictor *other) {
    struct found got = {0}, more = {0};
    sam2_job *job, *second;
    int status = -1;
    OK(sam2_video_predictor_push_frame_async(other, &image, NULL, keep, done, &got, &job));
    int busy = sam2_video_predictor_push_frame_async(other, &image, NULL, keep, NULL, &more, &second);
    CHECK(busy == SAM2_ERROR_BUSY || got.done);
    if (busy == SAM2_OK) OK(sam2_job_destroy(second));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    CHECK(status == SAM2_OK && got.done == 1 && got.sum == want.sum && got.area == want.area);
    OK(sam2_job_destroy(job));
    // A failed job has a message.
    sam2_image wrong = image;
    wrong.height--;
    got.done = 0;
    OK(sam2_video_predictor_push_frame_async(other, &wrong, NULL, NULL, done, &got, &job));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    CHECK(bad(status) && got.done == -1 && strstr(sam2_last_error(), "pixels"));
    OK(sam2_job_destroy(job));
}

// Several streams at once, one of which is invalid.
static void frames_of_several(sam2_video_predictor *third, sam2_video_predictor *ahead) {
    static uint16_t labels[SIZE];
    struct found both[2] = {{0}, {0}};
    sam2_video_push pushes[3] = {SAM2_VIDEO_PUSH_INIT, SAM2_VIDEO_PUSH_INIT, SAM2_VIDEO_PUSH_INIT};
    sam2_mask_buffer map = into(SAM2_MASK_LABELS, labels, sizeof labels);
    pushes[0].video = third, pushes[2].video = ahead;
    for (int i = 0; i < 3; i++) pushes[i].image = &image, pushes[i].on_frame = keep, pushes[i].user = &both[i / 2];
    pushes[2].masks = &map;
    CHECK(sam2_video_predictor_push_frames(pushes, 3) == SAM2_ERROR_INVALID_HANDLE);
    CHECK(pushes[0].status == SAM2_OK && pushes[1].status == SAM2_ERROR_INVALID_HANDLE && pushes[2].status == SAM2_OK);
    CHECK(both[0].sum == want.sum && both[1].area == want.area && both[1].timestamp == 123456789);
    uint64_t area = 0;
    for (int i = 0; i < SIZE; i++) area += labels[i] == 1;
    CHECK(area == want.area);
}

// A loop with one buffer, while objects come and go: no frame is lost. Rows have space between them.
static void objects_come_and_go(void) {
    enum { ROW = W + 7, ROOM = 2 * ROW * H };
    static uint8_t room[ROOM + 16], map8[SIZE];
    static uint16_t map16[SIZE];
    sam2_video_predictor *v = stream(NULL);
    sam2_mask_buffer two = into(SAM2_MASK_BINARY, room, ROOM);
    two.row_stride = ROW;
    memset(room, 9, sizeof room);
    struct found got = {0};
    for (int frame = 0; frame < 4; frame++) {
        image.timestamp = 1000 + frame;
        OK(sam2_video_predictor_push_frame(v, &image, &two, keep, &got));
        CHECK(got.objects == (uint32_t)frame && got.written == (frame < 2 ? (uint32_t)frame : 2) && got.timestamp == 1000 + frame);
        // A correction of a frame that is kept has its timestamp.
        got.timestamp = 0;
        OK(sam2_video_predictor_add_new_points_or_box(v, (uint64_t)frame, 40 + frame, &prompt, 0, &two, keep, &got));
        CHECK(got.objects == (uint32_t)frame + 1 && got.timestamp == 1000 + frame);
    }
    for (int i = 0; i < ROOM; i++) CHECK(i % ROW < W ? room[i] <= 1 : room[i] == 9);
    for (int i = ROOM; i < ROOM + 16; i++) CHECK(room[i] == 9);
    // All objects have the same pixels, which the first one gets in a map.
    sam2_mask_buffer bytes = into(SAM2_MASK_IDS8, map8, sizeof map8), words = into(SAM2_MASK_IDS16, map16, sizeof map16);
    OK(sam2_video_predictor_push_frame(v, &image, &bytes, keep, &got));
    CHECK(got.objects == 4 && got.written == 4 && got.area > 0);
    OK(sam2_video_predictor_remove_object(v, 40));
    OK(sam2_video_predictor_push_frame(v, &image, &words, keep, &got));
    int first = 0, second = 0;
    for (int i = 0; i < SIZE; i++) {
        first += map8[i] == 40, second += map16[i] == 41;
        CHECK(map8[i] == 0 || (map8[i] >= 40 && map8[i] < 44));
        CHECK(map16[i] == 0 || (map16[i] > 40 && map16[i] < 44));
    }
    CHECK(first > 0 && second > 0 && got.written == 3);
    // An id that a map cannot have is refused, and the frame can be pushed again.
    OK(sam2_video_predictor_add_new_points_or_box(v, 5, 300, &prompt, 0, NULL, NULL, NULL));
    CHECK(bad(sam2_video_predictor_push_frame(v, &image, &bytes, NULL, NULL)) && strstr(sam2_last_error(), "300"));
    OK(sam2_video_predictor_push_frame(v, &image, &words, keep, &got));
    CHECK(got.objects == 4);
    two.row_stride = W - 1;
    CHECK(bad(sam2_video_predictor_push_frame(v, &image, &two, NULL, NULL)) && strstr(sam2_last_error(), "stride"));
    sam2_mask_buffer none = into(SAM2_MASK_BINARY, room, SIZE - 1);
    CHECK(bad(sam2_video_predictor_push_frame(v, &image, &none, NULL, NULL)));
    image.timestamp = 123456789;
    OK(sam2_video_predictor_destroy(v));
}

static void workspaces(void) {
    sam2_video_predictor_info info = SAM2_VIDEO_PREDICTOR_INFO_INIT;
    sam2_video_predictor *ordinary = stream(NULL);
    OK(sam2_video_predictor_reserve(ordinary, 1, W, H));
    OK(sam2_video_predictor_get_info(ordinary, &info));
    CHECK(info.object_device_bytes > 0 && info.object_host_bytes == 0);
    sam2_video_predictor_options options = SAM2_VIDEO_PREDICTOR_OPTIONS_INIT;
    options.workspace_size = info.device_bytes + 4096, options.workspace = malloc(options.workspace_size);
    sam2_video_predictor *within = stream(&options);
    OK(sam2_video_predictor_reserve(within, 1, W, H));
    OK(sam2_video_predictor_push_frame(within, &image, NULL, NULL, NULL));
    OK(sam2_video_predictor_add_new_points_or_box(within, 0, 5, &prompt, 0, NULL, NULL, NULL));
    struct found inside = {0};
    for (int i = 0; i < 12; i++) OK(sam2_video_predictor_push_frame(within, &image, NULL, i ? NULL : keep, &inside));
    CHECK(inside.sum == want.sum);
    CHECK(sam2_video_predictor_reserve(within, 500, W, H) == SAM2_ERROR_OUT_OF_MEMORY);
    OK(sam2_video_predictor_destroy(ordinary));
    OK(sam2_video_predictor_destroy(within));
    free(options.workspace);
}

// Frames of a stream, as jobs, of several streams at once, and in a workspace.
static void cameras(void) {
    image = image_of(SAM2_FORMAT_RGB8, rgb);
    prompt = click(0);
    sam2_video_predictor *v = stream(NULL), *other = stream(NULL), *third, *ahead;
    frames_of_a_stream(v);
    OK(sam2_video_predictor_push_frame(other, &image, NULL, NULL, NULL));
    OK(sam2_video_predictor_add_new_points_or_box(other, 0, 5, &prompt, 0, NULL, NULL, NULL));
    OK(sam2_video_predictor_fork(other, &third));
    OK(sam2_video_predictor_fork(other, &ahead));
    frames_as_jobs(other);
    objects_come_and_go();
    frames_of_several(third, ahead);
    static uint8_t bits[H * ((W + 7) / 8)];
    sam2_mask_buffer buffer = into(SAM2_MASK_BITS, bits, sizeof bits);
    OK(sam2_video_predictor_propagate_in_video(v, 1, 0, 0, &buffer, NULL, NULL));
    workspaces();
    sam2_video_predictor *all[] = {v, other, third, ahead};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) OK(sam2_video_predictor_destroy(all[i]));
}

// Jobs without a handle, and with a handle that a callback of the job destroys.
static struct {
    sam2_job *job;
    atomic_int frames, ended;
    int waited, destroyed, again;
} alone;

static int32_t leave_in_frame(void *user, const sam2_frame *f) {
    int status;
    (void)user, (void)f;
    if (alone.frames++ == 0 && alone.job) {
        alone.waited = sam2_job_wait(alone.job, SAM2_WAIT_FOREVER, &status);
        alone.destroyed = sam2_job_destroy(alone.job), alone.again = sam2_job_destroy(alone.job);
    }
    return 0;
}

static void leave_in_done(void *user, int32_t status) {
    int how;
    (void)user;
    if (alone.job && alone.frames == 0) {
        alone.waited = sam2_job_wait(alone.job, SAM2_WAIT_FOREVER, &how);
        alone.destroyed = sam2_job_destroy(alone.job), alone.again = sam2_job_destroy(alone.job);
    }
    alone.ended = status == SAM2_OK ? 1 : -1;
}

static void ended(int waited, int destroyed, int again) {
    while (!alone.ended) continue;
    CHECK(alone.ended == 1 && alone.waited == waited && alone.destroyed == destroyed && alone.again == again);
    alone.waited = alone.destroyed = alone.again = 0, alone.job = NULL;
    alone.ended = 0;
    alone.frames = 0;
}

static void forgotten(const char *frames) {
    sam2_image image = image_of(SAM2_FORMAT_RGB8, rgb);
    sam2_image_predictor *p = make(NULL);
    sam2_prompt prompt = click(0);
    float iou;
    for (int i = 0; i < 3; i++) {
        OK(sam2_image_predictor_set_image_batch_async(p, &image, 1, leave_in_done, NULL, NULL));
        ended(0, 0, 0);
        OK(sam2_image_predictor_predict_async(p, &prompt, 1, 0, NULL, &iou, NULL, NULL, leave_in_done, NULL, NULL));
        ended(0, 0, 0);
        // The handle is there before the callback is called.
        OK(sam2_image_predictor_set_image_batch_async(p, &image, 1, leave_in_done, NULL, &alone.job));
        ended(SAM2_ERROR_BUSY, SAM2_OK, SAM2_ERROR_INVALID_HANDLE);
    }
    sam2_video_predictor *v = stream(NULL), *offline;
    OK(sam2_video_predictor_push_frame_async(v, &image, NULL, NULL, leave_in_done, NULL, NULL));
    ended(0, 0, 0);
    OK(sam2_video_predictor_open(model, frames, NULL, &offline));
    OK(sam2_video_predictor_add_new_points_or_box(offline, 0, 1, &prompt, 0, NULL, NULL, NULL));
    OK(sam2_video_predictor_propagate_in_video_async(offline, 0, 1, 0, NULL, leave_in_frame, leave_in_done, NULL, NULL));
    ended(0, 0, 0);
    OK(sam2_video_predictor_propagate_in_video_async(offline, 0, 1, 0, NULL, leave_in_frame, leave_in_done, NULL, &alone.job));
    ended(SAM2_ERROR_BUSY, SAM2_OK, SAM2_ERROR_INVALID_HANDLE);
    // To destroy a predictor ends its job, also one without a handle.
    OK(sam2_video_predictor_push_frame_async(v, &image, NULL, NULL, leave_in_done, NULL, NULL));
    OK(sam2_video_predictor_destroy(v));
    while (!alone.ended) continue;
    alone.ended = 0;
    // A mask of floats: from 0.5 on, resized, it is what the bytes are.
    struct found bytes = {0}, floats = {0};
    static uint8_t on[SIZE];
    static float soft[SIZE];
    for (int i = 0; i < SIZE; i++) on[i] = i % W > 20, soft[i] = on[i] ? 1.0f : 0.0f;
    v = stream(NULL);
    OK(sam2_video_predictor_push_frame(v, &image, NULL, NULL, NULL));
    OK(sam2_video_predictor_add_new_mask(v, 0, 1, on, W, H, NULL, keep, &bytes));
    OK(sam2_video_predictor_add_new_mask_f32(v, 0, 1, soft, W, H, NULL, keep, &floats));
    CHECK(bytes.area > 0 && bytes.area == floats.area && bytes.sum == floats.sum);
    for (int i = 0; i < SIZE; i++) soft[i] = 0.4f;
    OK(sam2_video_predictor_add_new_mask_f32(v, 0, 1, soft, W, H, NULL, keep, &floats));
    CHECK(floats.area == 0);
    soft[3] = NAN;
    CHECK(bad(sam2_video_predictor_add_new_mask_f32(v, 0, 1, soft, W, H, NULL, keep, &floats)));
    OK(sam2_video_predictor_destroy(v));
    OK(sam2_video_predictor_destroy(offline));
    OK(sam2_image_predictor_destroy(p));
}

// A propagation as a job, which another thread cancels.
static atomic_int going;
static int32_t go(void *user, const sam2_frame *f) {
    (void)user, (void)f;
    going = 1;
    return 0;
}

static void background(const char *frames) {
    sam2_video_predictor *v;
    float place[2] = {208, 249};
    sam2_prompt prompt = click(0);
    prompt.points = place;
    OK(sam2_video_predictor_open(model, frames, NULL, &v));
    static uint8_t bits[360 * 480 / 8];
    sam2_mask_buffer buffer = into(SAM2_MASK_BITS, bits, sizeof bits);
    OK(sam2_video_predictor_add_new_points_or_box(v, 0, 1, &prompt, 0, NULL, NULL, NULL));
    sam2_job *job;
    int status = -1;
    OK(sam2_video_predictor_propagate_in_video_async(v, 0, -1, 0, &buffer, go, NULL, NULL, &job));
    while (!going) CHECK(sam2_job_wait(job, 1, &status) == SAM2_ERROR_BUSY);
    OK(sam2_video_predictor_cancel(v));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    CHECK(status == SAM2_ERROR_CANCELLED);
    int set = 0;
    for (size_t i = 0; i < sizeof bits; i++) set += bits[i] != 0;
    CHECK(set > 0);
    OK(sam2_job_destroy(job));
    OK(sam2_video_predictor_destroy(v));
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    draw();
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.threads = 2, options.image_size = SIDE * 4;
    OK(sam2_model_load(argv[1], &options, &model));
    cameras();
    background(argv[2]);
    forgotten(argv[2]);
    OK(sam2_model_destroy(model));
    printf("%d checks\n", checks);
    return 0;
}
