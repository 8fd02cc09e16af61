/* sam2: Meta's Segment Anything Model 2 (SAM 2 and 2.1) as an inference engine. Apache-2.0.
 *
 * Made by the project's tests from the Rust source; do not edit.
 *
 * A whole program:
 *
 *   #include <sam2.h>
 *   #include <stdio.h>
 *   #include <stdlib.h>
 *
 *   static void check(int status) {
 *       if (status != SAM2_OK) fprintf(stderr, "%s\n", sam2_last_error()), exit(1);
 *   }
 *
 *   static int32_t show(void *user, const sam2_frame *f) {
 *       return printf("%s %d: %d pixels\n", (char *)user, (int)f->frame_idx, (int)f->areas[0]) < 0;
 *   }
 *
 *   // usage MODEL PICTURE FRAMES X Y MASK.png: the mask of what is at pixel (X, Y) of a picture, then through frames
 *   int main(int argc, char **argv) {
 *       if (argc != 7) return 2;
 *       sam2_model *model;
 *       sam2_picture *picture;
 *       sam2_image_predictor *predictor;
 *       sam2_video_predictor *video;
 *       check(sam2_model_load(argv[1], NULL, &model));
 *       check(sam2_picture_read(argv[2], &picture));
 *       check(sam2_image_predictor_create(model, NULL, &predictor));
 *       sam2_image image = SAM2_IMAGE_INIT;
 *       check(sam2_picture_get_image(picture, &image));
 *       check(sam2_image_predictor_set_image(predictor, &image));
 *       float at[2] = {(float)atof(argv[4]), (float)atof(argv[5])}, iou;
 *       sam2_prompt click = SAM2_PROMPT_INIT;
 *       click.num_points = 1, click.points = at, click.labels = (int32_t[]){1};
 *       sam2_mask_buffer mask = SAM2_MASK_BUFFER_INIT;
 *       mask.size = (uint64_t)image.width * image.height, mask.data = malloc(mask.size);
 *       check(sam2_image_predictor_predict(predictor, &click, 1, 0, &mask, &iou, NULL, NULL));
 *       check(sam2_mask_write_png(argv[6], mask.data, image.width, image.height));
 *       printf("predicted IoU %.6f\n", iou);
 *       check(sam2_video_predictor_open(model, argv[3], NULL, &video));
 *       check(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &click, 0, NULL, NULL, NULL));
 *       check(sam2_video_predictor_propagate_in_video(video, -1, -1, 0, NULL, show, "frame"));
 *       sam2_video_predictor_destroy(video), sam2_image_predictor_destroy(predictor), free(mask.data);
 *       return sam2_picture_destroy(picture) | sam2_model_destroy(model);
 *   }
 *
 * Status. Functions return SAM2_OK (0) or another SAM2_ERROR_...; sam2_last_error() says it in words, to the thread that
 * made the call, and sam2_last_errno() why the system refused a file. A call that fails writes no result, and what was there
 * before still works. No panic, exception or abort of the library crosses this interface.
 *
 * Handles are looked up, never followed: one that is stale, null or of another kind is SAM2_ERROR_INVALID_HANDLE. Destroy
 * every handle once, in any order, on any thread; what another handle needs of it stays. A predictor that a call or a job uses
 * is not destroyed: SAM2_ERROR_BUSY.
 *
 * Threads. A model may be used by any number of threads at once. A predictor is for one at a time: a call on one that is in
 * use, by another thread or by a job, returns SAM2_ERROR_BUSY, and does not wait; sam2_video_predictor_cancel is the
 * exception. A video predictor and its forks take the device in turns.
 *
 * Callbacks. A callback ends by returning. It must not throw an exception, call longjmp, unwind through its caller in any
 * other way (a panic of Go or Rust), or end its thread: the library's frames cannot be unwound, and the process aborts. Keep
 * the exception, return the value that ends the call, and throw it again after the call, as sam2.hpp and the Go package do.
 * A callback may call the library, but no function on the handle whose call it belongs to, which is SAM2_ERROR_BUSY.
 *
 * Jobs. Calls that end in _async find out what is wrong with their arguments, then go on on a thread of the library. A job
 * has ended when sam2_job_wait says so, or when its `done` was called. A predictor has one job at a time. `job` gets a handle,
 * before any callback of the job is called, to be given to sam2_job_destroy, also from such a callback. Where `job` is null
 * there is no handle, and the library lets go of the job when it ends.
 *
 * Memory. The library frees what it allocates, and callers what they allocate. What a caller passes in is used for the
 * length of the call, or of the job, and not after. Sizes of buffers are said with each call.
 *
 * Out of memory. Where the system has no more memory, calls fail with SAM2_ERROR_OUT_OF_MEMORY, and what was there before still
 * works. Lists, names and messages of a call that is to fail come from a reserve of the library, of 16 MiB.
 *
 * Stack. A call on the CPU needs at most 256 KiB of the calling thread's stack. Measured on x86-64 Linux: 56 KiB for models,
 * pictures, videos and automatic masks, 96 KiB for compressed TIFF files, and 192 KiB for checkpoints and configurations that
 * are nested as deeply as is read. CUDA's driver may need more.
 *
 * Fork. A child of fork() that uses its parent's models works on the calling thread alone, and its jobs run on threads of its
 * own. A fork while another thread is inside the library is as with every library: the child may only call exec or _exit.
 * GPUs, and videos that ffmpeg decodes, cannot be shared with a child.
 *
 * CUDA. Pictures and masks may be in the memory of the GPU that the model runs on, in its primary context; a stream orders the
 * library's work with the caller's. The context that is current is so after each call.
 *
 * Units. Coordinates are pixels, (0, 0) the top left corner, or 0..1 where a flag says so; boxes are left, top, right, bottom.
 * Masks and pictures are row by row from the top, where nothing else is said. Logits above 0 are on the object.
 *
 * Texts end in 0 and are UTF-8. Paths end in 0 and are any bytes on Unix, as the system takes them, and UTF-8 elsewhere.
 *
 * Structs that begin with struct_size grow in later versions: begin with SAM2_..._INIT and set what you need.
 */

#ifndef SAM2_H
#define SAM2_H

#include <stddef.h>
#include <stdint.h>

// Red, green, blue, 8 bits each.
#define SAM2_FORMAT_RGB8 0

// Blue, green, red, 8 bits each.
#define SAM2_FORMAT_BGR8 1

// As RGB8 with a fourth byte, which is ignored.
#define SAM2_FORMAT_RGBA8 2

// As BGR8 with a fourth byte, which is ignored.
#define SAM2_FORMAT_BGRA8 3

// 8 bits, used for all three channels.
#define SAM2_FORMAT_GRAY8 4

// Red, green, blue as float in 0..1.
#define SAM2_FORMAT_RGB_F32 5

// As RGB_F32 in three planes: red, green, blue.
#define SAM2_FORMAT_RGB_F32_PLANAR 6

// Two planes of bytes: Y of every pixel; U and V, interleaved, of every 2x2 pixels, sides rounded up.
#define SAM2_FORMAT_NV12 7

// Y, U, Y, V of every two pixels of a row, 8 bits each; where the width is odd the last two are there whole.
#define SAM2_FORMAT_YUYV 8

