/**
 * @file
 * C interface of sam2, an inference engine for Meta's Segment Anything Model 2 (SAM 2 and 2.1). License: Apache-2.0.
 *
 * This file is generated from the Rust source by a test of the project. Do not edit it.
 *
 * A complete program:
 *
 * @code{.c}
 * #include <sam2.h>
 * #include <stdio.h>
 * #include <stdlib.h>
 *
 * static void check(sam2_status status) {
 *     if (status == SAM2_OK) return;
 *     fprintf(stderr, "%s\n", sam2_last_error());
 *     exit(1);
 * }
 *
 * static int32_t print_frame(void *user, const sam2_frame *frame) {
 *     return fprintf(user, "frame %d: %d pixels\n", (int)frame->frame_idx, (int)frame->areas[0]) < 0;
 * }
 *
 * // usage MODEL IMAGE FRAMES X Y MASK.png: segments the object at (X, Y) of an image, and tracks it through a video.
 * int main(int argc, char **argv) {
 *     if (argc != 7) return 2;
 *     sam2_model *model;
 *     check(sam2_model_load(argv[1], NULL, &model));
 *     sam2_picture *picture;
 *     check(sam2_picture_read(argv[2], &picture));
 *     sam2_image image = SAM2_IMAGE_INIT;
 *     check(sam2_picture_get_image(picture, &image));
 *
 *     sam2_image_predictor *predictor;
 *     check(sam2_image_predictor_create(model, NULL, &predictor));
 *     check(sam2_image_predictor_set_image(predictor, &image));
 *     float point[2] = {(float)atof(argv[4]), (float)atof(argv[5])};
 *     int32_t label = 1;
 *     sam2_prompt click = SAM2_PROMPT_INIT;
 *     click.num_points = 1;
 *     click.points = point;
 *     click.labels = &label;
 *     sam2_mask_buffer mask = SAM2_MASK_BUFFER_INIT;
 *     mask.size = (uint64_t)image.width * image.height;
 *     mask.data = malloc(mask.size);
 *     float iou;
 *     check(sam2_image_predictor_predict(predictor, &click, 1, 0, &mask, &iou, NULL, NULL));
 *     check(sam2_mask_write_png(argv[6], mask.data, image.width, image.height));
 *     printf("predicted IoU %.6f\n", iou);
 *
 *     sam2_video_predictor *video;
 *     check(sam2_video_predictor_open(model, argv[3], NULL, &video));
 *     check(sam2_video_predictor_add_new_points_or_box(video, 0, 1, &click, 0, NULL, NULL, NULL));
 *     check(sam2_video_predictor_propagate_in_video(video, -1, -1, 0, NULL, print_frame, stdout));
 *
 *     sam2_video_predictor_destroy(video);
 *     sam2_image_predictor_destroy(predictor);
 *     sam2_picture_destroy(picture);
 *     sam2_model_destroy(model);
 *     free(mask.data);
 *     return 0;
 * }
 * @endcode
 *
 * @par Status
 * Most functions return a ::sam2_status. After a failure, sam2_last_error() returns a message for the calling thread,
 * and sam2_last_errno() the reason why the system refused a file. A failed call writes no results except where its
 * documentation says so, and all existing objects remain usable. No panic or exception of the library crosses the
 * interface. The common statuses, which most functions may return, are SAM2_ERROR_INVALID_ARGUMENT if a required
 * pointer is NULL or a number is out of range, SAM2_ERROR_INVALID_HANDLE, SAM2_ERROR_OUT_OF_MEMORY and
 * SAM2_ERROR_INTERNAL.
 *
 * @par Ownership
 * Functions with a parameter `out` or `job` that points to a handle return a handle that the caller owns. Each handle
 * must be destroyed once, in any order and on any thread, unless a function takes it over: the functions that end in
 * `_set_features` do. Handles are looked up and never
 * dereferenced, so a handle that is NULL, destroyed or of another type is reported as SAM2_ERROR_INVALID_HANDLE.
 * Objects that are destroyed remain alive inside the library as long as another object needs them. The library frees
 * the memory that it allocates, and the caller frees the memory that it passes in. The library uses memory of the
 * caller until the call returns, or until the job ends, unless the documentation of the pointer says otherwise.
 *
 * @par Pointers
 * A pointer must not be NULL unless its documentation allows it. It must point to as many valid elements as documented.
 * A shape such as (height, width) describes an array without gaps, the last dimension varying fastest. An array of
 * structs has the stride that the `struct_size` of its elements gives.
 *
 * @par Structs
 * Structs that begin with `struct_size` grow at their end in later versions. Initialize them with their `_INIT` macro,
 * and then set fields. Fields beyond `struct_size` have their default values.
 *
 * @par Constants
 * A type such as ::sam2_device is an integer of fixed size. Its values are the constants of the enum with the same name
 * and the suffix `_value`.
 *
 * @par Strings
 * Strings are NUL-terminated. Text is UTF-8. Paths are any bytes on Unix, as the system takes them, and UTF-8
 * elsewhere.
 *
 * @par Units
 * Coordinates are pixels, and (0, 0) is the top left corner of the image, unless a flag selects the range from 0 to 1.
 * Boxes are left, top, right and bottom. Images and masks are stored by rows from the top, unless `flip` is set. Logits
 * above 0 are on the object.
 *
 * @par Threads
 * Any number of threads may use a model at the same time. A predictor, a generator or a value of features serves one
 * call or job at a time. A second call does not wait and returns SAM2_ERROR_BUSY. The exceptions are the functions that
 * end in `_cancel` and `_destroy`. Forks of a video predictor may be used by several threads and take turns on the
 * device. The threads of the library block all signals, except those that an instruction of the thread raises, such as
 * SIGSEGV.
 *
 * @par Stopping
 * A call or job ends early by sam2_set_time_limit(), by a function that ends in `_cancel`, and by the destruction of
 * its predictor or generator. On the CPU it ends within some milliseconds, on a GPU after the work that is enqueued.
 * This holds for every call that loads, computes, or waits for the frames of a video, and not while an image file is
 * decoded. A call that ends early is a failed call: objects are as after any other failure of it, and the call can be
 * made again. Work that a callback does is part of the call that made the callback, and ends with it.
 *
 * @par Callbacks
 * A callback must return to the library. It must not throw an exception, call longjmp, unwind its caller in any other
 * way or end its thread, because the library's frames cannot be unwound and the process aborts. A callback may call the
 * library, except with the handle of the call that runs it, which returns SAM2_ERROR_BUSY. It must not wait for another
 * thread that destroys that handle. ::sam2_log_callback has further rules.
 *
 * @par Jobs
 * Functions that end in `_async` check their arguments, then continue on a thread of the library. The job has ended
 * when sam2_job_wait() reports it, or when its `on_done` callback is called. A predictor runs one job at a time. The
 * handle is written before the first callback of the job is called, and must be passed to sam2_job_destroy(), which the
 * callbacks of the job may do. If the `job` pointer is NULL, there is no handle, and the library frees the job when it
 * ends. `on_done` may destroy the predictor of the job.
 *
 * @par Memory
 * If the system has no memory left, calls fail with SAM2_ERROR_OUT_OF_MEMORY. The library keeps a reserve of 16 MiB to
 * report such failures. A call on the CPU needs at most 256 KiB of stack. Measured on x86-64 Linux: 56 KiB for models,
 * images, videos and automatic masks, 96 KiB for compressed TIFF files, and 192 KiB for checkpoints and configurations
 * at the maximum nesting. The CUDA driver may need more.
 *
 * @par Fork
 * A child process of fork() may use the models of its parent. It works on the calling thread only, and starts its own
 * threads for jobs. It cannot use GPUs of its parent or videos that ffmpeg decodes. If another thread is inside the
 * library during fork(), the child may only call exec() or _exit().
 *
 * @par CUDA
 * Images and masks may be in the memory of the GPU that the model runs on, in its primary context. A stream orders the
 * work of the library relative to the work of the caller. Every call restores the current context.
 */

#ifndef SAM2_H
#define SAM2_H

#include <stddef.h>
#include <stdint.h>

/** Major version of the library that this header belongs to. */
#define SAM2_VERSION_MAJOR 0

/** Minor version of the library that this header belongs to. */
#define SAM2_VERSION_MINOR 1

/** Patch version of the library that this header belongs to. */
#define SAM2_VERSION_PATCH 0

/**
 * Version of the binary interface that this header declares. A program compares it with sam2_abi_version() at
 * run time.
 */
#define SAM2_ABI_VERSION 1

/**
 * Value of `window` in ::sam2_video_predictor_options that keeps all frames, so that prompts on any frame are
 * possible.
 */
#define SAM2_RETAIN_EVERYTHING UINT32_MAX

/** Number of milliseconds that sets no limit. */
#define SAM2_WAIT_FOREVER UINT64_MAX

/** A tensor and its owner, as dlpack.h of DLPack 1 declares it. */
typedef struct DLManagedTensorVersioned DLManagedTensorVersioned;

/** Finds the masks of all objects in images. One thread uses it at a time. */
typedef struct sam2_automatic_mask_generator sam2_automatic_mask_generator;

/** Features of the images of a predictor, or of a frame of a video. */
typedef struct sam2_features sam2_features;

/** Encodes images and predicts masks for prompts on them. One thread uses it at a time. */
typedef struct sam2_image_predictor sam2_image_predictor;

/** A call that runs on a thread of the library, or that has ended. Any number of threads may wait for it. */
typedef struct sam2_job sam2_job;

/**
 * The weights of a model on a device.
 *
 * Any number of threads and predictors share a model. Predictors keep what they need of it, so a model may be
 * destroyed before its predictors.
 */
typedef struct sam2_model sam2_model;

/** A decoded image file. */
typedef struct sam2_picture sam2_picture;

/** Tracks objects through a video. One thread uses it at a time. */
typedef struct sam2_video_predictor sam2_video_predictor;

/** Result of a call. sam2_last_error() describes the latest failure in words. */
typedef int32_t sam2_status;

/** Values of ::sam2_status. */
enum sam2_status_value {
    /** The call succeeded. */
    SAM2_OK = 0,
    /**
     * An argument is out of range, a required pointer is NULL, or a saved state is damaged or belongs to another
     * model.
     */
    SAM2_ERROR_INVALID_ARGUMENT = 1,
    /** A handle is NULL, destroyed, or of another type. */
    SAM2_ERROR_INVALID_HANDLE = 2,
    /**
     * Another thread, a job, or the call that made this callback uses the handle. For sam2_job_wait(): the job is still
     * running.
     */
    SAM2_ERROR_BUSY = 3,
    /** A file or folder cannot be opened, read or written, or an image or video is damaged. */
    SAM2_ERROR_IO = 4,
    /** A checkpoint is damaged or does not match its configuration, or the configuration is not supported. */
    SAM2_ERROR_MODEL = 5,
    /** The device is missing, too old, or failed. */
    SAM2_ERROR_DEVICE = 6,
    /** There is not enough memory. Existing objects remain usable. */
    SAM2_ERROR_OUT_OF_MEMORY = 7,
    /** A callback, a function such as sam2_video_predictor_cancel(), or the destruction of the object ended the call. */
    SAM2_ERROR_CANCELLED = 8,
    /** The call took longer than the limit of sam2_set_time_limit(). */
    SAM2_ERROR_TIMED_OUT = 9,
    /** The library has a defect. Please report it. */
    SAM2_ERROR_INTERNAL = 99,
};

