/* sam2: Meta's Segment Anything Model 2 (SAM 2 and 2.1) as an inference engine. Apache-2.0.
 *
 * Made by the project's tests from the Rust source; do not edit.
 *
 * A whole program:
 *
@USAGE@
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
