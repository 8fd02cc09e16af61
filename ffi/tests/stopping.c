// Calls and jobs that are ended: by cancellation, by a time limit, by the destruction of their object.
#include "small.h"
#include <unistd.h>

static sam2_model *model;
// A larger picture, so that a call takes long enough to be ended.
static uint8_t large[1024 * 1024 * 3];

static sam2_model *load(uint32_t side) {
    sam2_model *model;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.threads = 2, options.image_size = side;
    OK(sam2_model_load("demo", &options, &model));
    return model;
}

static sam2_image picture(void) {
    sam2_image picture = SAM2_IMAGE_INIT;
    picture.planes[0] = large, picture.width = picture.height = 1024;
    return picture;
}

static uint64_t frames_of(sam2_video_predictor *video) {
    sam2_video_predictor_info info = SAM2_VIDEO_PREDICTOR_INFO_INIT;
    OK(sam2_video_predictor_get_info(video, &info));
    return info.num_frames;
}

// What a thread does to a call of another thread.
struct stop {
    sam2_image_predictor *predictor;
    sam2_video_predictor *video;
    sam2_automatic_mask_generator *generator;
    int destroys;
    atomic_int begun;
};

static void *stop(void *user) {
    struct stop *s = user;
    while (!s->begun) usleep(100);
    usleep(20000);
    if (s->predictor && s->destroys) OK(sam2_image_predictor_destroy(s->predictor));
    if (s->predictor && !s->destroys) OK(sam2_image_predictor_cancel(s->predictor));
    if (s->video && s->destroys) OK(sam2_video_predictor_destroy(s->video));
    if (s->video && !s->destroys) OK(sam2_video_predictor_cancel(s->video));
    if (s->generator && s->destroys) OK(sam2_automatic_mask_generator_destroy(s->generator));
    if (s->generator && !s->destroys) OK(sam2_automatic_mask_generator_cancel(s->generator));
    return NULL;
}

static int32_t begun(void *user, uint64_t done, uint64_t of, uint64_t masks) {
    (void)done, (void)of, (void)masks;
    ((struct stop *)user)->begun = 1;
    return 0;
}

static int32_t no_mask(void *user, const sam2_automatic_mask *mask) {
    (void)user, (void)mask;
    return 0;
}

// Calls that another thread ends, by cancellation and by destruction. They are made until one of them is long enough.
static void calls(void) {
    sam2_image one = picture();
    sam2_automatic_mask_generator_options options = SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT;
    options.crop_n_layers = 2;
    for (int destroys = 0; destroys < 2; destroys++) {
        struct stop s = {.destroys = destroys};
        OK(sam2_image_predictor_create(model, NULL, &s.predictor));
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, stop, &s) == 0);
        s.begun = 1;
        sam2_status status = SAM2_OK;
        while (status == SAM2_OK) status = sam2_image_predictor_set_image(s.predictor, &one);
        CHECK(status == SAM2_ERROR_CANCELLED || (destroys && status == SAM2_ERROR_INVALID_HANDLE));
        CHECK(pthread_join(thread, NULL) == 0);
        if (!destroys) {
            OK(sam2_image_predictor_cancel(s.predictor)); // nothing to cancel, and nothing later is
            OK(sam2_image_predictor_set_image(s.predictor, &one));
            OK(sam2_image_predictor_destroy(s.predictor));
        }
        CHECK(sam2_image_predictor_cancel(s.predictor) == SAM2_ERROR_INVALID_HANDLE);

        struct stop g = {.destroys = destroys};
        OK(sam2_automatic_mask_generator_create(model, &options, &g.generator));
        CHECK(pthread_create(&thread, NULL, stop, &g) == 0);
        int32_t complete = -1;
        status = sam2_automatic_mask_generator_generate(g.generator, &one, SAM2_WAIT_FOREVER, begun, no_mask, &g, &complete);
        CHECK(status == SAM2_ERROR_CANCELLED && complete == -1);
        CHECK(pthread_join(thread, NULL) == 0);
        if (!destroys) OK(sam2_automatic_mask_generator_destroy(g.generator));
        CHECK(sam2_automatic_mask_generator_cancel(g.generator) == SAM2_ERROR_INVALID_HANDLE);
    }
}

static atomic_int shown, ended;

