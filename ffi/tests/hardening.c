// Tests careless hosts: freed callbacks, predictors that are destroyed while they are in use, and fork().
//
//   hardening MODEL FRAMES
#include "small.h"
#include <fenv.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *model_path;

static sam2_model *load(int threads, int size) {
    sam2_model *model;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.threads = threads, options.image_size = size;
    OK(sam2_model_load(model_path, &options, &model));
    return model;
}

// A log callback is not called after another one is set.
struct listener {
    int alive, late, inside;
};
static int stop;

static void on_log(void *user, int32_t level, const char *message) {
    struct listener *listener = user;
    (void)level, (void)message;
    __atomic_add_fetch(&listener->inside, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&listener->alive, __ATOMIC_SEQ_CST)) __atomic_store_n(&listener->late, 1, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&listener->inside, 1, __ATOMIC_SEQ_CST);
}

static void *make_log_messages(void *model) {
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        sam2_image_predictor *predictor;
        sam2_image one = image();
        OK(sam2_image_predictor_create(model, NULL, &predictor));
        OK(sam2_image_predictor_set_image(predictor, &one));
        OK(sam2_image_predictor_destroy(predictor));
    }
    return NULL;
}

static void log_callbacks_end(void) {
    enum { LISTENERS = 20000 };
    struct listener *listeners = calloc(LISTENERS, sizeof *listeners);
    sam2_model *model = load(1, 32);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, make_log_messages, model);
    time_t end = time(NULL) + 4;
    int n = 0;
    for (; n < LISTENERS && time(NULL) < end; n++) {
        listeners[n].alive = 1;
        OK(sam2_set_log_callback(SAM2_LOG_DEBUG, on_log, &listeners[n]));
        for (volatile int i = 0; i < 3000; i++) {}
        OK(sam2_set_log_callback(SAM2_LOG_DEBUG, NULL, NULL));
        CHECK(__atomic_load_n(&listeners[n].inside, __ATOMIC_SEQ_CST) == 0);
        __atomic_store_n(&listeners[n].alive, 0, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < n; i++) CHECK(!listeners[i].late);
    OK(sam2_model_destroy(model));
    free(listeners);
}

// To destroy a predictor ends its job, so that it does not use a workspace that the caller frees then.
static int gate;

static int32_t wait_at_gate(void *user, const sam2_frame *frame) {
    (void)user, (void)frame;
    while (!__atomic_load_n(&gate, __ATOMIC_SEQ_CST)) usleep(100);
    return 0;
}

static void *open_gate(void *user) {
    (void)user;
    usleep(50000);
    __atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void destroy_while_in_use(void) {
    sam2_model *model = load(1, 128);
    sam2_video_predictor *video, *measured;
    sam2_video_predictor_info info = SAM2_VIDEO_PREDICTOR_INFO_INIT;
    OK(sam2_video_predictor_create_stream(model, NULL, &measured));
    OK(sam2_video_predictor_reserve(measured, 1, 64, 64));
    OK(sam2_video_predictor_get_info(measured, &info));
    size_t size = (4 * info.device_bytes + (1 << 20) + 4095) & ~(size_t)4095;
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sam2_video_predictor_options options = SAM2_VIDEO_PREDICTOR_OPTIONS_INIT;
    options.workspace = memory, options.workspace_size = size;
    OK(sam2_video_predictor_create_stream(model, &options, &video));
    sam2_image one = image();
    sam2_prompt prompt = click();
    sam2_job *job;
    int32_t status;
    OK(sam2_video_predictor_push_frame(video, &one, NULL, wait_at_gate, (gate = 1, NULL)));
    OK(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &prompt, 0, NULL, NULL, NULL));
    gate = 0;
    OK(sam2_video_predictor_push_frame_async(video, &one, NULL, wait_at_gate, NULL, NULL, &job));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, open_gate, NULL) == 0);
    OK(sam2_video_predictor_destroy(video));
    CHECK(sam2_video_predictor_destroy(video) == SAM2_ERROR_INVALID_HANDLE);
    CHECK(pthread_join(thread, NULL) == 0);
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    CHECK(status == SAM2_OK || status == SAM2_ERROR_CANCELLED);
    OK(sam2_job_destroy(job));
    // Nothing is written after the destruction.
    memset(memory, 0xaa, size);
    OK(sam2_video_predictor_push_frame(measured, &one, NULL, wait_at_gate, NULL));
    for (size_t i = 0; i < size; i++) CHECK(memory[i] == 0xaa);
    munmap(memory, size);
    OK(sam2_video_predictor_destroy(measured));
    OK(sam2_model_destroy(model));
}

