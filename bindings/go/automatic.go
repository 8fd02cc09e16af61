package sam2

/*
#include <sam2.h>
#include <stdlib.h>

int32_t sam2_go_mask(void *user, const sam2_automatic_mask *mask);
*/
import "C"

import (
	"image"
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// AutomaticMaskOptions say what to look for; begin with DefaultAutomaticMaskOptions.
type AutomaticMaskOptions struct {
	PointsPerSide            int // of a grid over the picture
	PointsPerBatch           int // that are decoded at once, at most
	PredIoUThresh            float32
	StabilityScoreThresh     float32
	StabilityScoreOffset     float32
	MaskThreshold            float32
	BoxNMSThresh             float32
	CropNLayers              int
	CropNMSThresh            float32
	CropOverlapRatio         float64
	CropNPointsDownscale     int
	MinMaskRegionArea        int
	UseM2M, SingleMaskOutput bool
}

// DefaultAutomaticMaskOptions are the reference's.
func DefaultAutomaticMaskOptions() AutomaticMaskOptions {
	return AutomaticMaskOptions{
		PointsPerSide: 32, PointsPerBatch: 64, PredIoUThresh: 0.8, StabilityScoreThresh: 0.95, StabilityScoreOffset: 1,
		BoxNMSThresh: 0.7, CropNMSThresh: 0.7, CropOverlapRatio: 512.0 / 1500, CropNPointsDownscale: 1,
	}
}

// AutomaticMask is a mask that was found without being asked for.
type AutomaticMask struct {
	RLE                          string // COCO's run lengths: DecodeRLE
	Width, Height                int    // of the picture
	Area                         uint64
	BBox, CropBox                [4]float32 // left, top, width, height
	Point                        [2]float32 // that found it
	PredictedIoU, StabilityScore float32
}

// AutomaticMaskGenerator finds everything in pictures.
type AutomaticMaskGenerator struct {
	p *C.sam2_automatic_mask_generator
}

// NewAutomaticMaskGenerator makes a generator.
func (m *Model) NewAutomaticMaskGenerator(o AutomaticMaskOptions) (*AutomaticMaskGenerator, error) {
	var c C.sam2_automatic_mask_options
	c.struct_size = C.uint32_t(unsafe.Sizeof(c))
	c.points_per_side, c.points_per_batch = C.uint32_t(o.PointsPerSide), C.uint32_t(o.PointsPerBatch)
	c.pred_iou_thresh, c.stability_score_thresh = C.float(o.PredIoUThresh), C.float(o.StabilityScoreThresh)
	c.stability_score_offset, c.mask_threshold = C.float(o.StabilityScoreOffset), C.float(o.MaskThreshold)
	c.box_nms_thresh, c.crop_nms_thresh = C.float(o.BoxNMSThresh), C.float(o.CropNMSThresh)
	c.crop_n_layers, c.crop_overlap_ratio = C.uint32_t(o.CropNLayers), C.double(o.CropOverlapRatio)
	c.crop_n_points_downscale_factor = C.uint32_t(o.CropNPointsDownscale)
	c.min_mask_region_area, c.multimask_output = C.uint32_t(o.MinMaskRegionArea), 1
	if o.UseM2M {
		c.use_m2m = 1
	}
	if o.SingleMaskOutput {
		c.multimask_output = 0
	}
	g := new(AutomaticMaskGenerator)
	if err := call(func() C.sam2_status { return C.sam2_automatic_mask_generator_create(m.p, &c, &g.p) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(g, (*AutomaticMaskGenerator).Close)
	return g, nil
}

// Close lets go of the generator.
func (g *AutomaticMaskGenerator) Close() error {
	if g.p == nil {
		return errClosed
	}
	defer runtime.SetFinalizer(g, nil)
	p := g.p
	g.p = nil
	return call(func() C.sam2_status { return C.sam2_automatic_mask_generator_destroy(p) })
}

// Generate finds everything in a picture, best first.
func (g *AutomaticMaskGenerator) Generate(picture image.Image) ([]AutomaticMask, error) {
	var all []AutomaticMask
	h := cgo.NewHandle(&all)
	defer h.Delete()
	user := C.malloc(C.size_t(unsafe.Sizeof(h)))
	defer C.free(user)
	*(*cgo.Handle)(user) = h
	err := withImages([]image.Image{picture}, func(c *C.sam2_image) error {
		return call(func() C.sam2_status {
			each := C.sam2_automatic_mask_callback(C.sam2_go_mask)
			return C.sam2_automatic_mask_generator_generate(g.p, c, C.SAM2_WAIT_FOREVER, nil, each, user, nil)
		})
	})
	runtime.KeepAlive(g)
	return all, err
}

//export sam2GoMask
func sam2GoMask(user unsafe.Pointer, c *C.sam2_automatic_mask) C.int32_t {
	m := AutomaticMask{
		RLE: C.GoString(c.rle), Width: int(c.width), Height: int(c.height), Area: uint64(c.area),
		PredictedIoU: float32(c.predicted_iou), StabilityScore: float32(c.stability_score),
		Point: [2]float32{float32(c.point_coords[0]), float32(c.point_coords[1])},
	}
	for i := range m.BBox {
		m.BBox[i], m.CropBox[i] = float32(c.bbox[i]), float32(c.crop_box[i])
	}
	to := (*(*cgo.Handle)(user)).Value().(*[]AutomaticMask)
	*to = append(*to, m)
	return 0
}

// DecodeRLE reads the text of COCO's run lengths into a mask, 255 on the object.
func DecodeRLE(text string, width, height int) (*image.Gray, error) {
	if width <= 0 || height <= 0 {
		return nil, &Error{InvalidArgument, "an empty mask"}
	}
	c, mask := C.CString(text), image.NewGray(image.Rect(0, 0, width, height))
	defer C.free(unsafe.Pointer(c))
	err := call(func() C.sam2_status {
		return C.sam2_mask_decode_rle(c, C.uint32_t(width), C.uint32_t(height), (*C.uint8_t)(&mask.Pix[0]))
	})
	for i := range mask.Pix {
		mask.Pix[i] *= 255
	}
	return mask, err
}