// As YUYV: U, Y, V, Y.
#define SAM2_FORMAT_UYVY 9

// As RGB8 in three planes: red, green, blue.
#define SAM2_FORMAT_RGB8_PLANAR 10

// As RGB_F32, of IEEE 754's binary16.
#define SAM2_FORMAT_RGB_F16 11

// As RGB_F16 in three planes: red, green, blue.
#define SAM2_FORMAT_RGB_F16_PLANAR 12

// As RGB_F32, of bfloat16.
#define SAM2_FORMAT_RGB_BF16 13

// As RGB_BF16 in three planes: red, green, blue.
#define SAM2_FORMAT_RGB_BF16_PLANAR 14

// Colours of ITU-R BT.709, of high definition.
#define SAM2_MATRIX_BT709 0

// Colours of ITU-R BT.601, of standard definition and of JPEG.
#define SAM2_MATRIX_BT601 1

// Black is 16 and white 235, as in most video.
#define SAM2_RANGE_LIMITED 0

// Black is 0 and white 255, as of most cameras.
#define SAM2_RANGE_FULL 1

// In the host's memory.
#define SAM2_MEMORY_HOST 0

// In the memory of the GPU that the model runs on.
#define SAM2_MEMORY_CUDA 1

// (d, side / 16, side / 16): what the mask decoder reads; the reference's image embedding.
#define SAM2_FEATURE_IMAGE_EMBEDDING 0

// (d / 4, side / 8, side / 8)
#define SAM2_FEATURE_HIGH_RES_1 1

// (d / 8, side / 4, side / 4)
#define SAM2_FEATURE_HIGH_RES_0 2

// Three masks of each prompt, for when it is not clear what is meant, instead of one.
#define SAM2_PREDICT_MULTIMASK 1

// Coordinates are in 0..1, not in pixels.
#define SAM2_PREDICT_NORMALIZED 2

// No limit to how long to wait.
#define SAM2_WAIT_FOREVER 18446744073709551615ull

// Something failed in a way that is no caller's fault.
#define SAM2_LOG_ERROR 1

// Something is not as it should be, and the library goes on.
#define SAM2_LOG_WARN 2

// What was chosen, once: a model's device, its precision.
#define SAM2_LOG_INFO 3

// What is done seldom: allocations, recordings.
#define SAM2_LOG_DEBUG 4

// One byte a pixel: 1 on the object, else 0.
#define SAM2_MASK_U8 0

// Logits as float; above the threshold is on the object.
#define SAM2_MASK_LOGITS 1

// One bit a pixel, rows in whole bytes, the first pixel in the highest bit: height * ((width + 7) / 8) bytes.
#define SAM2_MASK_BITS 2

// One uint16_t a pixel, for all masks together: 0, or 1 + the place of the object with the highest logit there.
#define SAM2_MASK_LABELS 3

// The first GPU where CUDA works, otherwise the CPU.
#define SAM2_DEVICE_AUTO 0

// The CPU.
#define SAM2_DEVICE_CPU 1

// An NVIDIA GPU.
#define SAM2_DEVICE_CUDA 2

// bfloat16 on a GPU and on a CPU that multiplies it (AVX512-BF16, Arm's BF16), else float32.
#define SAM2_PRECISION_AUTO 0

// float32: the reference's own numbers.
#define SAM2_PRECISION_F32 1

// bfloat16.
#define SAM2_PRECISION_BF16 2

// float16.
#define SAM2_PRECISION_F16 3

// Keep what was said of the frame's points before.
#define SAM2_PROMPT_KEEP_POINTS 1

// Coordinates are in 0..1, not in pixels.
#define SAM2_PROMPT_NORMALIZED 2

// Everything is kept: anything may be said of any frame.
#define SAM2_RETAIN_EVERYTHING 4294967295

// A tensor with its owner, as dlpack.h declares it.
typedef struct DLManagedTensorVersioned DLManagedTensorVersioned;

// Finds everything in pictures. One thread uses it at a time.
typedef struct sam2_automatic_mask_generator sam2_automatic_mask_generator;

// Encodes a picture, then makes masks for prompts on it. One thread uses it at a time.
typedef struct sam2_image_predictor sam2_image_predictor;

// A call in progress, or one that has ended. Any number of threads may wait for it.
typedef struct sam2_job sam2_job;

// A model's weights on a device. Any number of predictors and threads share one; predictors keep what they need of it,
// so that it may be destroyed before them.
typedef struct sam2_model sam2_model;

// A decoded picture.
typedef struct sam2_picture sam2_picture;

// Follows objects through a video. One thread uses it at a time.
typedef struct sam2_video_predictor sam2_video_predictor;

// How a call ended: `SAM2_OK`, or what went wrong; `sam2_last_error` says it in words.
typedef int32_t sam2_status;

// What to look for; names and what SAM2_AUTOMATIC_MASK_OPTIONS_INIT sets are the reference's.
typedef struct {
    // sizeof(sam2_automatic_mask_options)
    uint32_t struct_size;
    // Points along each side of the picture, 1 to 1024; 0 where there are `point_grids`.
    uint32_t points_per_side;
    // Points that are decoded at once, at most.
    uint32_t points_per_batch;
    // Layers of crops beside the whole picture, at most 6; layer i has 4^i.
    uint32_t crop_n_layers;
    // Each layer has so many times fewer points per side than the one before.
    uint32_t crop_n_points_downscale_factor;
    // Holes and specks of up to so many pixels of the low-resolution mask are mended.
    uint32_t min_mask_region_area;
    // Not 0: every mask is found a second time, from its point and itself.
    int32_t use_m2m;
    // Not 0: three masks for each point, instead of one.
    int32_t multimask_output;
    // Masks whose predicted IoU is not above it are dropped; 0: none are.
    float pred_iou_thresh;
    // Masks whose stability is below it are dropped; 0: none are.
    float stability_score_thresh;
    // Stability is pixels with logits above `mask_threshold` + this / pixels above `mask_threshold` - this.
    float stability_score_offset;
    // Logits above it are on the object.
    float mask_threshold;
    // Of two masks of a crop whose boxes overlap by more than this (intersection over union), the better stays.
    float box_nms_thresh;
    // As `box_nms_thresh`, of masks of different crops, of which those of smaller crops are better.
    float crop_nms_thresh;
    // How much of the shorter side crops of the first layer overlap by, 0..1.
    double crop_overlap_ratio;
    // Instead of `points_per_side`, points of your own: x and y of each, in 0..1 of a crop, those of the picture first and
    // then those of each layer of crops. They are copied. Null: none.
    const double *point_grids;
    // How many points the picture and each layer have, 1 to 1048576.
    const uint32_t *points_per_grid;
    // `crop_n_layers` + 1, where there are `point_grids`.
    uint32_t num_point_grids;
    // Not used.
    uint32_t reserved;
} sam2_automatic_mask_options;