static int32_t show(void *user, const sam2_frame *frame) {
    (void)user, (void)frame;
    shown++;
    return 0;
}

static void end(void *user, sam2_status status) {
    *(sam2_status *)user = status;
    ended++;
}

static sam2_video_predictor *stream(sam2_model *model, sam2_image *one) {
    sam2_video_predictor *video;
    sam2_prompt prompt = click();
    OK(sam2_video_predictor_create_stream(model, NULL, &video));
    OK(sam2_video_predictor_push_frame(video, one, NULL, NULL, NULL));
    OK(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &prompt, 0, NULL, NULL, NULL));
    return video;
}

// A job is ended by its predictor, by its handle, and by the destruction of its predictor. It had no time to succeed.
static void jobs(void) {
    sam2_model *slow = load(1024);
    sam2_image one = picture();
    sam2_video_predictor *video = stream(slow, &one);
    sam2_job *job;
    sam2_status status, told = -1;
    for (int by_job = 0; by_job < 2; by_job++) {
        OK(sam2_video_predictor_push_frame_async(video, &one, NULL, show, end, &told, &job));
        OK(by_job ? sam2_job_cancel(job) : sam2_video_predictor_cancel(video));
        OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
        CHECK(status == SAM2_ERROR_CANCELLED && told == status && shown == 0);
        CHECK(strcmp(sam2_last_error(), "cancelled") == 0);
        OK(sam2_job_cancel(job));
        OK(sam2_job_destroy(job));
        CHECK(sam2_job_cancel(job) == SAM2_ERROR_INVALID_HANDLE);
        CHECK(frames_of(video) == 1);
    }
    // The frame can be pushed again.
    OK(sam2_video_predictor_push_frame(video, &one, NULL, show, NULL));
    CHECK(frames_of(video) == 2 && shown == 1);
    OK(sam2_video_predictor_push_frame_async(video, &one, NULL, show, end, &told, &job));
    ended = 0;
    OK(sam2_video_predictor_destroy(video));
    CHECK(sam2_video_predictor_cancel(video) == SAM2_ERROR_INVALID_HANDLE);
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    CHECK(status == SAM2_ERROR_CANCELLED && shown == 1 && ended == 1);
    OK(sam2_job_destroy(job));
    // Without a handle: `on_done` tells the end.
    video = stream(slow, &one);
    ended = 0;
    OK(sam2_video_predictor_push_frame_async(video, &one, NULL, show, end, &told, NULL));
    OK(sam2_video_predictor_destroy(video));
    while (!ended) usleep(100);
    CHECK(told == SAM2_ERROR_CANCELLED && shown == 1);
    // A call that is made while the object is destroyed.
    struct stop s = {.video = stream(slow, &one), .destroys = 1, .begun = 1};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, stop, &s) == 0);
    while ((status = sam2_video_predictor_push_frame(s.video, &one, NULL, NULL, NULL)) == SAM2_OK) continue;
    CHECK(status == SAM2_ERROR_CANCELLED || status == SAM2_ERROR_INVALID_HANDLE);
    CHECK(pthread_join(thread, NULL) == 0);
    OK(sam2_model_destroy(slow));
}

static void *unlimited(void *user) {
    sam2_image one = picture();
    OK(sam2_image_predictor_set_image(user, &one));
    return NULL;
}

