package sam2

/*
#include <sam2.h>
#include <stdlib.h>

int32_t sam2_go_frame(void *user, const sam2_frame *frame);
int32_t sam2_go_write(void *user, const uint8_t *data, size_t size);
*/
import "C"

import (
	"context"
	"image"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"
)

// Frame holds the results of a frame.
type Frame struct {
	Index             int
	Width, Height     int
	ObjIDs            []int64
	Timestamp         int64             // timestamp of the pushed image
	ObjectScoreLogits []float32         // above 0 if the object is visible
	Lost              []bool            // whether the object is not visible
	Boxes             []image.Rectangle // bounds of the masks; empty for empty masks
	Areas             []uint64          // areas of the masks in pixels
	Masks             [][]float32       // MaskLogits: (height, width) for each object
	Grays             []*image.Gray     // MaskBytes: 255 on the object
	Bits              [][]uint8         // MaskBits: (height, (width + 7) / 8) for each object
	Labels            []uint16          // MaskLabels: (height, width), one map for all objects
	IDs8              []uint8           // MaskIDs8: (height, width), one map for all objects
	IDs16             []uint16          // MaskIDs16: (height, width), one map for all objects
	MasksWritten      int               // number of masks: those of the first objects that fit into VideoPredictor.Into
}

// VideoPredictorOptions configures a [VideoPredictor]. The zero value selects the defaults.
type VideoPredictorOptions struct {
	Window            int  // streams only: number of frames to keep before the latest frame; negative for all
	LegacyCorrections bool // keep corrections of tracked frames through the next propagation
	OffloadStateToCPU bool // keep memories in host memory
	PictureOptions         // how the images of a folder are read
	KeepDamaged       bool // use the frames of a damaged video that can be decoded, and skip damaged images of a folder
}

func (o VideoPredictorOptions) c() C.sam2_video_predictor_options {
	var c C.sam2_video_predictor_options
	c.struct_size, c.window = C.uint32_t(unsafe.Sizeof(c)), C.SAM2_RETAIN_EVERYTHING
	if o.Window >= 0 {
		c.window = C.uint32_t(o.Window)
	}
	if o.LegacyCorrections {
		c.legacy_corrections = 1
	}
	if o.OffloadStateToCPU {
		c.offload_state_to_cpu = 1
	}
	if o.KeepDamaged {
		c.keep_damaged = 1
	}
	if o.Upright {
		c.upright = 1
	}
	c.bit_depth = C.uint32_t(o.BitDepth)
	return c
}

// VideoPredictor tracks objects through a video.
type VideoPredictor struct {
	p      *C.sam2_video_predictor
	within atomic.Int32
	Format MaskFormat  // format of the masks in frames
	Into   *MaskBuffer // memory for the masks of each frame, which frames then do not have; nil for none
}