/** Severity of a log message. */
typedef int32_t sam2_log_level;

/** Values of ::sam2_log_level. */
enum sam2_log_level_value {
    /** An operation failed for a reason outside the caller's control. */
    SAM2_LOG_ERROR = 1,
    /** The library continues in spite of a problem. */
    SAM2_LOG_WARN = 2,
    /** A choice that is made once, such as the device and the precision of a model. */
    SAM2_LOG_INFO = 3,
    /** A rare event, such as an allocation. */
    SAM2_LOG_DEBUG = 4,
};

/**
 * Receives a log message.
 *
 * The library calls it on any thread, and on several threads at the same time. It may be called inside any other call,
 * before that call returns. The callback may call the library, but messages that these calls would log are dropped.
 * It must not call sam2_set_log_callback(), which fails, and must not wait for a job or another thread that uses the
 * library, since sam2_set_log_callback() on a third thread would make both wait for ever.
 *
 * @param user Pointer that was given to sam2_set_log_callback().
 * @param level A ::sam2_log_level.
 * @param message NUL-terminated UTF-8 string, valid until the callback returns.
 */
typedef void (*sam2_log_callback)(void *user, sam2_log_level level, const char *message);

/** Description of a GPU. Initialize it with SAM2_GPU_INFO_INIT. */
typedef struct sam2_gpu_info {
    /** sizeof(sam2_gpu_info). */
    uint32_t struct_size;
    /** Compute capability: 90 is 9.0. */
    uint32_t capability;
    /** Size of the memory in bytes. */
    uint64_t memory;
    /** 1 if models can run on this GPU, otherwise 0. */
    int32_t usable;
    /** Unused. */
    int32_t reserved;
    /** UUID as nvidia-smi prints it, for `device_uuid` of ::sam2_model_options. */
    char uuid[48];
    /** Name, truncated to fit. */
    char name[64];
} sam2_gpu_info;

/** Type of device. */
typedef int32_t sam2_device;

/** Values of ::sam2_device. */
enum sam2_device_value {
    /** The first GPU if CUDA works, otherwise the CPU. */
    SAM2_DEVICE_AUTO = 0,
    /** The CPU. */
    SAM2_DEVICE_CPU = 1,
    /** An NVIDIA GPU. */
    SAM2_DEVICE_CUDA = 2,
};

/** Numeric precision of a model. */
typedef int32_t sam2_precision;

/** Values of ::sam2_precision. */
enum sam2_precision_value {
    /** bfloat16 on a GPU, and on a CPU with bfloat16 products (AVX512-BF16, Arm BF16). Otherwise float32. */
    SAM2_PRECISION_AUTO = 0,
    /** float32, as in the reference. */
    SAM2_PRECISION_F32 = 1,
    /** bfloat16. */
    SAM2_PRECISION_BF16 = 2,
    /** float16. */
    SAM2_PRECISION_F16 = 3,
};

/**
 * Receives how far the loading of a model is, after every tensor, on the thread that loads.
 *
 * @param user Pointer of ::sam2_model_options.
 * @param fraction Part of the model that is loaded, 0 to 1.
 * @return 0 to continue. Any other value ends the loading with SAM2_ERROR_CANCELLED.
 */
typedef int32_t (*sam2_load_callback)(void *user, float fraction);

/** Options of sam2_model_load(). Initialize them with SAM2_MODEL_OPTIONS_INIT. */
typedef struct sam2_model_options {
    /** sizeof(sam2_model_options). */
    uint32_t struct_size;
    /** A ::sam2_device. */
    sam2_device device;
    /** Index of the GPU in the driver's order. */
    int32_t device_index;
    /** A ::sam2_precision. */
    sam2_precision precision;
    /** Number of CPU threads. 0 uses all that the machine offers. */
    uint32_t threads;
    /** Side of the model's input in pixels, a multiple of 32. 0 uses the value of the configuration. */
    uint32_t image_size;
    /**
     * 1 disables the choice of single masks by stability and the filling of holes, as apply_postprocessing=False of
     * the reference.
     */
    int32_t no_postprocessing;
    /** 1 reads the file instead of mapping it. Truncating a file that is mapped crashes the process. */
    int32_t no_mmap;
    /**
     * A configuration: YAML text in the reference's structure, the path of such a file, or the reference's name of a
     * published configuration ("configs/sam2.1/sam2.1_hiera_t.yaml", with or without folders and extension). NULL
     * uses the configuration beside the checkpoint, or recognizes the model by its tensors.
     */
    const char *config_yaml;
    /** Changes to the configuration, one per line, such as "model.image_size=512". May be NULL. */
    const char *overrides;
    /**
     * UUID of a GPU as nvidia-smi prints it, starting with "GPU-". It replaces `device` and `device_index`. May be
     * NULL.
     */
    const char *device_uuid;
    /**
     * (num_cpus) CPUs to bind the library's threads to, in turn. The calling thread, which also works, is not bound.
     * Linux only. May be NULL.
     */
    const uint32_t *cpus;
    /** Number of `cpus`, at most 1024. */
    uint32_t num_cpus;
    /** Unused. */
    uint32_t reserved;
    /** Receives how far the loading is. May be NULL. */
    sam2_load_callback on_progress;
    /** Passed to `on_progress`. May be NULL. */
    void *user;
} sam2_model_options;

/** Description of a model. Initialize it with SAM2_MODEL_INFO_INIT. */
typedef struct sam2_model_info {
    /** sizeof(sam2_model_info). */
    uint32_t struct_size;
    /** Side of the model's input in pixels. */
    uint32_t image_size;
    /** Side of low-resolution masks in pixels. */
    uint32_t mask_side;
    /** A ::sam2_precision. */
    sam2_precision precision;
    /** SAM2_DEVICE_CPU or SAM2_DEVICE_CUDA. */
    sam2_device device;
    /** Name of the device, truncated to fit. */
    char device_name[64];
    /** Free memory of the GPU in bytes. 0 on the CPU. */
    uint64_t free_memory;
    /** Total memory of the GPU in bytes. 0 on the CPU. */
    uint64_t memory;
} sam2_model_info;

/** Options of sam2_picture_read_with() and sam2_picture_decode(). Initialize them with SAM2_PICTURE_OPTIONS_INIT. */
typedef struct sam2_picture_options {
    /** sizeof(sam2_picture_options). */
    uint32_t struct_size;
    /**
     * 1 applies the EXIF orientation, as image viewers do. Prompts and masks then refer to the upright image. 0
     * keeps the pixels as they are stored.
     */
    int32_t upright;
    /**
     * Significant bits of the values in a 16-bit file, 8 to 16. With 12, the value 4095 becomes 255, and a larger
     * value is an error. 0 means 16. Files of 8 bits and PNM files, which state their largest value, ignore it.
     */
    uint32_t bit_depth;
    /** Unused. */
    uint32_t reserved;
} sam2_picture_options;

/** Layout of pixels in memory. */
typedef int32_t sam2_pixel_format;

/** Values of ::sam2_pixel_format. */
enum sam2_pixel_format_value {
    /** Red, green, blue, 8 bits each. */
    SAM2_FORMAT_RGB8 = 0,
    /** Blue, green, red, 8 bits each. */
    SAM2_FORMAT_BGR8 = 1,
    /** RGB8 with a fourth byte, which is ignored. */
    SAM2_FORMAT_RGBA8 = 2,
    /** BGR8 with a fourth byte, which is ignored. */
    SAM2_FORMAT_BGRA8 = 3,
    /** One byte per pixel, used for all three channels. */
    SAM2_FORMAT_GRAY8 = 4,
    /** Red, green, blue as float32 from 0 to 1. */
    SAM2_FORMAT_RGB_F32 = 5,
    /** RGB_F32 in three planes: red, green, blue. */
    SAM2_FORMAT_RGB_F32_PLANAR = 6,
    /** Bytes in two planes: Y of every pixel, interleaved U and V of every 2x2 pixels. Odd sizes are rounded up. */
    SAM2_FORMAT_NV12 = 7,
    /** Bytes Y, U, Y, V for every two pixels of a row. If the width is odd, the last four bytes are complete. */
    SAM2_FORMAT_YUYV = 8,
    /** As YUYV, in the order U, Y, V, Y. */
    SAM2_FORMAT_UYVY = 9,
    /** RGB8 in three planes: red, green, blue. */
    SAM2_FORMAT_RGB8_PLANAR = 10,
    /** RGB_F32 with IEEE 754 binary16 values. */
    SAM2_FORMAT_RGB_F16 = 11,
    /** RGB_F16 in three planes: red, green, blue. */
    SAM2_FORMAT_RGB_F16_PLANAR = 12,
    /** RGB_F32 with bfloat16 values. */
    SAM2_FORMAT_RGB_BF16 = 13,
    /** RGB_BF16 in three planes: red, green, blue. */
    SAM2_FORMAT_RGB_BF16_PLANAR = 14,
};

/** Location of memory. */
typedef int32_t sam2_memory;

/** Values of ::sam2_memory. */
enum sam2_memory_value {
    /** Host memory. */
    SAM2_MEMORY_HOST = 0,
    /** Memory of the GPU that the model runs on, in its primary context. */
    SAM2_MEMORY_CUDA = 1,
};

/** Color matrix of the formats with Y, U and V. */
typedef int32_t sam2_yuv_matrix;

/** Values of ::sam2_yuv_matrix. */
enum sam2_yuv_matrix_value {
    /** ITU-R BT.709, for high definition. */
    SAM2_MATRIX_BT709 = 0,
    /** ITU-R BT.601, for standard definition and JPEG. */
    SAM2_MATRIX_BT601 = 1,
};

/** Value range of the formats with Y, U and V. */
typedef int32_t sam2_yuv_range;

/** Values of ::sam2_yuv_range. */
enum sam2_yuv_range_value {
    /** Black is 16 and white is 235, as in most video. */
    SAM2_RANGE_LIMITED = 0,
    /** Black is 0 and white is 255, as in JPEG and most cameras. */
    SAM2_RANGE_FULL = 1,
};

/**
 * An image in memory that the caller owns. Initialize it with SAM2_IMAGE_INIT.
 *
 * The library uses the pixels until the call returns or the job ends.
 */
