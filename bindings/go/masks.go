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
	MaskIDs8                       // videos only: one map for all masks: 0, or the id of the object, which is 1 to 255
	MaskIDs16                      // videos only: as MaskIDs8, for ids from 1 to 65535
)

// MaskBuffer is memory of the caller for masks. Format selects the slice that receives them: the masks one after another,
// or one map. The slice may be larger than the masks. In a video it gets the masks that it has room for, and
// Frame.MasksWritten is their number. Otherwise it must not be smaller. A call that outlives its context still writes to
// it.
type MaskBuffer struct {
	Format MaskFormat
	Bytes  []uint8   // MaskBytes: 1 on the object, otherwise 0; MaskBits; MaskIDs8
	Words  []uint16  // MaskLabels, MaskIDs16
	Logits []float32 // MaskLogits
}

// rowBytes returns the bytes of a row of bits.
func rowBytes(width int) int { return (width + 7) / 8 }

// newMaskBuffer allocates n masks of each size, or one map of the first size.
func newMaskBuffer(format MaskFormat, n int, sizes []image.Point) (*MaskBuffer, error) {
	b, pixels, bits, first := &MaskBuffer{Format: format}, 0, 0, 0
	for i, size := range sizes {
		pixels += n * size.X * size.Y
		bits += n * rowBytes(size.X) * size.Y
		if i == 0 {
			first = size.X * size.Y
		}
	}
	switch format {
	case MaskBytes:
		b.Bytes = make([]uint8, pixels)
	case MaskBits:
		b.Bytes = make([]uint8, bits)
	case MaskLogits:
		b.Logits = make([]float32, pixels)
	case MaskLabels, MaskIDs16:
		b.Words = make([]uint16, first)
	case MaskIDs8:
		b.Bytes = make([]uint8, first)
	default:
		return nil, invalid("no MaskFormat %d", format)
	}
	return b, nil
}

// check fails if the slice of the format is empty.
func (b *MaskBuffer) check() error {
	var size int
	switch b.Format {
	case MaskBytes, MaskBits, MaskIDs8:
		size = len(b.Bytes)
	case MaskLabels, MaskIDs16:
		size = len(b.Words)
	case MaskLogits:
		size = len(b.Logits)
	default:
		return invalid("no MaskFormat %d of a MaskBuffer", b.Format)
	}
	if size == 0 {
		return invalid("the slice of a MaskBuffer of MaskFormat %d is empty", b.Format)
	}
	return nil
}

// c describes the buffer to C while it is pinned. An empty buffer is none.
func (b *MaskBuffer) c(pin *runtime.Pinner) C.sam2_mask_buffer {
	var c C.sam2_mask_buffer
	c.struct_size = C.uint32_t(unsafe.Sizeof(c))
	switch b.Format {
	case MaskBytes:
		describeTo(&c, pin, C.SAM2_MASK_BINARY, b.Bytes)
	case MaskBits:
		describeTo(&c, pin, C.SAM2_MASK_BITS, b.Bytes)
	case MaskLogits:
		describeTo(&c, pin, C.SAM2_MASK_LOGITS, b.Logits)
	case MaskLabels:
		describeTo(&c, pin, C.SAM2_MASK_LABELS, b.Words)
	case MaskIDs8:
		describeTo(&c, pin, C.SAM2_MASK_IDS8, b.Bytes)
	case MaskIDs16:
		describeTo(&c, pin, C.SAM2_MASK_IDS16, b.Words)
	}
	return c
}

// describeTo sets the memory of a buffer.
func describeTo[T any](c *C.sam2_mask_buffer, pin *runtime.Pinner, format C.sam2_mask_format, values []T) {
	c.format = format
	if len(values) > 0 {
		pin.Pin(&values[0])
		c.data, c.size = unsafe.Pointer(&values[0]), C.uint64_t(uintptr(len(values))*unsafe.Sizeof(values[0]))
	}
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
