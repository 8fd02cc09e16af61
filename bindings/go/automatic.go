package sam2

/*
#include <sam2.h>
#include <stdlib.h>

int32_t sam2_go_mask(void *user, const sam2_automatic_mask *mask);
int32_t sam2_go_progress(void *user, uint64_t points_done, uint64_t num_points, uint64_t num_masks);
*/
import "C"

import (
	"context"
	"image"
	"math"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// AutomaticMaskGeneratorOptions configures [Model.NewAutomaticMaskGenerator]. The names are those of the reference.
// Start from [DefaultAutomaticMaskGeneratorOptions].
type AutomaticMaskGeneratorOptions struct {
	PointsPerSide            int // points along each side of the image
	PointsPerBatch           int // largest number of points to decode at once
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
	PointGrids               [][][2]float64 // in place of PointsPerSide, which must be 0 then: x and y from 0 to 1, for the image and for each layer of crops
}

// DefaultAutomaticMaskGeneratorOptions returns the defaults of the reference.
func DefaultAutomaticMaskGeneratorOptions() AutomaticMaskGeneratorOptions {
	return AutomaticMaskGeneratorOptions{
		PointsPerSide: 32, PointsPerBatch: 64, PredIoUThresh: 0.8, StabilityScoreThresh: 0.95, StabilityScoreOffset: 1,
		BoxNMSThresh: 0.7, CropNMSThresh: 0.7, CropOverlapRatio: 512.0 / 1500, CropNPointsDownscale: 1,
	}
}

// AutomaticMask is a mask of an [AutomaticMaskGenerator].
type AutomaticMask struct {
	RLE                          string     // COCO run-length string, for DecodeRLE, LabelMap and Polygons
	Width, Height                int        // size of the image in pixels
	Area                         uint64     // in pixels
	BBox, CropBox                [4]float32 // left, top, width and height
	Point                        [2]float32 // the point that the mask was predicted from
	PredictedIoU, StabilityScore float32
}

// AutomaticMaskGenerator finds the masks of all objects in images.
type AutomaticMaskGenerator struct {
	p      *C.sam2_automatic_mask_generator
	within atomic.Int32
}

// NewAutomaticMaskGenerator creates a generator.
func (m *Model) NewAutomaticMaskGenerator(o AutomaticMaskGeneratorOptions) (*AutomaticMaskGenerator, error) {
	defer runtime.KeepAlive(m)
	var c C.sam2_automatic_mask_generator_options
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
	var pin runtime.Pinner
	defer pin.Unpin()
	var points []C.double
	var sizes []C.uint32_t
	for _, grid := range o.PointGrids {
		sizes = append(sizes, C.uint32_t(len(grid)))
		for _, at := range grid {
			points = append(points, C.double(at[0]), C.double(at[1]))
		}
	}
	if len(points) > 0 {
		pin.Pin(&points[0])
		pin.Pin(&sizes[0])
		c.point_grids, c.points_per_grid = &points[0], &sizes[0]
	}
	c.num_point_grids = C.uint32_t(len(sizes))
	g := new(AutomaticMaskGenerator)
	if err := call(func() C.sam2_status { return C.sam2_automatic_mask_generator_create(m.p, &c, &g.p) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(g, (*AutomaticMaskGenerator).Close)
	return g, nil
}

// Cancel ends the call that another goroutine makes.
func (g *AutomaticMaskGenerator) Cancel() error {
	defer runtime.KeepAlive(g)
	return call(func() C.sam2_status { return C.sam2_automatic_mask_generator_cancel(g.p) })
}

// Close releases the generator.
func (g *AutomaticMaskGenerator) Close() error {
	if g.p == nil {
		return errClosed
	}
	if err := closing(&g.within); err != nil {
		return err
	}
	defer runtime.SetFinalizer(g, nil)
	h := g.p
	g.p = nil
	return call(func() C.sam2_status { return C.sam2_automatic_mask_generator_destroy(h) })
}

// SearchLimits ends a search before all points are processed.
type SearchLimits struct {
	Budget time.Duration // longest time to search; 0 for no limit
	// Progress is called after every batch of points and returns whether to continue.
	Progress func(pointsDone, numPoints, numMasks int) bool
}

// search is the state of a call.
type search struct {
	held
	found    []AutomaticMask
	progress func(pointsDone, numPoints, numMasks int) bool
}

// Generate finds the masks of all objects in an image, the best first.
func (g *AutomaticMaskGenerator) Generate(picture image.Image) ([]AutomaticMask, error) {
	return g.GenerateContext(context.Background(), picture)
}

// GenerateContext is [AutomaticMaskGenerator.Generate] with a context.
func (g *AutomaticMaskGenerator) GenerateContext(ctx context.Context, picture image.Image) ([]AutomaticMask, error) {
	found, _, err := g.GenerateUntilContext(ctx, picture, SearchLimits{})
	return found, err
}

// GenerateUntil is [AutomaticMaskGenerator.Generate] with limits. It also returns whether all points were processed.
func (g *AutomaticMaskGenerator) GenerateUntil(picture image.Image, limits SearchLimits) ([]AutomaticMask, bool, error) {
	return g.GenerateUntilContext(context.Background(), picture, limits)
}

// GenerateUntilContext is [AutomaticMaskGenerator.GenerateUntil] with a context. It returns no masks after the context
// is done.
func (g *AutomaticMaskGenerator) GenerateUntilContext(ctx context.Context, picture image.Image, limits SearchLimits) ([]AutomaticMask, bool, error) {
	s := search{held: held{ctx: ctx, within: &g.within}, progress: limits.Progress}
	limit := C.uint64_t(C.SAM2_WAIT_FOREVER)
	if limits.Budget != 0 {
		limit = C.uint64_t(max(limits.Budget, 0).Milliseconds())
	}
	h, complete := g.p, C.int32_t(0)
	cancel := func() { C.sam2_automatic_mask_generator_cancel(h) }
	err := awaitDone(ctx, cancel, func() error {
		defer runtime.KeepAlive(g)
		err := withHandle(&s, func(user unsafe.Pointer) error {
			return withImages([]image.Image{picture}, func(c *C.sam2_image) error {
				return call(func() C.sam2_status {
					onMask, onProgress := C.sam2_automatic_mask_callback(C.sam2_go_mask), C.sam2_progress_callback(C.sam2_go_progress)
					return C.sam2_automatic_mask_generator_generate(h, c, limit, onProgress, onMask, user, &complete)
				})
			})
		})
		s.release()
		return err
	})
	if err == nil && complete == 0 {
		// A search that ends early succeeds.
		err = ctx.Err()
	}
	if err != nil {
		return nil, false, err
	}
	return s.found, complete != 0, nil
}

//export sam2GoProgress
func sam2GoProgress(user unsafe.Pointer, points, total, masks C.uint64_t) C.int32_t {
	s := of[*search](user)
	return s.run(func() bool { return s.progress == nil || s.progress(int(points), int(total), int(masks)) })
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
	s := of[*search](user)
	s.found = append(s.found, m)
	return 0
}

// checkSize fails if a mask is empty, or has more pixels than an int holds on every machine.
func checkSize(width, height int) error {
	if width <= 0 || height <= 0 || width > math.MaxInt32/height {
		return invalid("a mask of %dx%d pixels", width, height)
	}
	return nil
}

// DecodeRLE decodes a COCO run-length string to a mask, 255 on the object.
func DecodeRLE(text string, width, height int) (*image.Gray, error) {
	if err := checkSize(width, height); err != nil {
		return nil, err
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

// LabelMap draws masks, given as COCO run-length strings, into one map of height rows: 0 on the background, otherwise 1
// + the index of the mask. The largest masks are drawn first. Of masks with equal areas, the first lies on top.
func LabelMap(masks []string, width, height int) ([]uint16, error) {
	if err := checkSize(width, height); err != nil {
		return nil, err
	}
	size := C.size_t(unsafe.Sizeof((*C.char)(nil)))
	texts := (**C.char)(C.malloc(size * C.size_t(len(masks)+1)))
	defer C.free(unsafe.Pointer(texts))
	for i, text := range masks {
		c := C.CString(text)
		defer C.free(unsafe.Pointer(c))
		unsafe.Slice(texts, len(masks))[i] = c
	}
	labels := make([]uint16, width*height)
	err := call(func() C.sam2_status {
		return C.sam2_mask_get_label_map(texts, C.size_t(len(masks)), C.uint32_t(width), C.uint32_t(height), (*C.uint16_t)(&labels[0]))
	})
	return labels, err
}

// Polygons returns the outlines of a mask, given as a COCO run-length string, along the edges of its pixels. An outline
// around the object is clockwise, one around a hole is counterclockwise. Filled by the even-odd rule they reproduce the
// mask.
func Polygons(mask string, width, height int) ([][]image.Point, error) {
	if err := checkSize(width, height); err != nil {
		return nil, err
	}
	c := C.CString(mask)
	defer C.free(unsafe.Pointer(c))
	var corners, rings C.size_t
	outlines := func(points, sizes *C.uint32_t) error {
		return call(func() C.sam2_status {
			return C.sam2_mask_get_polygons(c, C.uint32_t(width), C.uint32_t(height), points, &corners, sizes, &rings)
		})
	}
	if err := outlines(nil, nil); err != nil {
		return nil, err
	}
	// One more, so that the slices are not empty.
	points, sizes := make([]C.uint32_t, 2*corners+1), make([]C.uint32_t, rings+1)
	if err := outlines(&points[0], &sizes[0]); err != nil {
		return nil, err
	}
	all := make([][]image.Point, rings)
	for i := range all {
		for ; sizes[i] > 0; sizes[i]-- {
			all[i] = append(all[i], image.Pt(int(points[0]), int(points[1])))
			points = points[2:]
		}
	}
	return all, nil
}