typedef struct sam2_image {
    /** sizeof(sam2_image). */
    uint32_t struct_size;
    /** A ::sam2_pixel_format. */
    sam2_pixel_format format;
    /** Width in pixels, 1 to 32768. */
    uint32_t width;
    /** Height in pixels, 1 to 32768. */
    uint32_t height;
    /** First byte of each plane. Most formats have one plane. */
    const void *planes[3];
    /** Bytes from one row to the next, per plane. 0 means rows without gaps. */
    uint64_t strides[3];
    /** A ::sam2_memory. */
    sam2_memory memory;
    /**
     * 1 if `stream` is the CUDA stream on which the caller uses the memory. The library's work then runs after the
     * work that was enqueued on the stream before the call, and before the work that is enqueued after the call. 0
     * if the memory is ready and stays unchanged until the masks are returned.
     */
    int32_t has_stream;
    /** A CUstream or cudaStream_t. NULL is the default stream. */
    void *stream;
    /** A ::sam2_yuv_matrix. */
    sam2_yuv_matrix matrix;
    /** A ::sam2_yuv_range. */
    sam2_yuv_range range;
    /** 1 if the bottom row comes first in memory. Coordinates of prompts and masks start at the top in either case. */
    int32_t flip;
    /** Unused. */
    int32_t reserved;
    /** Any value, such as a time. The ::sam2_frame of a pushed image returns it. */
    int64_t timestamp;
} sam2_image;

/** Options of sam2_image_predictor_create(). Initialize them with SAM2_IMAGE_PREDICTOR_OPTIONS_INIT. */
typedef struct sam2_image_predictor_options {
    /** sizeof(sam2_image_predictor_options). */
    uint32_t struct_size;
    /** Logits above this value are on the object. */
    float mask_threshold;
    /** Largest area of a hole to fill, in pixels of the low-resolution mask. 0 disables it. */
    float max_hole_area;
    /** Largest area of a speck to remove, in pixels of the low-resolution mask. 0 disables it. */
    float max_sprinkle_area;
    /**
     * Memory for the predictor to use instead of allocating: host memory if the model runs on the CPU, otherwise
     * memory of its GPU. It must remain valid until the predictor is destroyed. A sufficient size is the
     * `device_bytes` of an equal predictor after its reservation, plus 4 KiB. If it is too small, calls fail with
     * SAM2_ERROR_OUT_OF_MEMORY. NULL lets the library allocate.
     */
    void *workspace;
    /** Size of `workspace` in bytes. */
    uint64_t workspace_size;
} sam2_image_predictor_options;

/**
 * Receives the end of a job, on a thread of the library. The callback may call the library and may destroy the job.
 *
 * @param user Pointer that was given to the call.
 * @param status How the job ended.
 */
typedef void (*sam2_done_callback)(void *user, sam2_status status);

/** State of an image predictor. Initialize it with SAM2_IMAGE_PREDICTOR_INFO_INIT. */
typedef struct sam2_image_predictor_info {
    /** sizeof(sam2_image_predictor_info). */
    uint32_t struct_size;
    /** Number of current images. */
    uint32_t num_images;
    /** Width of the selected image in pixels. 0 if there is no such image. */
    uint32_t width;
    /** Height of the selected image in pixels. */
    uint32_t height;
    /** Device memory of the predictor in bytes, without the model's weights. */
    uint64_t device_bytes;
} sam2_image_predictor_info;

/** Features of an encoded image. d is the width of the model's embedding, and side the side of its input. */
typedef int32_t sam2_feature;

/** Values of ::sam2_feature. */
enum sam2_feature_value {
    /** (d, side / 16, side / 16): the input of the mask decoder, which is the image embedding of the reference. */
    SAM2_FEATURE_IMAGE_EMBEDDING = 0,
    /** (d / 4, side / 8, side / 8). */
    SAM2_FEATURE_HIGH_RES_1 = 1,
    /** (d / 8, side / 4, side / 4). */
    SAM2_FEATURE_HIGH_RES_0 = 2,
};

/** A prompt for one object: points, a box, a mask, or a combination. Initialize it with SAM2_PROMPT_INIT. */
typedef struct sam2_prompt {
    /** sizeof(sam2_prompt). */
    uint32_t struct_size;
    /** Number of points, at most 1000. */
    uint32_t num_points;
    /** (num_points, 2): x and y, in pixels of the image, or from 0 to 1 if a flag of the call says so. */
    const float *points;
    /** (num_points): 1 for a point on the object, 0 for a point on the background. */
    const int32_t *labels;
    /** (4): left, top, right and bottom of a box. NULL means no box. */
    const float *bounds;
    /**
     * (mask_side, mask_side): logits of an earlier mask, from `low_res_masks`. NULL means none. Image predictors
     * only.
     */
    const float *mask_input;
    /** Index of the image of a batch that the prompt is for. */
    uint32_t image;
    /**
     * 1 passes an empty list of points if `num_points` is 0, as `point_coords` of shape (0, 2) does in the
     * reference, which then adds its padding point. 0 passes no list.
     */
    int32_t pad_points;
    /**
     * (mask_height, mask_width): a mask of any size in place of `mask_input`, nonzero on the object. NULL means
     * none. Image predictors only.
     */
    const uint8_t *mask;
    /** Width of `mask` in pixels. */
    uint32_t mask_width;
    /** Height of `mask` in pixels. */
    uint32_t mask_height;
} sam2_prompt;

/** Flags of sam2_image_predictor_predict(). */
typedef uint32_t sam2_predict_flags;

/** Values of ::sam2_predict_flags. */
enum sam2_predict_flags_value {
    /** Predict three masks per prompt, for ambiguous prompts, instead of one. */
    SAM2_PREDICT_MULTIMASK = 1,
    /** Coordinates range from 0 to 1 instead of pixels. */
    SAM2_PREDICT_NORMALIZED = 2,
};

/** Format of masks in a buffer. */
typedef int32_t sam2_mask_format;

/** Values of ::sam2_mask_format. */
enum sam2_mask_format_value {
    /** One byte per pixel: 1 on the object, otherwise 0. */
    SAM2_MASK_BINARY = 0,
    /** One float32 logit per pixel. Values above the threshold are on the object. */
    SAM2_MASK_LOGITS = 1,
    /** One bit per pixel, the first pixel in the most significant bit. A row takes (width + 7) / 8 bytes. */
    SAM2_MASK_BITS = 2,
    /**
     * One uint16_t per pixel for all masks together: 0, or 1 + the index of the mask with the highest logit at the
     * pixel.
     */
    SAM2_MASK_LABELS = 3,
    /**
     * Videos only: one byte per pixel for all masks together: 0, or the id of the object with the highest logit at the
     * pixel. Ids are 1 to 255.
     */
    SAM2_MASK_IDS8 = 4,
    /**
     * Videos only: one uint16_t per pixel for all masks together: 0, or the id of the object with the highest logit at the
     * pixel. Ids are 1 to 65535.
     */
    SAM2_MASK_IDS16 = 5,
};

/**
 * Memory of the caller that receives masks, one after another, or one map of labels or ids. Initialize it with
 * SAM2_MASK_BUFFER_INIT.
 *
 * The memory may be larger than the masks. For images, and for maps, it must not be smaller. In a video it gets the masks
 * of the first objects that it has room for, and sam2_frame::masks_written is their number. It has room for at least
 * one.
 */
typedef struct sam2_mask_buffer {
    /** sizeof(sam2_mask_buffer). */
    uint32_t struct_size;
    /** A ::sam2_mask_format. */
    sam2_mask_format format;
    /** The memory. NULL means no buffer. */
    void *data;
    /** Size of `data` in bytes. */
    uint64_t size;
    /** A ::sam2_memory. */
    sam2_memory memory;
    /** 1 if `stream` is the CUDA stream on which the caller uses the memory, as in ::sam2_image. */
    int32_t has_stream;
    /** A CUstream or cudaStream_t. NULL is the default stream. */
    void *stream;
    /** 1 writes the bottom row first. */
    int32_t flip;
    /** Unused. */
    int32_t reserved;
    /**
     * Bytes from a row to the next, a multiple of the size of a value. Bytes between rows are not written. 0 means that
     * rows follow one another.
     */
    uint64_t row_stride;
    /** Bytes from a mask to the next, a multiple of the size of a value. 0 means that masks follow one another. */
    uint64_t plane_stride;
} sam2_mask_buffer;

/**
 * Options of sam2_video_predictor_open() and sam2_video_predictor_create_stream(). Initialize them with
 * SAM2_VIDEO_PREDICTOR_OPTIONS_INIT.
 */
typedef struct sam2_video_predictor_options {
    /** sizeof(sam2_video_predictor_options). */
    uint32_t struct_size;
    /** Streams only: number of frames to keep before the latest frame, with their masks. Or SAM2_RETAIN_EVERYTHING. */
    uint32_t window;
    /**
     * 1 keeps corrections of tracked frames through the next propagation. See
     * sam2_video_predictor_add_new_points_or_box().
     */
    int32_t legacy_corrections;
    /** 1 keeps memories in host memory. */
    int32_t offload_state_to_cpu;
    /**
     * Memory for the predictor and its forks to use instead of allocating, as in ::sam2_image_predictor_options. It
     * must remain valid until the predictor and all its forks are destroyed. NULL lets the library allocate.
     */
    void *workspace;
    /** Size of `workspace` in bytes. */
    uint64_t workspace_size;
    /**
     * 1 uses the frames that can be decoded from a damaged or concatenated video file, and skips damaged images of a
     * folder during propagation. The library then logs warnings. 0 treats both as errors.
     */
    int32_t keep_damaged;
    /** Folders only: as in ::sam2_picture_options. Video files are upright in any case. */
    int32_t upright;
    /** Folders only: as in ::sam2_picture_options. */
    uint32_t bit_depth;
    /**
     * Seconds to wait for output of `ffmpeg`. After this time the decoder is terminated and the call fails. 0 means
     * 15 seconds.
     */
    uint32_t decoder_timeout;
} sam2_video_predictor_options;

/** State of a video predictor. Initialize it with SAM2_VIDEO_PREDICTOR_INFO_INIT. */
typedef struct sam2_video_predictor_info {
    /** sizeof(sam2_video_predictor_info). */
    uint32_t struct_size;
    /** Number of objects. */
    uint32_t num_objects;
    /** Number of frames. For a stream, the number of frames so far. */
    uint64_t num_frames;
    /** Width of the frames in pixels. 0 before the first frame of a stream. */
    uint32_t width;
    /** Height of the frames in pixels. */
    uint32_t height;
    /** Device memory of the predictor in bytes, without the model's weights. */
    uint64_t device_bytes;
    /** Host memory for memories, masks and frames in bytes. */
    uint64_t host_bytes;
    /**
     * Largest device memory of an object in a stream with a window, in bytes. 0 if it grows with the number of
     * frames.
     */
    uint64_t object_device_bytes;
    /** Largest host memory of an object in a stream with a window, in bytes. */
    uint64_t object_host_bytes;
} sam2_video_predictor_info;

/**
 * Receives bytes to store.
 *
 * @param user Pointer that was given to the call.
 * @param data The bytes, valid until the callback returns.
 * @param size Number of bytes.
 * @return 0 to continue. Any other value ends the call with SAM2_ERROR_IO.
 */
typedef int32_t (*sam2_write_callback)(void *user, const uint8_t *data, size_t size);

/** Flags of sam2_video_predictor_add_new_points_or_box(). */
typedef uint32_t sam2_prompt_flags;

/** Values of ::sam2_prompt_flags. */
enum sam2_prompt_flags_value {
    /** Keep the points that were added to the frame before. */
    SAM2_PROMPT_KEEP_POINTS = 1,
    /** Coordinates range from 0 to 1 instead of pixels. */
    SAM2_PROMPT_NORMALIZED = 2,
};

