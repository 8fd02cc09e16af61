// Usage segments the object at a pixel of an image, and tracks it through a video:
//
//	usage MODEL IMAGE FRAMES X Y MASK.png
package main

import (
	"fmt"
	"image"
	_ "image/jpeg"
	"image/png"
	"os"

	"sam2.invalid/sam2"
)

func run(model, picture, frames, x, y, mask string) error {
	at := sam2.Point{Label: 1}
	if _, err := fmt.Sscan(x, &at.X); err != nil {
		return fmt.Errorf("X is %q: %w", x, err)
	}
	if _, err := fmt.Sscan(y, &at.Y); err != nil {
		return fmt.Errorf("Y is %q: %w", y, err)
	}
	click := sam2.Prompt{Points: []sam2.Point{at}}
	m, err := sam2.Load(model, sam2.Options{})
	if err != nil {
		return err
	}
	defer m.Close()

	file, err := os.Open(picture)
	if err != nil {
		return err
	}
	defer file.Close()
	pixels, _, err := image.Decode(file)
	if err != nil {
		return err
	}
	predictor, err := m.NewImagePredictor()
	if err != nil {
		return err
	}
	defer predictor.Close()
	if err := predictor.SetImage(pixels); err != nil {
		return err
	}
	found, err := predictor.Predict(click, false)
	if err != nil {
		return err
	}
	out, err := os.Create(mask)
	if err != nil {
		return err
	}
	if err := png.Encode(out, found.Masks[0]); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	fmt.Printf("predicted IoU %.6f\n", found.IoU[0])

	video, err := m.OpenVideo(frames, sam2.VideoPredictorOptions{})
	if err != nil {
		return err
	}
	defer video.Close()
	if _, err := video.AddNewPointsOrBox(0, 1, click, false); err != nil {
		return err
	}
	return video.PropagateInVideo(-1, -1, false, func(f *sam2.Frame) bool {
		fmt.Printf("frame %d: %d pixels\n", f.Index, f.Areas[0])
		return true
	})
}

func main() {
	if len(os.Args) != 7 {
		fmt.Fprintln(os.Stderr, "usage MODEL PICTURE FRAMES X Y MASK.png")
		os.Exit(2)
	}
	a := os.Args
	if err := run(a[1], a[2], a[3], a[4], a[5], a[6]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