// A time limit is that of the thread, and of the jobs that it starts.
static void limits(void) {
    sam2_image one = picture();
    sam2_image_predictor *predictor;
    sam2_video_predictor *video = stream(model, &one), *opened;
    sam2_automatic_mask_generator *generator;
    sam2_model *other;
    sam2_job *job;
    sam2_status status;
    int32_t complete;
    OK(sam2_image_predictor_create(model, NULL, &predictor));
    OK(sam2_automatic_mask_generator_create(model, NULL, &generator));
    uint64_t before = 0;
    OK(sam2_set_time_limit(0, &before));
    CHECK(before == SAM2_WAIT_FOREVER);
    CHECK(sam2_image_predictor_set_image(predictor, &one) == SAM2_ERROR_TIMED_OUT);
    CHECK(strstr(sam2_last_error(), "time limit"));
    CHECK(sam2_video_predictor_push_frame(video, &one, NULL, NULL, NULL) == SAM2_ERROR_TIMED_OUT);
    CHECK(frames_of(video) == 1); // not a call that computes
    CHECK(sam2_automatic_mask_generator_generate(generator, &one, SAM2_WAIT_FOREVER, NULL, no_mask, NULL, &complete) ==
          SAM2_ERROR_TIMED_OUT);
    CHECK(sam2_model_load("demo", NULL, &other) == SAM2_ERROR_TIMED_OUT);
    OK(sam2_image_predictor_set_image_batch_async(predictor, &one, 1, NULL, NULL, &job));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    CHECK(status == SAM2_ERROR_TIMED_OUT);
    OK(sam2_job_destroy(job));
    OK(sam2_video_predictor_open(model, "demo/samples/video1/frames", NULL, &opened));
    OK(sam2_video_predictor_destroy(opened));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, unlimited, predictor) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    OK(sam2_set_time_limit(60 * 1000, &before));
    CHECK(before == 0);
    OK(sam2_image_predictor_set_image(predictor, &one));
    OK(sam2_set_time_limit(SAM2_WAIT_FOREVER, NULL));
    OK(sam2_video_predictor_push_frame(video, &one, NULL, NULL, NULL));
    CHECK(frames_of(video) == 2);
    OK(sam2_video_predictor_destroy(video));
    OK(sam2_image_predictor_destroy(predictor));
    OK(sam2_automatic_mask_generator_destroy(generator));
}

static float loaded[2000];
static int tensors;

static int32_t progress(void *user, float fraction) {
    CHECK(tensors < 2000);
    loaded[tensors++] = fraction;
    return fraction >= *(float *)user;
}

static void loading(void) {
    sam2_model *whole, *part = NULL;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    float until = 2;
    options.device = SAM2_DEVICE_CPU, options.threads = 1, options.on_progress = progress, options.user = &until;
    OK(sam2_model_load("demo", &options, &whole));
    CHECK(tensors > 100 && loaded[0] > 0 && loaded[tensors - 1] == 1);
    for (int i = 1; i < tensors; i++) CHECK(loaded[i] >= loaded[i - 1]);
    OK(sam2_model_destroy(whole));
    until = 0.5f, tensors = 0;
    CHECK(sam2_model_load("demo", &options, &part) == SAM2_ERROR_CANCELLED && !part);
    CHECK(loaded[tensors - 1] >= 0.5f && loaded[tensors - 1] < 1);
}

static sam2_video_predictor *own;
static sam2_status in_callback, destroyed_in_callback, destroyed_in_done;
static char words[512];

static int32_t inside(void *user, const sam2_frame *frame) {
    (void)user, (void)frame;
    in_callback = sam2_video_predictor_reset_state(own);
    snprintf(words, sizeof words, "%s", sam2_last_error());
    destroyed_in_callback = sam2_video_predictor_destroy(own);
    return 0;
}

static void afterwards(void *user, sam2_status status) {
    (void)user, (void)status;
    destroyed_in_done = sam2_video_predictor_destroy(own);
    ended++;
}

// A callback cannot use or destroy the predictor of its call, and is told that it is its own call that is in the way.
// When the job is done, it can.
static void own_callbacks(void) {
    sam2_image one = image();
    own = stream(model, &one);
    OK(sam2_video_predictor_push_frame(own, &one, NULL, inside, NULL));
    CHECK(in_callback == SAM2_ERROR_BUSY && destroyed_in_callback == SAM2_ERROR_BUSY);
    CHECK(strstr(words, "the call on this thread that made this callback"));
    in_callback = destroyed_in_callback = SAM2_OK, ended = 0;
    OK(sam2_video_predictor_push_frame_async(own, &one, NULL, inside, afterwards, NULL, NULL));
    while (!ended) usleep(100);
    CHECK(in_callback == SAM2_ERROR_BUSY && destroyed_in_callback == SAM2_ERROR_BUSY);
    CHECK(strstr(words, "the call on this thread that made this callback"));
    OK(destroyed_in_done);
    CHECK(sam2_video_predictor_destroy(own) == SAM2_ERROR_INVALID_HANDLE);
}

int main(void) {
    draw();
    for (size_t i = 0; i < sizeof large; i++) large[i] = (uint8_t)(i * i >> 9);
    model = load(512);
    calls();
    jobs();
    limits();
    loading();
    own_callbacks();
    OK(sam2_model_destroy(model));
    printf("%d checks\n", checks);
    return 0;
}