/** Results of a frame, valid until the callback that receives them returns. */
typedef struct sam2_frame {
    /** sizeof(sam2_frame) in the library. Fields beyond the size that the program knows can be ignored. */
    uint32_t struct_size;
    /** Number of objects. */
    uint32_t num_objects;
    /** Index of the frame, from 0. */
    uint64_t frame_idx;
    /** Timestamp of the image of the frame, if the frame was pushed and is kept or is the latest one, otherwise 0. */
    int64_t timestamp;
    /** Width of a mask in pixels. */
    uint32_t width;
    /** Height of a mask in pixels. */
    uint32_t height;
    /** (num_objects): ids of the objects. */
    const int64_t *obj_ids;
    /** (num_objects): above 0 if the object is visible. NaN if nothing is known about it on this frame. */
    const float *object_score_logits;
    /** (num_objects): 1 if the object is not visible or nothing is known about it, otherwise 0. */
    const uint8_t *lost;
    /** (num_objects, 4): left, top, right and bottom of the outermost pixels. Zeros if the mask is empty. */
    const int32_t *boxes;
    /** (num_objects): areas of the masks in pixels. */
    const uint64_t *areas;
    /** (num_objects, height, width): logits, above 0 on the object. NULL if the masks are in a buffer of the caller. */
    const float *masks;
    /**
     * Number of masks that were written: those of the first objects. It is less than `num_objects` if a buffer of the
     * caller has no room for more. A map of labels or ids has all masks.
     */
    uint32_t masks_written;
    /** Unused. */
    uint32_t reserved;
} sam2_frame;

/**
 * Receives the results of a frame.
 *
 * The library calls it on the calling thread, or on a thread of its own for a job. The callback may call the library.
 * Calls with the predictor of the call return SAM2_ERROR_BUSY, but for sam2_video_predictor_cancel().
 *
 * @param user Pointer that was given to the call.
 * @param frame The results, valid until the callback returns.
 * @return 0 to continue. During propagation any other value ends the call with SAM2_ERROR_CANCELLED.
 */
typedef int32_t (*sam2_frame_callback)(void *user, const sam2_frame *frame);

/** A frame of one of several streams. Initialize it with SAM2_VIDEO_PUSH_INIT. */
typedef struct sam2_video_push {
    /** sizeof(sam2_video_push). */
    uint32_t struct_size;
    /** Output: the status of this push. */
    sam2_status status;
    /** The predictor of the stream. */
    sam2_video_predictor *video;
    /** The frame. */
    const sam2_image *image;
    /** As in sam2_video_predictor_push_frame(). */
    const sam2_mask_buffer *masks;
    /** As in sam2_video_predictor_push_frame(), but called on any thread. */
    sam2_frame_callback on_frame;
    /** Passed to `on_frame`. */
    void *user;
} sam2_video_push;

/**
 * Options of sam2_automatic_mask_generator_create(). SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT sets the defaults of
 * the reference.
 */
typedef struct sam2_automatic_mask_generator_options {
    /** sizeof(sam2_automatic_mask_generator_options). */
    uint32_t struct_size;
    /** Points along each side of the image, 1 to 1024. 0 if `point_grids` is set. */
    uint32_t points_per_side;
    /** Largest number of points to decode at once. */
    uint32_t points_per_batch;
    /** Number of layers of crops in addition to the whole image, at most 6. Layer i has 4^i crops. */
    uint32_t crop_n_layers;
    /** Each layer has this many times fewer points per side than the previous one. */
    uint32_t crop_n_points_downscale_factor;
    /** Holes and specks of up to this area are filled and removed, in pixels of the low-resolution mask. */
    uint32_t min_mask_region_area;
    /** 1 predicts every mask a second time, from its point and its first mask. */
    int32_t use_m2m;
    /** 1 predicts three masks per point, 0 one. */
    int32_t multimask_output;
    /** Keeps masks with a predicted IoU above this value. 0 disables the filter. */
    float pred_iou_thresh;
    /** Keeps masks with at least this stability score. 0 disables the filter. */
    float stability_score_thresh;
    /** Distance of the two thresholds of the stability score from `mask_threshold`. */
    float stability_score_offset;
    /** Logits above this value are on the object. */
    float mask_threshold;
    /** Of two masks of a crop whose boxes have a larger IoU, the better one is kept. */
    float box_nms_thresh;
    /** As `box_nms_thresh`, for masks of different crops. The mask of the smaller crop is kept. */
    float crop_nms_thresh;
    /** Overlap of the crops of the first layer, as a fraction of the shorter side, 0 to 1. */
    double crop_overlap_ratio;
    /**
     * Points in place of `points_per_side`: x and y of each, from 0 to 1 of a crop. The points of the whole image
     * come first, then those of each layer of crops. The points are copied. May be NULL.
     */
    const double *point_grids;
    /** (num_point_grids): number of points of the whole image and of each layer, 1 to 1048576. */
    const uint32_t *points_per_grid;
    /** `crop_n_layers` + 1 if `point_grids` is set, otherwise 0. */
    uint32_t num_point_grids;
    /** Unused. */
    uint32_t reserved;
} sam2_automatic_mask_generator_options;

/**
 * Receives the progress of a call after every batch of points.
 *
 * @param user Pointer that was given to the call.
 * @param points_done Number of points that are processed.
 * @param num_points Number of all points.
 * @param num_masks Number of masks found so far.
 * @return 0 to continue. Any other value ends the search with the masks found so far.
 */
typedef int32_t (*sam2_progress_callback)(void *user, uint64_t points_done, uint64_t num_points, uint64_t num_masks);

/** A mask of an image, valid until the callback that receives it returns. */
typedef struct sam2_automatic_mask {
    /** sizeof(sam2_automatic_mask) in the library. */
    uint32_t struct_size;
    /** Width of the image in pixels. */
    uint32_t width;
    /** Height of the image in pixels. */
    uint32_t height;
    /** Predicted IoU of the mask, about 0 to 1. */
    float predicted_iou;
    /** Stability score: IoU of the mask at two thresholds, 0 to 1. NaN if both masks are empty. */
    float stability_score;
    /**
     * Left, top, width and height of the outermost pixels, from the first to the last. A mask of one pixel has width
     * 0.
     */
    float bbox[4];
    /** The point that the mask was predicted from, in pixels. */
    float point_coords[2];
    /** Left, top, width and height of the crop that the mask was found in. */
    float crop_box[4];
    /** Unused. */
    uint32_t reserved;
    /** Area of the mask in pixels. */
    uint64_t area;
    /** The mask as a COCO run-length string, for sam2_mask_decode_rle(). */
    const char *rle;
} sam2_automatic_mask;

/**
 * Receives a mask. Masks arrive in the order of their quality, the best first.
 *
 * @param user Pointer that was given to the call.
 * @param mask The mask, valid until the callback returns.
 * @return 0 to continue. Any other value skips the remaining masks.
 */
typedef int32_t (*sam2_automatic_mask_callback)(void *user, const sam2_automatic_mask *mask);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Gets the version of the binary interface of the loaded library.
 *
 * A program fits the library if the result equals the SAM2_ABI_VERSION that the program was compiled with. The
 * version changes only when a function, a field or a constant is removed or changes its meaning.
 *
 * @return The version of the interface. The call does not block and does not fail.
 */
uint32_t sam2_abi_version(void);

/**
 * Gets the version of the loaded library as text.
 *
 * @return A static string such as "0.1.0", never NULL. The call does not block and does not fail.
 */
const char *sam2_version(void);

/**
 * Gets the version, the platform and the GPU architectures that the library was built for.
 *
 * @return A static string such as "sam2 0.1.0, x86_64-linux, CUDA kernels for 80, 90a", never NULL. The call does
 *         not block and does not fail.
 */
const char *sam2_build_info(void);

/**
 * Sets the log callback of the process.
 *
 * May be called at any time, before a model is loaded too. Blocks until running calls of the previous callback
 * return. The previous callback is not called after this function returns.
 *
 * @param level Least severe ::sam2_log_level to report.
 * @param callback Receives the messages. NULL, the default, disables logging.
 * @param user Passed to `callback`. May be NULL.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if `level` is unknown or the call comes from within a log callback,
 *         or a common status.
 */
sam2_status sam2_set_log_callback(sam2_log_level level, sam2_log_callback callback, void *user);

/**
 * Gets the message of the latest failed call of the calling thread.
 *
 * @return A NUL-terminated UTF-8 string of at most 511 bytes, never NULL. It is empty if no call of this thread has
 *         failed. The string belongs to the thread and changes with the thread's next failed call. The call does not
 *         block and does not fail.
 */
const char *sam2_last_error(void);

/**
 * Gets the system error number of the failure that sam2_last_error() describes.
 *
 * @return A number of errno.h, such as ENOENT for a missing file, or 0 if the system did not refuse a file. The call
 *         does not block and does not fail.
 */
int32_t sam2_last_errno(void);

/**
 * Counts the NVIDIA GPUs of the machine.
 *
 * Blocks while the driver initializes, on the first call of the process.
 *
 * @param count Receives the number of GPUs. It is 0 if the driver is not installed, and sam2_last_error() then gives
 *         the reason.
 * @return SAM2_OK, or a common status.
 */
sam2_status sam2_gpu_get_count(uint32_t *count);

/**
 * Describes a GPU.
 *
 * If models cannot run on the GPU, the call succeeds with `usable` 0, and sam2_last_error() gives the reason.
 *
 * @param index Index of the GPU in the driver's order, from 0.
 * @param info Receives the description, as far as its `struct_size` reaches.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if there is no such GPU, SAM2_ERROR_DEVICE if the driver is not
 *         installed or fails, or a common status.
 */
sam2_status sam2_gpu_get_info(uint32_t index, sam2_gpu_info *info);

/**
 * Loads a checkpoint onto a device.
 *
 * Blocks while the file is read and the weights are prepared, for seconds with a large model. `on_progress` and
 * sam2_set_time_limit() can end the call.
 *
 * @param path Path of a .safetensors, .pt or .bin file, of the index of a checkpoint in several files, or of a
 *         folder that holds one of these. Must not be NULL.
 * @param options Options. NULL uses the defaults.
 * @param out Receives the model. Destroy it with sam2_model_destroy().
 * @return SAM2_OK, SAM2_ERROR_IO if the file cannot be read, SAM2_ERROR_MODEL if the checkpoint or the configuration
 *         is not usable, SAM2_ERROR_DEVICE if the device is missing or fails, SAM2_ERROR_CANCELLED if `on_progress`
 *         returns a nonzero value, or a common status.
 */
sam2_status sam2_model_load(const char *path, const sam2_model_options *options, sam2_model **out);

/**
 * Loads a checkpoint that is in memory. Otherwise as sam2_model_load().
 *
 * @param data The bytes of the checkpoint. They are not used after the call.
 * @param size Number of bytes, greater than 0.
 * @param options Options. NULL uses the defaults.
 * @param out Receives the model. Destroy it with sam2_model_destroy().
 * @return As sam2_model_load().
 */
