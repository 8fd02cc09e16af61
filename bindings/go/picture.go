package sam2

/*
#include <sam2.h>
#include <stdlib.h>
*/
import "C"

import (
	"image"
	"image/color"
	"image/draw"
	"runtime"
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
			return nil, invalid("PictureOptions.BitDepth is 8 to 16, or 0")
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

// BGR is a picture of 8-bit blue, green and red, as OpenCV has them: an image.Image that is not copied.
type BGR struct {
	Pix    []uint8
	Stride int // bytes from row to row
	Rect   image.Rectangle
}

// ColorModel is RGBA's.
func (p *BGR) ColorModel() color.Model { return color.RGBAModel }

// Bounds are those of the pixels.
func (p *BGR) Bounds() image.Rectangle { return p.Rect }

// At gives a pixel.
func (p *BGR) At(x, y int) color.Color {
	if !(image.Point{x, y}.In(p.Rect)) {
		return color.RGBA{}
	}
	at := p.Pix[(y-p.Rect.Min.Y)*p.Stride+(x-p.Rect.Min.X)*3:]
	return color.RGBA{at[2], at[1], at[0], 255}
}

// NV12 is a picture of a camera: Y of every pixel, and U and V, interleaved, of every 2x2 pixels, 8 bits each. It is an
// image.Image that is not copied.
type NV12 struct {
	Y, UV             []uint8
	YStride, UVStride int // bytes from row to row
	Rect              image.Rectangle
	BT601             bool // colours of standard definition; else BT.709's
	FullRange         bool // black is 0 and white 255; else 16 and 235
}

// ColorModel is YCbCr's.
func (p *NV12) ColorModel() color.Model { return color.YCbCrModel }

// Bounds are those of the pixels.
func (p *NV12) Bounds() image.Rectangle { return p.Rect }

// At gives a pixel as it is stored, whatever its colours and range.
func (p *NV12) At(x, y int) color.Color {
	if !(image.Point{x, y}.In(p.Rect)) {
		return color.YCbCr{}
	}
	x, y = x-p.Rect.Min.X, y-p.Rect.Min.Y
	chroma := p.UV[y/2*p.UVStride+x/2*2:]
	return color.YCbCr{Y: p.Y[y*p.YStride+x], Cb: chroma[0], Cr: chroma[1]}
}

// plane is memory that holds so many rows of so many bytes.
type plane struct {
	pixels            []uint8
	stride, row, rows int
}

// raw is a picture as the library takes it.
type raw struct {
	format, matrix, rng C.int32_t
	planes              []plane
}

// describe says how a picture lies in memory; one of another type is copied.
func describe(picture image.Image) raw {
	b := picture.Bounds()
	w, h := b.Dx(), b.Dy()
	switch p := picture.(type) {
	case *image.RGBA:
		return raw{format: C.SAM2_FORMAT_RGBA8, planes: []plane{{from(p.Pix, p.PixOffset(b.Min.X, b.Min.Y)), p.Stride, 4 * w, h}}}
	case *image.Gray:
		return raw{format: C.SAM2_FORMAT_GRAY8, planes: []plane{{from(p.Pix, p.PixOffset(b.Min.X, b.Min.Y)), p.Stride, w, h}}}
	case *BGR:
		return raw{format: C.SAM2_FORMAT_BGR8, planes: []plane{{p.Pix, p.Stride, 3 * w, h}}}
	case *NV12:
		out := nv12(plane{p.Y, p.YStride, w, h}, plane{p.UV, p.UVStride, (w + 1) / 2 * 2, (h + 1) / 2})
		if p.BT601 {
			out.matrix = C.SAM2_MATRIX_BT601
		}
		if p.FullRange {
			out.rng = C.SAM2_RANGE_FULL
		}
		return out
	case *image.YCbCr:
		if p.SubsampleRatio == image.YCbCrSubsampleRatio420 && b.Min.X%2 == 0 && b.Min.Y%2 == 0 {
			return jpeg420(p)
		}
	}
	copied := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(copied, copied.Bounds(), picture, b.Min, draw.Src)
	return describe(copied)
}

func nv12(luma, chroma plane) raw {
	return raw{format: C.SAM2_FORMAT_NV12, matrix: C.SAM2_MATRIX_BT709, planes: []plane{luma, chroma}}
}

// jpeg420 is a picture whose chroma are in planes of their own, of JPEG's colours and range: they are interleaved.
func jpeg420(p *image.YCbCr) raw {
	b := p.Rect
	w, h := (b.Dx()+1)/2, (b.Dy()+1)/2
	uv := make([]uint8, 2*w*h)
	for y := 0; y < h; y++ {
		at := p.COffset(b.Min.X, b.Min.Y+2*y)
		for x := 0; x < w; x++ {
			uv[2*(y*w+x)], uv[2*(y*w+x)+1] = p.Cb[at+x], p.Cr[at+x]
		}
	}
	out := nv12(plane{from(p.Y, p.YOffset(b.Min.X, b.Min.Y)), p.YStride, b.Dx(), b.Dy()}, plane{uv, 2 * w, 2 * w, h})
	out.matrix, out.rng = C.SAM2_MATRIX_BT601, C.SAM2_RANGE_FULL
	return out
}

// from is what follows a place in memory: nothing where it is outside.
func from(pixels []uint8, at int) []uint8 {
	if at < 0 || at > len(pixels) {
		return nil
	}
	return pixels[at:]
}

// fits is whether the memory holds the rows.
func (p plane) fits() bool {
	return p.rows > 0 && p.row > 0 && p.stride >= p.row && (p.rows-1) <= (len(p.pixels)-p.row)/p.stride
}

// withImages describes pictures to C for the length of a call; RGBA, gray, BGR and NV12 pictures are not copied.
func withImages(pictures []image.Image, f func(*C.sam2_image) error) error {
	if len(pictures) == 0 {
		return invalid("no picture")
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	all := make([]C.sam2_image, len(pictures))
	for i, picture := range pictures {
		if picture == nil || picture.Bounds().Empty() {
			return invalid("an empty picture")
		}
		c, bounds, raw := &all[i], picture.Bounds(), describe(picture)
		c.struct_size = C.uint32_t(unsafe.Sizeof(*c))
		c.width, c.height = C.uint32_t(bounds.Dx()), C.uint32_t(bounds.Dy())
		c.format, c.matrix, c._range = raw.format, raw.matrix, raw.rng
		for k, plane := range raw.planes {
			if !plane.fits() {
				return invalid("plane %d of a picture: %d bytes do not hold %d rows of %d with a stride of %d",
					k, len(plane.pixels), plane.rows, plane.row, plane.stride)
			}
			pin.Pin(&plane.pixels[0])
			c.planes[k], c.strides[k] = unsafe.Pointer(&plane.pixels[0]), C.uint64_t(plane.stride)
		}
	}
	pin.Pin(&all[0])
	return f(&all[0])
}
