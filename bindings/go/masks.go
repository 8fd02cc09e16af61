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

// MaskForm is how masks are given: a field of predictors, which may change from call to call.
type MaskForm int

const (
	DefaultMasks MaskForm = iota // of pictures MaskBytes, of videos MaskLogits
	MaskBytes                    // a byte a pixel: 255 on the object, else 0
	MaskLogits                   // a float32 a pixel: above 0 is on the object
	MaskBits                     // a bit a pixel, rows in whole bytes, the first pixel in the highest bit
	MaskLabels                   // one map for all masks: 0, or 1 + the place of the mask with the highest logit there
)

// maskBuffer is memory for masks of one form, in the order of the pixels.
type maskBuffer struct {
	form   MaskForm
	bytes  []uint8 // of MaskBytes and MaskBits
	logits []float32
	labels []uint16
}

// rowBytes are those of a row of bits.
func rowBytes(width int) int { return (width + 7) / 8 }

// newMaskBuffer makes room for n masks of so many pixels, or for one map of the first size.
func newMaskBuffer(form MaskForm, n int, sizes []image.Point) (*maskBuffer, error) {
	b, pixels, bits := &maskBuffer{form: form}, 0, 0
	for _, size := range sizes {
		pixels += n * size.X * size.Y
		bits += n * rowBytes(size.X) * size.Y
	}
	// One more each, so that there is a first.
	switch form {
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
		return nil, invalid("no MaskForm %d", form)
	}
	return b, nil
}

// c describes the buffer for as long as it is pinned.
func (b *maskBuffer) c(pin *runtime.Pinner) C.sam2_mask_buffer {
	var c C.sam2_mask_buffer
	c.struct_size = C.uint32_t(unsafe.Sizeof(c))
	to := func(kind C.int32_t, data unsafe.Pointer, size int) {
		pin.Pin(data)
		c.kind, c.data, c.size = kind, data, C.uint64_t(size)
	}
	switch b.form {
	case MaskBytes:
		to(C.SAM2_MASK_U8, unsafe.Pointer(&b.bytes[0]), len(b.bytes)-1)
	case MaskBits:
		to(C.SAM2_MASK_BITS, unsafe.Pointer(&b.bytes[0]), len(b.bytes)-1)
	case MaskLogits:
		to(C.SAM2_MASK_LOGITS, unsafe.Pointer(&b.logits[0]), 4*(len(b.logits)-1))
	case MaskLabels:
		to(C.SAM2_MASK_LABELS, unsafe.Pointer(&b.labels[0]), 2*(len(b.labels)-1))
	}
	return c
}

// cut takes the next n values.
func cut[T any](from *[]T, n int) []T {
	out := (*from)[:n:n]
	*from = (*from)[n:]
	return out
}

// gray is a mask of bytes 0 and 1 as a picture, in place.
func gray(mask []uint8, size image.Point) *image.Gray {
	for i := range mask {
		mask[i] *= 255
	}
	return &image.Gray{Pix: mask, Stride: size.X, Rect: image.Rectangle{Max: size}}
}