sam2_status sam2_model_load_memory(const uint8_t *data,
                                   size_t size,
                                   const sam2_model_options *options,
                                   sam2_model **out);

/**
 * Loads a checkpoint that is part of an open file, such as an archive. Otherwise as sam2_model_load().
 *
 * Not supported on Windows.
 *
 * @param fd File descriptor that can be read. The caller keeps it and may close it after the call.
 * @param offset Offset of the checkpoint in the file, in bytes.
 * @param size Size of the checkpoint in bytes. 0 extends to the end of the file.
 * @param options Options. NULL uses the defaults.
 * @param out Receives the model. Destroy it with sam2_model_destroy().
 * @return As sam2_model_load().
 */
sam2_status sam2_model_load_fd(int32_t fd,
                               uint64_t offset,
                               uint64_t size,
                               const sam2_model_options *options,
                               sam2_model **out);

/**
 * Destroys a model.
 *
 * Predictors of the model remain valid. The memory is freed with the last of them.
 *
 * @param model The model.
 * @return SAM2_OK, or SAM2_ERROR_INVALID_HANDLE.
 */
sam2_status sam2_model_destroy(sam2_model *model);

/**
 * Describes a model.
 *
 * @param model The model.
 * @param info Receives the description, as far as its `struct_size` reaches.
 * @return SAM2_OK, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_model_get_info(const sam2_model *model, sam2_model_info *info);

/**
 * Reads an image file with default options. Otherwise as sam2_picture_read_with().
 *
 * @param path Path of the file. Must not be NULL.
 * @param out Receives the decoded file. Destroy it with sam2_picture_destroy().
 * @return As sam2_picture_read_with().
 */
sam2_status sam2_picture_read(const char *path, sam2_picture **out);

/**
 * Reads a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file.
 *
 * The content of the file determines its format. Of an animation, the first frame is read. Palettes are resolved,
 * alpha is dropped, and 16-bit values are reduced to their upper 8 bits. The library logs a warning if an EXIF
 * orientation is not applied, and if a 16-bit file holds small values only. Blocks while the file is read and
 * decoded.
 *
 * @param path Path of the file. Must not be NULL.
 * @param options Options. NULL uses the defaults.
 * @param out Receives the decoded file. Destroy it with sam2_picture_destroy().
 * @return SAM2_OK, SAM2_ERROR_IO if the file cannot be read or decoded, or a common status.
 */
sam2_status sam2_picture_read_with(const char *path,
                                   const sam2_picture_options *options,
                                   sam2_picture **out);

/**
 * Decodes an image file that is in memory. Otherwise as sam2_picture_read_with().
 *
 * @param data The bytes of the file. They are not used after the call.
 * @param size Number of bytes, greater than 0.
 * @param options Options. NULL uses the defaults.
 * @param out Receives the decoded file. Destroy it with sam2_picture_destroy().
 * @return SAM2_OK, SAM2_ERROR_IO if the file cannot be decoded, or a common status.
 */
sam2_status sam2_picture_decode(const uint8_t *data,
                                size_t size,
                                const sam2_picture_options *options,
                                sam2_picture **out);

/**
 * Destroys a decoded image file. Images that describe its pixels become invalid.
 *
 * @param picture The decoded file.
 * @return SAM2_OK, or SAM2_ERROR_INVALID_HANDLE.
 */
sam2_status sam2_picture_destroy(sam2_picture *picture);

/**
 * Describes a decoded image file as an image.
 *
 * @param picture The decoded file. It owns the pixels.
 * @param image Receives the format, the size and the pixels, which are valid until `picture` is destroyed.
 * @return SAM2_OK, or a common status.
 */
sam2_status sam2_picture_get_image(const sam2_picture *picture, sam2_image *image);

/**
 * Creates an image predictor.
 *
 * @param model The model.
 * @param options Options. NULL uses the defaults.
 * @param out Receives the predictor. Destroy it with sam2_image_predictor_destroy().
 * @return SAM2_OK, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_image_predictor_create(const sam2_model *model,
                                        const sam2_image_predictor_options *options,
                                        sam2_image_predictor **out);

/**
 * Destroys an image predictor.
 *
 * Ends the call or job that uses the predictor, as sam2_image_predictor_cancel() does, and blocks until it has ended.
 *
 * @param predictor The predictor.
 * @return SAM2_OK, or SAM2_ERROR_INVALID_HANDLE.
 */
sam2_status sam2_image_predictor_destroy(sam2_image_predictor *predictor);

/**
 * Ends the call that another thread makes with the predictor, or the job that uses it. The call or job ends with
 * SAM2_ERROR_CANCELLED, within some milliseconds on the CPU and after the work that is enqueued on a GPU. Does not
 * block.
 *
 * @param predictor The predictor, which may be in use.
 * @return SAM2_OK, also if nothing uses the predictor, or SAM2_ERROR_INVALID_HANDLE.
 */
sam2_status sam2_image_predictor_cancel(const sam2_image_predictor *predictor);

/**
 * Allocates memory in advance, so that later calls within the given limits do not allocate.
 *
 * The current images are discarded if the predictor has no room for `num_images` images.
 *
 * @param predictor The predictor.
 * @param num_images Number of images in a batch.
 * @param max_points Largest number of points in a prompt. A box counts as two points.
 * @param mask_input 1 if prompts contain masks, otherwise 0.
 * @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common
 *         status.
 */
sam2_status sam2_image_predictor_reserve(sam2_image_predictor *predictor,
                                         uint32_t num_images,
                                         uint32_t max_points,
                                         int32_t mask_input);

/**
 * Encodes an image, which replaces the previous images.
 *
 * Blocks until the image is encoded on the CPU, or until the work is enqueued on a GPU.
 *
 * @param predictor The predictor.
 * @param image The image.
 * @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common
 *         status.
 */
sam2_status sam2_image_predictor_set_image(sam2_image_predictor *predictor, const sam2_image *image);

/**
 * Encodes several images of any sizes, which replace the previous images.
 *
 * The `image` field of a prompt selects one of them. Blocks as sam2_image_predictor_set_image().
 *
 * @param predictor The predictor.
 * @param images Array of images.
 * @param num_images Number of images.
 * @return As sam2_image_predictor_set_image().
 */
sam2_status sam2_image_predictor_set_image_batch(sam2_image_predictor *predictor,
                                                 const sam2_image *images,
                                                 size_t num_images);

/**
 * Starts sam2_image_predictor_set_image_batch() as a job. Returns as soon as the arguments are checked.
 *
 * @param predictor The predictor, which is busy until the job ends.
 * @param images Array of images, which is copied. Their pixels must remain valid until the job ends.
 * @param num_images Number of images.
 * @param on_done Called when the job ends. May be NULL.
 * @param user Passed to `on_done`. May be NULL.
 * @param job Receives the job. NULL starts the job without a handle.
 * @return SAM2_OK if the job started, SAM2_ERROR_BUSY if the predictor is in use, or a common status. No callback is
 *         called after a failure.
 */
sam2_status sam2_image_predictor_set_image_batch_async(sam2_image_predictor *predictor,
                                                       const sam2_image *images,
                                                       size_t num_images,
                                                       sam2_done_callback on_done,
                                                       void *user,
                                                       sam2_job **job);

/**
 * Discards the images.
 *
 * @param predictor The predictor.
 * @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, or a common status.
 */
sam2_status sam2_image_predictor_reset(sam2_image_predictor *predictor);

/**
 * Describes the state of an image predictor and the size of one image.
 *
 * @param predictor The predictor.
 * @param image Index of the image.
 * @param info Receives the description, as far as its `struct_size` reaches.
 * @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, or a common status.
 */
sam2_status sam2_image_predictor_get_info(const sam2_image_predictor *predictor,
                                          uint32_t image,
                                          sam2_image_predictor_info *info);

/**
 * Copies features of an encoded image. Blocks until the image is encoded.
 *
 * @param predictor The predictor.
 * @param feature A ::sam2_feature.
 * @param image Index of the image.
 * @param values Receives the features. NULL returns only the shape.
 * @param size Number of floats in `values`, which must be the product of the shape. Ignored if `values` is NULL.
 * @param shape (3): receives the channels, rows and columns.
 * @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common
 *         status.
 */
sam2_status sam2_image_predictor_get_features(sam2_image_predictor *predictor,
                                              sam2_feature feature,
                                              uint32_t image,
                                              float *values,
                                              size_t size,
                                              uint32_t *shape);

/**
 * Predicts masks for prompts on the current images.
 *
 * A prompt yields n masks: 3 with SAM2_PREDICT_MULTIMASK, otherwise 1. Blocks until the results are in host memory.
 * Results in GPU memory are ordered by the stream of the buffer.
 *
 * @param predictor The predictor.
 * @param prompts Array of prompts, ordered by their images.
 * @param num_prompts Number of prompts.
 * @param flags Combination of ::sam2_predict_flags.
 * @param masks Buffer for (num_prompts, n, height, width) masks with the sizes of the images, or for one map of
 *         labels. NULL returns no masks.
 * @param iou_predictions (num_prompts, n): receives the predicted IoU of each mask, about 0 to 1. Must not be NULL.
 * @param low_res_masks (num_prompts, n, mask_side, mask_side): receives logits from -32 to 32, suitable as
 *         `mask_input`. May be NULL.
 * @param object_score_logits (num_prompts): receives a value above 0 if there is an object. May be NULL.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if a prompt is malformed or refers to an image that is not set,
 *         SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_image_predictor_predict(sam2_image_predictor *predictor,
                                         const sam2_prompt *prompts,
                                         size_t num_prompts,
                                         sam2_predict_flags flags,
                                         const sam2_mask_buffer *masks,
                                         float *iou_predictions,
                                         float *low_res_masks,
                                         float *object_score_logits);

/**
 * Starts sam2_image_predictor_predict() as a job. Returns as soon as the arguments are checked.
 *
 * @param predictor The predictor, which is busy until the job ends.
 * @param prompts Array of prompts, which is copied with their points and boxes. Their masks must remain valid until
 *         the job ends.
 * @param num_prompts Number of prompts.
 * @param flags Combination of ::sam2_predict_flags.
 * @param masks As in sam2_image_predictor_predict(). The memory must remain valid until the job ends.
 * @param iou_predictions As in sam2_image_predictor_predict(). Must remain valid until the job ends.
 * @param low_res_masks As in sam2_image_predictor_predict(). Must remain valid until the job ends.
 * @param object_score_logits As in sam2_image_predictor_predict(). Must remain valid until the job ends.
 * @param on_done Called when the job ends. May be NULL.
 * @param user Passed to `on_done`. May be NULL.
 * @param job Receives the job. NULL starts the job without a handle.
 * @return SAM2_OK if the job started, SAM2_ERROR_BUSY if the predictor is in use, or a common status. No callback is
 *         called after a failure.
 */
sam2_status sam2_image_predictor_predict_async(sam2_image_predictor *predictor,
                                               const sam2_prompt *prompts,
                                               size_t num_prompts,
                                               sam2_predict_flags flags,
                                               const sam2_mask_buffer *masks,
                                               float *iou_predictions,
                                               float *low_res_masks,
                                               float *object_score_logits,
                                               sam2_done_callback on_done,
                                               void *user,
                                               sam2_job **job);

