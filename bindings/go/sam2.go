// Package sam2 finds masks of objects in pictures and follows objects through videos: Segment Anything Model 2.
//
// It is a thin layer over the C library, whose header says threads, memory and units in full. Objects are closed by Close;
// one that is forgotten is closed by the garbage collector. A predictor is for one goroutine at a time: a call on one that is in
// use returns an error with status Busy.
package sam2

/*
#cgo LDFLAGS: -lsam2
#include <sam2.h>
#include <stdlib.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"image"
	"image/draw"
	"runtime"
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
}

func (e *Error) Error() string { return fmt.Sprintf("sam2: %s", e.Message) }

var errClosed = errors.New("sam2: closed")

// call makes a call and fetches its message, which is the thread's own.
func call(f func() C.sam2_status) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if status := f(); status != C.SAM2_OK {
		return &Error{int(status), C.GoString(C.sam2_last_error())}
	}
	return nil
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
func Load(path string, o Options) (*Model, error) {
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
	Points []Point
	Box    *[4]float32 // left, top, right, bottom
	Mask   []float32   // logits of an earlier mask, Prediction.LowRes; pictures only
	Image  int         // which picture of a batch it is for
}

// flat is a prompt in memory of C's.
type flat struct {
	c    C.sam2_prompt
	kept []unsafe.Pointer
}

func flatten(p Prompt) *flat {
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
	f.c.mask_input, f.c.image = floats(p.Mask), C.uint32_t(p.Image)
	if len(labels) > 0 {
		m := C.malloc(C.size_t(4 * len(labels)))
		f.kept = append(f.kept, m)
		copy(unsafe.Slice((*int32)(m), len(labels)), labels)
		f.c.labels = (*C.int32_t)(m)
	}
	return f
}

func (f *flat) free() {
	for _, m := range f.kept {
		C.free(m)
	}
}

// withImages describes pictures to C for the length of a call; RGBA and gray pictures are not copied.
func withImages(pictures []image.Image, f func(*C.sam2_image) error) error {
	if len(pictures) == 0 {
		return &Error{InvalidArgument, "no picture"}
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	all := make([]C.sam2_image, len(pictures))
	for i, picture := range pictures {
		c, bounds := &all[i], picture.Bounds()
		c.struct_size = C.uint32_t(unsafe.Sizeof(*c))
		if bounds.Empty() {
			return &Error{InvalidArgument, "an empty picture"}
		}
		var pixels []uint8
		var stride int
		switch p := picture.(type) {
		case *image.RGBA:
			pixels, stride, c.format = p.Pix[p.PixOffset(bounds.Min.X, bounds.Min.Y):], p.Stride, C.SAM2_FORMAT_RGBA8
		case *image.Gray:
			pixels, stride, c.format = p.Pix[p.PixOffset(bounds.Min.X, bounds.Min.Y):], p.Stride, C.SAM2_FORMAT_GRAY8
		default:
			copied := image.NewRGBA(image.Rect(0, 0, bounds.Dx(), bounds.Dy()))
			draw.Draw(copied, copied.Bounds(), picture, bounds.Min, draw.Src)
			pixels, stride, c.format = copied.Pix, copied.Stride, C.SAM2_FORMAT_RGBA8
		}
		c.width, c.height = C.uint32_t(bounds.Dx()), C.uint32_t(bounds.Dy())
		pin.Pin(&pixels[0])
		c.planes[0], c.strides[0] = unsafe.Pointer(&pixels[0]), C.uint64_t(stride)
	}
	pin.Pin(&all[0])
	return f(&all[0])
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
