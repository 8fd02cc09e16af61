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
 *   static int fail(const char *what) {
 *       fprintf(stderr, "%s: %s\n", what, sam2_last_error());
 *       return 1;
 *   }
 *
 *   // usage MODEL PICTURE X Y MASK.png: the mask of what is at pixel (X, Y)
 *   int main(int argc, char **argv) {
 *       if (argc != 6) return 2;
 *       sam2_model *model;
 *       sam2_picture *picture;
 *       sam2_image_predictor *predictor;
 *       if (sam2_model_load(argv[1], NULL, &model)) return fail("model");
 *       if (sam2_picture_read(argv[2], &picture)) return fail("picture");
 *       if (sam2_image_predictor_create(model, NULL, &predictor)) return fail("predictor");
 *
 *       sam2_image image = SAM2_IMAGE_INIT;
 *       sam2_picture_get_image(picture, &image);
 *       if (sam2_image_predictor_set_image(predictor, &image)) return fail("set_image");
 *
 *       float at[2] = {(float)atof(argv[3]), (float)atof(argv[4])}, iou;
 *       int32_t label = 1;
 *       sam2_prompt click = SAM2_PROMPT_INIT;
 *       click.num_points = 1, click.points = at, click.labels = &label;
 *       sam2_mask_buffer mask = SAM2_MASK_BUFFER_INIT;
 *       mask.size = (uint64_t)image.width * image.height, mask.data = malloc(mask.size);
 *       if (sam2_image_predictor_predict(predictor, &click, 1, 0, &mask, &iou, NULL, NULL)) return fail("predict");
 *       if (sam2_mask_write_png(argv[5], mask.data, image.width, image.height)) return fail("mask");
 *       printf("%.6f\n", iou);
 *
 *       free(mask.data);
 *       sam2_image_predictor_destroy(predictor), sam2_picture_destroy(picture), sam2_model_destroy(model);
 *       return 0;
 *   }
 *
 * Status. Functions return SAM2_OK (0) or another SAM2_ERROR_...; sam2_last_error() says it in words, to the thread that
 * made the call. A call that fails writes no result, and what was there before still works. No panic, exception or abort
 * crosses this interface.
 *
 * Handles are looked up, never followed: one that is stale, null or of another kind is SAM2_ERROR_INVALID_HANDLE. Destroy
 * every handle once, in any order, on any thread; what another handle needs of it stays.
 *
 * Threads. A model may be used by any number of threads at once. A predictor is for one at a time: a call on one that is in
 * use returns SAM2_ERROR_BUSY, and does not wait; sam2_video_predictor_cancel is the exception. A video predictor and its
 * forks take the device in turns.
 *
 * Memory. The library frees what it allocates, and callers what they allocate. What a caller passes in is used for the
 * length of the call and not after. Sizes of buffers are said with each call.
 *
 * Units. Coordinates are pixels, (0, 0) the top left corner, or 0..1 where a flag says so; boxes are left, top, right, bottom.
 * Masks and pictures are row by row from the top. Logits above 0 are on the object.
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

// In the host's memory.
#define SAM2_MEMORY_HOST 0

// In the memory of the GPU that the model runs on.
#define SAM2_MEMORY_CUDA 1

// The first GPU where CUDA works, otherwise the CPU.
#define SAM2_DEVICE_AUTO 0

// The CPU.
#define SAM2_DEVICE_CPU 1

// An NVIDIA GPU.
#define SAM2_DEVICE_CUDA 2

// float32 on a CPU, bfloat16 on a GPU.
#define SAM2_PRECISION_AUTO 0

// float32: the reference's own numbers.
#define SAM2_PRECISION_F32 1

// bfloat16.
#define SAM2_PRECISION_BF16 2

// float16.
#define SAM2_PRECISION_F16 3

// One byte a pixel: 1 on the object, else 0.
#define SAM2_MASK_U8 0

// Logits as float; above the threshold is on the object.
#define SAM2_MASK_LOGITS 1

// Three masks of each prompt, for when it is not clear what is meant, instead of one.
#define SAM2_PREDICT_MULTIMASK 1

// Coordinates are in 0..1, not in pixels.
#define SAM2_PREDICT_NORMALIZED 2

// Everything is kept: anything may be said of any frame.
#define SAM2_RETAIN_EVERYTHING 4294967295

// Keep what was said of the frame's points before.
#define SAM2_PROMPT_KEEP_POINTS 1

// Coordinates are in 0..1, not in pixels.
#define SAM2_PROMPT_NORMALIZED 2

