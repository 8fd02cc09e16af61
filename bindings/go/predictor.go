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

// ImagePredictor encodes a picture, then makes masks for prompts on it.
type ImagePredictor struct {
	p             *C.sam2_image_predictor
	maskSide      int
	width, height int
}

// Prediction is the masks of one prompt, the best first or in the model's order: see IoU.
type Prediction struct {
	Masks       []*image.Gray // 255 on the object
	IoU         []float32     // how well the model thinks each mask fits
	ObjectScore float32       // above 0 where there is an object
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

// SetImage encodes a picture; the one before is forgotten.
func (p *ImagePredictor) SetImage(picture image.Image) error {
	err := withImage(picture, func(c *C.sam2_image) error {
		return call(func() C.sam2_status { return C.sam2_image_predictor_set_image(p.p, c) })
	})
	if err == nil {
		p.width, p.height = picture.Bounds().Dx(), picture.Bounds().Dy()
	}
	runtime.KeepAlive(p)
	return err
}

// Predict makes masks of a prompt on the picture: three, for when it is not clear what is meant, or one.
func (p *ImagePredictor) Predict(prompt Prompt, multimask bool) (*Prediction, error) {
	n, flags := 1, C.uint32_t(0)
	if multimask {
		n, flags = 3, C.SAM2_PREDICT_MULTIMASK
	}
	f := flatten(prompt)
	defer f.free()
	size := p.width * p.height
	masks, iou, score := make([]uint8, n*size+1), make([]float32, n), float32(0)
	var buffer C.sam2_mask_buffer
	buffer.struct_size = C.uint32_t(unsafe.Sizeof(buffer))
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&masks[0])
	buffer.data, buffer.size = unsafe.Pointer(&masks[0]), C.uint64_t(n*size)
	err := call(func() C.sam2_status {
		return C.sam2_image_predictor_predict(p.p, &f.c, 1, flags, &buffer, (*C.float)(&iou[0]), nil, (*C.float)(&score))
	})
	runtime.KeepAlive(p)
	if err != nil {
		return nil, err
	}
	out := &Prediction{IoU: iou, ObjectScore: score}
	for i := 0; i < n; i++ {
		mask := masks[i*size:][:size:size]
		for k := range mask {
			mask[k] *= 255
		}
		out.Masks = append(out.Masks, &image.Gray{Pix: mask, Stride: p.width, Rect: image.Rect(0, 0, p.width, p.height)})
	}
	return out, nil
}