static void predict(sam2_image_predictor *predictor, uint8_t *mask, float *logits) {
    sam2_image one = image();
    sam2_prompt prompt = click();
    float iou;
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    buffer.data = mask, buffer.size = 64 * 64;
    OK(sam2_image_predictor_set_image(predictor, &one));
    OK(sam2_image_predictor_predict(predictor, &prompt, 1, 0, &buffer, &iou, NULL, NULL));
    buffer.format = SAM2_MASK_LOGITS, buffer.data = logits, buffer.size = 64 * 64 * sizeof(float);
    OK(sam2_image_predictor_predict(predictor, &prompt, 1, 0, &buffer, &iou, NULL, NULL));
}

// Masks do not depend on the rounding mode of the calling thread, which is preserved.
static void rounding(void) {
    sam2_model *model = load(2, 128);
    sam2_image_predictor *predictor;
    static uint8_t want[64 * 64], got[64 * 64];
    static float want_logits[64 * 64], got_logits[64 * 64];
    OK(sam2_image_predictor_create(model, NULL, &predictor));
    predict(predictor, want, want_logits);
    int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST};
    for (int i = 0; i < 4; i++) {
        fesetround(modes[i]);
        predict(predictor, got, got_logits);
        CHECK(fegetround() == modes[i]);
        CHECK(memcmp(want, got, sizeof got) == 0 && memcmp(want_logits, got_logits, sizeof got_logits) == 0);
    }
    OK(sam2_image_predictor_destroy(predictor));
    OK(sam2_model_destroy(model));
}

// A child of fork() uses the model of its parent and its own, and starts jobs.
static void run_job(sam2_image_predictor *predictor) {
    sam2_image one = image();
    sam2_job *job;
    int32_t status;
    OK(sam2_image_predictor_set_image_batch_async(predictor, &one, 1, NULL, NULL, &job));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    OK(status);
    OK(sam2_job_destroy(job));
}

static int32_t count(void *user, const sam2_frame *frame) {
    (void)frame;
    return ++*(int *)user, 0;
}

static void follow(sam2_video_predictor *video) {
    int frames = 0;
    sam2_prompt prompt = click();
    OK(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &prompt, 0, NULL, NULL, NULL));
    OK(sam2_video_predictor_propagate_in_video(video, 0, 3, 0, NULL, count, &frames));
    CHECK(frames == 4);
}

static void forks(const char *folder) {
    for (int threads = 1; threads <= 3; threads++) {
        sam2_model *model = load(threads, 128);
        sam2_image_predictor *predictor;
        sam2_video_predictor *video;
        static uint8_t before[64 * 64], after[64 * 64];
        static float logits[64 * 64];
        OK(sam2_image_predictor_create(model, NULL, &predictor));
        OK(sam2_video_predictor_open(model, folder, NULL, &video));
        predict(predictor, before, logits);
        run_job(predictor);
        follow(video);
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            predict(predictor, after, logits);
            CHECK(memcmp(before, after, sizeof after) == 0);
            run_job(predictor);
            follow(video);
            OK(sam2_video_predictor_destroy(video));
            OK(sam2_image_predictor_destroy(predictor));
            OK(sam2_model_destroy(model));
            sam2_model *own = load(threads, 128);
            OK(sam2_image_predictor_create(own, NULL, &predictor));
            predict(predictor, after, logits);
            run_job(predictor);
            OK(sam2_image_predictor_destroy(predictor));
            OK(sam2_model_destroy(own));
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        // The parent goes on as before.
        predict(predictor, after, logits);
        CHECK(memcmp(before, after, sizeof after) == 0);
        OK(sam2_video_predictor_destroy(video));
        OK(sam2_image_predictor_destroy(predictor));
        OK(sam2_model_destroy(model));
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    model_path = argv[1];
    draw();
    log_callbacks_end();
    destroy_while_in_use();
    rounding();
    forks(argv[2]);
    return 0;
}