// Encodes a picture, then makes masks for prompts on it. One thread uses it at a time.
typedef struct sam2_image_predictor sam2_image_predictor;

// A model's weights on a device. Any number of predictors and threads share one; predictors keep what they need of it,
// so that it may be destroyed before them.
typedef struct sam2_model sam2_model;

// A decoded picture.
typedef struct sam2_picture sam2_picture;

// Follows objects through a video. One thread uses it at a time.
typedef struct sam2_video_predictor sam2_video_predictor;

// How a call ended: `SAM2_OK`, or what went wrong; `sam2_last_error` says it in words.
typedef int32_t sam2_status;

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
    // A configuration in the reference's structure, UTF-8 text; null: the model is recognised by its tensors.
    const char *config_yaml;
    // Changes of the configuration, "model.image_size=512", one per line; null: none.
    const char *overrides;
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
} sam2_model_info;

// A picture of the caller's, rows from the top, borrowed for the length of a call. Begin with SAM2_IMAGE_INIT.
typedef struct {
    // sizeof(sam2_image)
    uint32_t struct_size;
    // SAM2_FORMAT_...
    int32_t format;
    // Pixels across, 1 to 32768.
    uint32_t width;
    // Pixels down, 1 to 32768.
    uint32_t height;
    // The first pixel.
    const void *data;
    // Bytes from row to row; 0: rows without gaps.
    uint64_t stride;
    // SAM2_MEMORY_...
    int32_t memory;
    // Not 0: `stream` is the CUDA stream on which the caller uses the memory; null is the default stream. The library comes
    // after what is enqueued there, and what is enqueued there after the call comes after the library. Otherwise the
    // memory is ready, and stays so until masks have come back.
    int32_t has_stream;
    // A CUstream or cudaStream_t.
    void *stream;
} sam2_image;

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
} sam2_image_predictor_options;

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
    // (mask_side, mask_side): logits of an earlier mask; null: none. Pictures only.
    const float *mask_input;
} sam2_prompt;

// A buffer of the caller's for masks of the picture's size, one after another. Begin with SAM2_MASK_BUFFER_INIT.
typedef struct {
    // sizeof(sam2_mask_buffer)
    uint32_t struct_size;
    // SAM2_MASK_...
    int32_t kind;
    // Null: no masks.
    void *data;
    // Bytes of `data`: exactly as many as the masks take.
    uint64_t size;
    // SAM2_MEMORY_...
    int32_t memory;
    // As of sam2_image.
    int32_t has_stream;
    // As of sam2_image.
    void *stream;
} sam2_mask_buffer;

// How a video predictor keeps what it learns. Begin with SAM2_VIDEO_OPTIONS_INIT.
typedef struct {
    // sizeof(sam2_video_options)
    uint32_t struct_size;
    // Of a stream: so many frames before the last are kept, pictures and masks; or SAM2_RETAIN_EVERYTHING.
    uint32_t window;
    // Not 0: corrections of tracked frames outlast the next propagation over them.
    int32_t legacy_corrections;
    // Not 0: memories are kept in the host's memory.
    int32_t offload_state_to_cpu;
} sam2_video_options;

// What was found on a frame, there until the callback that gets it returns.
typedef struct {
    // The frame's number, from 0.
    uint64_t frame_idx;
    // Objects.
    uint32_t num_objects;
    // Pixels across of a mask.
    uint32_t width;
    // Pixels down of a mask.
    uint32_t height;
    // Not used.
    uint32_t reserved;
    // (num_objects): the numbers that the caller knows them by.
    const int64_t *object_ids;
    // (num_objects): above 0 where the object is to be seen; NaN where nothing is known of it on this frame.
    const float *scores;
    // (num_objects, height, width): logits; above 0 is on the object. Null where they went to a buffer of the caller's.
    const float *masks;
} sam2_frame;

// Gets the caller's pointer and a frame; returns 0 to go on.
typedef int32_t (*sam2_frame_callback)(void *user, const sam2_frame *frame);

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
} sam2_video_info;

// Gets the caller's pointer and bytes to store; returns 0 to go on.
typedef int32_t (*sam2_write_callback)(void *user, const uint8_t *data, size_t size);

// All went well.
#define SAM2_OK 0

// An argument is out of its range, or a pointer is null that must not be.
#define SAM2_ERROR_INVALID_ARGUMENT 1

// A handle is stale, of another kind, or none.
#define SAM2_ERROR_INVALID_HANDLE 2

// Another thread is using the handle.
#define SAM2_ERROR_BUSY 3

// A file or folder cannot be opened, read or written; or is damaged, as a picture, a video or a saved state.
#define SAM2_ERROR_IO 4

