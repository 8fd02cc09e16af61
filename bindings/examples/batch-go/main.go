// Batch writes masks for a folder of images:
//
//	batch [-workers N] [-device auto|cpu|cuda] [-prompts FILE.json] MODEL PICTURES MASKS
//
// The file contains a prompt for each image. Without it, the prompt is a click in the middle of each image:
//
//	{"photo.jpg": {"points": [[500, 375, 1]], "box": [425, 600, 700, 875]}}
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"image"
	_ "image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"sam2.invalid/sam2"
)

// said is the prompt for an image: points with labels, a box, or both.
type said struct {
	Points [][3]float32 `json:"points"`
	Box    *[4]float32  `json:"box"`
}

func (s said) prompt() sam2.Prompt {
	p := sam2.Prompt{Box: s.Box}
	for _, at := range s.Points {
		p.Points = append(p.Points, sam2.Point{X: at[0], Y: at[1], Label: int32(at[2])})
	}
	return p
}

// centre returns a click in the middle of an image.
func centre(size image.Point) sam2.Prompt {
	return sam2.Prompt{Points: []sam2.Point{{X: float32(size.X) / 2, Y: float32(size.Y) / 2, Label: 1}}}
}

func decode(path string) (image.Image, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	picture, _, err := image.Decode(file)
	return picture, err
}

func write(path string, mask image.Image) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := png.Encode(file, mask); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// segment writes the mask of an image and returns its predicted IoU.
func segment(p *sam2.ImagePredictor, from, to string, meant *said) (float32, error) {
	picture, err := decode(from)
	if err != nil {
		return 0, err
	}
	if err := p.SetImage(picture); err != nil {
		return 0, err
	}
	prompt := centre(picture.Bounds().Size())
	if meant != nil {
		prompt = meant.prompt()
	}
	found, err := p.Predict(prompt, false)
	if err != nil {
		return 0, err
	}
	return found.IoU[0], write(to, found.Masks[0])
}

// pictures lists the images of a folder and their prompts. With a file of prompts, it lists only the images that the
// file names.
func pictures(folder, prompts string) (names []string, meant map[string]*said, err error) {
	if prompts != "" {
		text, err := os.ReadFile(prompts)
		if err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal(text, &meant); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", prompts, err)
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		switch strings.ToLower(filepath.Ext(entry.Name())) {
		case ".png", ".jpg", ".jpeg":
			if meant == nil || meant[entry.Name()] != nil {
				names = append(names, entry.Name())
			}
		}
	}
	return names, meant, nil
}

// run writes the masks and returns the number of images that failed. Each failure is printed to stderr.
func run(model, folder, out, prompts, device string, workers int) (failed int, err error) {
	devices := map[string]int{"auto": sam2.Auto, "cpu": sam2.CPU, "cuda": sam2.CUDA}
	number, ok := devices[device]
	if !ok || workers < 1 {
		return 0, fmt.Errorf("no device %q, or no %d workers", device, workers)
	}
	names, meant, err := pictures(folder, prompts)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return 0, err
	}
	m, err := sam2.Load(model, sam2.Options{Device: number})
	if err != nil {
		return 0, err
	}
	defer m.Close()

	// The workers share the model. Each has its own predictor.
	predictors := make([]*sam2.ImagePredictor, workers)
	for i := range predictors {
		if predictors[i], err = m.NewImagePredictor(); err != nil {
			return 0, err
		}
		defer predictors[i].Close()
	}
	var group sync.WaitGroup
	var lock sync.Mutex
	queue, done := make(chan string), 0
	for _, p := range predictors {
		group.Add(1)
		go func(p *sam2.ImagePredictor) {
			defer group.Done()
			for name := range queue {
				to := filepath.Join(out, name+".png")
				iou, err := segment(p, filepath.Join(folder, name), to, meant[name])
				lock.Lock()
				done++
				if err != nil {
					failed++
					fmt.Fprintf(os.Stderr, "%d/%d %s: %v\n", done, len(names), name, err)
				} else {
					fmt.Fprintf(os.Stderr, "%d/%d %s\n", done, len(names), name)
					fmt.Printf("%s %.4f\n", to, iou)
				}
				lock.Unlock()
			}
		}(p)
	}
	for _, name := range names {
		queue <- name
	}
	close(queue)
	group.Wait()
	return failed, nil
}

func main() {
	workers := flag.Int("workers", 2, "predictors at once")
	device := flag.String("device", "auto", "auto, cpu or cuda")
	prompts := flag.String("prompts", "", "prompts for the images, a JSON file")
	flag.Parse()
	if flag.NArg() != 3 {
		fmt.Fprintln(os.Stderr, "batch [-workers N] [-device auto|cpu|cuda] [-prompts FILE.json] MODEL PICTURES MASKS")
		os.Exit(2)
	}
	failed, err := run(flag.Arg(0), flag.Arg(1), flag.Arg(2), *prompts, *device, *workers)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || failed > 0 {
		os.Exit(1)
	}
}