// A picture of the caller's, borrowed for the length of a call, or of a job. Begin with SAM2_IMAGE_INIT.
typedef struct {
    // sizeof(sam2_image)
    uint32_t struct_size;
    // SAM2_FORMAT_...
    int32_t format;
    // Pixels across, 1 to 32768.
    uint32_t width;
    // Pixels down, 1 to 32768.
    uint32_t height;
    // The first byte in memory of each plane that the format has; most have one.
    const void *planes[3];
    // Bytes from row to row of each plane; 0: rows without gaps.
    uint64_t strides[3];
    // SAM2_MEMORY_...
    int32_t memory;
    // Not 0: `stream` is the CUDA stream on which the caller uses the memory; null is the default stream. The library comes
    // after what is enqueued there, and what is enqueued there after the call comes after the library. Otherwise the
    // memory is ready, and stays so until masks have come back.
    int32_t has_stream;
    // A CUstream or cudaStream_t.
    void *stream;
    // SAM2_MATRIX_..., of formats with Y, U and V.
    int32_t matrix;
    // SAM2_RANGE_..., of formats with Y, U and V.
    int32_t range;
    // Not 0: the lowest row comes first in memory. Points and boxes are seen from the top all the same.
    int32_t flip;
    // Not used.
    int32_t reserved;
    // The caller's own, as of a clock: comes back with what is found on the frame.
    int64_t timestamp;
} sam2_image;

// Gets the caller's pointer, how many points were looked at, of how many, and the masks found so far, after every batch of
// points; returns 0 to go on.
typedef int32_t (*sam2_progress_callback)(void *user, uint64_t points, uint64_t of, uint64_t masks);

// A mask that was found, there until the callback that gets it returns.
typedef struct {
    // sizeof(sam2_automatic_mask) as the library knows it.
    uint32_t struct_size;
    // Pixels across of the picture.
    uint32_t width;
    // Pixels down of it.
    uint32_t height;
    // How well the model thinks it fits, about 0 to 1.
    float predicted_iou;
    // How little it hangs by the threshold, 0 to 1; NaN where nothing is near it.
    float stability_score;
    // Left, top, width and height of the outermost pixels, from the first to the last: a mask of one pixel is 0 wide.
    float bbox[4];
    // The point that found it, in pixels.
    float point_coords[2];
    // Left, top, width and height of the crop that it was found in.
    float crop_box[4];
    // Not used.
    uint32_t reserved;
    // Pixels of the mask.
    uint64_t area;
    // The mask as the text of COCO's run lengths, for `sam2_mask_decode_rle`.
    const char *rle;
} sam2_automatic_mask;

// Gets the caller's pointer and a mask, best first; returns 0 to see the others.
typedef int32_t (*sam2_automatic_mask_callback)(void *user, const sam2_automatic_mask *mask);

// A GPU of this machine. Begin with SAM2_GPU_INFO_INIT.
typedef struct {
    // sizeof(sam2_gpu_info)
    uint32_t struct_size;
    // Compute capability, 90 for 9.0.
    uint32_t capability;
    // Bytes of memory.
    uint64_t memory;
    // Not 0: models can run on it.
    int32_t usable;
    // Not used.
    int32_t reserved;
    // As nvidia-smi prints it, for sam2_model_options.
    char uuid[48];
    // Its name, cut to its length.
    char name[64];
} sam2_gpu_info;

// A buffer of the caller's for masks of the picture's size, one after another, or for one map of labels. Begin
// with SAM2_MASK_BUFFER_INIT.
typedef struct {
    // sizeof(sam2_mask_buffer)
    uint32_t struct_size;
    // SAM2_MASK_...
    int32_t kind;
    // Null: no buffer.
    void *data;
    // Bytes of `data`: exactly as many as the masks take.
    uint64_t size;
    // SAM2_MEMORY_...
    int32_t memory;
    // As of sam2_image.
    int32_t has_stream;
    // As of sam2_image.
    void *stream;
    // Not 0: the lowest row comes first.
    int32_t flip;
    // Not used.
    int32_t reserved;
} sam2_mask_buffer;

// How masks are made of logits. Begin with SAM2_IMAGE_PREDICTOR_OPTIONS_INIT.
typedef struct {
    // sizeof(sam2_image_predictor_options)
    uint32_t struct_size;
    // Logits above it are foreground.
    float mask_threshold;
    // Holes of up to this many pixels of the low-resolution mask are filled; 0: none.
    float max_hole_area;
    // Specks of up to this many pixels of the low-resolution mask are removed; 0: none.
    float max_sprinkle_area;
    // Memory to work in instead of allocating: of the host where the model runs on the CPU, else of its GPU; there until the
    // predictor is destroyed. Enough is what `device_bytes` of a predictor like this says after its reserve, and
    // 4 KiB; where it is too small calls fail with SAM2_ERROR_OUT_OF_MEMORY. Null: none.
    void *workspace;
    // Bytes of it.
    uint64_t workspace_size;
} sam2_image_predictor_options;

// Gets the caller's pointer and how a job ended, on a thread of the library. It may make calls, and may destroy that job.
typedef void (*sam2_done_callback)(void *user, sam2_status status);

// What a predictor holds. Begin with SAM2_IMAGE_PREDICTOR_INFO_INIT.
typedef struct {
    // sizeof(sam2_image_predictor_info)
    uint32_t struct_size;
    // Pictures that are set.
    uint32_t num_images;
    // Pixels across of the picture asked for; 0: there is none.
    uint32_t width;
    // Pixels down of it.
    uint32_t height;
    // Bytes of the device held beside the model's weights.
    uint64_t device_bytes;
} sam2_image_predictor_info;

// A prompt for one object: points, a box, a mask, or several of these together. Begin with SAM2_PROMPT_INIT.
typedef struct {
    // sizeof(sam2_prompt)
    uint32_t struct_size;
    // Points; at most 1000.
    uint32_t num_points;
    // (num_points, 2): across and down, in pixels of the picture, or in 0..1 where the call's options say so.
    const float *points;
    // (num_points): 1 on the object, 0 not.
    const int32_t *labels;
    // (4): left, top, right, bottom; null: none.
    const float *box_;
    // (mask_side, mask_side): logits of an earlier mask, its `low_res_masks`; null: none. Pictures only.
    const float *mask_input;
    // Which picture of a batch it is for.
    uint32_t image;
    // Not 0: an empty list of points is given, where `num_points` is 0, as the reference's `point_coords` of shape (0, 2): its
    // padding point is added, as it is to other points and boxes.
    int32_t pad_points;
    // (mask_height, mask_width): a mask of the picture, not 0 on the object, of any size, in place of `mask_input`; null: none.
    // Pictures only.
    const uint8_t *mask;
    // Pixels across of `mask`.
    uint32_t mask_width;
    // Pixels down of `mask`.
    uint32_t mask_height;
} sam2_prompt;

// Gets the caller's pointer, SAM2_LOG_... and a text, which is there until it returns; on any thread, several at once.
// What the library would say of calls made from there is not said.
typedef void (*sam2_log_callback)(void *user, int32_t level, const char *message);