/**
 * Opens a folder of frames or a video file for tracking.
 *
 * The frames of a folder are its JPEG files, or its PNG files if there is no JPEG file, whose names contain numbers
 * (00000.jpg, frame_0001.jpg, 1690000000.5.jpg), in natural order. A warning is logged with the number of other
 * files. Video files require the program `ffmpeg`. Blocks while the folder or file is scanned.
 *
 * @param model The model.
 * @param path Path of the folder or file. Must not be NULL.
 * @param options Options. NULL uses the defaults.
 * @param out Receives the predictor. Destroy it with sam2_video_predictor_destroy().
 * @return SAM2_OK, SAM2_ERROR_IO if the frames cannot be read, SAM2_ERROR_DEVICE if the GPU fails, or a common
 *         status.
 */
sam2_status sam2_video_predictor_open(const sam2_model *model,
                                      const char *path,
                                      const sam2_video_predictor_options *options,
                                      sam2_video_predictor **out);

/**
 * Creates a predictor for a live stream of unknown length, whose frames are passed to
 * sam2_video_predictor_push_frame().
 *
 * @param model The model.
 * @param options Options. NULL uses the defaults.
 * @param out Receives the predictor. Destroy it with sam2_video_predictor_destroy().
 * @return SAM2_OK, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_video_predictor_create_stream(const sam2_model *model,
                                               const sam2_video_predictor_options *options,
                                               sam2_video_predictor **out);

/**
 * Forks a predictor, for example to try a prompt. The fork shares memories and frames with the original and diverges
 * from it.
 *
 * Nothing is copied.
 *
 * @param video The predictor.
 * @param out Receives the fork. Destroy it with sam2_video_predictor_destroy().
 * @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, or a common status.
 */
sam2_status sam2_video_predictor_fork(const sam2_video_predictor *video, sam2_video_predictor **out);

/**
 * Destroys a video predictor. Its forks remain valid.
 *
 * Ends the call or job that uses the predictor, as sam2_video_predictor_cancel() does, and blocks until it has ended.
 *
 * @param video The predictor.
 * @return SAM2_OK, SAM2_ERROR_BUSY in a callback of the predictor, which then remains valid, or
 *         SAM2_ERROR_INVALID_HANDLE.
 */
sam2_status sam2_video_predictor_destroy(sam2_video_predictor *video);

/**
 * Describes the state of a video predictor.
 *
 * @param video The predictor.
 * @param info Receives the description, as far as its `struct_size` reaches.
 * @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, or a common status.
 */
sam2_status sam2_video_predictor_get_info(const sam2_video_predictor *video,
                                          sam2_video_predictor_info *info);

/**
 * Gets the ids of the objects, in the order of their masks.
 *
 * @param video The predictor.
 * @param ids Receives the ids. NULL returns only the count.
 * @param count On entry, the capacity of `ids`. On return, the number of objects, also if the capacity is too small.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the capacity is too small, SAM2_ERROR_BUSY if the predictor is in
 *         use, or a common status.
 */
sam2_status sam2_video_predictor_get_obj_ids(const sam2_video_predictor *video, int64_t *ids, size_t *count);

/**
 * Allocates memory in advance and does all work that is done once, so that the first frames take no longer than
 * later ones.
 *
 * @param video The predictor.
 * @param num_objects Number of objects.
 * @param width Width of the frames in pixels.
 * @param height Height of the frames in pixels.
 * @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common
 *         status.
 */
sam2_status sam2_video_predictor_reserve(sam2_video_predictor *video,
                                         uint32_t num_objects,
                                         uint32_t width,
                                         uint32_t height);

/**
 * Saves the state of all objects, and the frames that a stream keeps.
 *
 * @param video The predictor.
 * @param write Receives the state piece by piece. Must not be NULL.
 * @param user Passed to `write`. May be NULL.
 * @return SAM2_OK, SAM2_ERROR_IO if `write` returns a nonzero value, SAM2_ERROR_BUSY if the predictor is in use,
 *         SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_video_predictor_save_state(const sam2_video_predictor *video,
                                            sam2_write_callback write,
                                            void *user);

/**
 * Replaces the state of a predictor with a saved state. After a failure the predictor is unchanged.
 *
 * @param video The predictor, which must use the same model as the saved one.
 * @param data The bytes that sam2_video_predictor_save_state() wrote. They are not used after the call.
 * @param size Number of bytes.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the state is damaged or belongs to another model, SAM2_ERROR_BUSY
 *         if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_video_predictor_load_state(sam2_video_predictor *video, const uint8_t *data, size_t size);

/**
 * Adds points or a box for an object on a frame, and predicts the masks of the frame.
 *
 * A new id adds an object. Without `masks` and `on_frame` no masks are computed, and the time to add many objects is
 * proportional to their number.
 *
 * A prompt on a tracked frame corrects it. As in the reference, the next propagation over that frame tracks it
 * again, and the correction is lost. After a correction of frame t, propagate from t + 1, or backwards from t - 1,
 * because the following frames attend to the corrected frame. The option `legacy_corrections` keeps corrections
 * through propagation.
 *
 * @param video The predictor.
 * @param frame_idx Index of the frame.
 * @param obj_id Id of the object. The caller chooses it.
 * @param prompt The prompt, without masks.
 * @param flags Combination of ::sam2_prompt_flags.
 * @param masks Buffer for the masks (objects, height, width) or one map of labels. NULL passes logits to `on_frame`
 *         instead.
 * @param on_frame Receives the results of all objects. May be NULL.
 * @param user Passed to `on_frame`. May be NULL.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the prompt is malformed or there is no such frame, SAM2_ERROR_IO
 *         if the frame cannot be read, SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU
 *         fails, or a common status.
 */
sam2_status sam2_video_predictor_add_new_points_or_box(sam2_video_predictor *video,
                                                       uint64_t frame_idx,
                                                       int64_t obj_id,
                                                       const sam2_prompt *prompt,
                                                       sam2_prompt_flags flags,
                                                       const sam2_mask_buffer *masks,
                                                       sam2_frame_callback on_frame,
                                                       void *user);

/**
 * Sets the mask of an object on a frame, and returns the masks of the frame.
 *
 * An empty mask states that the object is not visible.
 *
 * @param video The predictor.
 * @param frame_idx Index of the frame.
 * @param obj_id Id of the object. The caller chooses it.
 * @param mask (height, width): nonzero on the object. The mask may have any size.
 * @param width Width of `mask` in pixels.
 * @param height Height of `mask` in pixels.
 * @param masks As in sam2_video_predictor_add_new_points_or_box().
 * @param on_frame Receives the results of all objects. May be NULL.
 * @param user Passed to `on_frame`. May be NULL.
 * @return As sam2_video_predictor_add_new_points_or_box().
 */
sam2_status sam2_video_predictor_add_new_mask(sam2_video_predictor *video,
                                              uint64_t frame_idx,
                                              int64_t obj_id,
                                              const uint8_t *mask,
                                              uint32_t width,
                                              uint32_t height,
                                              const sam2_mask_buffer *masks,
                                              sam2_frame_callback on_frame,
                                              void *user);

/**
 * Removes the prompts for an object on a frame.
 *
 * @param video The predictor.
 * @param frame_idx Index of the frame.
 * @param obj_id Id of the object.
 * @param masks As in sam2_video_predictor_add_new_points_or_box().
 * @param on_frame Receives the results of all objects. May be NULL.
 * @param user Passed to `on_frame`. May be NULL.
 * @return As sam2_video_predictor_add_new_points_or_box().
 */
sam2_status sam2_video_predictor_clear_all_prompts_in_frame(sam2_video_predictor *video,
                                                            uint64_t frame_idx,
                                                            int64_t obj_id,
                                                            const sam2_mask_buffer *masks,
                                                            sam2_frame_callback on_frame,
                                                            void *user);

/**
 * Sets the mask of an object on a frame from float values, as the reference does from a tensor.
 *
 * The mask is resized to the side of the model's input, and values of at least 0.5 are on the object. A mask of
 * exactly that size is used without thresholding. Otherwise as sam2_video_predictor_add_new_mask().
 *
 * @param video The predictor.
 * @param frame_idx Index of the frame.
 * @param obj_id Id of the object. The caller chooses it.
 * @param mask (height, width) values.
 * @param width Width of `mask` in pixels.
 * @param height Height of `mask` in pixels.
 * @param masks As in sam2_video_predictor_add_new_points_or_box().
 * @param on_frame Receives the results of all objects. May be NULL.
 * @param user Passed to `on_frame`. May be NULL.
 * @return As sam2_video_predictor_add_new_points_or_box().
 */
sam2_status sam2_video_predictor_add_new_mask_f32(sam2_video_predictor *video,
                                                  uint64_t frame_idx,
                                                  int64_t obj_id,
                                                  const float *mask,
                                                  uint32_t width,
                                                  uint32_t height,
                                                  const sam2_mask_buffer *masks,
                                                  sam2_frame_callback on_frame,
                                                  void *user);

/**
 * Removes an object and its memories.
 *
 * @param video The predictor.
 * @param obj_id Id of the object.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if there is no such object, SAM2_ERROR_BUSY if the predictor is in
 *         use, or a common status.
 */
sam2_status sam2_video_predictor_remove_object(sam2_video_predictor *video, int64_t obj_id);

/**
 * Removes all objects.
 *
 * @param video The predictor.
 * @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, or a common status.
 */
sam2_status sam2_video_predictor_reset_state(sam2_video_predictor *video);

/**
 * Tracks all objects through the video.
 *
 * Blocks until the last frame is tracked, unless `on_frame` returns a nonzero value or another thread calls
 * sam2_video_predictor_cancel(). The results of the frames that were tracked until then are kept, also after a
 * failure.
 *
 * @param video The predictor.
 * @param start_frame_idx Index of the first frame. A negative value starts at the first frame with a prompt.
 * @param max_frame_num_to_track Largest number of frames to track after the first one. A negative value continues to
 *         the end.
 * @param reverse 1 tracks towards the first frame of the video.
 * @param masks Buffer for the masks of each frame, which is written before `on_frame` is called. See
 *         sam2_video_predictor_add_new_points_or_box().
 * @param on_frame Receives the results of each frame. May be NULL.
 * @param user Passed to `on_frame`. May be NULL.
 * @return SAM2_OK, SAM2_ERROR_CANCELLED if the call was ended, SAM2_ERROR_INVALID_ARGUMENT if there is no such frame
 *         or no prompt, SAM2_ERROR_IO if a frame cannot be read, SAM2_ERROR_BUSY if the predictor is in use,
 *         SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_video_predictor_propagate_in_video(sam2_video_predictor *video,
                                                    int64_t start_frame_idx,
                                                    int64_t max_frame_num_to_track,
                                                    int32_t reverse,
                                                    const sam2_mask_buffer *masks,
                                                    sam2_frame_callback on_frame,
                                                    void *user);

/**
 * Starts sam2_video_predictor_propagate_in_video() as a job. Returns as soon as the arguments are checked.
 *
 * @param video The predictor, which is busy until the job ends.
 * @param start_frame_idx As in sam2_video_predictor_propagate_in_video().
 * @param max_frame_num_to_track As in sam2_video_predictor_propagate_in_video().
 * @param reverse As in sam2_video_predictor_propagate_in_video().
 * @param masks As in sam2_video_predictor_propagate_in_video(). The memory must remain valid until the job ends.
 * @param on_frame Receives the results of each frame, on a thread of the library. May be NULL.
 * @param on_done Called when the job ends. May be NULL.
 * @param user Passed to `on_frame` and `on_done`. May be NULL.
 * @param job Receives the job. NULL starts the job without a handle.
 * @return SAM2_OK if the job started, SAM2_ERROR_BUSY if the predictor is in use, or a common status. No callback is
 *         called after a failure.
 */
