// A short program for Valgrind: images and prompts of every kind, a stream, jobs and a saved state.
#include "check.h"
#include <unistd.h>

enum { W = 60, H = 44 };

static uint8_t pixels[W * H * 3], mask[W * H];
static float soft[W * H], logits[32 * 32];

static int32_t see(void *user, const sam2_frame *f) {
    for (uint32_t i = 0; i < f->num_objects; i++) *(double *)user += f->object_score_logits[i] + (double)f->areas[i] + f->boxes[4 * i];
    for (size_t i = 0; f->masks && i < (size_t)f->num_objects * f->width * f->height; i++) *(double *)user += f->masks[i] > 0;
    return 0;
}

static int32_t store(void *user, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) *(double *)user += data[i];
    return 0;
}

static int32_t see_mask(void *user, const sam2_automatic_mask *m) {
    *(double *)user += (double)m->area + m->predicted_iou + (double)strlen(m->rle);
    return 0;
}

static atomic_int ended;
static void done(void *user, int32_t status) {
    (void)user;
    ended = status == SAM2_OK ? 1 : -1;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    double sum = 0;
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * i >> 5);
    for (int i = 0; i < W * H; i++) mask[i] = i % W > 20 && i / W > 9, soft[i] = mask[i] ? 0.7f : 0.2f;
    for (int i = 0; i < 32 * 32; i++) logits[i] = i % 32 > 9 ? 8 : -8;
    sam2_model *model;
    sam2_model_options options = SAM2_MODEL_OPTIONS_INIT;
    options.device = SAM2_DEVICE_CPU, options.image_size = 128, options.threads = 2;
    OK(sam2_model_load(argv[1], &options, &model));
    sam2_image image = SAM2_IMAGE_INIT;
    image.planes[0] = pixels, image.width = W, image.height = H;

    sam2_image_predictor *p;
    OK(sam2_image_predictor_create(model, NULL, &p));
    OK(sam2_image_predictor_set_image(p, &image));
    float at[4] = {20, 15, 40, 30}, iou[12];
    int32_t labels[2] = {1, 0};
    sam2_prompt prompts[4] = {SAM2_PROMPT_INIT, SAM2_PROMPT_INIT, SAM2_PROMPT_INIT, SAM2_PROMPT_INIT};
    prompts[0].num_points = 2, prompts[0].points = at, prompts[0].labels = labels;
    prompts[1].bounds = at;
    prompts[2].mask_input = logits;
    prompts[3].mask = mask, prompts[3].mask_width = W, prompts[3].mask_height = H, prompts[3].pad_points = 1;
    static uint8_t out[12 * W * H];
    sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
    buffer.data = out, buffer.size = sizeof out;
    OK(sam2_image_predictor_predict(p, prompts, 4, SAM2_PREDICT_MULTIMASK, &buffer, iou, NULL, NULL));
    for (size_t i = 0; i < sizeof out; i++) sum += out[i] != 0;
    OK(sam2_image_predictor_set_image_batch_async(p, &image, 1, done, NULL, NULL));
    while (!ended) usleep(1000);
    CHECK(ended == 1);
    OK(sam2_image_predictor_destroy(p));

    sam2_automatic_mask_generator_options grid = SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT;
    sam2_automatic_mask_generator *generator;
    grid.points_per_side = 2, grid.pred_iou_thresh = 0, grid.stability_score_thresh = 0;
    OK(sam2_automatic_mask_generator_create(model, &grid, &generator));
    OK(sam2_automatic_mask_generator_generate(generator, &image, SAM2_WAIT_FOREVER, NULL, see_mask, &sum, NULL));
    OK(sam2_automatic_mask_generator_destroy(generator));

    sam2_video_predictor *v;
    OK(sam2_video_predictor_create_stream(model, NULL, &v));
    OK(sam2_video_predictor_push_frame(v, &image, NULL, see, &sum));
    OK(sam2_video_predictor_add_new_points_or_box(v, 0, 1, &prompts[0], 0, NULL, see, &sum));
    OK(sam2_video_predictor_add_new_mask(v, 0, 2, mask, W, H, NULL, see, &sum));
    OK(sam2_video_predictor_add_new_mask_f32(v, 0, 3, soft, W, H, NULL, see, &sum));
    OK(sam2_video_predictor_push_frame(v, &image, NULL, see, &sum));
    sam2_job *job;
    int status;
    OK(sam2_video_predictor_push_frame_async(v, &image, NULL, see, NULL, &sum, &job));
    OK(sam2_job_wait(job, SAM2_WAIT_FOREVER, &status));
    CHECK(status == SAM2_OK);
    OK(sam2_job_destroy(job));
    OK(sam2_video_predictor_save_state(v, store, &sum));
    OK(sam2_video_predictor_destroy(v));
    OK(sam2_model_destroy(model));
    printf("%d\n", sum > 0);
    return 0;
}
