// Package sam2 finds masks of objects in pictures and follows objects through videos: Segment Anything Model 2.
//
// It is a thin layer over the C library, whose header says threads, memory and units in full. Objects are closed by Close;
// one that is forgotten is closed by the garbage collector. A predictor is for one goroutine at a time: a call on one that is in
// use returns an error with status Busy.
//
// A long call has a second form, whose name ends in Context: it returns the context's Err once the context is done. Propagations
// and searches end then, after the frame or the points in progress. Other calls cannot be cut short: the library finishes
// them in the background, and the predictor is Busy meanwhile.
//
// A callback that panics, or ends its goroutine, ends the call, which then does the same; what the library holds stays usable.
package sam2

/*
#cgo LDFLAGS: -lsam2
#include <sam2.h>
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"image"
	"runtime"
	"syscall"
	"unsafe"
)

// What an Error says of the kind of failure.
const (
	InvalidArgument = C.SAM2_ERROR_INVALID_ARGUMENT
	InvalidHandle   = C.SAM2_ERROR_INVALID_HANDLE
	Busy            = C.SAM2_ERROR_BUSY
	IO              = C.SAM2_ERROR_IO
	BadModel        = C.SAM2_ERROR_MODEL
	Device          = C.SAM2_ERROR_DEVICE
	OutOfMemory     = C.SAM2_ERROR_OUT_OF_MEMORY
	Cancelled       = C.SAM2_ERROR_CANCELLED
	Internal        = C.SAM2_ERROR_INTERNAL
)

// Error is why a call failed.
type Error struct {
	Status  int
	Message string
	Errno   syscall.Errno // why the system refused a file; 0: it did not
}

func (e *Error) Error() string { return fmt.Sprintf("sam2: %s", e.Message) }

// Unwrap gives the system's error, so that errors.Is(err, fs.ErrNotExist) tells a missing file.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

func invalid(format string, values ...any) error {
	return &Error{Status: InvalidArgument, Message: fmt.Sprintf(format, values...)}
}

var errClosed = errors.New("sam2: closed")

// call makes a call and fetches its message, which is the thread's own.
func call(f func() C.sam2_status) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if status := f(); status != C.SAM2_OK {
		return &Error{int(status), C.GoString(C.sam2_last_error()), syscall.Errno(C.sam2_last_errno())}
	}
	return nil
}

// await makes a call that cannot be cut short: once the context is done it goes on without anybody waiting for it.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if ctx.Done() == nil {
		return f()
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := f()
		done <- outcome{value, err}
	}()
	select {
	case got := <-done:
		return got.value, got.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// awaitDone is await of a call that gives nothing but its error.
func awaitDone(ctx context.Context, f func() error) error {
	_, err := await(ctx, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// Options say how to load a model; the zero value is the default.
type Options struct {
	Device           int // Auto, CPU or CUDA
	DeviceIndex      int
	DeviceUUID       string   // in place of both: "GPU-..." as nvidia-smi prints it
	CPUs             []uint32 // that threads are bound to; none: wherever the system puts them
	Precision        int      // PrecisionAuto, F32, BF16 or F16
	Threads          int      // of the CPU; 0: as many as there are
	ImageSize        int      // 0: the configuration's
	Config           string   // a file, or the reference's name of a published configuration; "": the one beside the checkpoint
	Overrides        string
	NoPostprocessing bool
}

// Devices and precisions of Options.
const (
	Auto          = C.SAM2_DEVICE_AUTO
	CPU           = C.SAM2_DEVICE_CPU
	CUDA          = C.SAM2_DEVICE_CUDA
	PrecisionAuto = C.SAM2_PRECISION_AUTO
	F32           = C.SAM2_PRECISION_F32
	BF16          = C.SAM2_PRECISION_BF16
	F16           = C.SAM2_PRECISION_F16
)

// Model is a model's weights on a device, shared by any number of predictors and goroutines.
type Model struct {
	p        *C.sam2_model
	maskSide int
}

// Load loads a checkpoint: a .safetensors, .pt or .bin file, the index of one in several files, or a folder that holds one.
func Load(path string, o Options) (*Model, error) { return load(path, o) }

// LoadContext is Load until a context is done.
func LoadContext(ctx context.Context, path string, o Options) (*Model, error) {
	return await(ctx, func() (*Model, error) { return load(path, o) })
}

func load(path string, o Options) (*Model, error) {
	name, overrides := C.CString(path), C.CString(o.Overrides)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(overrides))
	var pin runtime.Pinner
	defer pin.Unpin()
	var c C.sam2_model_options
	c.struct_size = C.uint32_t(unsafe.Sizeof(c))
	c.device, c.device_index, c.precision = C.int32_t(o.Device), C.int32_t(o.DeviceIndex), C.int32_t(o.Precision)
	c.threads, c.image_size, c.overrides = C.uint32_t(o.Threads), C.uint32_t(o.ImageSize), overrides
	if o.NoPostprocessing {
		c.no_postprocessing = 1
	}
	if o.Config != "" {
		c.config_yaml = C.CString(o.Config)
		defer C.free(unsafe.Pointer(c.config_yaml))
	}
	if o.DeviceUUID != "" {
		c.device_uuid = C.CString(o.DeviceUUID)
		defer C.free(unsafe.Pointer(c.device_uuid))
	}
	if len(o.CPUs) > 0 {
		pin.Pin(&o.CPUs[0])
		c.cpus, c.num_cpus = (*C.uint32_t)(&o.CPUs[0]), C.uint32_t(len(o.CPUs))
	}
	m := new(Model)
	if err := call(func() C.sam2_status { return C.sam2_model_load(name, &c, &m.p) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(m, (*Model).Close)
	var info C.sam2_model_info
	info.struct_size = C.uint32_t(unsafe.Sizeof(info))
	err := call(func() C.sam2_status { return C.sam2_model_get_info(m.p, &info) })
	m.maskSide = int(info.mask_side)
	return m, err
}

// Close lets go of the model; predictors keep what they need of it.
func (m *Model) Close() error {
	if m.p == nil {
		return errClosed
	}
	defer runtime.SetFinalizer(m, nil)
	p := m.p
	m.p = nil
	return call(func() C.sam2_status { return C.sam2_model_destroy(p) })
}

// Point is a click in pixels; Label 1 is on the object, 0 is not.
type Point struct {
	X, Y  float32
	Label int32
}

// Prompt is what a person says about an object.
type Prompt struct {
	Points []Point     // empty but not nil: as the reference's point_coords of shape (0, 2)
	Box    *[4]float32 // left, top, right, bottom
	Mask   []float32   // logits of an earlier mask, Prediction.LowRes; pictures only
	Image  int         // which picture of a batch it is for

	// MaskImage is a mask of the picture in place of Mask, of any size: not 0 on the object; pictures only.
	MaskImage *image.Gray
}

// flat is a prompt in memory of C's.
type flat struct {
	c    C.sam2_prompt
	kept []unsafe.Pointer
}

// flatten fails where a mask is not of the size that the library takes: maskSide along each side.
func flatten(p Prompt, maskSide int) (*flat, error) {
	if n := maskSide * maskSide; len(p.Mask) != 0 && len(p.Mask) != n {
		return nil, invalid("Mask has %d values; the logits of an earlier mask, Prediction.LowRes, are %d; "+
			"a mask of the picture goes into MaskImage", len(p.Mask), n)
	}
	f := new(flat)
	f.c.struct_size = C.uint32_t(unsafe.Sizeof(f.c))
	floats := func(values []float32) *C.float {
		if len(values) == 0 {
			return nil
		}
		m := C.malloc(C.size_t(4 * len(values)))
		f.kept = append(f.kept, m)
		copy(unsafe.Slice((*float32)(m), len(values)), values)
		return (*C.float)(m)
	}
	var xy, box []float32
	labels := make([]int32, 0, len(p.Points))
	for _, at := range p.Points {
		xy, labels = append(xy, at.X, at.Y), append(labels, at.Label)
	}
	if p.Box != nil {
		box = p.Box[:]
	}
	f.c.num_points, f.c.points, f.c.box_ = C.uint32_t(len(labels)), floats(xy), floats(box)
	if p.Points != nil {
		f.c.pad_points = 1
	}
	f.c.mask_input, f.c.image = floats(p.Mask), C.uint32_t(p.Image)
	if len(labels) > 0 {
		m := C.malloc(C.size_t(4 * len(labels)))
		f.kept = append(f.kept, m)
		copy(unsafe.Slice((*int32)(m), len(labels)), labels)
		f.c.labels = (*C.int32_t)(m)
	}
	if p.MaskImage != nil {
		w, h, pixels := p.MaskImage.Rect.Dx(), p.MaskImage.Rect.Dy(), tight(p.MaskImage)
		f.kept = append(f.kept, C.CBytes(pixels))
		f.c.mask = (*C.uint8_t)(f.kept[len(f.kept)-1])
		f.c.mask_width, f.c.mask_height = C.uint32_t(w), C.uint32_t(h)
	}
	return f, nil
}

func (f *flat) free() {
	for _, m := range f.kept {
		C.free(m)
	}
}

// BuildInfo says what the library was built for.
func BuildInfo() string { return C.GoString(C.sam2_build_info()) }

// GPU is a GPU of this machine.
type GPU struct {
	Name, UUID string
	Memory     uint64 // bytes
	Usable     bool   // models can run on it
}

// GPUs lists the NVIDIA GPUs of this machine; none where their driver is not installed.
func GPUs() ([]GPU, error) {
	var count C.uint32_t
	if err := call(func() C.sam2_status { return C.sam2_gpu_count(&count) }); err != nil {
		return nil, err
	}
	var all []GPU
	for i := C.uint32_t(0); i < count; i++ {
		var c C.sam2_gpu_info
		c.struct_size = C.uint32_t(unsafe.Sizeof(c))
		if err := call(func() C.sam2_status { return C.sam2_gpu_get_info(i, &c) }); err != nil {
			return nil, err
		}
		all = append(all, GPU{C.GoString(&c.name[0]), C.GoString(&c.uuid[0]), uint64(c.memory), c.usable != 0})
	}
	return all, nil
}

// EncodeRLE gives a mask, not 0 on the object, as the text of COCO's run lengths.
func EncodeRLE(mask *image.Gray) (string, error) {
	w, h := mask.Rect.Dx(), mask.Rect.Dy()
	pixels, size := tight(mask), C.size_t(0)
	encode := func(text *C.char) error {
		return call(func() C.sam2_status {
			return C.sam2_mask_encode_rle((*C.uint8_t)(&pixels[0]), C.uint32_t(w), C.uint32_t(h), text, &size)
		})
	}
	if err := encode(nil); err != nil {
		return "", err
	}
	text := (*C.char)(C.malloc(size))
	defer C.free(unsafe.Pointer(text))
	err := encode(text)
	return C.GoString(text), err
}

// tight is a mask without gaps between its rows, and a byte more, so that there is a first.
func tight(mask *image.Gray) []uint8 {
	w, h := mask.Rect.Dx(), mask.Rect.Dy()
	out := make([]uint8, w*h+1)
	for y := 0; y < h; y++ {
		copy(out[y*w:(y+1)*w], mask.Pix[mask.PixOffset(mask.Rect.Min.X, mask.Rect.Min.Y+y):])
	}
	return out
}