// A checkpoint is damaged, or does not fit its configuration; or a configuration has what is not supported.
#define SAM2_ERROR_MODEL 5

// The device is absent, too old or failed.
#define SAM2_ERROR_DEVICE 6

// There was not enough memory; what existed before the call still works.
#define SAM2_ERROR_OUT_OF_MEMORY 7

// A callback said to stop, or `sam2_cancel` did.
#define SAM2_ERROR_CANCELLED 8

// A defect of the library; please report it.
#define SAM2_ERROR_INTERNAL 99

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Loads a checkpoint, a .safetensors or .pt file or a folder that holds one, onto a device.
//
// `options` may be null. On success `*out` is a model, to be given to `sam2_model_destroy`.
//
// Pointers:
// Texts end in 0; `out` is writable.
sam2_status sam2_model_load(const char *path, const sam2_model_options *options_, sam2_model **out);

// As `sam2_model_load`, of a checkpoint in memory, which is not needed after the call.
//
// Pointers:
// `data` has `size` bytes; `out` is writable.
sam2_status sam2_model_load_memory(const uint8_t *data,
                                   size_t size,
                                   const sam2_model_options *options_,
                                   sam2_model **out);

// Lets go of a model.
sam2_status sam2_model_destroy(sam2_model *model);

// Writes what a model is, as much as `info->struct_size` says there is room for.
//
// Pointers:
// `info` points at as many writable bytes as its `struct_size` says.
sam2_status sam2_model_get_info(const sam2_model *model, sam2_model_info *info);

// Reads a PNG or JPEG file, known by its content. On success `*out` is to be given to `sam2_picture_destroy`.
//
// Pointers:
// `path` ends in 0; `out` is writable.
sam2_status sam2_picture_read(const char *path, sam2_picture **out);

// Lets go of a picture.
sam2_status sam2_picture_destroy(sam2_picture *picture);

// Describes a picture as an image; its pixels are there until the picture is destroyed.
//
// Pointers:
// `image` points at as many writable bytes as its `struct_size` says.
sam2_status sam2_picture_get_image(const sam2_picture *picture, sam2_image *image);

// Writes a mask (height, width) as a PNG, white where it is not 0.
//
// Pointers:
// `path` ends in 0; `mask` has width times height bytes.
sam2_status sam2_mask_write_png(const char *path, const uint8_t *mask, uint32_t width, uint32_t height);

// Makes a predictor. `options` may be null. On success `*out` is to be given to `sam2_image_predictor_destroy`.
//
// Pointers:
// `options` is null or readable; `out` is writable.
sam2_status sam2_image_predictor_create(const sam2_model *model,
                                        const sam2_image_predictor_options *options,
                                        sam2_image_predictor **out);

// Lets go of a predictor.
sam2_status sam2_image_predictor_destroy(sam2_image_predictor *predictor);

// Allocates what calls with prompts of up to `max_points` points (a box is two), and masks as prompts or not, will need, so
// that none of them allocates.
sam2_status sam2_image_predictor_reserve(sam2_image_predictor *predictor,
                                         uint32_t max_points,
                                         int32_t mask_input);

// Encodes a picture; the one before is forgotten. On a GPU this returns once it is enqueued.
//
// Pointers:
// `image` describes what is there.
sam2_status sam2_image_predictor_set_image(sam2_image_predictor *predictor, const sam2_image *image);

// Makes masks of prompts on the picture: n per prompt, 3 with SAM2_PREDICT_MULTIMASK and else 1.
//
// `masks`: (num_prompts, n, height, width); null: none. `iou_predictions`: (num_prompts, n), how well the model thinks each
// mask fits, about 0 to 1. `low_res_masks`: (num_prompts, n, mask_side, mask_side), logits within +-32, to be given as
// `mask_input`; null: none. `object_scores`: (num_prompts), above 0 where there is an object; null: none.
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

// What went wrong in the last call of this thread that failed; an empty text if none has. The text is the thread's own,
// and changes with its next call that fails.
const char *sam2_last_error(void);

// The version of this interface. It changes only when something is taken away or changes its meaning.
uint32_t sam2_abi_version(void);

// The version of the library, as "0.1.0".
const char *sam2_version(void);

// Opens a folder of frames named by their numbers (00000.jpg, ...), or a video file, which needs the program `ffmpeg`.
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

// Lets go of a predictor.
sam2_status sam2_video_predictor_destroy(sam2_video_predictor *video);

