package sam2

/*
#include <sam2.h>
#include <stdlib.h>
*/
import "C"

import (
	"image"
	"unsafe"
)

// PictureOptions say how a picture file is read; the zero value is the default.
type PictureOptions struct {
	Upright  bool // turn the picture as its EXIF orientation says, as viewers do; otherwise pixels stay as they are stored
	BitDepth int  // bits of the values in a 16-bit file, 8 to 16: of 12, the value 4095 becomes 255; 0: 16
}

// ReadPicture reads a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file, known by its content, as *image.RGBA or *image.Gray. The
// pixels of a JPEG are those of libjpeg, which Go's own decoder misses by a little. Alpha is dropped.
func ReadPicture(path string, options ...PictureOptions) (image.Image, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var c C.sam2_picture_options
	c.struct_size = C.uint32_t(unsafe.Sizeof(c))
	for _, o := range options {
		if o.Upright {
			c.upright = 1
		}
		if o.BitDepth < 0 || o.BitDepth > 16 {
			return nil, &Error{InvalidArgument, "PictureOptions.BitDepth is 8 to 16, or 0"}
		}
		c.bit_depth = C.uint32_t(o.BitDepth)
	}
	var p *C.sam2_picture
	if err := call(func() C.sam2_status { return C.sam2_picture_read_with(name, &c, &p) }); err != nil {
		return nil, err
	}
	defer C.sam2_picture_destroy(p)
	var in C.sam2_image
	in.struct_size = C.uint32_t(unsafe.Sizeof(in))
	if err := call(func() C.sam2_status { return C.sam2_picture_get_image(p, &in) }); err != nil {
		return nil, err
	}
	// Rows have no gaps.
	bounds := image.Rect(0, 0, int(in.width), int(in.height))
	size := bounds.Dx() * bounds.Dy()
	if in.format == C.SAM2_FORMAT_GRAY8 {
		gray := image.NewGray(bounds)
		copy(gray.Pix, unsafe.Slice((*uint8)(in.planes[0]), size))
		return gray, nil
	}
	rgba := image.NewRGBA(bounds)
	for i, rgb := 0, unsafe.Slice((*uint8)(in.planes[0]), 3*size); i < size; i++ {
		copy(rgba.Pix[4*i:], rgb[3*i:3*i+3])
		rgba.Pix[4*i+3] = 255
	}
	return rgba, nil
}
