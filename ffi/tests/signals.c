// Handlers of signals run on the threads of the host, also where the host has blocked a signal on its own thread while
// the library works.
#include "small.h"
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static pid_t host;
static atomic_int on_host, elsewhere, finished;

static void handler(int signal) {
    (void)signal;
    if (syscall(SYS_gettid) == host) on_host++;
    else elsewhere++;
}

// Sends signals to the process, on a thread that gets none.
static void *send_signals(void *user) {
    (void)user;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    while (!finished) kill(getpid(), SIGUSR1), usleep(200);
    return NULL;
}

int main(void) {
    draw();
    host = (pid_t)syscall(SYS_gettid);
    struct sigaction action = {0};
    action.sa_handler = handler;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    sigset_t one, before, after;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);

    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.threads = 4, options.image_size = 512;
    sam2_model *model;
    sam2_image_predictor *predictor;
    sam2_video_predictor *video;
    sam2_job *job;
    sam2_status status;
    sam2_image picture = image();
    sam2_prompt prompt = click();
    OK(sam2_model_load("demo", &options, &model));
    OK(sam2_image_predictor_create(model, NULL, &predictor));
    // Threads of all kinds: of the pool, of jobs, and those that decode frames.
    OK(sam2_image_predictor_set_image_batch_async(predictor, &picture, 1, NULL, NULL, &job));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    OK(sam2_job_destroy(job));
    OK(sam2_video_predictor_open(model, "demo/samples/video1/frames", NULL, &video));
    OK(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &prompt, 0, NULL, NULL, NULL));
    OK(sam2_video_predictor_propagate_in_video(video, 0, 3, 0, NULL, NULL, NULL));

    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
    for (int i = 1; i < 32; i++) CHECK(sigismember(&before, i) == sigismember(&after, i));
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    CHECK(pthread_sigmask(SIG_BLOCK, &one, NULL) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, send_signals, NULL) == 0);
    for (int i = 0; i < 5; i++) OK(sam2_image_predictor_set_image(predictor, &picture));
    CHECK(on_host == 0 && elsewhere == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &one, NULL) == 0);
    for (int i = 0; i < 5; i++) OK(sam2_image_predictor_set_image(predictor, &picture));
    finished = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(on_host > 0 && elsewhere == 0);
    OK(sam2_video_predictor_destroy(video));
    OK(sam2_image_predictor_destroy(predictor));
    OK(sam2_model_destroy(model));
    return 0;
}
