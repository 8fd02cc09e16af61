/**
 * @file
 * C interface of sam2, an inference engine for Meta's Segment Anything Model 2 (SAM 2 and 2.1). License: Apache-2.0.
 *
 * This file is generated from the Rust source by a test of the project. Do not edit it.
 *
 * A complete program:
 *
 * @code{.c}
@USAGE@
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
