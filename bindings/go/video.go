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
	"errors"
	"image"
	"runtime"
	"slices"
	"unsafe"
)

// Frame is what was found on a frame.
type Frame struct {
	Index         int
	Width, Height int
	Objects       []int64
	Timestamp     int64             // of the picture that was pushed
	Scores        []float32         // above 0 where the object is to be seen
	Lost          []bool            // it is not
	Boxes         []image.Rectangle // of the masks; empty where they are
	Areas         []uint64          // pixels of the masks
	Masks         [][]float32       // of MaskLogits: (height, width) of each object
	Grays         []*image.Gray     // of MaskBytes: 255 on the object
	Bits          [][]uint8         // of MaskBits: (height, (width + 7) / 8) of each object
	Labels        []uint16          // of MaskLabels: (height, width), the map of all objects
}

// VideoOptions say how a video predictor keeps what it learns; the zero value is the default.
type VideoOptions struct {
	Window            int  // of a stream: so many frames before the last are kept; negative: all
	LegacyCorrections bool // corrections of tracked frames outlast the next propagation over them
	OffloadStateToCPU bool
	PictureOptions         // how the pictures of a folder are read
	KeepDamaged       bool // take what decodes of damaged videos, and pass over damaged pictures of a folder
}

func (o VideoOptions) c() C.sam2_video_options {
	var c C.sam2_video_options
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

// VideoPredictor follows objects through a video.
type VideoPredictor struct {
	p    *C.sam2_video_predictor
	Form MaskForm // of masks
}

func newVideo(make func(**C.sam2_video_predictor) C.sam2_status) (*VideoPredictor, error) {
	v := new(VideoPredictor)
	if err := call(func() C.sam2_status { return make(&v.p) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(v, (*VideoPredictor).Close)
	return v, nil
}

// OpenVideo opens a folder of frames, or a video file where ffmpeg is installed.
func (m *Model) OpenVideo(path string, o VideoOptions) (*VideoPredictor, error) {
	return m.OpenVideoContext(context.Background(), path, o)
}

// OpenVideoContext is OpenVideo until a context is done.
func (m *Model) OpenVideoContext(ctx context.Context, path string, o VideoOptions) (*VideoPredictor, error) {
	h, options := m.p, o.c()
	return await(ctx, func() (*VideoPredictor, error) {
		defer runtime.KeepAlive(m)
		name := C.CString(path)
		defer C.free(unsafe.Pointer(name))
		return newVideo(func(out **C.sam2_video_predictor) C.sam2_status {
			return C.sam2_video_predictor_open(h, name, &options, out)
		})
	})
}

// NewStream makes a predictor for frames that come one by one: PushFrame.
func (m *Model) NewStream(o VideoOptions) (*VideoPredictor, error) {
	options := o.c()
	return newVideo(func(out **C.sam2_video_predictor) C.sam2_status {
		return C.sam2_video_predictor_stream(m.p, &options, out)
	})
}

// Fork makes a predictor that knows what this one does and goes its own way from here.
func (v *VideoPredictor) Fork() (*VideoPredictor, error) {
	return newVideo(func(out **C.sam2_video_predictor) C.sam2_status { return C.sam2_video_predictor_fork(v.p, out) })
}

// Close lets go of the predictor.
func (v *VideoPredictor) Close() error {
	if v.p == nil {
		return errClosed
	}
	defer runtime.SetFinalizer(v, nil)
	p := v.p
	v.p = nil
	return call(func() C.sam2_status { return C.sam2_video_predictor_destroy(p) })
}

// frames is a call in progress that shows frames.
type frames struct {
	held
	each  func(*Frame) bool
	masks *maskBuffer // where masks go; nil: with the frame
}

// into makes room for masks of so many objects of a size, unless they come with the frame.
func into(form MaskForm, objects int, size image.Point) (*maskBuffer, error) {
	if form == DefaultMasks || form == MaskLogits || objects == 0 {
		return nil, nil
	}
	return newMaskBuffer(form, objects, []image.Point{size})
}

// known is how many objects there are, with one more if it is not among them, and the size of frames.
func known(h *C.sam2_video_predictor, object *int64) (int, image.Point, error) {
	var info C.sam2_video_info
	info.struct_size = C.uint32_t(unsafe.Sizeof(info))
	if err := call(func() C.sam2_status { return C.sam2_video_predictor_get_info(h, &info) }); err != nil {
		return 0, image.Point{}, err
	}
	size, count := image.Pt(int(info.width), int(info.height)), C.size_t(info.num_objects)
	ids := make([]int64, int(count)+1)
	err := call(func() C.sam2_status {
		return C.sam2_video_predictor_get_object_ids(h, (*C.int64_t)(&ids[0]), &count)
	})
	n := int(count)
	if err == nil && object != nil && !slices.Contains(ids[:n], *object) {
		n++
	}
	return n, size, err
}

// shows is a call of C on a predictor, with a buffer for masks and who gets the frames.
type shows func(*C.sam2_video_predictor, *C.sam2_mask_buffer, C.sam2_frame_callback, unsafe.Pointer) error

// show makes a call that shows frames: of the object that is said something of, and of frames of a size; nil: of those that
// are known.
func show(
	ctx context.Context, h *C.sam2_video_predictor, form MaskForm, object *int64, size *image.Point,
	each func(*Frame) bool, f shows,
) error {
	n, own, err := known(h, object)
	if err != nil {
		return err
	}
	if size != nil {
		own = *size
	}
	masks, err := into(form, n, own)
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
	shown := &frames{held: held{ctx: ctx}, each: each, masks: masks}
	err = withHandle(shown, func(user unsafe.Pointer) error {
		return f(h, &buffer, C.sam2_frame_callback(C.sam2_go_frame), user)
	})
	shown.release()
	return err
}

//export sam2GoFrame
func sam2GoFrame(user unsafe.Pointer, c *C.sam2_frame) C.int32_t {
	n, pixels := int(c.num_objects), int(c.width)*int(c.height)
	f := &Frame{Index: int(c.frame_idx), Width: int(c.width), Height: int(c.height), Timestamp: int64(c.timestamp)}
	if n > 0 {
		f.Objects = append(f.Objects, unsafe.Slice((*int64)(c.object_ids), n)...)
		f.Scores = append(f.Scores, unsafe.Slice((*float32)(c.scores), n)...)
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
	return s.run(func() bool { return s.each(f) })
}

// take copies the masks of a frame, whose buffer the next frame may have.
func (f *Frame) take(masks *maskBuffer) {
	size, bytes := image.Pt(f.Width, f.Height), append([]uint8(nil), masks.bytes...)
	for range f.Objects {
		switch masks.form {
		case MaskBytes:
			f.Grays = append(f.Grays, gray(cut(&bytes, size.X*size.Y), size))
		case MaskBits:
			f.Bits = append(f.Bits, cut(&bytes, rowBytes(size.X)*size.Y))
		}
	}
	if masks.form == MaskLabels {
		f.Labels = append([]uint16(nil), masks.labels[:size.X*size.Y]...)
	}
}

//export sam2GoWrite
func sam2GoWrite(user unsafe.Pointer, data *C.uint8_t, size C.size_t) C.int32_t {
	to := of[*[]byte](user)
	*to = append(*to, unsafe.Slice((*byte)(data), int(size))...)
	return 0
}

// one makes a call that gives one frame.
func (v *VideoPredictor) one(ctx context.Context, object *int64, size *image.Point, f shows) (*Frame, error) {
	// The predictor may be closed before the call ends.
	h, form := v.p, v.Form
	return await(ctx, func() (out *Frame, err error) {
		defer runtime.KeepAlive(v)
		each := func(f *Frame) bool { out = f; return true }
		err = show(context.Background(), h, form, object, size, each, f)
		return out, err
	})
}

// AddNewPointsOrBox says where an object is on a frame; returns the masks of all objects there.
func (v *VideoPredictor) AddNewPointsOrBox(frame int, object int64, said Prompt, keepPoints bool) (*Frame, error) {
	return v.AddNewPointsOrBoxContext(context.Background(), frame, object, said, keepPoints)
}

// AddNewPointsOrBoxContext is AddNewPointsOrBox until a context is done.
func (v *VideoPredictor) AddNewPointsOrBoxContext(ctx context.Context, frame int, object int64, said Prompt, keepPoints bool) (*Frame, error) {
	if len(said.Mask) > 0 || said.MaskImage != nil {
		return nil, invalid("a mask is given by AddNewMask")
	}
	flags := C.uint32_t(0)
	if keepPoints {
		flags = C.SAM2_PROMPT_KEEP_POINTS
	}
	return v.one(ctx, &object, nil, func(h *C.sam2_video_predictor, masks *C.sam2_mask_buffer, each C.sam2_frame_callback, user unsafe.Pointer) error {
		f, _ := flatten(said, 0)
		defer f.free()
		return call(func() C.sam2_status {
			return C.sam2_video_predictor_add_new_points_or_box(
				h, C.uint64_t(frame), C.int64_t(object), &f.c, flags, masks, each, user)
		})
	})
}

// AddNewMask says where an object is on a frame by a mask of any size, 0 where it is not.
func (v *VideoPredictor) AddNewMask(frame int, object int64, mask *image.Gray) (*Frame, error) {
	return v.AddNewMaskContext(context.Background(), frame, object, mask)
}

// AddNewMaskContext is AddNewMask until a context is done.
func (v *VideoPredictor) AddNewMaskContext(ctx context.Context, frame int, object int64, mask *image.Gray) (*Frame, error) {
	size, pixels := mask.Rect.Size(), tight(mask)
	return v.one(ctx, &object, nil, func(h *C.sam2_video_predictor, masks *C.sam2_mask_buffer, each C.sam2_frame_callback, user unsafe.Pointer) error {
		return call(func() C.sam2_status {
			return C.sam2_video_predictor_add_new_mask(h, C.uint64_t(frame), C.int64_t(object),
				(*C.uint8_t)(&pixels[0]), C.uint32_t(size.X), C.uint32_t(size.Y), masks, each, user)
		})
	})
}

// ClearAllPromptsInFrame forgets what was said of an object on a frame.
func (v *VideoPredictor) ClearAllPromptsInFrame(frame int, object int64) (*Frame, error) {
	return v.ClearAllPromptsInFrameContext(context.Background(), frame, object)
}

// ClearAllPromptsInFrameContext is ClearAllPromptsInFrame until a context is done.
func (v *VideoPredictor) ClearAllPromptsInFrameContext(ctx context.Context, frame int, object int64) (*Frame, error) {
	return v.one(ctx, nil, nil, func(h *C.sam2_video_predictor, masks *C.sam2_mask_buffer, each C.sam2_frame_callback, user unsafe.Pointer) error {
		return call(func() C.sam2_status {
			return C.sam2_video_predictor_clear_all_prompts_in_frame(
				h, C.uint64_t(frame), C.int64_t(object), masks, each, user)
		})
	})
}

// RemoveObject removes an object.
func (v *VideoPredictor) RemoveObject(object int64) error {
	return call(func() C.sam2_status { return C.sam2_video_predictor_remove_object(v.p, C.int64_t(object)) })
}

// ResetState removes all objects.
func (v *VideoPredictor) ResetState() error {
	return call(func() C.sam2_status { return C.sam2_video_predictor_reset_state(v.p) })
}

// PropagateInVideo follows all objects from frame start (negative: the first that anything was said of) over at most count
// further frames (negative: to the end), or backwards. each gets the masks and returns whether to go on; ending so is no error.
func (v *VideoPredictor) PropagateInVideo(start, count int, reverse bool, each func(*Frame) bool) error {
	return v.PropagateInVideoContext(context.Background(), start, count, reverse, each)
}

// PropagateInVideoContext is PropagateInVideo until a context is done: what was found so far is kept.
func (v *VideoPredictor) PropagateInVideoContext(ctx context.Context, start, count int, reverse bool, each func(*Frame) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	back, ended := C.int32_t(0), false
	if reverse {
		back = 1
	}
	err := show(ctx, v.p, v.Form, nil, nil, func(f *Frame) bool {
		ended = !each(f)
		return !ended
	}, func(h *C.sam2_video_predictor, masks *C.sam2_mask_buffer, each C.sam2_frame_callback, user unsafe.Pointer) error {
		return call(func() C.sam2_status {
			return C.sam2_video_predictor_propagate_in_video(h, C.int64_t(start), C.int64_t(count), back, masks, each, user)
		})
	})
	runtime.KeepAlive(v)
	if ended {
		return nil
	}
	var stopped *Error
	if errors.As(err, &stopped) && stopped.Status == Cancelled && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Cancel ends a propagation in progress, from another goroutine.
func (v *VideoPredictor) Cancel() error {
	return call(func() C.sam2_status { return C.sam2_video_predictor_cancel(v.p) })
}

// Reserve allocates what following so many objects needs, and does what is done once, before the first frame.
func (v *VideoPredictor) Reserve(objects, width, height int) error {
	return v.ReserveContext(context.Background(), objects, width, height)
}

// ReserveContext is Reserve until a context is done.
func (v *VideoPredictor) ReserveContext(ctx context.Context, objects, width, height int) error {
	h := v.p
	return awaitDone(ctx, func() error {
		defer runtime.KeepAlive(v)
		return call(func() C.sam2_status {
			return C.sam2_video_predictor_reserve(h, C.uint32_t(objects), C.uint32_t(width), C.uint32_t(height))
		})
	})
}

// PushFrame gives a stream its next frame; returns the masks of all objects there.
func (v *VideoPredictor) PushFrame(picture image.Image) (*Frame, error) {
	return v.PushFrameContext(context.Background(), picture, 0)
}

// PushFrameAt is PushFrame with a time of the caller's, which comes back with the masks.
func (v *VideoPredictor) PushFrameAt(picture image.Image, timestamp int64) (*Frame, error) {
	return v.PushFrameContext(context.Background(), picture, timestamp)
}

// PushFrameContext is PushFrameAt until a context is done.
func (v *VideoPredictor) PushFrameContext(ctx context.Context, picture image.Image, timestamp int64) (*Frame, error) {
	size := image.Point{}
	if picture != nil {
		size = picture.Bounds().Size()
	}
	return v.one(ctx, nil, &size, func(h *C.sam2_video_predictor, masks *C.sam2_mask_buffer, each C.sam2_frame_callback, user unsafe.Pointer) error {
		return withImages([]image.Image{picture}, func(c *C.sam2_image) error {
			c.timestamp = C.int64_t(timestamp)
			return call(func() C.sam2_status { return C.sam2_video_predictor_push_frame(h, c, masks, each, user) })
		})
	})
}

// SaveState returns everything that is known of the objects, and the frames of a stream that are kept.
func (v *VideoPredictor) SaveState() ([]byte, error) {
	return v.SaveStateContext(context.Background())
}

// SaveStateContext is SaveState until a context is done.
func (v *VideoPredictor) SaveStateContext(ctx context.Context) ([]byte, error) {
	h := v.p
	return await(ctx, func() (state []byte, err error) {
		defer runtime.KeepAlive(v)
		err = withHandle(&state, func(user unsafe.Pointer) error {
			return call(func() C.sam2_status {
				return C.sam2_video_predictor_save_state(h, C.sam2_write_callback(C.sam2_go_write), user)
			})
		})
		return state, err
	})
}

// LoadState takes what SaveState returned, in place of all that was known.
func (v *VideoPredictor) LoadState(state []byte) error {
	return v.LoadStateContext(context.Background(), state)
}

// LoadStateContext is LoadState until a context is done.
func (v *VideoPredictor) LoadStateContext(ctx context.Context, state []byte) error {
	if len(state) == 0 {
		return invalid("an empty state")
	}
	h := v.p
	return awaitDone(ctx, func() error {
		defer runtime.KeepAlive(v)
		return call(func() C.sam2_status {
			return C.sam2_video_predictor_load_state(h, (*C.uint8_t)(&state[0]), C.size_t(len(state)))
		})
	})
}
