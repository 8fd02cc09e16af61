package sam2

import (
	"errors"
	"fmt"
	"hash/fnv"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"unsafe"
)

const root = "../.."

func demo(t *testing.T) *Model {
	m, err := Load(filepath.Join(root, "demo"), Options{Device: CPU})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func read(t *testing.T, name string) image.Image {
	file, err := os.Open(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, _, err := image.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func status(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// Prints hashes for a Rust test.
func TestBits(t *testing.T) {
	m := demo(t)
	p := must(m.NewImagePredictor())
	if err := p.SetImage(read(t, "demo/pictures/astronaut.png")); err != nil {
		t.Fatal(err)
	}
	show := func(found *Prediction) {
		h := fnv.New64a()
		for _, mask := range found.Masks {
			h.Write(mask.Pix)
		}
		h.Write(unsafe.Slice((*byte)(unsafe.Pointer(&found.IoU[0])), 4*len(found.IoU)))
		fmt.Printf("BITS %d %016x\n", len(found.Masks), h.Sum64())
	}
	show(must(p.Predict(Prompt{Points: []Point{{77, 400, 1}}}, true)))
	// The same in a batch, and as a run-length string.
	batch := must(m.NewImagePredictor())
	picture := read(t, "demo/pictures/astronaut.png")
	if err := batch.SetImageBatch([]image.Image{image.NewGray(image.Rect(0, 0, 50, 40)), picture}); err != nil {
		t.Fatal(err)
	}
	click := Prompt{Points: []Point{{77, 400, 1}}, Image: 1}
	all := must(batch.PredictAll([]Prompt{{Points: []Point{{7, 7, 1}}}, click}, true))
	one := must(p.Predict(Prompt{Points: []Point{{77, 400, 1}}}, true))
	if !reflect.DeepEqual(all[1], one) || all[0].Masks[2].Rect != image.Rect(0, 0, 50, 40) {
		t.Error("a batch")
	}
	again := must(p.Predict(Prompt{Mask: one.LowRes[0]}, false))
	if len(again.Masks) != 1 || status(errorOf(batch.PredictAll([]Prompt{click, {Points: click.Points}}, true))) != InvalidArgument {
		t.Error("prompts")
	}
	if text := must(EncodeRLE(one.Masks[0])); len(text) < 10 {
		t.Error(text)
	}
	show(must(p.Predict(Prompt{Box: &[4]float32{20, 160, 365, 511}}, false)))
	// A JPEG file, from which Go's own decoder makes other pixels.
	if err := p.SetImage(must(ReadPicture(filepath.Join(root, "demo/samples/video1/frames/00000.jpg")))); err != nil {
		t.Fatal(err)
	}
	show(must(p.Predict(Prompt{Points: []Point{{208, 249, 1}}}, false)))
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if p.Close() == nil || status(p.SetImage(image.NewGray(image.Rect(0, 0, 9, 9)))) != InvalidHandle {
		t.Error("a closed predictor works")
	}
}

func errorOf[T any](_ T, err error) error { return err }

func TestStreamEqualsVideo(t *testing.T) {
	m := demo(t)
	click := Prompt{Points: []Point{{208, 249, 1}}}
	frames := make([]image.Image, 4)
	for i := range frames {
		frames[i] = read(t, fmt.Sprintf("demo/samples/video1/frames/%05d.jpg", i))
	}
	stream := must(m.NewStream(VideoPredictorOptions{Window: 1}))
	var want []*Frame
	for i, picture := range frames {
		f := must(stream.PushFrame(picture))
		if i == 0 {
			f = must(stream.AddNewPointsOrBox(0, 1, click, false))
		}
		want = append(want, f)
	}
	last := want[3]
	if err := stream.Reserve(1, 480, 360); err != nil {
		t.Error(err)
	}
	if len(last.Areas) != 1 || last.Areas[0] == 0 || last.Lost[0] || last.Boxes[0].Empty() || last.Timestamp != 0 {
		t.Error(last.Areas, last.Boxes, last.Lost)
	}
	if f := must(must(stream.Fork()).PushFrameAt(frames[3], 99)); f.Timestamp != 99 || f.Index != 4 {
		t.Error(f.Timestamp)
	}
	if _, err := GPUs(); err != nil || BuildInfo() == "" {
		t.Error(err)
	}
	again := must(m.NewStream(VideoPredictorOptions{Window: -1}))
	for i, picture := range frames[:2] {
		must(again.PushFrame(picture))
		if i == 0 {
			must(again.AddNewPointsOrBox(0, 1, click, false))
		}
	}
	restored := must(m.NewStream(VideoPredictorOptions{Window: 1}))
	if err := restored.LoadState(must(again.SaveState())); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*VideoPredictor{must(again.Fork()), restored, again} {
		for i := 2; i < 4; i++ {
			if got := must(v.PushFrame(frames[i])); !reflect.DeepEqual(got, want[i]) {
				t.Errorf("frame %d differs", i)
			}
		}
	}
	if status(restored.RemoveObject(7)) != InvalidArgument || restored.RemoveObject(1) != nil || restored.ResetState() != nil {
		t.Error("objects")
	}

	video := must(m.OpenVideo(filepath.Join(root, "demo/samples/video1/frames"), VideoPredictorOptions{}))
	mask := image.NewGray(image.Rect(0, 0, 60, 45))
	mask.Pix[60*30+25] = 255
	if f := must(video.AddNewMask(0, 5, mask)); len(f.ObjIDs) != 1 || len(f.Masks[0]) != 480*360 {
		t.Error("a mask")
	}
	must(video.ClearAllPromptsInFrame(0, 5))
	must(video.AddNewPointsOrBox(0, 5, click, true))
	seen := 0
	if err := video.PropagateInVideo(0, -1, false, func(*Frame) bool { seen++; return seen < 3 }); err != nil || seen != 3 {
		t.Error(err, seen)
	}
}

// Several goroutines with a predictor each, and one that cancels the predictor of another.
func TestAtOnce(t *testing.T) {
	m := demo(t)
	picture := read(t, "demo/pictures/astronaut.png")
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			p := must(m.NewImagePredictor())
			if err := p.SetImage(picture); err != nil {
				t.Error(err)
			}
			must(p.Predict(Prompt{Points: []Point{{77, 400, 1}}}, true))
		}()
	}
	group.Wait()
	video := must(m.OpenVideo(filepath.Join(root, "demo/samples/video1/frames"), VideoPredictorOptions{}))
	must(video.AddNewPointsOrBox(0, 1, Prompt{Points: []Point{{208, 249, 1}}}, false))
	first, done := make(chan bool, 100), make(chan error)
	go func() { done <- video.PropagateInVideo(0, -1, false, func(*Frame) bool { first <- true; return true }) }()
	<-first
	if status(video.ResetState()) != Busy {
		t.Error("not busy")
	}
	if err := video.Cancel(); err != nil {
		t.Error(err)
	}
	if err := <-done; status(err) != Cancelled {
		t.Error(err)
	}
}

// sameOutlines checks the run lengths and outlines of masks.
func sameOutlines(t *testing.T, all []AutomaticMask) {
	for _, found := range all {
		mask, area := must(DecodeRLE(found.RLE, found.Width, found.Height)), uint64(0)
		for _, v := range mask.Pix {
			area += uint64(v / 255)
		}
		if area != found.Area || must(EncodeRLE(mask)) != found.RLE || found.PredictedIoU <= 0.5 {
			t.Error(found)
		}
		enclosed := 0
		for _, ring := range must(Polygons(found.RLE, found.Width, found.Height)) {
			for i, a := range ring {
				b := ring[(i+1)%len(ring)]
				enclosed += a.X*b.Y - b.X*a.Y
			}
		}
		if enclosed != 2*int(area) {
			t.Error("outlines of", enclosed, "half pixels around", area)
		}
	}
}

// smallestOnTop checks the label map of masks, and errors of label maps and outlines.
func smallestOnTop(t *testing.T, all []AutomaticMask) {
	rles, smallest := make([]string, len(all)), 0
	for i, found := range all {
		rles[i] = found.RLE
		if found.Area < all[smallest].Area {
			smallest = i
		}
	}
	count := uint64(0)
	for _, label := range must(LabelMap(rles, all[0].Width, all[0].Height)) {
		if int(label) == smallest+1 {
			count++
		}
	}
	if count != all[smallest].Area {
		t.Error("the smallest mask is not on top")
	}
	if _, err := LabelMap(rles, 3, 3); status(err) != InvalidArgument {
		t.Error(err)
	}
	if _, err := Polygons("x", 3, 3); status(err) != InvalidArgument {
		t.Error(err)
	}
	for _, side := range []int{-1, 0, 1 << 20, 1 << 32, math.MaxInt} {
		_, a := LabelMap(nil, side, side)
		_, b := Polygons("01", side, side)
		_, c := DecodeRLE("01", side, side)
		if status(a) != InvalidArgument || status(b) != InvalidArgument || status(c) != InvalidArgument {
			t.Error(side, a, b, c)
		}
	}
}

// limited checks a search on a grid of points: all of them, and some.
func limited(t *testing.T, m *Model, o *AutomaticMaskGeneratorOptions, all []AutomaticMask) {
	o.PointsPerSide, o.PointsPerBatch, o.PointGrids = 0, 4, make([][][2]float64, 1)
	for i := 0; i < 16; i++ {
		o.PointGrids[0] = append(o.PointGrids[0], [2]float64{(float64(i%4) + 0.5) / 4, (float64(i/4) + 0.5) / 4})
	}
	own := must(m.NewAutomaticMaskGenerator(*o))
	picture, seen := read(t, "demo/pictures/astronaut.png"), 0
	again, complete, err := own.GenerateUntil(picture, SearchLimits{Progress: func(pointsDone, numPoints, _ int) bool {
		seen = pointsDone
		return numPoints == 16
	}})
	if err != nil || !complete || seen != 16 || !reflect.DeepEqual(again, all) {
		t.Error(len(again), complete, seen, err)
	}
	for _, limits := range []SearchLimits{{Progress: func(points, _, _ int) bool { return points < 4 }}, {Budget: 1}} {
		some, complete, err := own.GenerateUntil(picture, limits)
		if err != nil || complete || len(some) >= len(all) {
			t.Error(len(some), complete, err)
		}
	}
}

func TestEverything(t *testing.T) {
	m := demo(t)
	o := DefaultAutomaticMaskGeneratorOptions()
	o.PointsPerSide, o.PredIoUThresh, o.StabilityScoreThresh = 4, 0.5, 0.5
	g := must(m.NewAutomaticMaskGenerator(o))
	all := must(g.Generate(read(t, "demo/pictures/astronaut.png")))
	if len(all) == 0 {
		t.Error("nothing")
	}
	sameOutlines(t, all)
	smallestOnTop(t, all)
	limited(t, m, &o, all)
	o.PointsPerSide = 4
	if _, err := m.NewAutomaticMaskGenerator(o); status(err) != InvalidArgument {
		t.Error(err)
	}
	o.PointsPerSide, o.PointGrids = 0, nil
	if _, err := m.NewAutomaticMaskGenerator(o); status(err) != InvalidArgument {
		t.Error(err)
	}
	if g.Close() != nil || g.Close() == nil {
		t.Error("closing twice")
	}
}

func TestErrors(t *testing.T) {
	if _, err := Load("nowhere", Options{}); status(err) != IO {
		t.Error(err)
	}
	if _, err := Load(filepath.Join(root, "demo"), Options{Precision: 77}); status(err) != InvalidArgument {
		t.Error(err)
	}
	if _, err := Load(filepath.Join(root, "demo"), Options{Config: "configs/none.yaml"}); status(err) != IO {
		t.Error(err)
	}
	if _, err := Load(filepath.Join(root, "demo"), Options{Device: CPU, Config: "sam2_hiera_t.yaml"}); status(err) != BadModel {
		t.Error(err)
	}
	must(Load(filepath.Join(root, "demo"), Options{Device: CPU, Config: "configs/sam2.1/sam2.1_hiera_demo.yaml"})).Close()
	m := demo(t)
	p := must(m.NewImagePredictor())
	if _, err := p.Predict(Prompt{}, true); status(err) != InvalidArgument {
		t.Error(err)
	}
	if status(p.SetImage(image.NewGray(image.Rectangle{}))) != InvalidArgument {
		t.Error("an empty picture")
	}
	if m.Close() != nil || m.Close() == nil {
		t.Error("closing twice")
	}
}