// How to load a model. Begin with SAM2_MODEL_OPTIONS_INIT.
typedef struct {
    // sizeof(sam2_model_options)
    uint32_t struct_size;
    // SAM2_DEVICE_...
    int32_t device;
    // Which GPU, in the driver's order.
    int32_t device_index;
    // SAM2_PRECISION_...
    int32_t precision;
    // Threads of the CPU; 0: as many as the machine offers.
    uint32_t threads;
    // Side of the model's input in pixels, a multiple of 32; 0: the configuration's.
    uint32_t image_size;
    // Not 0: single masks are not chosen by stability, holes not filled (the reference's apply_postprocessing=False).
    int32_t no_postprocessing;
    // Not 0: the file is read instead of mapped; whoever shortens a mapped file crashes the process.
    int32_t no_mmap;
    // A configuration: the text of one in the reference's structure, the path of a file, or the reference's name of a
    // published one ("configs/sam2.1/sam2.1_hiera_t.yaml", with or without folders and ending). Null: the one beside the
    // checkpoint, else the model is recognised by its tensors.
    const char *config_yaml;
    // Changes of the configuration, "model.image_size=512", one per line; null: none.
    const char *overrides;
    // Which GPU, "GPU-" and its UUID as nvidia-smi prints it, in place of `device` and `device_index`; null: these.
    const char *device_uuid;
    // (num_cpus): CPUs that the library's threads are bound to, in turn; the thread that makes a call works too, and stays
    // where it is. Linux alone. Null: none.
    const uint32_t *cpus;
    // CPUs in `cpus`, at most 1024.
    uint32_t num_cpus;
    // Not used.
    uint32_t reserved;
} sam2_model_options;

// What a model is. Begin with SAM2_MODEL_INFO_INIT.
typedef struct {
    // sizeof(sam2_model_info)
    uint32_t struct_size;
    // Side of the model's input in pixels.
    uint32_t image_size;
    // Side of low-resolution masks, and of masks given as prompts.
    uint32_t mask_side;
    // SAM2_PRECISION_...
    int32_t precision;
    // SAM2_DEVICE_CPU or SAM2_DEVICE_CUDA
    int32_t device;
    // The device's name, cut to its length.
    char device_name[64];
    // Bytes of the GPU's memory that nobody uses now; 0 on the CPU.
    uint64_t free_memory;
    // Bytes of the GPU's memory; 0 on the CPU.
    uint64_t memory;
} sam2_model_info;

// How a picture file is read. Begin with SAM2_PICTURE_OPTIONS_INIT.
typedef struct {
    // sizeof(sam2_picture_options)
    uint32_t struct_size;
    // Not 0: the picture is turned as its EXIF orientation says, as viewers show it; points, boxes and masks are then on the
    // upright picture. 0: pixels stay as they are stored.
    int32_t upright;
    // The bits of the values in a 16-bit file, 8 to 16: of 12, the value 4095 becomes 255, and a larger one is an error. 0:
    // 16. Files of 8 bits are read as always, and so are PNM files, which state their largest value.
    uint32_t bit_depth;
    // 0
    uint32_t reserved;
} sam2_picture_options;

// What was found on a frame, there until the callback that gets it returns.
typedef struct {
    // sizeof(sam2_frame) as the library knows it; what comes later than the caller knows may be left alone.
    uint32_t struct_size;
    // Objects.
    uint32_t num_objects;
    // The frame's number, from 0.
    uint64_t frame_idx;
    // Of the picture that was pushed; else 0.
    int64_t timestamp;
    // Pixels across of a mask.
    uint32_t width;
    // Pixels down of a mask.
    uint32_t height;
    // (num_objects): the numbers that the caller knows them by.
    const int64_t *object_ids;
    // (num_objects): above 0 where the object is to be seen; NaN where nothing is known of it on this frame.
    const float *scores;
    // (num_objects): 1 where the object is not to be seen, or nothing is known of it; else 0.
    const uint8_t *lost;
    // (num_objects, 4): left, top, right and bottom of the mask's outermost pixels; zeros where it is empty.
    const int32_t *boxes;
    // (num_objects): pixels of the mask.
    const uint64_t *areas;
    // (num_objects, height, width): logits; above 0 is on the object. Null where they went to a buffer of the caller's.
    const float *masks;
} sam2_frame;

// Gets the caller's pointer and a frame; returns 0 to go on. It runs on the thread that made the call, of a job on one of the
// library's, and may make calls, but none on that predictor.
typedef int32_t (*sam2_frame_callback)(void *user, const sam2_frame *frame);

// A frame of one of several cameras. Begin with SAM2_PUSH_INIT.
typedef struct {
    // sizeof(sam2_push)
    uint32_t struct_size;
    // Is written: how it ended.
    sam2_status status;
    // The camera's stream.
    sam2_video_predictor *video;
    // Its frame.
    const sam2_image *image;
    // As of `sam2_video_predictor_push_frame`.
    const sam2_mask_buffer *masks;
    // As of `sam2_video_predictor_push_frame`; on any thread.
    sam2_frame_callback each;
    // For `each`.
    void *user;
} sam2_push;

// How a video predictor keeps what it learns. Begin with SAM2_VIDEO_OPTIONS_INIT.
typedef struct {
    // sizeof(sam2_video_options)
    uint32_t struct_size;
    // Of a stream: so many frames before the last are kept, pictures and masks; or SAM2_RETAIN_EVERYTHING.
    uint32_t window;
    // Not 0: corrections of tracked frames outlast the next propagation over them. See
    // `sam2_video_predictor_add_new_points_or_box`.
    int32_t legacy_corrections;
    // Not 0: memories are kept in the host's memory.
    int32_t offload_state_to_cpu;
    // Memory to work in instead of allocating: of the host where the model runs on the CPU, else of its GPU; there until the
    // predictor and all its forks are destroyed. Enough is what `device_bytes` of a predictor like this says after its reserve, and
    // 4 KiB; where it is too small calls fail with SAM2_ERROR_OUT_OF_MEMORY. Null: none.
    void *workspace;
    // Bytes of it.
    uint64_t workspace_size;
    // Not 0: of a damaged or joined video file the frames that decode are taken, which a warning counts, and damaged pictures
    // of a folder are passed over by propagation, with a warning each. 0: both are errors.
    int32_t keep_damaged;
    // As in `sam2_picture_options`, of the pictures of a folder. A video file is upright by itself.
    int32_t upright;
    // As in `sam2_picture_options`, of the pictures of a folder.
    uint32_t bit_depth;
    // Seconds that `ffmpeg` may take for the next part of a video file; a decoder that writes nothing for longer is ended, and
    // the call fails. 0: 15.
    uint32_t decoder_timeout;
} sam2_video_options;

// What a video is, and what is held of it. Begin with SAM2_VIDEO_INFO_INIT.
typedef struct {
    // sizeof(sam2_video_info)
    uint32_t struct_size;
    // Objects.
    uint32_t num_objects;
    // Frames so far.
    uint64_t num_frames;
    // Pixels across; 0 before a stream's first frame.
    uint32_t width;
    // Pixels down.
    uint32_t height;
    // Bytes of the device held beside the model's weights.
    uint64_t device_bytes;
    // Bytes of the host held for memories, masks and frames.
    uint64_t host_bytes;
    // Bytes of the device that an object takes at most in a stream with a window; 0: it grows with the frames.
    uint64_t object_device_bytes;
    // Bytes of the host that an object takes at most in such a stream.
    uint64_t object_host_bytes;
} sam2_video_info;

