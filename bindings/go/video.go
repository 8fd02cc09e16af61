package sam2

/*
#include <sam2.h>
#include <stdlib.h>

int32_t sam2_go_frame(void *user, const sam2_frame *frame);
int32_t sam2_go_write(void *user, const uint8_t *data, size_t size);
*/
import "C"

import (
	"image"
	"runtime"
	"runtime/cgo"
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
	Masks         [][]float32       // (height, width) of each object: logits; above 0 is on it
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
type VideoPredictor struct{ p *C.sam2_video_predictor }

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
	name, options := C.CString(path), o.c()
	defer C.free(unsafe.Pointer(name))
	return newVideo(func(out **C.sam2_video_predictor) C.sam2_status {
		return C.sam2_video_predictor_open(m.p, name, &options, out)
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

// frames makes a call whose frames go to each.
func (v *VideoPredictor) frames(each func(*Frame) bool, f func(C.sam2_frame_callback, unsafe.Pointer) C.sam2_status) error {
	h := cgo.NewHandle(each)
	defer h.Delete()
	user := C.malloc(C.size_t(unsafe.Sizeof(h)))
	defer C.free(user)
	*(*cgo.Handle)(user) = h
	err := call(func() C.sam2_status { return f(C.sam2_frame_callback(C.sam2_go_frame), user) })
	runtime.KeepAlive(v)
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
			f.Masks = append(f.Masks, all[i*pixels:][:pixels:pixels])
		}
	}
	if (*(*cgo.Handle)(user)).Value().(func(*Frame) bool)(f) {
		return 0
	}
	return 1
}

//export sam2GoWrite
func sam2GoWrite(user unsafe.Pointer, data *C.uint8_t, size C.size_t) C.int32_t {
	to := (*(*cgo.Handle)(user)).Value().(*[]byte)
	*to = append(*to, unsafe.Slice((*byte)(data), int(size))...)
	return 0
}

// one makes a call that gives one frame.
func (v *VideoPredictor) one(f func(C.sam2_frame_callback, unsafe.Pointer) C.sam2_status) (out *Frame, err error) {
	err = v.frames(func(f *Frame) bool { out = f; return true }, f)
	return out, err
}

// AddNewPointsOrBox says where an object is on a frame; returns the masks of all objects there.
func (v *VideoPredictor) AddNewPointsOrBox(frame int, object int64, said Prompt, keepPoints bool) (*Frame, error) {
	f := flatten(said)
	defer f.free()
	flags := C.uint32_t(0)
	if keepPoints {
		flags = C.SAM2_PROMPT_KEEP_POINTS
	}
	return v.one(func(each C.sam2_frame_callback, user unsafe.Pointer) C.sam2_status {
		return C.sam2_video_predictor_add_new_points_or_box(v.p, C.uint64_t(frame), C.int64_t(object), &f.c, flags, nil, each, user)
	})
}

// AddNewMask says where an object is on a frame by a mask, 0 where it is not.
func (v *VideoPredictor) AddNewMask(frame int, object int64, mask *image.Gray) (*Frame, error) {
	w, h, pixels := mask.Rect.Dx(), mask.Rect.Dy(), tight(mask)
	return v.one(func(each C.sam2_frame_callback, user unsafe.Pointer) C.sam2_status {
		return C.sam2_video_predictor_add_new_mask(
			v.p, C.uint64_t(frame), C.int64_t(object), (*C.uint8_t)(&pixels[0]), C.uint32_t(w), C.uint32_t(h), nil, each, user)
	})
}

// ClearAllPromptsInFrame forgets what was said of an object on a frame.
func (v *VideoPredictor) ClearAllPromptsInFrame(frame int, object int64) (*Frame, error) {
	return v.one(func(each C.sam2_frame_callback, user unsafe.Pointer) C.sam2_status {
		return C.sam2_video_predictor_clear_all_prompts_in_frame(v.p, C.uint64_t(frame), C.int64_t(object), nil, each, user)
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
	back, ended := C.int32_t(0), false
	if reverse {
		back = 1
	}
	err := v.frames(func(f *Frame) bool {
		ended = !each(f)
		return !ended
	}, func(each C.sam2_frame_callback, user unsafe.Pointer) C.sam2_status {
		return C.sam2_video_predictor_propagate_in_video(v.p, C.int64_t(start), C.int64_t(count), back, nil, each, user)
	})
	if ended {
		return nil
	}
	return err
}

// Cancel ends a propagation in progress, from another goroutine.
func (v *VideoPredictor) Cancel() error {
	return call(func() C.sam2_status { return C.sam2_video_predictor_cancel(v.p) })
}

// Reserve allocates what following so many objects needs, and does what is done once, before the first frame.
func (v *VideoPredictor) Reserve(objects, width, height int) error {
	return call(func() C.sam2_status {
		return C.sam2_video_predictor_reserve(v.p, C.uint32_t(objects), C.uint32_t(width), C.uint32_t(height))
	})
}

// PushFrame gives a stream its next frame; returns the masks of all objects there.
func (v *VideoPredictor) PushFrame(picture image.Image) (*Frame, error) {
	return v.PushFrameAt(picture, 0)
}

// PushFrameAt is PushFrame with a time of the caller's, which comes back with the masks.
func (v *VideoPredictor) PushFrameAt(picture image.Image, timestamp int64) (out *Frame, err error) {
	err = withImages([]image.Image{picture}, func(c *C.sam2_image) error {
		c.timestamp = C.int64_t(timestamp)
		out, err = v.one(func(each C.sam2_frame_callback, user unsafe.Pointer) C.sam2_status {
			return C.sam2_video_predictor_push_frame(v.p, c, nil, each, user)
		})
		return err
	})
	return out, err
}

// SaveState returns everything that is known of the objects, and the frames of a stream that are kept.
func (v *VideoPredictor) SaveState() ([]byte, error) {
	var state []byte
	h := cgo.NewHandle(&state)
	defer h.Delete()
	user := C.malloc(C.size_t(unsafe.Sizeof(h)))
	defer C.free(user)
	*(*cgo.Handle)(user) = h
	err := call(func() C.sam2_status {
		return C.sam2_video_predictor_save_state(v.p, C.sam2_write_callback(C.sam2_go_write), user)
	})
	return state, err
}

// LoadState takes what SaveState returned, in place of all that was known.
func (v *VideoPredictor) LoadState(state []byte) error {
	if len(state) == 0 {
		return &Error{InvalidArgument, "an empty state"}
	}
	return call(func() C.sam2_status {
		return C.sam2_video_predictor_load_state(v.p, (*C.uint8_t)(&state[0]), C.size_t(len(state)))
	})
}
