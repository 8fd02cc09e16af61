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

// ImagePredictor encodes images and predicts masks for prompts on them.
type ImagePredictor struct {
	p        *C.sam2_image_predictor
	maskSide int
	Format   MaskFormat  // format of the masks that Predict returns
	Into     *MaskBuffer // memory for the masks of all prompts, which Predict then does not return; nil for none
}

// Prediction holds the masks of one prompt, in the order of the model. IoU tells which is the best.
type Prediction struct {
	Masks            []*image.Gray // MaskBytes: 255 on the object
	Logits           [][]float32   // MaskLogits: (height, width) for each mask
	Bits             [][]uint8     // MaskBits: (height, (width + 7) / 8) for each mask
	Labels           []uint16      // MaskLabels: (height, width), one map for all prompts of the call
	IoU              []float32     // predicted IoU of each mask
	ObjectScoreLogit float32       // above 0 if there is an object
	LowRes           [][]float32   // low-resolution logits of each mask, for Prompt.Mask
}

// NewImagePredictor creates a predictor.
func (m *Model) NewImagePredictor() (*ImagePredictor, error) {
	defer runtime.KeepAlive(m)
	p := &ImagePredictor{maskSide: m.maskSide}
	if err := call(func() C.sam2_status { return C.sam2_image_predictor_create(m.p, nil, &p.p) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(p, (*ImagePredictor).Close)
	return p, nil
}

// Cancel ends the call that another goroutine makes.
func (p *ImagePredictor) Cancel() error {
	defer runtime.KeepAlive(p)
	return call(func() C.sam2_status { return C.sam2_image_predictor_cancel(p.p) })
}

// Close releases the predictor.
func (p *ImagePredictor) Close() error {
	if p.p == nil {
		return errClosed
	}
	defer runtime.SetFinalizer(p, nil)
	h := p.p
	p.p = nil
	return call(func() C.sam2_status { return C.sam2_image_predictor_destroy(h) })
}

// SetImage encodes an image, which replaces the previous images.
func (p *ImagePredictor) SetImage(picture image.Image) error {
	return p.SetImageContext(context.Background(), picture)
}

// SetImageContext is [ImagePredictor.SetImage] with a context.
func (p *ImagePredictor) SetImageContext(ctx context.Context, picture image.Image) error {
	return p.SetImageBatchContext(ctx, []image.Image{picture})
}

// SetImageBatch encodes several images of any sizes. Prompt.Image selects one of them.
func (p *ImagePredictor) SetImageBatch(pictures []image.Image) error {
	return p.SetImageBatchContext(context.Background(), pictures)
}

// SetImageBatchContext is [ImagePredictor.SetImageBatch] with a context.
func (p *ImagePredictor) SetImageBatchContext(ctx context.Context, pictures []image.Image) error {
	h := p.p
	return awaitDone(ctx, func() { C.sam2_image_predictor_cancel(h) }, func() error {
		defer runtime.KeepAlive(p)
		return withImages(pictures, func(c *C.sam2_image) error {
			return call(func() C.sam2_status {
				return C.sam2_image_predictor_set_image_batch(h, c, C.size_t(len(pictures)))
			})
		})
	})
}

// sizes returns the sizes of the current images.
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

// Predict predicts masks for a prompt on the image: three with multimask, otherwise one.
func (p *ImagePredictor) Predict(prompt Prompt, multimask bool) (*Prediction, error) {
	return p.PredictContext(context.Background(), prompt, multimask)
}

// PredictContext is [ImagePredictor.Predict] with a context.
func (p *ImagePredictor) PredictContext(ctx context.Context, prompt Prompt, multimask bool) (*Prediction, error) {
	all, err := p.PredictAllContext(ctx, []Prompt{prompt}, multimask)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// PredictAll predicts masks for several prompts in one call. The prompts must be ordered by their images.
func (p *ImagePredictor) PredictAll(prompts []Prompt, multimask bool) ([]*Prediction, error) {
	return p.PredictAllContext(context.Background(), prompts, multimask)
}

// PredictAllContext is [ImagePredictor.PredictAll] with a context.
func (p *ImagePredictor) PredictAllContext(ctx context.Context, prompts []Prompt, multimask bool) ([]*Prediction, error) {
	h, format, into := p.p, p.Format, p.Into
	if format == DefaultMasks {
		format = MaskBytes
	}
	return await(ctx, func() { C.sam2_image_predictor_cancel(h) }, func() ([]*Prediction, error) {
		defer runtime.KeepAlive(p)
		return predict(h, format, into, p.maskSide, prompts, multimask)
	})
}

func predict(h *C.sam2_image_predictor, format MaskFormat, into *MaskBuffer, side int, prompts []Prompt, multimask bool) ([]*Prediction, error) {
	n, flags := 1, C.sam2_predict_flags(0)
	if multimask {
		n, flags = 3, C.SAM2_PREDICT_MULTIMASK
	}
	if len(prompts) > 0 && prompts[0].Normalized {
		flags |= C.SAM2_PREDICT_NORMALIZED
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
		if prompt.Normalized != prompts[0].Normalized {
			return nil, invalid("of the prompts of a call all are Normalized, or none")
		}
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
	masks := into
	if into == nil {
		masks, err = newMaskBuffer(format, n, each)
	} else {
		err = into.check()
	}
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
	all := make([]*Prediction, count)
	for i, size := range each {
		out := &Prediction{IoU: cut(&iou, n), ObjectScoreLogit: scores[i]}
		for k := 0; k < n; k++ {
			if into == nil {
				out.take(masks, size)
			}
			out.LowRes = append(out.LowRes, cut(&lows, low))
		}
		all[i] = out
	}
	return all, nil
}

// take moves the next mask out of the masks of a call.
func (p *Prediction) take(masks *MaskBuffer, size image.Point) {
	switch masks.Format {
	case MaskBytes:
		p.Masks = append(p.Masks, gray(cut(&masks.Bytes, size.X*size.Y), size))
	case MaskLogits:
		p.Logits = append(p.Logits, cut(&masks.Logits, size.X*size.Y))
	case MaskBits:
		p.Bits = append(p.Bits, cut(&masks.Bytes, rowBytes(size.X)*size.Y))
	case MaskLabels:
		p.Labels = masks.Words
	}
}