// Gets the caller's pointer and bytes to store; returns 0 to go on.
typedef int32_t (*sam2_write_callback)(void *user, const uint8_t *data, size_t size);

// All went well.
#define SAM2_OK 0

// An argument is out of its range, or a pointer is null that must not be; or a saved state is damaged, or another model's.
#define SAM2_ERROR_INVALID_ARGUMENT 1

// A handle is stale, of another kind, or none.
#define SAM2_ERROR_INVALID_HANDLE 2

// Somebody else is using the handle: another thread, or a job in progress.
#define SAM2_ERROR_BUSY 3

// A file or folder cannot be opened, read or written; or is damaged, as a picture or a video.
#define SAM2_ERROR_IO 4

// A checkpoint is damaged, or does not fit its configuration; or a configuration has what is not supported.
#define SAM2_ERROR_MODEL 5

// The device is absent, too old or failed.
#define SAM2_ERROR_DEVICE 6

// There was not enough memory; what existed before the call still works.
#define SAM2_ERROR_OUT_OF_MEMORY 7

// A callback said to stop, or `sam2_video_predictor_cancel` did.
#define SAM2_ERROR_CANCELLED 8

// A defect of the library; please report it.
#define SAM2_ERROR_INTERNAL 99

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Makes a generator. `options` may be null. On success `*out` is to be given to `sam2_automatic_mask_generator_destroy`.
//
// Pointers:
// `options` is null or readable, and what it describes is there; `out` is writable.
sam2_status sam2_automatic_mask_generator_create(const sam2_model *model,
                                                 const sam2_automatic_mask_options *options,
                                                 sam2_automatic_mask_generator **out);

// Destroys a generator. Returns SAM2_ERROR_BUSY while a call or a job uses it, and destroys nothing then.
sam2_status sam2_automatic_mask_generator_destroy(sam2_automatic_mask_generator *generator);

// Finds everything in a picture; `each` gets the masks. It stops when `progress` says so, or after so many milliseconds
// (SAM2_WAIT_FOREVER: not), with the best of what was found so far; `*complete` is 1 where everything was looked at, else 0.
// `progress` and `complete` may be null.
//
// Pointers:
// `image` describes what is there; `complete` is null or writable.
sam2_status sam2_automatic_mask_generator_generate(sam2_automatic_mask_generator *generator,
                                                   const sam2_image *image,
                                                   uint64_t milliseconds,
                                                   sam2_progress_callback progress,
                                                   sam2_automatic_mask_callback each,
                                                   void *user,
                                                   int32_t *complete);

// Counts the NVIDIA GPUs of this machine; 0 where their driver is not installed, of which `sam2_last_error` tells.
//
// Pointers:
// `count` is writable.
sam2_status sam2_gpu_count(uint32_t *count);

// Writes what GPU `index`, in the driver's order, is; where models cannot run on it, `sam2_last_error` tells why.
//
// Pointers:
// `info` points at as many writable bytes as its `struct_size` says.
sam2_status sam2_gpu_get_info(uint32_t index, sam2_gpu_info *info);

// Describes a tensor as an image: (height, width) of uint8; (height, width, channels) or (channels, height, width), where the
// last dimension decides if both fit, of uint8 with 1 or 3 channels, or 4 as the last dimension, or of float32, float16 or
// bfloat16 with 3; red, green, blue. A first dimension of 1 before three others is left out. In memory a pixel's channels lie
// together or in planes, in either order of dimensions; rows may have gaps between them. The tensor stays the caller's, and
// must be there as long as the image is used; of memory of a GPU, `has_stream` and `stream` are for the caller to set.
//
// Pointers:
// `tensor` is a tensor; `image` points at as many writable bytes as its `struct_size` says.
sam2_status sam2_image_from_dlpack(const DLManagedTensorVersioned *tensor,
                                   sam2_image *image);

// Describes a tensor without gaps as a buffer for masks: uint8 or bool as SAM2_MASK_U8, float32 as SAM2_MASK_LOGITS, uint16 as
// SAM2_MASK_LABELS. The tensor stays the caller's, as of `sam2_image_from_dlpack`.
//
// Pointers:
// `tensor` is a tensor; `buffer` points at as many writable bytes as its `struct_size` says.
sam2_status sam2_mask_buffer_from_dlpack(const DLManagedTensorVersioned *tensor,
                                         sam2_mask_buffer *buffer);

// Makes a tensor for masks of `kind` (SAM2_MASK_U8, SAM2_MASK_LOGITS or SAM2_MASK_LABELS), (dims[0], ..., dims[num_dims - 1]),
// 1 to 4 of them, in `memory`: the host's, where it is zeros, or that of the model's GPU. It is the caller's, who hands it on, or
// deletes it by its own `deleter`; it outlives the model.
//
// Pointers:
// `dims` has `num_dims` values; `out` is writable.
sam2_status sam2_tensor_create(const sam2_model *model,
                               int32_t kind,
                               int32_t memory,
                               const int64_t *dims,
                               uint32_t num_dims,
                               DLManagedTensorVersioned **out);

// Makes a predictor. `options` may be null. On success `*out` is to be given to `sam2_image_predictor_destroy`.
//
// Pointers:
// `options` is null or readable; `out` is writable.
sam2_status sam2_image_predictor_create(const sam2_model *model,
                                        const sam2_image_predictor_options *options,
                                        sam2_image_predictor **out);

// Destroys a predictor. Returns SAM2_ERROR_BUSY while a call or a job uses it, and destroys nothing then.
sam2_status sam2_image_predictor_destroy(sam2_image_predictor *predictor);

// Allocates what calls on `images` pictures at once need, with prompts of up to `max_points` points (a box is two), and masks
// as prompts or not, so that none of them allocates. Room for more pictures than there ever was forgets the current ones.
sam2_status sam2_image_predictor_reserve(sam2_image_predictor *predictor,
                                         uint32_t images,
                                         uint32_t max_points,
                                         int32_t mask_input);

// Encodes a picture; the ones of before are forgotten. On a GPU this returns once it is enqueued.
//
// Pointers:
// `image` describes what is there.
sam2_status sam2_image_predictor_set_image(sam2_image_predictor *predictor, const sam2_image *image);

// As `sam2_image_predictor_set_image`, of several pictures, of any sizes, one struct after another. A prompt says by its
// `image` which of them it is for.
//
// Pointers:
// `images` describe what is there.
sam2_status sam2_image_predictor_set_image_batch(sam2_image_predictor *predictor,
                                                 const sam2_image *images,
                                                 size_t num_images);

// As `sam2_image_predictor_set_image_batch`, as a job: the pictures must be there until it has ended.
//
// Pointers:
// As of `sam2_image_predictor_set_image_batch`, until the job has ended; `job` is null or writable.
sam2_status sam2_image_predictor_set_image_async(sam2_image_predictor *predictor,
                                                 const sam2_image *images,
                                                 size_t num_images,
                                                 sam2_done_callback done,
                                                 void *user,
                                                 sam2_job **job);

// Forgets the pictures.
sam2_status sam2_image_predictor_reset(sam2_image_predictor *predictor);

