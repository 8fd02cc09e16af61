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

// PictureOptions configures [ReadPicture]. The zero value selects the defaults.
type PictureOptions struct {
	Upright  bool // apply the EXIF orientation, as viewers do
	BitDepth int  // significant bits of the values in a 16-bit file, 8 to 16: with 12, the value 4095 becomes 255; 0 for 16
}

// ReadPicture reads a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file as *image.RGBA or *image.Gray. The content of the
// file determines its format. JPEG pixels equal those of libjpeg, from which Go's decoder differs slightly. Alpha is
// dropped.
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

// BGR is an image of 8-bit blue, green and red, the order of OpenCV. The library uses its pixels without a copy.
type BGR struct {
	Pix    []uint8
	Stride int // bytes from row to row
	Rect   image.Rectangle
}

// ColorModel returns color.RGBAModel.
func (p *BGR) ColorModel() color.Model { return color.RGBAModel }

// Bounds returns the bounds of the pixels.
func (p *BGR) Bounds() image.Rectangle { return p.Rect }

// At returns a pixel.
func (p *BGR) At(x, y int) color.Color {
	if !(image.Point{x, y}.In(p.Rect)) {
		return color.RGBA{}
	}
	at := p.Pix[(y-p.Rect.Min.Y)*p.Stride+(x-p.Rect.Min.X)*3:]
	return color.RGBA{at[2], at[1], at[0], 255}
}

// NV12 is an image of Y for every pixel and interleaved U and V for every 2x2 pixels, 8 bits each. The library uses its
// pixels without a copy.
type NV12 struct {
	Y, UV             []uint8
	YStride, UVStride int // bytes from row to row
	Rect              image.Rectangle
	BT601             bool // color matrix of standard definition, otherwise BT.709
	FullRange         bool // black is 0 and white is 255, otherwise 16 and 235
}

// ColorModel returns color.YCbCrModel.
func (p *NV12) ColorModel() color.Model { return color.YCbCrModel }

// Bounds returns the bounds of the pixels.
func (p *NV12) Bounds() image.Rectangle { return p.Rect }

// At returns a pixel as it is stored, whatever the matrix and range.
func (p *NV12) At(x, y int) color.Color {
	if !(image.Point{x, y}.In(p.Rect)) {
		return color.YCbCr{}
	}
	x, y = x-p.Rect.Min.X, y-p.Rect.Min.Y
	chroma := p.UV[y/2*p.UVStride+x/2*2:]
	return color.YCbCr{Y: p.Y[y*p.YStride+x], Cb: chroma[0], Cr: chroma[1]}
}

// plane is memory that holds rows of bytes.
type plane struct {
	pixels            []uint8
	stride, row, rows int
}

// raw is an image in a format of the library.
type raw struct {
	format C.sam2_pixel_format
	matrix C.sam2_yuv_matrix
	rng    C.sam2_yuv_range
	planes []plane
}

// describe returns the memory layout of an image. An image of another type is copied.
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

// jpeg420 interleaves the chroma planes of an image with the matrix and range of JPEG.
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

// from returns the pixels from an offset, or nil if it is out of range.
func from(pixels []uint8, at int) []uint8 {
	if at < 0 || at > len(pixels) {
		return nil
	}
	return pixels[at:]
}

// fits reports whether the memory holds the rows.
func (p plane) fits() bool {
	return p.rows > 0 && p.row > 0 && p.stride >= p.row && (p.rows-1) <= (len(p.pixels)-p.row)/p.stride
}

// withImages describes images to C until f returns. RGBA, gray, BGR and NV12 images are not copied.
func withImages(pictures []image.Image, f func(*C.sam2_image) error) error {
	if len(pictures) == 0 {
		return invalid("no image")
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	all := make([]C.sam2_image, len(pictures))
	for i, picture := range pictures {
		if picture == nil || picture.Bounds().Empty() {
			return invalid("an empty image")
		}
		c, bounds, raw := &all[i], picture.Bounds(), describe(picture)
		c.struct_size = C.uint32_t(unsafe.Sizeof(*c))
		c.width, c.height = C.uint32_t(bounds.Dx()), C.uint32_t(bounds.Dy())
		c.format, c.matrix, c._range = raw.format, raw.matrix, raw.rng
		for k, plane := range raw.planes {
			if !plane.fits() {
				return invalid("plane %d of an image: %d bytes do not hold %d rows of %d with a stride of %d",
					k, len(plane.pixels), plane.rows, plane.row, plane.stride)
			}
			pin.Pin(&plane.pixels[0])
			c.planes[k], c.strides[k] = unsafe.Pointer(&plane.pixels[0]), C.uint64_t(plane.stride)
		}
	}
	pin.Pin(&all[0])
	return f(&all[0])
}
