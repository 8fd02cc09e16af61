// Package sam2 segments objects in images and tracks them through videos with Segment Anything Model 2.
//
// The package wraps the C library sam2, which pkg-config finds. With the build tag sam2_static, programs contain the
// library. The header sam2.h describes threads, memory and units in full. Objects are
// released by Close, or by the garbage collector after they become unreachable. One goroutine at a time may use a
// predictor. A call on a predictor in use returns an [*Error] with the status [Busy], except Cancel and Close.
//
// Long calls have a second form whose name ends in Context. After the context is done, the call ends within some
// milliseconds on the CPU, or after the work that is enqueued on a GPU, and returns the error of the context. A call that
// succeeds in spite of this returns its result. [Model.OpenVideoContext] returns at once, and the file is closed later.
//
// Close ends the call that another goroutine makes with the object, and waits for its end. While a callback of the object
// runs, Close returns an [*Error] with the status [Busy], and the object remains usable.
//
// If a callback panics or ends its goroutine, the call ends and does the same. The objects remain usable.
package sam2

/*
#include <sam2.h>
#include <stdlib.h>

int32_t sam2_go_load(void *user, float fraction);
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"image"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// Values of Error.Status.
const (
	InvalidArgument = C.SAM2_ERROR_INVALID_ARGUMENT
	InvalidHandle   = C.SAM2_ERROR_INVALID_HANDLE
	Busy            = C.SAM2_ERROR_BUSY
	IO              = C.SAM2_ERROR_IO
	BadModel        = C.SAM2_ERROR_MODEL
	Device          = C.SAM2_ERROR_DEVICE
	OutOfMemory     = C.SAM2_ERROR_OUT_OF_MEMORY
	Cancelled       = C.SAM2_ERROR_CANCELLED
	TimedOut        = C.SAM2_ERROR_TIMED_OUT
	Internal        = C.SAM2_ERROR_INTERNAL
)

// Error describes a failed call.
type Error struct {
	Status  int           // InvalidArgument, ...
	Message string        // description in English
	Errno   syscall.Errno // error of the system if it refused a file, otherwise 0
}

// Error returns the message with the prefix "sam2: ".
func (e *Error) Error() string { return fmt.Sprintf("sam2: %s", e.Message) }

// Unwrap returns the error of the system, so that errors.Is(err, fs.ErrNotExist) reports a missing file.
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

// call calls the library and fetches the message of a failure, which belongs to the thread.
func call(f func() C.sam2_status) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if status := f(); status != C.SAM2_OK {
		return &Error{int(status), C.GoString(C.sam2_last_error()), syscall.Errno(C.sam2_last_errno())}
	}
	return nil
}

// ended returns the error of a call: that of the context if the context ended the call.
func ended(ctx context.Context, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Status == Cancelled && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// await makes a call, and cancels it when the context is done.
func await[T any](ctx context.Context, cancel func(), f func() (T, error)) (value T, err error) {
	if err = ctx.Err(); err != nil {
		return value, err
	}
	done, left := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(left)
		for {
			// The call may not have begun.
			cancel()
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	defer func() {
		close(done)
		if !stop() {
			<-left
		}
	}()
	value, err = f()
	return value, ended(ctx, err)
}

// awaitDone is await for a call that returns only an error.
func awaitDone(ctx context.Context, cancel func(), f func() error) error {
	_, err := await(ctx, cancel, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// abandon makes a call that cannot be cancelled. After the context is done, the call continues in the background.
func abandon[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
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

// Options configures [Load]. The zero value selects the defaults.
type Options struct {
	Device           int      // Auto, CPU or CUDA
	DeviceIndex      int      // index of the GPU in the driver's order
	DeviceUUID       string   // UUID of a GPU as nvidia-smi prints it, in place of Device and DeviceIndex
	CPUs             []uint32 // CPUs to bind threads to; nil for none
	Precision        int      // PrecisionAuto, F32, BF16 or F16
	Threads          int      // CPU threads; 0 for all
	ImageSize        int      // side of the input in pixels; 0 for that of the configuration
	Config           string   // file, or the reference's name of a published configuration; "" for the one beside the checkpoint
	Overrides        string   // changes to the configuration, one per line
	NoPostprocessing bool     // as apply_postprocessing=False of the reference

	// Progress receives the part of the model that is loaded, 0 to 1, after every tensor. It returns whether to continue.
	// Otherwise the status of the error is Cancelled.
	Progress func(fraction float32) bool
}

// Values of Options.Device and Options.Precision.
const (
	Auto          = C.SAM2_DEVICE_AUTO
	CPU           = C.SAM2_DEVICE_CPU
	CUDA          = C.SAM2_DEVICE_CUDA
	PrecisionAuto = C.SAM2_PRECISION_AUTO
	F32           = C.SAM2_PRECISION_F32
	BF16          = C.SAM2_PRECISION_BF16
	F16           = C.SAM2_PRECISION_F16
)

// Model holds the weights of a model on a device. Any number of predictors and goroutines may share it.
type Model struct {
	p        *C.sam2_model
	maskSide int
}

// Load loads a checkpoint from a .safetensors, .pt or .bin file, from the index of a checkpoint in several files, or
// from a folder that holds one of these.
func Load(path string, o Options) (*Model, error) {
	return LoadContext(context.Background(), path, o)
}

// LoadContext is [Load] with a context.
func LoadContext(ctx context.Context, path string, o Options) (*Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, s := new(Model), loading{held{ctx: ctx}, o.Progress}
	err := withHandle(&s, func(user unsafe.Pointer) error { return m.load(path, o, user) })
	s.release()
	if err != nil {
		return nil, ended(ctx, err)
	}
	return m, nil
}

// loading is the state of a call.
type loading struct {
	held
	progress func(fraction float32) bool
}

//export sam2GoLoad
func sam2GoLoad(user unsafe.Pointer, fraction C.float) C.int32_t {
	s := of[*loading](user)
	return s.run(func() bool { return s.progress == nil || s.progress(float32(fraction)) })
}

func (m *Model) load(path string, o Options, user unsafe.Pointer) error {
	defer runtime.KeepAlive(m)
	name, overrides := C.CString(path), C.CString(o.Overrides)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(overrides))
	var pin runtime.Pinner
	defer pin.Unpin()
	var c C.sam2_model_options
	c.struct_size = C.uint32_t(unsafe.Sizeof(c))
	c.device, c.device_index, c.precision = C.sam2_device(o.Device), C.int32_t(o.DeviceIndex), C.sam2_precision(o.Precision)
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
	c.on_progress, c.user = C.sam2_load_callback(C.sam2_go_load), user
	if err := call(func() C.sam2_status { return C.sam2_model_load(name, &c, &m.p) }); err != nil {
		return err
	}
	runtime.SetFinalizer(m, (*Model).Close)
	var info C.sam2_model_info
	info.struct_size = C.uint32_t(unsafe.Sizeof(info))
	err := call(func() C.sam2_status { return C.sam2_model_get_info(m.p, &info) })
	m.maskSide = int(info.mask_side)
	return err
}

// Close releases the model. Its predictors remain usable.
func (m *Model) Close() error {
	if m.p == nil {
		return errClosed
	}
	defer runtime.SetFinalizer(m, nil)
	p := m.p
	m.p = nil
	return call(func() C.sam2_status { return C.sam2_model_destroy(p) })
}

// Point is a point of a prompt in pixels. Label is 1 on the object and 0 on the background.
type Point struct {
	X, Y  float32
	Label int32
}

// Prompt is a prompt for one object: points, a box, a mask, or a combination.
type Prompt struct {
	Points []Point     // empty but not nil is an empty list, as point_coords of shape (0, 2) in the reference
	Box    *[4]float32 // left, top, right, bottom
	Mask   []float32   // logits of an earlier mask, from Prediction.LowRes; image predictors only
	Image  int         // index of the image of a batch

	Normalized bool // coordinates of Points and Box range from 0 to 1 instead of pixels

	// MaskImage is a mask of any size in place of Mask, nonzero on the object. Image predictors only.
	MaskImage *image.Gray
}

// flat is a prompt in C memory.
type flat struct {
	c    C.sam2_prompt
	kept []unsafe.Pointer
}

// flatten copies a prompt to C memory. It fails if a mask does not have maskSide pixels along each side.
func flatten(p Prompt, maskSide int) (*flat, error) {
	if n := maskSide * maskSide; len(p.Mask) != 0 && len(p.Mask) != n {
		return nil, invalid("Mask has %d values; the logits of an earlier mask, Prediction.LowRes, are %d; "+
			"a mask of the image goes into MaskImage", len(p.Mask), n)
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
	f.c.num_points, f.c.points, f.c.bounds = C.uint32_t(len(labels)), floats(xy), floats(box)
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

// BuildInfo returns the version, the platform and the GPU architectures that the library was built for.
func BuildInfo() string { return C.GoString(C.sam2_build_info()) }

// GPU describes a GPU of the machine.
type GPU struct {
	Name, UUID string
	Memory     uint64 // size in bytes
	Usable     bool   // whether models can run on the GPU
}

// GPUs lists the NVIDIA GPUs of the machine. The list is empty if the driver is not installed.
func GPUs() ([]GPU, error) {
	var count C.uint32_t
	if err := call(func() C.sam2_status { return C.sam2_gpu_get_count(&count) }); err != nil {
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

// EncodeRLE encodes a mask, nonzero on the object, as a COCO run-length string.
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

// tight returns the pixels of a mask without gaps between rows, and one byte more, so that the slice is not empty.
func tight(mask *image.Gray) []uint8 {
	w, h := mask.Rect.Dx(), mask.Rect.Dy()
	out := make([]uint8, w*h+1)
	for y := 0; y < h; y++ {
		copy(out[y*w:(y+1)*w], mask.Pix[mask.PixOffset(mask.Rect.Min.X, mask.Rect.Min.Y+y):])
	}
	return out
}