// Writes what a predictor holds, and the size of picture `image` of those that are set.
//
// Pointers:
// `info` points at as many writable bytes as its `struct_size` says.
sam2_status sam2_image_predictor_get_info(const sam2_image_predictor *predictor,
                                          uint32_t image,
                                          sam2_image_predictor_info *info);

// Writes the features SAM2_FEATURE_... of picture `image` of those that are set: `shape`, (3), is channels, rows and columns.
// `values` has room for `size` floats, which must be their product; null: only the shape is asked for.
//
// Pointers:
// `values` is null or has `size` floats; `shape` has 3.
sam2_status sam2_image_predictor_get_features(sam2_image_predictor *predictor,
                                              int32_t feature,
                                              uint32_t image,
                                              float *values,
                                              size_t size,
                                              uint32_t *shape);

// Makes masks of prompts on the pictures that are set: n per prompt, 3 with SAM2_PREDICT_MULTIMASK and else 1. Prompts are in
// the order of their pictures.
//
// `masks`: (num_prompts, n, height, width) with the sizes of the prompts' pictures, or as its kind says; null: none.
// `iou_predictions`: (num_prompts, n), how well the model thinks each mask fits, about 0 to 1. `low_res_masks`: (num_prompts, n,
// mask_side, mask_side), logits within +-32, to be given as `mask_input`; null: none. `object_scores`: (num_prompts), above 0
// where there is an object; null: none.
//
// Pointers:
// All pointers are null where that is allowed, or point at as much as is said here.
sam2_status sam2_image_predictor_predict(sam2_image_predictor *predictor,
                                         const sam2_prompt *prompts,
                                         size_t num_prompts,
                                         uint32_t flags,
                                         const sam2_mask_buffer *masks,
                                         float *iou_predictions,
                                         float *low_res_masks,
                                         float *object_scores);

// As `sam2_image_predictor_predict`, as a job: whatever pointers point at, but for structs, must be there until it has ended.
//
// Pointers:
// As of `sam2_image_predictor_predict`, until the job has ended; `job` is null or writable.
sam2_status sam2_image_predictor_predict_async(sam2_image_predictor *predictor,
                                               const sam2_prompt *prompts,
                                               size_t num_prompts,
                                               uint32_t flags,
                                               const sam2_mask_buffer *masks,
                                               float *iou_predictions,
                                               float *low_res_masks,
                                               float *object_scores,
                                               sam2_done_callback done,
                                               void *user,
                                               sam2_job **job);

// Waits for the end of a job, at most so many milliseconds (0: only asks), and writes how it ended; `sam2_last_error` then
// says why. Returns SAM2_ERROR_BUSY where it goes on; at once, where a callback of the job itself asks.
//
// Pointers:
// `status` is writable.
sam2_status sam2_job_wait(const sam2_job *job,
                          uint64_t milliseconds,
                          sam2_status *status);

// Lets go of a job, once it has ended: waits for it. From a callback of the job itself it does not wait, and the library
// lets go of the job when that ends.
sam2_status sam2_job_destroy(sam2_job *job);

// The version of this interface. It changes only when something is taken away or changes its meaning.
uint32_t sam2_abi_version(void);

// The version of the library, as "0.1.0".
const char *sam2_version(void);

// What the library was built for, as "sam2 0.1.0, x86_64-linux, CUDA kernels for 80, 90a"; it never changes.
const char *sam2_build_info(void);

// Says who gets what the library has to say, up to `level`, at any time, before there is a model too. `each` null: nobody, as
// in the beginning. Waits until calls of the callback before have returned, and after it returns that one is not called any
// more. Not from within a callback.
sam2_status sam2_set_log_callback(int32_t level,
                                  sam2_log_callback each,
                                  void *user);

// Writes a mask (height, width) as a PNG, white where it is not 0.
//
// Pointers:
// `path` ends in 0; `mask` has width times height bytes.
sam2_status sam2_mask_write_png(const char *path, const uint8_t *mask, uint32_t width, uint32_t height);

// Loads a checkpoint, a .safetensors, .pt or .bin file, the index of one in several files, or a folder that holds one, onto
// a device.
//
// `options` may be null. On success `*out` is a model, to be given to `sam2_model_destroy`.
//
// Pointers:
// Texts end in 0; `out` is writable.
sam2_status sam2_model_load(const char *path,
                            const sam2_model_options *options_,
                            sam2_model **out);

// As `sam2_model_load`, of a checkpoint in memory, which is not needed after the call.
//
// Pointers:
// `data` has `size` bytes; `out` is writable.
sam2_status sam2_model_load_memory(const uint8_t *data,
                                   size_t size,
                                   const sam2_model_options *options_,
                                   sam2_model **out);

// As `sam2_model_load`, of part of an open file, as of a game's archive: `size` bytes from `offset`, or to its end where `size`
// is 0. The descriptor stays the caller's, and is not needed after the call. Not on Windows.
//
// Pointers:
// `out` is writable.
sam2_status sam2_model_load_fd(int32_t fd,
                               uint64_t offset,
                               uint64_t size,
                               const sam2_model_options *options_,
                               sam2_model **out);

// Lets go of a model.
sam2_status sam2_model_destroy(sam2_model *model);

// Writes what a model is, as much as `info->struct_size` says there is room for.
//
// Pointers:
// `info` points at as many writable bytes as its `struct_size` says.
sam2_status sam2_model_get_info(const sam2_model *model, sam2_model_info *info);

// `sam2_picture_read_with` without options.
//
// Pointers:
// `path` ends in 0; `out` is writable.
sam2_status sam2_picture_read(const char *path, sam2_picture **out);

// Reads a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file, known by its content; of an animation, the first frame. `options` may
// be null. On success `*out` is to be given to `sam2_picture_destroy`.
//
// Palettes are looked up, alpha is dropped, and of 16 bits the upper 8 are kept. A warning says when the EXIF orientation is
// not 1 and not applied, and when a 16-bit file holds small values only.
//
// Pointers:
// `path` ends in 0; `options` is null or readable; `out` is writable.
sam2_status sam2_picture_read_with(const char *path,
                                   const sam2_picture_options *options,
                                   sam2_picture **out);

// Lets go of a picture.
sam2_status sam2_picture_destroy(sam2_picture *picture);

// Describes a picture as an image; its pixels are there until the picture is destroyed.
//
// Pointers:
// `image` points at as many writable bytes as its `struct_size` says.
sam2_status sam2_picture_get_image(const sam2_picture *picture, sam2_image *image);

// Writes a mask (height, width), not 0 on the object, as the text of COCO's run lengths, with its end. `*size` is the room
// in `text_` before, and what the text takes after; where the room is too small the call fails, and where `text_` is null it
// only asks.
//
// Pointers:
// `mask` has width times height bytes; `text_` is null or has `*size` bytes.
sam2_status sam2_mask_encode_rle(const uint8_t *mask,
                                 uint32_t width,
                                 uint32_t height,
                                 char *text_,
                                 size_t *size);

// Reads the text of COCO's run lengths into a mask (height, width), 1 on the object.
//
// Pointers:
// `text_` ends in 0; `mask` has width times height bytes.
sam2_status sam2_mask_decode_rle(const char *text_, uint32_t width, uint32_t height, uint8_t *mask);

