package sam2

import (
	"errors"
	"image"
	"image/color"
	"image/draw"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

var click = Prompt{Points: []Point{{208, 249, 1}}}

// opened opens a video and adds an object on its first frame.
func opened(t *testing.T) *VideoPredictor {
	v := must(demo(t).OpenVideo(filepath.Join(root, "demo/samples/video1/frames"), VideoPredictorOptions{}))
	must(v.AddNewPointsOrBox(0, 1, click, false))
	t.Cleanup(func() { v.Close() })
	return v
}

func small(m *Model) *AutomaticMaskGenerator {
	o := DefaultAutomaticMaskGeneratorOptions()
	o.PointsPerSide, o.PointsPerBatch, o.PredIoUThresh, o.StabilityScoreThresh = 4, 4, 0.5, 0.5
	return must(m.NewAutomaticMaskGenerator(o))
}

// panics returns the value that a function panics with.
func panics(f func()) (with any) {
	defer func() { with = recover() }()
	f()
	return nil
}

// If a callback panics or ends its goroutine, the call does the same, and the objects remain usable.
func TestCallbacksThatDoNotReturn(t *testing.T) {
	v, seen := opened(t), 0
	third := func(end func()) func(*Frame) bool {
		return func(*Frame) bool {
			if seen++; seen == 3 {
				end()
			}
			return true
		}
	}
	if got := panics(func() { v.PropagateInVideo(-1, -1, false, third(func() { panic("mine") })) }); got != "mine" || seen != 3 {
		t.Error(got, seen)
	}
	must(v.AddNewPointsOrBox(0, 1, click, false))
	seen = 0
	done := make(chan bool)
	go func() {
		returned := false
		defer func() { done <- returned }()
		v.PropagateInVideo(-1, -1, false, third(runtime.Goexit))
		returned = true
	}()
	if returned := <-done; returned || seen != 3 {
		t.Error(returned, seen)
	}
	must(v.AddNewPointsOrBox(0, 1, click, false))

	m := demo(t)
	g, picture := small(m), read(t, "demo/pictures/astronaut.png")
	angry := SearchLimits{Progress: func(int, int, int) bool { panic(errors.ErrUnsupported) }}
	if got := panics(func() { g.GenerateUntil(picture, angry) }); got != errors.ErrUnsupported {
		t.Error(got)
	}
	if found := must(g.Generate(picture)); len(found) == 0 {
		t.Error("nothing is found any more")
	}
}

func TestFilesThatAreNotThere(t *testing.T) {
	m := demo(t)
	_, noModel := Load("/nowhere.pt", Options{})
	_, noVideo := m.OpenVideo("/nowhere", VideoPredictorOptions{})
	_, noFile := m.OpenVideo("/nowhere.mp4", VideoPredictorOptions{})
	for _, err := range []error{noModel, noVideo, noFile} {
		if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, syscall.ENOENT) || status(err) != IO {
			t.Error(err)
		}
	}
	if os.Getuid() != 0 {
		locked := filepath.Join(t.TempDir(), "locked.pt")
		must(os.Create(locked)).Close()
		if err := os.Chmod(locked, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(locked, Options{}); !errors.Is(err, fs.ErrPermission) {
			t.Error(err)
		}
	}
	if _, err := m.NewAutomaticMaskGenerator(AutomaticMaskGeneratorOptions{}); errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// The formats of masks of images represent the same masks.
func TestForms(t *testing.T) {
	m := demo(t)
	p := must(m.NewImagePredictor())
	if err := p.SetImage(read(t, "demo/pictures/astronaut.png")); err != nil {
		t.Fatal(err)
	}
	prompts := []Prompt{{Points: []Point{{77, 400, 1}}}, {Box: &[4]float32{100, 20, 300, 200}}}
	in := func(form MaskFormat) []*Prediction { p.Format = form; return must(p.PredictAll(prompts, false)) }
	usual, bytes, logits, bits, labels := in(DefaultMasks), in(MaskBytes), in(MaskLogits), in(MaskBits), in(MaskLabels)
	if !reflect.DeepEqual(usual, bytes) {
		t.Error("bytes are the default")
	}
	wrong := 0
	for i := 0; i < 512*512; i++ {
		x, y, want, best := i%512, i/512, uint16(0), float32(0)
		for k := range prompts {
			on := logits[k].Logits[0][i] > 0
			wrong += btoi(on != (bytes[k].Masks[0].Pix[i] == 255))
			wrong += btoi(on != (bits[k].Bits[0][y*64+x/8]>>(7-x%8)&1 == 1))
			if on && logits[k].Logits[0][i] > best {
				want, best = uint16(k+1), logits[k].Logits[0][i]
			}
		}
		wrong += btoi(labels[0].Labels[i] != want)
	}
	if wrong != 0 || len(bits[0].Masks) != 0 || len(labels[1].Labels) != 512*512 {
		t.Error(wrong)
	}
	if p.Format = 9; status(errorOf(p.PredictAll(prompts, false))) != InvalidArgument {
		t.Error("no such form")
	}
}

// The formats of masks of videos represent the same masks.
func TestFormsOfVideos(t *testing.T) {
	v := opened(t)
	add := func(v *VideoPredictor, form MaskFormat) *Frame {
		v.Format = form
		return must(v.AddNewPointsOrBox(0, 7, Prompt{Box: &[4]float32{346, 175, 428, 266}}, false))
	}
	var want []*Frame
	add(v, MaskLogits)
	if err := v.PropagateInVideo(0, 3, false, func(f *Frame) bool { want = append(want, f); return true }); err != nil {
		t.Fatal(err)
	}
	for _, form := range []MaskFormat{MaskBytes, MaskBits, MaskLabels} {
		v, at := opened(t), 0
		if first := add(v, form); len(first.Grays)+len(first.Bits)+len(first.Labels) == 0 {
			t.Error("the first frame has no masks")
		}
		err := v.PropagateInVideo(0, 3, false, func(f *Frame) bool {
			wrong := 0
			for i := 0; i < 480*360; i++ {
				x, y, label, best := i%480, i/480, uint16(0), float32(0)
				for k := range f.ObjIDs {
					logit := want[at].Masks[k][i]
					wrong += btoi(form == MaskBytes && (logit > 0) != (f.Grays[k].Pix[i] == 255))
					wrong += btoi(form == MaskBits && (logit > 0) != (f.Bits[k][y*60+x/8]>>(7-x%8)&1 == 1))
					if logit > best {
						label, best = uint16(k+1), logit
					}
				}
				wrong += btoi(form == MaskLabels && f.Labels[i] != label)
			}
			if wrong != 0 || f.Masks != nil || !reflect.DeepEqual(f.Boxes, want[at].Boxes) {
				t.Error(form, f.Index, wrong)
			}
			at++
			return true
		})
		if err != nil || at != 4 {
			t.Error(err, at)
		}
	}
}

// A stream without objects has no labels, and one with an object has its label.
func TestFormsOfStreams(t *testing.T) {
	stream := must(demo(t).NewStream(VideoPredictorOptions{}))
	stream.Format = MaskLabels
	if f := must(stream.PushFrame(read(t, "demo/samples/video1/frames/00000.jpg"))); f.Labels != nil {
		t.Error("labels of no objects")
	}
	must(stream.AddNewPointsOrBox(0, 1, click, false))
	f := must(stream.PushFrame(read(t, "demo/samples/video1/frames/00001.jpg")))
	area := uint64(0)
	for _, label := range f.Labels {
		area += uint64(label)
	}
	if area != f.Areas[0] {
		t.Error(area, f.Areas)
	}
}

func btoi(v bool) int {
	if v {
		return 1
	}
	return 0
}

// Images of cameras and OpenCV give the same results as the colors that they represent.
func TestPictures(t *testing.T) {
	p := must(demo(t).NewImagePredictor())
	predict := func(picture image.Image) *Prediction {
		if err := p.SetImage(picture); err != nil {
			t.Fatal(err)
		}
		return must(p.Predict(Prompt{Points: []Point{{77, 300, 1}}}, true))
	}
	source := read(t, "demo/pictures/astronaut.png")
	rgba := image.NewRGBA(image.Rect(0, 0, 511, 401))
	draw.Draw(rgba, rgba.Rect, source, image.Point{}, draw.Src)
	want := predict(rgba)

	bgr := &BGR{Pix: make([]uint8, 401*1600), Stride: 1600, Rect: image.Rect(5, 7, 516, 408)}
	for y := 0; y < 401; y++ {
		for x := 0; x < 511; x++ {
			c := rgba.RGBAAt(x, y)
			copy(bgr.Pix[y*1600+3*x:], []uint8{c.B, c.G, c.R})
		}
	}
	if !reflect.DeepEqual(predict(bgr), want) || bgr.At(5+20, 7+10) != color.Color(rgba.RGBAAt(20, 10)) {
		t.Error("BGR")
	}

	// Gray in every format: no color, full range.
	gray := image.NewGray(rgba.Rect)
	draw.Draw(gray, gray.Rect, rgba, image.Point{}, draw.Src)
	want = predict(gray)
	nv12 := &NV12{Y: gray.Pix, UV: make([]uint8, 201*520), YStride: gray.Stride, UVStride: 520, Rect: gray.Rect, FullRange: true}
	for i := range nv12.UV {
		nv12.UV[i] = 128
	}
	if !reflect.DeepEqual(predict(nv12), want) || nv12.At(20, 10) != color.Color(color.YCbCr{gray.GrayAt(20, 10).Y, 128, 128}) {
		t.Error("NV12")
	}
	if nv12.FullRange = false; reflect.DeepEqual(predict(nv12), want) {
		t.Error("the range is not looked at")
	}
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio444} {
		ycbcr := image.NewYCbCr(image.Rect(0, 0, 515, 405), ratio)
		for i := range ycbcr.Cb {
			ycbcr.Cb[i], ycbcr.Cr[i] = 128, 128
		}
		for _, at := range []image.Point{{0, 0}, {2, 4}, {3, 1}} {
			for y := 0; y < 401; y++ {
				copy(ycbcr.Y[(y+at.Y)*ycbcr.YStride+at.X:], gray.Pix[y*gray.Stride:][:511])
			}
			if !reflect.DeepEqual(predict(ycbcr.SubImage(gray.Rect.Add(at))), want) {
				t.Error("YCbCr", ratio, at)
			}
		}
	}
	// Colors of JPEG, which the conversion of Go rounds slightly differently.
	coloured := image.NewYCbCr(rgba.Rect, image.YCbCrSubsampleRatio420)
	for y := 0; y < 401; y++ {
		for x := 0; x < 511; x++ {
			c := rgba.RGBAAt(x, y)
			luma, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
			coloured.Y[coloured.YOffset(x, y)] = luma
			coloured.Cb[coloured.COffset(x, y)], coloured.Cr[coloured.COffset(x, y)] = cb, cr
		}
	}
	converted := image.NewRGBA(rgba.Rect)
	draw.Draw(converted, rgba.Rect, coloured, image.Point{}, draw.Src)
	if a, b := predict(coloured), predict(converted); iou(a.Masks[0], b.Masks[0]) < 0.99 {
		t.Error("colours", iou(a.Masks[0], b.Masks[0]))
	}
	for _, short := range []image.Image{
		&BGR{Pix: make([]uint8, 10), Stride: 1600, Rect: rgba.Rect},
		&BGR{Pix: make([]uint8, 1<<20), Stride: 3, Rect: rgba.Rect},
		&NV12{Y: gray.Pix, UV: make([]uint8, 7), YStride: 511, UVStride: 512, Rect: gray.Rect},
		&NV12{},
		nil,
	} {
		if status(p.SetImage(short)) != InvalidArgument {
			t.Errorf("%T", short)
		}
	}
}

func iou(a, b *image.Gray) float64 {
	both, either := 0, 0
	for i := range a.Pix {
		both += int(a.Pix[i] & b.Pix[i] & 1)
		either += int((a.Pix[i] | b.Pix[i]) & 1)
	}
	return float64(both) / float64(either)
}

// A mask of any size is a prompt. Logits have one size.
func TestMasksAsPrompts(t *testing.T) {
	p := must(demo(t).NewImagePredictor())
	if err := p.SetImage(read(t, "demo/pictures/astronaut.png")); err != nil {
		t.Fatal(err)
	}
	first := must(p.Predict(Prompt{Points: []Point{{77, 400, 1}}}, false))
	again := must(p.Predict(Prompt{MaskImage: first.Masks[0]}, false))
	if iou(first.Masks[0], again.Masks[0]) < 0.5 {
		t.Error("a mask")
	}
	half := image.NewGray(image.Rect(0, 0, 256, 256))
	for i := range half.Pix {
		half.Pix[i] = first.Masks[0].Pix[i/256*2*512+i%256*2] / 255
	}
	if iou(must(p.Predict(Prompt{MaskImage: half}, false)).Masks[0], again.Masks[0]) < 0.9 {
		t.Error("a mask of another size")
	}
	_, short := p.Predict(Prompt{Mask: make([]float32, 7)}, false)
	_, both := p.Predict(Prompt{Mask: first.LowRes[0], MaskImage: half}, false)
	binary := make([]float32, len(first.LowRes[0]))
	binary[9] = 255
	_, bytes := p.Predict(Prompt{Mask: binary}, false)
	for says, err := range map[string]error{"7 values": short, "two masks": both, "binary mask": bytes} {
		if status(err) != InvalidArgument || !strings.Contains(err.Error(), says) {
			t.Error(says, err)
		}
	}
	if _, err := opened(t).AddNewPointsOrBox(0, 1, Prompt{MaskImage: half}, false); status(err) != InvalidArgument {
		t.Error(err)
	}
}