sam2_status sam2_video_predictor_propagate_in_video_async(sam2_video_predictor *video,
                                                          int64_t start_frame_idx,
                                                          int64_t max_frame_num_to_track,
                                                          int32_t reverse,
                                                          const sam2_mask_buffer *masks,
                                                          sam2_frame_callback on_frame,
                                                          sam2_done_callback on_done,
                                                          void *user,
                                                          sam2_job **job);

/**
 * Ends the call that another thread makes with the predictor, or the job that uses it. The call or job ends with
 * SAM2_ERROR_CANCELLED, within some milliseconds on the CPU and after the current frame on a GPU. Does not block.
 *
 * The results of the frames that were tracked until then are kept. A frame whose push is ended is not part of the
 * stream, and can be pushed again.
 *
 * @param video The predictor, which may be in use.
 * @return SAM2_OK, also if nothing uses the predictor, or SAM2_ERROR_INVALID_HANDLE.
 */
sam2_status sam2_video_predictor_cancel(const sam2_video_predictor *video);

/**
 * Passes the next frame to a stream, and tracks all objects to it.
 *
 * Blocks until the results are available. After a failure the frame is not part of the stream.
 *
 * @param video The predictor, created with sam2_video_predictor_create_stream().
 * @param image The frame.
 * @param masks As in sam2_video_predictor_add_new_points_or_box().
 * @param on_frame Receives the results of all objects. May be NULL.
 * @param user Passed to `on_frame`. May be NULL.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the predictor is not a stream or the frame has another size,
 *         SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_video_predictor_push_frame(sam2_video_predictor *video,
                                            const sam2_image *image,
                                            const sam2_mask_buffer *masks,
                                            sam2_frame_callback on_frame,
                                            void *user);

/**
 * Starts sam2_video_predictor_push_frame() as a job. Returns as soon as the arguments are checked.
 *
 * @param video The predictor, which is busy until the job ends.
 * @param image The frame, which is copied. Its pixels must remain valid until the job ends.
 * @param masks As in sam2_video_predictor_add_new_points_or_box(). The memory must remain valid until the job ends.
 * @param on_frame Receives the results of all objects, on a thread of the library. May be NULL.
 * @param on_done Called when the job ends. May be NULL.
 * @param user Passed to `on_frame` and `on_done`. May be NULL.
 * @param job Receives the job. NULL starts the job without a handle.
 * @return SAM2_OK if the job started, SAM2_ERROR_BUSY if the predictor is in use, or a common status. No callback is
 *         called after a failure.
 */
sam2_status sam2_video_predictor_push_frame_async(sam2_video_predictor *video,
                                                  const sam2_image *image,
                                                  const sam2_mask_buffer *masks,
                                                  sam2_frame_callback on_frame,
                                                  sam2_done_callback on_done,
                                                  void *user,
                                                  sam2_job **job);

/**
 * Passes one frame to each of several streams: at the same time on a GPU, one after another on the CPU.
 *
 * Blocks until all pushes end. A failed push does not affect the others.
 *
 * @param pushes Array of pushes. Their `status` is written, unless the call fails before any push starts.
 * @param num_pushes Number of pushes.
 * @return SAM2_OK if all pushes succeed, otherwise the status of the first push that failed, whose message
 *         sam2_last_error() returns. See sam2_video_predictor_push_frame(). SAM2_ERROR_INVALID_ARGUMENT also if
 *         `pushes` is NULL or a `struct_size` is wrong. Then no push starts.
 */
sam2_status sam2_video_predictor_push_frames(sam2_video_push *pushes, size_t num_pushes);

/**
 * Takes the features of the current images out of an image predictor.
 *
 * Blocks until the images are encoded. The predictor then has no images. The features keep the device memory that the
 * images were encoded to, and the predictor allocates other memory for its next images. So one predictor and the
 * features of many images need less memory than many predictors.
 *
 * @param predictor The predictor. It must not work in a workspace.
 * @param out Receives the features, to be passed to sam2_image_predictor_set_features() or sam2_features_destroy().
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the predictor has no images or works in a workspace, SAM2_ERROR_BUSY
 *         if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_image_predictor_take_features(sam2_image_predictor *predictor, sam2_features **out);

/**
 * Makes the images of these features the current ones, without encoding them.
 *
 * @param predictor A predictor of the model that made the features.
 * @param features The features. After SAM2_OK and after SAM2_ERROR_DEVICE the handle is no longer valid. After another
 *                 status it remains valid.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT for features of another model or of a video frame and for a predictor in
 *         a workspace, SAM2_ERROR_BUSY if the predictor or the features are in use, SAM2_ERROR_DEVICE if the GPU fails,
 *         or a common status.
 */
sam2_status sam2_image_predictor_set_features(sam2_image_predictor *predictor, sam2_features *features);

/**
 * Encodes a frame if it is not the current one, and takes its features out of a video predictor.
 *
 * Blocks until the frame is encoded. A predictor and its forks keep the features of the frame that was encoded last:
 * the current frame. After sam2_video_predictor_set_features(), prompts on the frame need not encode it again.
 *
 * @param video The predictor. It must not work in a workspace.
 * @param frame_idx The frame.
 * @param out Receives the features, to be passed to sam2_video_predictor_set_features() or sam2_features_destroy().
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if there is no such frame or the predictor works in a workspace,
 *         SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_IO if the frame cannot be read, SAM2_ERROR_DEVICE if
 *         the GPU fails, or a common status.
 */
sam2_status sam2_video_predictor_take_features(sam2_video_predictor *video,
                                               uint64_t frame_idx,
                                               sam2_features **out);

/**
 * Makes the frame of these features the current one, without encoding it.
 *
 * @param video The predictor that made the features, or a fork of it.
 * @param features The features. After SAM2_OK and after SAM2_ERROR_DEVICE the handle is no longer valid. After another
 *                 status it remains valid.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT for features of another video, of an image, or of a frame that is no
 *         longer kept, and for a predictor in a workspace, SAM2_ERROR_BUSY if the predictor or the features are in use,
 *         SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_video_predictor_set_features(sam2_video_predictor *video, sam2_features *features);

/**
 * Gets the size of features.
 *
 * @param features The features.
 * @param bytes Receives the number of bytes of the device's memory.
 * @return SAM2_OK, SAM2_ERROR_BUSY if another thread uses the features, or a common status.
 */
sam2_status sam2_features_get_bytes(const sam2_features *features, uint64_t *bytes);

/**
 * Destroys features.
 *
 * @param features The features.
 * @return SAM2_OK, SAM2_ERROR_BUSY if another thread uses the features, or SAM2_ERROR_INVALID_HANDLE.
 */
sam2_status sam2_features_destroy(sam2_features *features);

/**
 * Creates a mask generator.
 *
 * @param model The model.
 * @param options Options. NULL uses the defaults.
 * @param out Receives the generator. Destroy it with sam2_automatic_mask_generator_destroy().
 * @return SAM2_OK, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_automatic_mask_generator_create(const sam2_model *model,
                                                 const sam2_automatic_mask_generator_options *options,
                                                 sam2_automatic_mask_generator **out);

/**
 * Destroys a mask generator.
 *
 * Ends the call that another thread makes with the generator, as sam2_automatic_mask_generator_cancel() does, and
 * blocks until that call has returned.
 *
 * @param generator The generator.
 * @return SAM2_OK, SAM2_ERROR_BUSY in a callback of the generator, which then remains valid, or
 *         SAM2_ERROR_INVALID_HANDLE.
 */
sam2_status sam2_automatic_mask_generator_destroy(sam2_automatic_mask_generator *generator);

/**
 * Ends the call that another thread makes with the generator. It returns SAM2_ERROR_CANCELLED. Does not block.
 *
 * @param generator The generator, which may be in use.
 * @return SAM2_OK, also if no call is made, or SAM2_ERROR_INVALID_HANDLE.
 */
sam2_status sam2_automatic_mask_generator_cancel(const sam2_automatic_mask_generator *generator);

/**
 * Finds the masks of all objects in an image.
 *
 * Blocks until all points are processed, the time is over, or `on_progress` returns a nonzero value. Then `on_mask`
 * receives the best masks found so far. If `on_mask` ends the call, the call still succeeds.
 *
 * @param generator The generator.
 * @param image The image.
 * @param milliseconds Longest time to search. SAM2_WAIT_FOREVER sets no limit.
 * @param on_progress Receives the progress. May be NULL.
 * @param on_mask Receives the masks. Must not be NULL.
 * @param user Passed to `on_progress` and `on_mask`. May be NULL.
 * @param complete Receives 1 if all points were processed, otherwise 0. May be NULL.
 * @return SAM2_OK, SAM2_ERROR_CANCELLED after sam2_automatic_mask_generator_cancel(), SAM2_ERROR_BUSY if the generator
 *         is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_automatic_mask_generator_generate(sam2_automatic_mask_generator *generator,
                                                   const sam2_image *image,
                                                   uint64_t milliseconds,
                                                   sam2_progress_callback on_progress,
                                                   sam2_automatic_mask_callback on_mask,
                                                   void *user,
                                                   int32_t *complete);

/**
 * Waits for the end of a job.
 *
 * Blocks for at most the given time. From a callback of the job itself, the call returns SAM2_ERROR_BUSY at once.
 *
 * @param job The job.
 * @param milliseconds Longest time to wait. 0 returns at once, and SAM2_WAIT_FOREVER sets no limit.
 * @param status Receives the status of the job. If the job failed, sam2_last_error() describes the failure.
 * @return SAM2_OK if the job has ended, SAM2_ERROR_BUSY if it is still running, or a common status.
 */
sam2_status sam2_job_wait(const sam2_job *job, uint64_t milliseconds, sam2_status *status);

/**
 * Ends a job. It ends with SAM2_ERROR_CANCELLED, as after sam2_video_predictor_cancel(). Does not block.
 *
 * @param job The job.
 * @return SAM2_OK, also if the job has ended, or SAM2_ERROR_INVALID_HANDLE.
 */
sam2_status sam2_job_cancel(const sam2_job *job);

/**
 * Destroys a job.
 *
 * Blocks until the job ends. From a callback of the job itself, the call returns at once, and the job is freed when
 * it ends.
 *
 * @param job The job.
 * @return SAM2_OK, or SAM2_ERROR_INVALID_HANDLE.
 */
