package sam2

/*
#include <sam2.h>
*/
import "C"

import (
	"image"
	"runtime"
	"unsafe"
)

// MaskFormat is the format of masks. Predictors have a field of this type, which may change between calls.
type MaskFormat int

const (
	DefaultMasks MaskFormat = iota // MaskBytes for images, MaskLogits for videos
	MaskBytes                      // one byte per pixel: 255 on the object, otherwise 0
	MaskLogits                     // one float32 per pixel: above 0 on the object
	MaskBits                       // one bit per pixel, the first pixel in the most significant bit, rows padded to whole bytes
	MaskLabels                     // one map for all masks: 0, or 1 + the index of the mask with the highest logit at the pixel
)

// maskBuffer is memory for masks of one format.
type maskBuffer struct {
	format MaskFormat
	bytes  []uint8 // of MaskBytes and MaskBits
	logits []float32
	labels []uint16
}

// rowBytes returns the bytes of a row of bits.
func rowBytes(width int) int { return (width + 7) / 8 }

// newMaskBuffer allocates n masks of each size, or one map of the first size.
func newMaskBuffer(format MaskFormat, n int, sizes []image.Point) (*maskBuffer, error) {
	b, pixels, bits := &maskBuffer{format: format}, 0, 0
	for _, size := range sizes {
		pixels += n * size.X * size.Y
		bits += n * rowBytes(size.X) * size.Y
	}
	// One more each, so that the slices are not empty.
	switch format {
	case MaskBytes:
		b.bytes = make([]uint8, pixels+1)
	case MaskBits:
		b.bytes = make([]uint8, bits+1)
	case MaskLogits:
		b.logits = make([]float32, pixels+1)
	case MaskLabels:
		size := image.Point{}
		if len(sizes) > 0 {
			size = sizes[0]
		}
		b.labels = make([]uint16, size.X*size.Y+1)
	default:
		return nil, invalid("no MaskFormat %d", format)
	}
	return b, nil
}

// c describes the buffer to C while it is pinned.
func (b *maskBuffer) c(pin *runtime.Pinner) C.sam2_mask_buffer {
	var c C.sam2_mask_buffer
	c.struct_size = C.uint32_t(unsafe.Sizeof(c))
	to := func(format C.sam2_mask_format, data unsafe.Pointer, size int) {
		pin.Pin(data)
		c.format, c.data, c.size = format, data, C.uint64_t(size)
	}
	switch b.format {
	case MaskBytes:
		to(C.SAM2_MASK_BINARY, unsafe.Pointer(&b.bytes[0]), len(b.bytes)-1)
	case MaskBits:
		to(C.SAM2_MASK_BITS, unsafe.Pointer(&b.bytes[0]), len(b.bytes)-1)
	case MaskLogits:
		to(C.SAM2_MASK_LOGITS, unsafe.Pointer(&b.logits[0]), 4*(len(b.logits)-1))
	case MaskLabels:
		to(C.SAM2_MASK_LABELS, unsafe.Pointer(&b.labels[0]), 2*(len(b.labels)-1))
	}
	return c
}

// cut removes and returns the first n values.
func cut[T any](from *[]T, n int) []T {
	out := (*from)[:n:n]
	*from = (*from)[n:]
	return out
}

// gray converts a mask of 0 and 1 to an image, in place.
func gray(mask []uint8, size image.Point) *image.Gray {
	for i := range mask {
		mask[i] *= 255
	}
	return &image.Gray{Pix: mask, Stride: size.X, Rect: image.Rectangle{Max: size}}
}