func newVideo(make func(**C.sam2_video_predictor) C.sam2_status) (*VideoPredictor, error) {
	v := new(VideoPredictor)
	if err := call(func() C.sam2_status { return make(&v.p) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(v, (*VideoPredictor).Close)
	return v, nil
}

// OpenVideo opens a folder of frames, or a video file if ffmpeg is installed.
func (m *Model) OpenVideo(path string, o VideoPredictorOptions) (*VideoPredictor, error) {
	return m.OpenVideoContext(context.Background(), path, o)
}

// OpenVideoContext is [Model.OpenVideo] with a context.
func (m *Model) OpenVideoContext(ctx context.Context, path string, o VideoPredictorOptions) (*VideoPredictor, error) {
	h, options := m.p, o.c()
	return abandon(ctx, func() (*VideoPredictor, error) {
		defer runtime.KeepAlive(m)
		name := C.CString(path)
		defer C.free(unsafe.Pointer(name))
		return newVideo(func(out **C.sam2_video_predictor) C.sam2_status {
			return C.sam2_video_predictor_open(h, name, &options, out)
		})
	})
}

// NewStream creates a predictor for a live stream of unknown length, whose frames are passed to
// [VideoPredictor.PushFrame].
func (m *Model) NewStream(o VideoPredictorOptions) (*VideoPredictor, error) {
	defer runtime.KeepAlive(m)
	options := o.c()
	return newVideo(func(out **C.sam2_video_predictor) C.sam2_status {
		return C.sam2_video_predictor_create_stream(m.p, &options, out)
	})
}

// Fork returns a predictor that shares memories and frames with v and diverges from it.
func (v *VideoPredictor) Fork() (*VideoPredictor, error) {
	defer runtime.KeepAlive(v)
	return newVideo(func(out **C.sam2_video_predictor) C.sam2_status { return C.sam2_video_predictor_fork(v.p, out) })
}

// Cancel ends the call that another goroutine makes.
func (v *VideoPredictor) Cancel() error {
	defer runtime.KeepAlive(v)
	return call(func() C.sam2_status { return C.sam2_video_predictor_cancel(v.p) })
}

// Close releases the predictor.
func (v *VideoPredictor) Close() error {
	if v.p == nil {
		return errClosed
	}
	if err := closing(&v.within); err != nil {
		return err
	}
	defer runtime.SetFinalizer(v, nil)
	h := v.p
	v.p = nil
	return call(func() C.sam2_status { return C.sam2_video_predictor_destroy(h) })
}

// frames is the state of a call that returns frames.
type frames struct {
	held
	onFrame func(*Frame) bool
	masks   *MaskBuffer // receives the masks; nil if they come with the frame, or go to memory of the caller
}

// target is where the masks of frames go.
type target struct {
	format MaskFormat
	into   *MaskBuffer
}

func (v *VideoPredictor) target() target { return target{v.Format, v.Into} }

// allocate allocates masks for a number of objects, unless they come with the frame.
func (t target) allocate(objects int, size image.Point) (*MaskBuffer, error) {
	if t.format == DefaultMasks || t.format == MaskLogits || objects == 0 {
		return nil, nil
	}
	return newMaskBuffer(t.format, objects, []image.Point{size})
}

// buffer returns the memory for the masks of a call, and whether it belongs to the package. Both are absent if the masks
// come with the frame. objID is the object of a prompt, and size the size of a pushed frame, if any.
func (t target) buffer(h *C.sam2_video_predictor, objID *int64, size *image.Point) (masks *MaskBuffer, own bool, err error) {
	if t.into != nil {
		return t.into, false, t.into.check()
	}
	n, current, err := known(h, objID)
	if err != nil {
		return nil, false, err
	}
	if size != nil {
		current = *size
	}
	masks, err = t.allocate(n, current)
	return masks, masks != nil, err
}

// known returns the number of objects, counting objID if it is new, and the size of frames.
func known(h *C.sam2_video_predictor, objID *int64) (int, image.Point, error) {
	var info C.sam2_video_predictor_info
	info.struct_size = C.uint32_t(unsafe.Sizeof(info))
	if err := call(func() C.sam2_status { return C.sam2_video_predictor_get_info(h, &info) }); err != nil {
		return 0, image.Point{}, err
	}
	size, count := image.Pt(int(info.width), int(info.height)), C.size_t(info.num_objects)
	ids := make([]int64, int(count)+1)
	err := call(func() C.sam2_status {
		return C.sam2_video_predictor_get_obj_ids(h, (*C.int64_t)(&ids[0]), &count)
	})
	n := int(count)
	if err == nil && objID != nil && !slices.Contains(ids[:n], *objID) {
		n++
	}
	return n, size, err
}

// shows is a C call on a predictor, with a buffer for masks and a callback for frames.
type shows func(*C.sam2_video_predictor, *C.sam2_mask_buffer, C.sam2_frame_callback, unsafe.Pointer) error

// show makes a call that returns frames. The parameters are those of buffer.
func show(
	state held, h *C.sam2_video_predictor, to target, objID *int64, size *image.Point,
	onFrame func(*Frame) bool, f shows,
) error {
	masks, own, err := to.buffer(h, objID, size)
	if err != nil {
		return err
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	var buffer C.sam2_mask_buffer
	buffer.struct_size = C.uint32_t(unsafe.Sizeof(buffer))
	if masks != nil {
		buffer = masks.c(&pin)
	}
	shown := &frames{held: state, onFrame: onFrame}
	if own {
		shown.masks = masks
	}
	err = withHandle(shown, func(user unsafe.Pointer) error {
		return f(h, &buffer, C.sam2_frame_callback(C.sam2_go_frame), user)
	})
	shown.release()
	return err
}

//export sam2GoFrame
func sam2GoFrame(user unsafe.Pointer, c *C.sam2_frame) C.int32_t {
	n, pixels := int(c.num_objects), int(c.width)*int(c.height)
	f := &Frame{
		Index: int(c.frame_idx), Width: int(c.width), Height: int(c.height), Timestamp: int64(c.timestamp),
		MasksWritten: int(c.masks_written),
	}
	if n > 0 {
		f.ObjIDs = append(f.ObjIDs, unsafe.Slice((*int64)(c.obj_ids), n)...)
		f.ObjectScoreLogits = append(f.ObjectScoreLogits, unsafe.Slice((*float32)(c.object_score_logits), n)...)
		f.Areas = append(f.Areas, unsafe.Slice((*uint64)(c.areas), n)...)
		boxes, lost := unsafe.Slice((*int32)(c.boxes), 4*n), unsafe.Slice((*uint8)(c.lost), n)
		for i := 0; i < n; i++ {
			box := image.Rectangle{}
			if b := boxes[4*i:]; f.Areas[i] > 0 {
				box = image.Rect(int(b[0]), int(b[1]), int(b[2])+1, int(b[3])+1)
			}
			f.Boxes, f.Lost = append(f.Boxes, box), append(f.Lost, lost[i] != 0)
		}
	}
	if c.masks != nil {
		all := append([]float32(nil), unsafe.Slice((*float32)(c.masks), n*pixels)...)
		for i := 0; i < n; i++ {
			f.Masks = append(f.Masks, cut(&all, pixels))
		}
	}
	s := of[*frames](user)
	if s.masks != nil {
		f.take(s.masks)
	}
	return s.run(func() bool { return s.onFrame(f) })
}

// take copies the masks of a frame, because the next frame may reuse the buffer.
func (f *Frame) take(masks *MaskBuffer) {
	size, bytes, words := image.Pt(f.Width, f.Height), slices.Clone(masks.Bytes), slices.Clone(masks.Words)
	switch masks.Format {
	case MaskBytes:
		for range f.ObjIDs {
			f.Grays = append(f.Grays, gray(cut(&bytes, size.X*size.Y), size))
		}
	case MaskBits:
		for range f.ObjIDs {
			f.Bits = append(f.Bits, cut(&bytes, rowBytes(size.X)*size.Y))
		}
	case MaskLabels:
		f.Labels = words
	case MaskIDs8:
		f.IDs8 = bytes
	case MaskIDs16:
		f.IDs16 = words
	}
}

//export sam2GoWrite
func sam2GoWrite(user unsafe.Pointer, data *C.uint8_t, size C.size_t) C.int32_t {
	to := of[*[]byte](user)
	*to = append(*to, unsafe.Slice((*byte)(data), int(size))...)
	return 0
}

// canceller returns a function that ends the call of a predictor.
func canceller(h *C.sam2_video_predictor) func() {
	return func() { C.sam2_video_predictor_cancel(h) }
}

// one makes a call that returns one frame.
func (v *VideoPredictor) one(ctx context.Context, objID *int64, size *image.Point, f shows) (*Frame, error) {
	// The predictor may be closed before the call ends.
	h, to := v.p, v.target()
	return await(ctx, canceller(h), func() (out *Frame, err error) {
		defer runtime.KeepAlive(v)
		onFrame := func(f *Frame) bool { out = f; return true }
		err = show(held{ctx: context.Background()}, h, to, objID, size, onFrame, f)
		return out, err
	})
}

// AddNewPointsOrBox adds points or a box for an object on a frame. It returns the masks of all objects on the frame.
func (v *VideoPredictor) AddNewPointsOrBox(frameIdx int, objID int64, prompt Prompt, keepPoints bool) (*Frame, error) {
	return v.AddNewPointsOrBoxContext(context.Background(), frameIdx, objID, prompt, keepPoints)
}

// AddNewPointsOrBoxContext is [VideoPredictor.AddNewPointsOrBox] with a context.
func (v *VideoPredictor) AddNewPointsOrBoxContext(ctx context.Context, frameIdx int, objID int64, prompt Prompt, keepPoints bool) (*Frame, error) {
	if len(prompt.Mask) > 0 || prompt.MaskImage != nil {
		return nil, invalid("a mask is given by AddNewMask")
	}
	flags := C.sam2_prompt_flags(0)
	if keepPoints {
		flags = C.SAM2_PROMPT_KEEP_POINTS
	}
	if prompt.Normalized {
		flags |= C.SAM2_PROMPT_NORMALIZED
	}
	return v.one(ctx, &objID, nil, func(h *C.sam2_video_predictor, masks *C.sam2_mask_buffer, onFrame C.sam2_frame_callback, user unsafe.Pointer) error {
		f, _ := flatten(prompt, 0)
		defer f.free()
		return call(func() C.sam2_status {
			return C.sam2_video_predictor_add_new_points_or_box(
				h, C.uint64_t(frameIdx), C.int64_t(objID), &f.c, flags, masks, onFrame, user)
		})
	})
}

// AddNewMask sets the mask of an object on a frame. The mask may have any size and is nonzero on the object.
func (v *VideoPredictor) AddNewMask(frameIdx int, objID int64, mask *image.Gray) (*Frame, error) {
	return v.AddNewMaskContext(context.Background(), frameIdx, objID, mask)
}

// AddNewMaskContext is [VideoPredictor.AddNewMask] with a context.
func (v *VideoPredictor) AddNewMaskContext(ctx context.Context, frameIdx int, objID int64, mask *image.Gray) (*Frame, error) {
	size, pixels := mask.Rect.Size(), tight(mask)
	return v.one(ctx, &objID, nil, func(h *C.sam2_video_predictor, masks *C.sam2_mask_buffer, onFrame C.sam2_frame_callback, user unsafe.Pointer) error {
		return call(func() C.sam2_status {
			return C.sam2_video_predictor_add_new_mask(h, C.uint64_t(frameIdx), C.int64_t(objID),
				(*C.uint8_t)(&pixels[0]), C.uint32_t(size.X), C.uint32_t(size.Y), masks, onFrame, user)
		})
	})
}

// ClearAllPromptsInFrame removes the prompts for an object on a frame.
func (v *VideoPredictor) ClearAllPromptsInFrame(frameIdx int, objID int64) (*Frame, error) {
	return v.ClearAllPromptsInFrameContext(context.Background(), frameIdx, objID)
}

// ClearAllPromptsInFrameContext is [VideoPredictor.ClearAllPromptsInFrame] with a context.
func (v *VideoPredictor) ClearAllPromptsInFrameContext(ctx context.Context, frameIdx int, objID int64) (*Frame, error) {
	return v.one(ctx, nil, nil, func(h *C.sam2_video_predictor, masks *C.sam2_mask_buffer, onFrame C.sam2_frame_callback, user unsafe.Pointer) error {
		return call(func() C.sam2_status {
			return C.sam2_video_predictor_clear_all_prompts_in_frame(
				h, C.uint64_t(frameIdx), C.int64_t(objID), masks, onFrame, user)
		})
	})
}

// RemoveObject removes an object.
func (v *VideoPredictor) RemoveObject(objID int64) error {
	defer runtime.KeepAlive(v)
	return call(func() C.sam2_status { return C.sam2_video_predictor_remove_object(v.p, C.int64_t(objID)) })
}

// ResetState removes all objects.
func (v *VideoPredictor) ResetState() error {
	defer runtime.KeepAlive(v)
	return call(func() C.sam2_status { return C.sam2_video_predictor_reset_state(v.p) })
}

// PropagateInVideo tracks all objects through the video. It starts at frame startFrameIdx, or at the first frame with a
// prompt if startFrameIdx is negative. It tracks at most maxFrameNumToTrack further frames, or all if that is negative.
// onFrame receives each frame and returns whether to continue. Ending the call in this way is not an error.
func (v *VideoPredictor) PropagateInVideo(startFrameIdx, maxFrameNumToTrack int, reverse bool, onFrame func(*Frame) bool) error {
	return v.PropagateInVideoContext(context.Background(), startFrameIdx, maxFrameNumToTrack, reverse, onFrame)
}

// PropagateInVideoContext is [VideoPredictor.PropagateInVideo] with a context. Frames that are already tracked are
// kept.
func (v *VideoPredictor) PropagateInVideoContext(ctx context.Context, startFrameIdx, maxFrameNumToTrack int, reverse bool, onFrame func(*Frame) bool) error {
	h, back, left := v.p, C.int32_t(0), false
	if reverse {
		back = 1
	}
	err := awaitDone(ctx, canceller(h), func() error {
		defer runtime.KeepAlive(v)
		return show(held{ctx: ctx, within: &v.within}, h, v.target(), nil, nil, func(f *Frame) bool {
			left = !onFrame(f)
			return !left
		}, func(h *C.sam2_video_predictor, masks *C.sam2_mask_buffer, onFrame C.sam2_frame_callback, user unsafe.Pointer) error {
			return call(func() C.sam2_status {
				return C.sam2_video_predictor_propagate_in_video(h, C.int64_t(startFrameIdx), C.int64_t(maxFrameNumToTrack), back, masks, onFrame, user)
			})
		})
	})
	if left {
		return nil
	}
	return err
}

// Reserve allocates memory and does one-time work in advance, so that the first frames take no longer than later ones.
func (v *VideoPredictor) Reserve(objects, width, height int) error {
	return v.ReserveContext(context.Background(), objects, width, height)
}

// ReserveContext is [VideoPredictor.Reserve] with a context.
func (v *VideoPredictor) ReserveContext(ctx context.Context, objects, width, height int) error {
	h := v.p
	return awaitDone(ctx, canceller(h), func() error {
		defer runtime.KeepAlive(v)
		return call(func() C.sam2_status {
			return C.sam2_video_predictor_reserve(h, C.uint32_t(objects), C.uint32_t(width), C.uint32_t(height))
		})
	})
}

// PushFrame passes the next frame to a stream. It returns the masks of all objects on the frame.
func (v *VideoPredictor) PushFrame(picture image.Image) (*Frame, error) {
	return v.PushFrameContext(context.Background(), picture, 0)
}

// PushFrameAt is [VideoPredictor.PushFrame] with a timestamp, which the result contains.
func (v *VideoPredictor) PushFrameAt(picture image.Image, timestamp int64) (*Frame, error) {
	return v.PushFrameContext(context.Background(), picture, timestamp)
}

// PushFrameContext is [VideoPredictor.PushFrameAt] with a context.
func (v *VideoPredictor) PushFrameContext(ctx context.Context, picture image.Image, timestamp int64) (*Frame, error) {
	size := image.Point{}
	if picture != nil {
		size = picture.Bounds().Size()
	}
	return v.one(ctx, nil, &size, func(h *C.sam2_video_predictor, masks *C.sam2_mask_buffer, onFrame C.sam2_frame_callback, user unsafe.Pointer) error {
		return withImages([]image.Image{picture}, func(c *C.sam2_image) error {
			c.timestamp = C.int64_t(timestamp)
			return call(func() C.sam2_status { return C.sam2_video_predictor_push_frame(h, c, masks, onFrame, user) })
		})
	})
}

// SaveState returns the state of all objects, and the frames that a stream keeps.
func (v *VideoPredictor) SaveState() ([]byte, error) {
	return v.SaveStateContext(context.Background())
}

// SaveStateContext is [VideoPredictor.SaveState] with a context.
func (v *VideoPredictor) SaveStateContext(ctx context.Context) ([]byte, error) {
	h := v.p
	return await(ctx, canceller(h), func() (state []byte, err error) {
		defer runtime.KeepAlive(v)
		err = withHandle(&state, func(user unsafe.Pointer) error {
			return call(func() C.sam2_status {
				return C.sam2_video_predictor_save_state(h, C.sam2_write_callback(C.sam2_go_write), user)
			})
		})
		return state, err
	})
}

// LoadState replaces the state with a result of [VideoPredictor.SaveState].
func (v *VideoPredictor) LoadState(state []byte) error {
	return v.LoadStateContext(context.Background(), state)
}

// LoadStateContext is [VideoPredictor.LoadState] with a context.
func (v *VideoPredictor) LoadStateContext(ctx context.Context, state []byte) error {
	if len(state) == 0 {
		return invalid("an empty state")
	}
	h := v.p
	return awaitDone(ctx, canceller(h), func() error {
		defer runtime.KeepAlive(v)
		return call(func() C.sam2_status {
			return C.sam2_video_predictor_load_state(h, (*C.uint8_t)(&state[0]), C.size_t(len(state)))
		})
	})
}