sam2_status sam2_job_destroy(sam2_job *job);

/**
 * Sets the time limit of the calls that the calling thread begins from now on.
 *
 * A call or job that takes longer ends with SAM2_ERROR_TIMED_OUT. The time of a job begins with the call that starts
 * it. On the CPU the end comes within some milliseconds after the limit, and on a GPU after the work that is enqueued.
 * The limit applies to all calls that load, compute, or read the frames of a video. After the end everything is as
 * after another failure of the same call, so the call can be made again.
 *
 * @param milliseconds The limit. SAM2_WAIT_FOREVER, the default of every thread, sets no limit.
 * @param previous Receives the limit before the call, to be set again later. May be NULL.
 * @return SAM2_OK. The call does not block.
 */
sam2_status sam2_set_time_limit(uint64_t milliseconds, uint64_t *previous);

/**
 * Describes a tensor as an image.
 *
 * The tensor has one of these shapes: (height, width) of uint8, (height, width, channels) or (channels, height,
 * width) of uint8 with 1 or 3 channels or of float32, float16 or bfloat16 with 3 channels, or (height, width, 4) of
 * uint8. If both orders fit, the last dimension is the channels. The channels are red, green and blue. A leading
 * dimension of 1 before three others is dropped. The channels of a pixel are adjacent in memory or in planes,
 * whatever the order of dimensions, and rows may have gaps between them.
 *
 * @param tensor The tensor. The caller keeps it and must not delete it while the image is in use.
 * @param image Receives the description. For GPU memory, the caller sets `has_stream` and `stream`.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the tensor is not an image, or a common status.
 */
sam2_status sam2_image_from_dlpack(const DLManagedTensorVersioned *tensor, sam2_image *image);

/**
 * Describes a tensor as a buffer for masks.
 *
 * The type of the values determines the format: uint8 or bool is SAM2_MASK_BINARY, float32 is SAM2_MASK_LOGITS,
 * uint16 is SAM2_MASK_LABELS.
 *
 * @param tensor The tensor, writable and without gaps. The caller keeps it and must not delete it while the buffer
 *         is in use.
 * @param buffer Receives the description. For GPU memory, the caller sets `has_stream` and `stream`.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the tensor cannot receive masks, or a common status.
 */
sam2_status sam2_mask_buffer_from_dlpack(const DLManagedTensorVersioned *tensor,
                                         sam2_mask_buffer *buffer);

/**
 * Creates a tensor for masks.
 *
 * @param model The model, whose GPU the memory may be on. The tensor may outlive it.
 * @param format SAM2_MASK_BINARY, SAM2_MASK_LOGITS or SAM2_MASK_LABELS.
 * @param memory A ::sam2_memory. Host memory is zeroed.
 * @param dims (num_dims): the shape.
 * @param num_dims Number of dimensions, 1 to 4.
 * @param out Receives the tensor. The caller owns it, and passes it on or calls its `deleter`.
 * @return SAM2_OK, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
 */
sam2_status sam2_tensor_create(const sam2_model *model,
                               sam2_mask_format format,
                               sam2_memory memory,
                               const int64_t *dims,
                               uint32_t num_dims,
                               DLManagedTensorVersioned **out);

/**
 * Encodes a mask as a COCO run-length string.
 *
 * @param mask (height, width): nonzero on the object.
 * @param width Width in pixels.
 * @param height Height in pixels.
 * @param rle Receives the NUL-terminated string. NULL returns only the size.
 * @param size On entry, the capacity of `rle` in bytes. On return, the size of the string with its terminating NUL,
 *         also if the capacity is too small.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the capacity is too small, or a common status.
 */
sam2_status sam2_mask_encode_rle(const uint8_t *mask, uint32_t width, uint32_t height, char *rle, size_t *size);

/**
 * Decodes a COCO run-length string.
 *
 * @param rle NUL-terminated string. Must not be NULL.
 * @param width Width in pixels.
 * @param height Height in pixels.
 * @param mask (height, width): receives 1 on the object, otherwise 0.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the string is not a mask of this size, or a common status.
 */
sam2_status sam2_mask_decode_rle(const char *rle, uint32_t width, uint32_t height, uint8_t *mask);

/**
 * Draws masks into one map of labels: 0 on the background, otherwise 1 + the index of the mask.
 *
 * The largest masks are drawn first, so that smaller ones lie on top. Of masks with equal areas, the first lies on
 * top.
 *
 * @param rles Array of COCO run-length strings.
 * @param num_masks Number of masks, at most 65535.
 * @param width Width in pixels.
 * @param height Height in pixels.
 * @param labels (height, width): receives the map.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if a string is not a mask of this size, or a common status.
 */
sam2_status sam2_mask_get_label_map(const char *const *rles,
                                    size_t num_masks,
                                    uint32_t width,
                                    uint32_t height,
                                    uint16_t *labels);

/**
 * Gets the outlines of a mask along the edges of its pixels, as COCO polygons.
 *
 * An outline around the object is clockwise, one around a hole is counterclockwise. Filled together by the even-odd
 * rule, the outlines reproduce the mask.
 *
 * @param rle COCO run-length string. Must not be NULL.
 * @param width Width in pixels, at most 32768.
 * @param height Height in pixels, at most 32768.
 * @param points (num_points, 2): receives the corners of each outline, x from 0 to width and y from 0 to height. The
 *         first corner of an outline is not repeated. NULL returns only the counts.
 * @param num_points On entry, the capacity of `points` in corners. On return, the number of corners.
 * @param rings (num_rings): receives the number of corners of each outline. NULL returns only the counts.
 * @param num_rings On entry, the capacity of `rings`. On return, the number of outlines.
 * @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the string is not a mask of this size or a capacity is too small,
 *         or a common status.
 */
sam2_status sam2_mask_get_polygons(const char *rle,
                                   uint32_t width,
                                   uint32_t height,
                                   uint32_t *points,
                                   size_t *num_points,
                                   uint32_t *rings,
                                   size_t *num_rings);

/**
 * Writes a mask as a PNG file, white on the object and black elsewhere.
 *
 * @param path Path of the file, which is replaced. Must not be NULL.
 * @param mask (height, width): nonzero on the object.
 * @param width Width in pixels.
 * @param height Height in pixels.
 * @return SAM2_OK, SAM2_ERROR_IO if the file cannot be written, or a common status.
 */
sam2_status sam2_mask_write_png(const char *path, const uint8_t *mask, uint32_t width, uint32_t height);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#ifndef __cplusplus
/** Initializer of a ::sam2_gpu_info with the default values. */
#define SAM2_GPU_INFO_INIT \
    {.struct_size = sizeof(sam2_gpu_info)}
/** Initializer of a ::sam2_model_options with the default values. */
#define SAM2_MODEL_OPTIONS_INIT \
    {.struct_size = sizeof(sam2_model_options)}
/** Initializer of a ::sam2_model_info with the default values. */
#define SAM2_MODEL_INFO_INIT \
    {.struct_size = sizeof(sam2_model_info)}
/** Initializer of a ::sam2_picture_options with the default values. */
#define SAM2_PICTURE_OPTIONS_INIT \
    {.struct_size = sizeof(sam2_picture_options)}
/** Initializer of a ::sam2_image with the default values. */
#define SAM2_IMAGE_INIT \
    {.struct_size = sizeof(sam2_image)}
/** Initializer of a ::sam2_image_predictor_options with the default values. */
#define SAM2_IMAGE_PREDICTOR_OPTIONS_INIT \
    {.struct_size = sizeof(sam2_image_predictor_options)}
/** Initializer of a ::sam2_image_predictor_info with the default values. */
#define SAM2_IMAGE_PREDICTOR_INFO_INIT \
    {.struct_size = sizeof(sam2_image_predictor_info)}
/** Initializer of a ::sam2_prompt with the default values. */
#define SAM2_PROMPT_INIT \
    {.struct_size = sizeof(sam2_prompt)}
/** Initializer of a ::sam2_mask_buffer with the default values. */
#define SAM2_MASK_BUFFER_INIT \
    {.struct_size = sizeof(sam2_mask_buffer)}
/** Initializer of a ::sam2_video_predictor_options with the default values. */
#define SAM2_VIDEO_PREDICTOR_OPTIONS_INIT \
    {.struct_size = sizeof(sam2_video_predictor_options)}
/** Initializer of a ::sam2_video_predictor_info with the default values. */
#define SAM2_VIDEO_PREDICTOR_INFO_INIT \
    {.struct_size = sizeof(sam2_video_predictor_info)}
/** Initializer of a ::sam2_video_push with the default values. */
#define SAM2_VIDEO_PUSH_INIT \
    {.struct_size = sizeof(sam2_video_push)}
/** Initializer of a ::sam2_automatic_mask_generator_options with the default values. */
#define SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT \
    {.struct_size = sizeof(sam2_automatic_mask_generator_options), \
        .points_per_side = 32, \
        .points_per_batch = 64, \
        .crop_n_points_downscale_factor = 1, \
        .multimask_output = 1, \
        .pred_iou_thresh = 0.8f, \
        .stability_score_thresh = 0.95f, \
        .stability_score_offset = 1.0f, \
        .box_nms_thresh = 0.7f, \
        .crop_nms_thresh = 0.7f, \
        .crop_overlap_ratio = 0.3413333333333333}
#else
#define SAM2_GPU_INFO_INIT \
    ([] { \
        sam2_gpu_info v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_MODEL_OPTIONS_INIT \
    ([] { \
        sam2_model_options v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_MODEL_INFO_INIT \
    ([] { \
        sam2_model_info v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_PICTURE_OPTIONS_INIT \
    ([] { \
        sam2_picture_options v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_IMAGE_INIT \
    ([] { \
        sam2_image v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_IMAGE_PREDICTOR_OPTIONS_INIT \
    ([] { \
        sam2_image_predictor_options v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_IMAGE_PREDICTOR_INFO_INIT \
    ([] { \
        sam2_image_predictor_info v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_PROMPT_INIT \
    ([] { \
        sam2_prompt v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_MASK_BUFFER_INIT \
    ([] { \
        sam2_mask_buffer v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_VIDEO_PREDICTOR_OPTIONS_INIT \
    ([] { \
        sam2_video_predictor_options v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_VIDEO_PREDICTOR_INFO_INIT \
    ([] { \
        sam2_video_predictor_info v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_VIDEO_PUSH_INIT \
    ([] { \
        sam2_video_push v = {}; \
        v.struct_size = sizeof v; \
        return v; \
    }())
#define SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT \
    ([] { \
        sam2_automatic_mask_generator_options v = {}; \
        v.struct_size = sizeof v; \
        v.points_per_side = 32; \
        v.points_per_batch = 64; \
        v.crop_n_points_downscale_factor = 1; \
        v.multimask_output = 1; \
        v.pred_iou_thresh = 0.8f; \
        v.stability_score_thresh = 0.95f; \
        v.stability_score_offset = 1.0f; \
        v.box_nms_thresh = 0.7f; \
        v.crop_nms_thresh = 0.7f; \
        v.crop_overlap_ratio = 0.3413333333333333; \
        return v; \
    }())
#endif

#endif  /* SAM2_H */
