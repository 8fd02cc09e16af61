/* sam2: Meta's Segment Anything Model 2 (SAM 2 and 2.1) as an inference engine. Apache-2.0.
 *
 * Made by the project's tests from the Rust source; do not edit.
 *
 * A whole program:
 *
@USAGE@
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