// Paints masks, given as the texts of COCO's run lengths, into one map (height, width): 0 where there is none, else 1 + a
// mask's place. The largest are painted first, so that small ones lie on top; of equals the first does. There are at most
// 65535.
//
// Pointers:
// `texts` has `num_masks` of them, each ending in 0; `labels` has width times height values.
sam2_status sam2_mask_label_map(const char *const *texts,
                                size_t num_masks,
                                uint32_t width,
                                uint32_t height,
                                uint16_t *labels);

// The outlines of a mask, given as the text of COCO's run lengths, along the edges of its pixels, as COCO's polygons: rings
// around what is on the object, clockwise as one looks at it, and around holes, the other way. Filled by the even-odd rule,
// all together, they are this very mask.
//
// `points` gets x and y of every ring's corners, 0 to width and height, ring after ring, the first of a ring not repeated at
// its end; `rings` gets how many corners each has. `*num_points` and `*num_rings` are the corners and rings there is room
// for before, and how many there are after; where the room is too small the call fails, and where `points` or `rings` is
// null it is only asked how many. A side has at most 32768 pixels.
//
// Pointers:
// `text_` ends in 0; `points` is null or has twice `*num_points` values; `rings` is null or has `*num_rings`.
sam2_status sam2_mask_polygons(const char *text_,
                               uint32_t width,
                               uint32_t height,
                               uint32_t *points,
                               size_t *num_points,
                               uint32_t *rings,
                               size_t *num_rings);

// What went wrong in the last call of this thread that failed; an empty text if none has. The text is the thread's own,
// and changes with its next call that fails.
const char *sam2_last_error(void);

// Why the system refused a file in the call that `sam2_last_error` tells of, as a number of errno.h: ENOENT where there is no
// such file. 0 where it was not the system that refused, or a file.
int32_t sam2_last_errno(void);

// Says where an object is on a frame, by points, a box or both. `each` gets what is found of all objects there, and may be
// null. `masks`: where masks go instead, (objects, height, width) or as its kind says; null: to `each`. With neither, no masks
// are made, and adding many objects takes time in proportion to their number.
//
// Corrections: a prompt on a frame that was tracked changes its mask at once, but as in the reference the next propagation
// over that frame finds it anew and the correction is lost. So after a correction of frame t, propagate from t + 1
// (backwards from t - 1): the frames that follow attend to the corrected one. `legacy_corrections` in the options keeps
// corrections through propagation.
//
// Pointers:
// `prompt` is readable, and what it points at; `masks` describes what is there.
sam2_status sam2_video_predictor_add_new_points_or_box(sam2_video_predictor *video,
                                                       uint64_t frame_idx,
                                                       int64_t object_id,
                                                       const sam2_prompt *prompt,
                                                       uint32_t flags,
                                                       const sam2_mask_buffer *masks,
                                                       sam2_frame_callback each,
                                                       void *user);

// Says where an object is on a frame, by a mask (height, width) of any size, 0 where it is not. An empty mask says that it is
// not there. `masks`, `each`, `user`: as of `sam2_video_predictor_add_new_points_or_box`.
//
// Pointers:
// `mask` has height times width bytes; `masks` describes what is there.
sam2_status sam2_video_predictor_add_new_mask(sam2_video_predictor *video,
                                              uint64_t frame_idx,
                                              int64_t object_id,
                                              const uint8_t *mask,
                                              uint32_t width,
                                              uint32_t height,
                                              const sam2_mask_buffer *masks,
                                              sam2_frame_callback each,
                                              void *user);

// Forgets what was said of an object on a frame. `masks`, `each`, `user`: as of `sam2_video_predictor_add_new_points_or_box`.
//
// Pointers:
// `masks` describes what is there.
sam2_status sam2_video_predictor_clear_all_prompts_in_frame(sam2_video_predictor *video,
                                                            uint64_t frame_idx,
                                                            int64_t object_id,
                                                            const sam2_mask_buffer *masks,
                                                            sam2_frame_callback each,
                                                            void *user);

// Removes an object.
sam2_status sam2_video_predictor_remove_object(sam2_video_predictor *video, int64_t object_id);

// Removes all objects.
sam2_status sam2_video_predictor_reset_state(sam2_video_predictor *video);

// Follows all objects from frame `start` (negative: the first that anything was said of) over at most `count` further frames
// (negative: to the end), towards the first frame where `reverse` is not 0. `each` gets what is found frame by frame; where it
// returns anything but 0, or `sam2_video_predictor_cancel` is called meanwhile, the call ends with SAM2_ERROR_CANCELLED, and
// what was found so far is kept. `masks`: where the masks of each frame go before `each` is called, as of
// `sam2_video_predictor_add_new_points_or_box`.
//
// Pointers:
// `masks` describes what is there.
sam2_status sam2_video_predictor_propagate_in_video(sam2_video_predictor *video,
                                                    int64_t start,
                                                    int64_t count,
                                                    int32_t reverse,
                                                    const sam2_mask_buffer *masks,
                                                    sam2_frame_callback each,
                                                    void *user);

// As `sam2_video_predictor_propagate_in_video`, as a job: `each` is called on a thread of the library's, with the same `user`
// as `done`.
//
// Pointers:
// As of `sam2_video_predictor_propagate_in_video`, until the job has ended; `job` is null or writable.
sam2_status sam2_video_predictor_propagate_in_video_async(sam2_video_predictor *video,
                                                          int64_t start,
                                                          int64_t count,
                                                          int32_t reverse,
                                                          const sam2_mask_buffer *masks,
                                                          sam2_frame_callback each,
                                                          sam2_done_callback done,
                                                          void *user,
                                                          sam2_job **job);

// Ends the propagation that another thread, or a job, has in progress after its current frame. Never waits.
sam2_status sam2_video_predictor_cancel(const sam2_video_predictor *video);

// As `sam2_video_predictor_add_new_mask`, of float values, as the reference takes a tensor: resized to the side of the
// model's input they are on the object from 0.5 on; of that very size they are taken as they are.
//
// Pointers:
// `mask` has height times width floats; `masks` describes what is there.
sam2_status sam2_video_predictor_add_new_mask_f32(sam2_video_predictor *video,
                                                  uint64_t frame_idx,
                                                  int64_t object_id,
                                                  const float *mask,
                                                  uint32_t width,
                                                  uint32_t height,
                                                  const sam2_mask_buffer *masks,
                                                  sam2_frame_callback each,
                                                  void *user);

// The next frame of a stream: follows all objects to it. After a failure the frame does not count. `masks`, `each`, `user`: as
// of `sam2_video_predictor_add_new_points_or_box`.
//
// Pointers:
// `image` and `masks` describe what is there.
sam2_status sam2_video_predictor_push_frame(sam2_video_predictor *video,
                                            const sam2_image *image,
                                            const sam2_mask_buffer *masks,
                                            sam2_frame_callback each,
                                            void *user);

