package sam2

/*
#include <sam2.h>
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"image"
	"runtime"
	"unsafe"
)

// ImagePredictor encodes pictures, then makes masks for prompts on them.
type ImagePredictor struct {
	p        *C.sam2_image_predictor
	maskSide int
	Form     MaskForm // of masks
}

// Prediction is the masks of one prompt, the best first or in the model's order: see IoU.
type Prediction struct {
	Masks       []*image.Gray // of MaskBytes: 255 on the object
	Logits      [][]float32   // of MaskLogits: (height, width) of each mask
	Bits        [][]uint8     // of MaskBits: (height, (width + 7) / 8) of each mask
	Labels      []uint16      // of MaskLabels: (height, width), the map of all prompts of the call
	IoU         []float32     // how well the model thinks each mask fits
	ObjectScore float32       // above 0 where there is an object
	LowRes      [][]float32   // logits of each mask, to be given as Prompt.Mask
}

// NewImagePredictor makes a predictor.
func (m *Model) NewImagePredictor() (*ImagePredictor, error) {
	p := &ImagePredictor{maskSide: m.maskSide}
	if err := call(func() C.sam2_status { return C.sam2_image_predictor_create(m.p, nil, &p.p) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(p, (*ImagePredictor).Close)
	return p, nil
}

// Close lets go of the predictor.
func (p *ImagePredictor) Close() error {
	if p.p == nil {
		return errClosed
	}
	defer runtime.SetFinalizer(p, nil)
	h := p.p
	p.p = nil
	return call(func() C.sam2_status { return C.sam2_image_predictor_destroy(h) })
}

// SetImage encodes a picture; the ones before are forgotten.
func (p *ImagePredictor) SetImage(picture image.Image) error {
	return p.SetImageContext(context.Background(), picture)
}

// SetImageContext is SetImage until a context is done.
func (p *ImagePredictor) SetImageContext(ctx context.Context, picture image.Image) error {
	return p.SetImageBatchContext(ctx, []image.Image{picture})
}

// SetImageBatch encodes several pictures, of any sizes; a Prompt says by its Image which it is for.
func (p *ImagePredictor) SetImageBatch(pictures []image.Image) error {
	return p.SetImageBatchContext(context.Background(), pictures)
}

// SetImageBatchContext is SetImageBatch until a context is done.
func (p *ImagePredictor) SetImageBatchContext(ctx context.Context, pictures []image.Image) error {
	h := p.p
	return awaitDone(ctx, func() error {
		defer runtime.KeepAlive(p)
		return withImages(pictures, func(c *C.sam2_image) error {
			return call(func() C.sam2_status {
				return C.sam2_image_predictor_set_image_batch(h, c, C.size_t(len(pictures)))
			})
		})
	})
}

// sizes are those of the pictures that are set.
func sizes(h *C.sam2_image_predictor) ([]image.Point, error) {
	var info C.sam2_image_predictor_info
	info.struct_size = C.uint32_t(unsafe.Sizeof(info))
	var all []image.Point
	for i := C.uint32_t(0); i == 0 || i < info.num_images; i++ {
		if err := call(func() C.sam2_status { return C.sam2_image_predictor_get_info(h, i, &info) }); err != nil {
			return nil, err
		}
		all = append(all, image.Pt(int(info.width), int(info.height)))
	}
	return all[:info.num_images], nil
}

// Predict makes masks of a prompt on the picture: three, for when it is not clear what is meant, or one.
func (p *ImagePredictor) Predict(prompt Prompt, multimask bool) (*Prediction, error) {
	return p.PredictContext(context.Background(), prompt, multimask)
}

// PredictContext is Predict until a context is done.
func (p *ImagePredictor) PredictContext(ctx context.Context, prompt Prompt, multimask bool) (*Prediction, error) {
	all, err := p.PredictAllContext(ctx, []Prompt{prompt}, multimask)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// PredictAll makes masks of several prompts, in the order of their pictures, in one go.
func (p *ImagePredictor) PredictAll(prompts []Prompt, multimask bool) ([]*Prediction, error) {
	return p.PredictAllContext(context.Background(), prompts, multimask)
}

// PredictAllContext is PredictAll until a context is done.
func (p *ImagePredictor) PredictAllContext(ctx context.Context, prompts []Prompt, multimask bool) ([]*Prediction, error) {
	h, form := p.p, p.Form
	if form == DefaultMasks {
		form = MaskBytes
	}
	return await(ctx, func() ([]*Prediction, error) {
		defer runtime.KeepAlive(p)
		return predict(h, form, p.maskSide, prompts, multimask)
	})
}

func predict(h *C.sam2_image_predictor, form MaskForm, side int, prompts []Prompt, multimask bool) ([]*Prediction, error) {
	n, flags := 1, C.uint32_t(0)
	if multimask {
		n, flags = 3, C.SAM2_PREDICT_MULTIMASK
	}
	count, low := len(prompts), side*side
	if count == 0 {
		return nil, nil
	}
	pictures, err := sizes(h)
	if err != nil {
		return nil, err
	}
	list, each := make([]C.sam2_prompt, count), make([]image.Point, count)
	for i, prompt := range prompts {
		f, err := flatten(prompt, side)
		if err != nil {
			return nil, err
		}
		defer f.free()
		list[i] = f.c
		if prompt.Image >= 0 && prompt.Image < len(pictures) {
			each[i] = pictures[prompt.Image]
		}
	}
	masks, err := newMaskBuffer(form, n, each)
	if err != nil {
		return nil, err
	}
	iou, scores, lows := make([]float32, count*n), make([]float32, count), make([]float32, count*n*low)
	var pin runtime.Pinner
	defer pin.Unpin()
	buffer := masks.c(&pin)
	err = call(func() C.sam2_status {
		return C.sam2_image_predictor_predict(h, &list[0], C.size_t(count), flags, &buffer,
			(*C.float)(&iou[0]), (*C.float)(&lows[0]), (*C.float)(&scores[0]))
	})
	if err != nil {
		return nil, err
	}
	var all []*Prediction
	for i, size := range each {
		out := &Prediction{IoU: cut(&iou, n), ObjectScore: scores[i]}
		for k := 0; k < n; k++ {
			switch form {
			case MaskBytes:
				out.Masks = append(out.Masks, gray(cut(&masks.bytes, size.X*size.Y), size))
			case MaskLogits:
				out.Logits = append(out.Logits, cut(&masks.logits, size.X*size.Y))
			case MaskBits:
				out.Bits = append(out.Bits, cut(&masks.bytes, rowBytes(size.X)*size.Y))
			case MaskLabels:
				out.Labels = masks.labels[:size.X*size.Y]
			}
			out.LowRes = append(out.LowRes, cut(&lows, low))
		}
		all = append(all, out)
	}
	return all, nil
}