// Says where an object is on a frame, by points, a box or both; `each` gets the masks of all objects there, and may be
// null.
//
// Pointers:
// `prompt` is readable, and what it points at.
sam2_status sam2_video_predictor_add_new_points_or_box(sam2_video_predictor *video,
                                                       uint64_t frame_idx,
                                                       int64_t object_id,
                                                       const sam2_prompt *prompt_,
                                                       uint32_t flags,
                                                       sam2_frame_callback each,
                                                       void *user);

// Says where an object is on a frame, by a mask (height, width) of any size, 0 where it is not. An empty mask says that it is
// not there.
//
// Pointers:
// `mask` has height times width bytes.
sam2_status sam2_video_predictor_add_new_mask(sam2_video_predictor *video,
                                              uint64_t frame_idx,
                                              int64_t object_id,
                                              const uint8_t *mask,
                                              uint32_t height,
                                              uint32_t width,
                                              sam2_frame_callback each,
                                              void *user);

// Forgets what was said of an object on a frame; `each` gets the masks of all objects there, and may be null.
sam2_status sam2_video_predictor_clear_all_prompts_in_frame(sam2_video_predictor *video,
                                                            uint64_t frame_idx,
                                                            int64_t object_id,
                                                            sam2_frame_callback each,
                                                            void *user);

// Removes an object.
sam2_status sam2_video_predictor_remove_object(sam2_video_predictor *video, int64_t object_id);

// Removes all objects.
sam2_status sam2_video_predictor_reset_state(sam2_video_predictor *video);

// Follows all objects from frame `start` (negative: the first that anything was said of) over at most `count` further frames
// (negative: to the end), towards the first frame where `reverse` is not 0. `each` gets the masks frame by frame; where it
// returns anything but 0, or `sam2_video_predictor_cancel` is called meanwhile, the call ends with SAM2_ERROR_CANCELLED, and
// what was found so far is kept.
sam2_status sam2_video_predictor_propagate_in_video(sam2_video_predictor *video,
                                                    int64_t start,
                                                    int64_t count,
                                                    int32_t reverse,
                                                    sam2_frame_callback each,
                                                    void *user);

// Ends the propagation that another thread has in progress after its current frame. Never waits.
sam2_status sam2_video_predictor_cancel(const sam2_video_predictor *video);

// The next frame of a stream: follows all objects to it. `each` gets their masks, and may be null. `masks`: where masks go
// instead, (objects, height, width); null: to `each`. After a failure the frame does not count.
//
// Pointers:
// `image` and `masks` describe what is there.
sam2_status sam2_video_predictor_push_frame(sam2_video_predictor *video,
                                            const sam2_image *image,
                                            const sam2_mask_buffer *masks,
                                            sam2_frame_callback each,
                                            void *user);

// Writes what a video is, as much as `info->struct_size` says there is room for.
//
// Pointers:
// `info` points at as many writable bytes as its `struct_size` says.
sam2_status sam2_video_predictor_get_info(const sam2_video_predictor *video, sam2_video_info *info);

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
#define SAM2_MODEL_OPTIONS_INIT ([] { sam2_model_options v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_MODEL_INFO_INIT ([] { sam2_model_info v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_IMAGE_INIT ([] { sam2_image v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_PROMPT_INIT ([] { sam2_prompt v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_MASK_BUFFER_INIT ([] { sam2_mask_buffer v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_IMAGE_PREDICTOR_OPTIONS_INIT ([] { sam2_image_predictor_options v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_VIDEO_OPTIONS_INIT ([] { sam2_video_options v = {}; v.struct_size = sizeof v; return v; }())
#define SAM2_VIDEO_INFO_INIT ([] { sam2_video_info v = {}; v.struct_size = sizeof v; return v; }())
#else
#define SAM2_MODEL_OPTIONS_INIT {.struct_size = sizeof(sam2_model_options)}
#define SAM2_MODEL_INFO_INIT {.struct_size = sizeof(sam2_model_info)}
#define SAM2_IMAGE_INIT {.struct_size = sizeof(sam2_image)}
#define SAM2_PROMPT_INIT {.struct_size = sizeof(sam2_prompt)}
#define SAM2_MASK_BUFFER_INIT {.struct_size = sizeof(sam2_mask_buffer)}
#define SAM2_IMAGE_PREDICTOR_OPTIONS_INIT {.struct_size = sizeof(sam2_image_predictor_options)}
#define SAM2_VIDEO_OPTIONS_INIT {.struct_size = sizeof(sam2_video_options)}
#define SAM2_VIDEO_INFO_INIT {.struct_size = sizeof(sam2_video_info)}
#endif