// As `sam2_video_predictor_push_frame`, as a job: the picture and the buffer must be there until it has ended. `each` is called on
// a thread of the library's, with the same `user` as `done`.
//
// Pointers:
// As of `sam2_video_predictor_push_frame`, until the job has ended; `job` is null or writable.
sam2_status sam2_video_predictor_push_frame_async(sam2_video_predictor *video,
                                                  const sam2_image *image,
                                                  const sam2_mask_buffer *masks,
                                                  sam2_frame_callback each,
                                                  sam2_done_callback done,
                                                  void *user,
                                                  sam2_job **job);

// Pushes a frame each of several cameras, one struct after another: on a GPU at the same time, on the CPU one by one. Each goes on
// whatever becomes of the others; the call returns the first failure's status.
//
// Pointers:
// `pushes` are `count` structs, whose pointers are as of `sam2_video_predictor_push_frame`.
sam2_status sam2_push_frames(sam2_push *pushes,
                             size_t count);

// Opens a folder of frames, or a video file, which needs the program `ffmpeg`. The frames of a folder are its JPEG files, or
// else its PNG files, that are named by numbers (00000.jpg, frame_0001.jpg, 1690000000.5.jpg), in natural order; a warning
// counts the files that are left out.
//
// `options` may be null. On success `*out` is to be given to `sam2_video_predictor_destroy`.
//
// Pointers:
// `path` ends in 0; `options` is null or readable; `out` is writable.
sam2_status sam2_video_predictor_open(const sam2_model *model,
                                      const char *path,
                                      const sam2_video_options *options,
                                      sam2_video_predictor **out);

// Makes a predictor for frames that come one by one, `sam2_video_predictor_push_frame`, nobody knows how many.
//
// Pointers:
// As of `sam2_video_predictor_open`.
sam2_status sam2_video_predictor_stream(const sam2_model *model,
                                        const sam2_video_options *options,
                                        sam2_video_predictor **out);

// A predictor that knows what this one does and goes its own way from here, as to try a prompt. Nothing is copied.
//
// Pointers:
// `out` is writable.
sam2_status sam2_video_predictor_fork(const sam2_video_predictor *video, sam2_video_predictor **out);

// Destroys a predictor. Returns SAM2_ERROR_BUSY while a call or a job uses it, and destroys nothing then.
sam2_status sam2_video_predictor_destroy(sam2_video_predictor *video);

// Writes what a video is, as much as `info->struct_size` says there is room for.
//
// Pointers:
// `info` points at as many writable bytes as its `struct_size` says.
sam2_status sam2_video_predictor_get_info(const sam2_video_predictor *video, sam2_video_info *info);

// Writes the numbers that the caller knows the objects by, in the order of their masks. `*count` is the room in `ids` before,
// and how many there are after; where the room is too small the call fails, and where `ids` is null it only asks.
//
// Pointers:
// `ids` is null or has `*count` numbers.
sam2_status sam2_video_predictor_get_object_ids(const sam2_video_predictor *video,
                                                int64_t *ids,
                                                size_t *count);

// Allocates what following `num_objects` objects in frames of this size needs, and does what is done only once, so that the
// first frames take no longer than the others.
sam2_status sam2_video_predictor_reserve(sam2_video_predictor *video,
                                         uint32_t num_objects,
                                         uint32_t width,
                                         uint32_t height);

// Writes everything that is known of the objects, and the frames of a stream that are kept: `write` gets it piece by piece.
//
// Pointers:
// `write` may be called with `user`.
sam2_status sam2_video_predictor_save_state(const sam2_video_predictor *video,
                                            sam2_write_callback write,
                                            void *user);

// Takes what `sam2_video_predictor_save_state` wrote, in place of all that was known. The model must be the same. After a
// failure the predictor is as it was.
//
// Pointers:
// `data` has `size` bytes.
sam2_status sam2_video_predictor_load_state(sam2_video_predictor *video,
                                            const uint8_t *data,
                                            size_t size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SAM2_H */

#ifdef __cplusplus
#define SAM2_AUTOMATIC_MASK_OPTIONS_INIT ([] { sam2_automatic_mask_options v = {}; v.struct_size = sizeof v; v.points_per_side = 32; v.points_per_batch = 64; v.crop_n_points_downscale_factor = 1; v.multimask_output = 1; v.pred_iou_thresh = 0.8f; v.stability_score_thresh = 0.95f; v.stability_score_offset = 1.0f; v.box_nms_thresh = 0.7f; v.crop_nms_thresh = 0.7f; v.crop_overlap_ratio = 0.3413333333333333; return v; }())
#define SAM2_GPU_INFO_INIT ([] { sam2_gpu_info v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_IMAGE_INIT ([] { sam2_image v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_IMAGE_PREDICTOR_OPTIONS_INIT ([] { sam2_image_predictor_options v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_IMAGE_PREDICTOR_INFO_INIT ([] { sam2_image_predictor_info v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_MASK_BUFFER_INIT ([] { sam2_mask_buffer v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_MODEL_OPTIONS_INIT ([] { sam2_model_options v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_MODEL_INFO_INIT ([] { sam2_model_info v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_PICTURE_OPTIONS_INIT ([] { sam2_picture_options v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_PROMPT_INIT ([] { sam2_prompt v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_PUSH_INIT ([] { sam2_push v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_VIDEO_OPTIONS_INIT ([] { sam2_video_options v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_VIDEO_INFO_INIT ([] { sam2_video_info v = {}; v.struct_size = sizeof v; return v; }())
#else
#define SAM2_AUTOMATIC_MASK_OPTIONS_INIT {.struct_size = sizeof(sam2_automatic_mask_options), .points_per_side = 32, .points_per_batch = 64, .crop_n_points_downscale_factor = 1, .multimask_output = 1, .pred_iou_thresh = 0.8f, .stability_score_thresh = 0.95f, .stability_score_offset = 1.0f, .box_nms_thresh = 0.7f, .crop_nms_thresh = 0.7f, .crop_overlap_ratio = 0.3413333333333333}
#define SAM2_GPU_INFO_INIT {.struct_size = sizeof(sam2_gpu_info)}
#define SAM2_IMAGE_INIT {.struct_size = sizeof(sam2_image)}
#define SAM2_IMAGE_PREDICTOR_OPTIONS_INIT {.struct_size = sizeof(sam2_image_predictor_options)}
#define SAM2_IMAGE_PREDICTOR_INFO_INIT {.struct_size = sizeof(sam2_image_predictor_info)}
#define SAM2_MASK_BUFFER_INIT {.struct_size = sizeof(sam2_mask_buffer)}
#define SAM2_MODEL_OPTIONS_INIT {.struct_size = sizeof(sam2_model_options)}
#define SAM2_MODEL_INFO_INIT {.struct_size = sizeof(sam2_model_info)}
#define SAM2_PICTURE_OPTIONS_INIT {.struct_size = sizeof(sam2_picture_options)}
#define SAM2_PROMPT_INIT {.struct_size = sizeof(sam2_prompt)}
#define SAM2_PUSH_INIT {.struct_size = sizeof(sam2_push)}
#define SAM2_VIDEO_OPTIONS_INIT {.struct_size = sizeof(sam2_video_options)}
#define SAM2_VIDEO_INFO_INIT {.struct_size = sizeof(sam2_video_info)}
#endif
