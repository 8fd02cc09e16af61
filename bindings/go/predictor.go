package sam2

/*
#include <sam2.h>
#include <stdlib.h>
*/
import "C"

import (
	"image"
	"runtime"
	"unsafe"
)

// ImagePredictor encodes pictures, then makes masks for prompts on them.
type ImagePredictor struct {
	p        *C.sam2_image_predictor
	maskSide int
	sizes    []image.Point
}

// Prediction is the masks of one prompt, the best first or in the model's order: see IoU.
type Prediction struct {
	Masks       []*image.Gray // 255 on the object
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
	return p.SetImageBatch([]image.Image{picture})
}

// SetImageBatch encodes several pictures, of any sizes; a Prompt says by its Image which it is for.
func (p *ImagePredictor) SetImageBatch(pictures []image.Image) error {
	err := withImages(pictures, func(c *C.sam2_image) error {
		return call(func() C.sam2_status {
			return C.sam2_image_predictor_set_image_batch(p.p, c, C.size_t(len(pictures)))
		})
	})
	if err == nil {
		p.sizes = nil
		for _, picture := range pictures {
			p.sizes = append(p.sizes, picture.Bounds().Size())
		}
	}
	runtime.KeepAlive(p)
	return err
}

// Predict makes masks of a prompt on the picture: three, for when it is not clear what is meant, or one.
func (p *ImagePredictor) Predict(prompt Prompt, multimask bool) (*Prediction, error) {
	all, err := p.PredictAll([]Prompt{prompt}, multimask)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// PredictAll makes masks of several prompts, in the order of their pictures, in one go.
func (p *ImagePredictor) PredictAll(prompts []Prompt, multimask bool) ([]*Prediction, error) {
	n, flags := 1, C.uint32_t(0)
	if multimask {
		n, flags = 3, C.SAM2_PREDICT_MULTIMASK
	}
	count, low := len(prompts), p.maskSide*p.maskSide
	if count == 0 {
		return nil, nil
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	list, size, sizes := make([]C.sam2_prompt, count), 0, make([]image.Point, count)
	for i, prompt := range prompts {
		f := flatten(prompt)
		defer f.free()
		list[i] = f.c
		if prompt.Image >= 0 && prompt.Image < len(p.sizes) {
			sizes[i] = p.sizes[prompt.Image]
		}
		size += n * sizes[i].X * sizes[i].Y
	}
	masks, iou, scores := make([]uint8, size+1), make([]float32, count*n), make([]float32, count)
	lows := make([]float32, count*n*low)
	var buffer C.sam2_mask_buffer
	buffer.struct_size = C.uint32_t(unsafe.Sizeof(buffer))
	pin.Pin(&masks[0])
	buffer.data, buffer.size = unsafe.Pointer(&masks[0]), C.uint64_t(size)
	err := call(func() C.sam2_status {
		return C.sam2_image_predictor_predict(p.p, &list[0], C.size_t(count), flags, &buffer,
			(*C.float)(&iou[0]), (*C.float)(&lows[0]), (*C.float)(&scores[0]))
	})
	runtime.KeepAlive(p)
	if err != nil {
		return nil, err
	}
	var all []*Prediction
	for i, size := range sizes {
		out := &Prediction{IoU: iou[i*n:][:n:n], ObjectScore: scores[i]}
		pixels := size.X * size.Y
		for k := i * n; k < (i+1)*n; k++ {
			mask := masks[:pixels:pixels]
			masks = masks[pixels:]
			for at := range mask {
				mask[at] *= 255
			}
			out.Masks = append(out.Masks, &image.Gray{Pix: mask, Stride: size.X, Rect: image.Rectangle{Max: size}})
			out.LowRes = append(out.LowRes, lows[k*low:][:low:low])
		}
		all = append(all, out)
	}
	return all, nil
}
