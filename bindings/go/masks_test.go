package sam2

import (
	"context"
	"image"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// herd opens a video with the objects 42 and 71 on its first frame.
func herd(t *testing.T) *VideoPredictor {
	v := must(demo(t).OpenVideo(filepath.Join(root, "demo/samples/video1/frames"), VideoPredictorOptions{}))
	t.Cleanup(func() { v.Close() })
	must(v.AddNewPointsOrBox(0, 42, click, false))
	must(v.AddNewPointsOrBox(0, 71, Prompt{Points: []Point{{150, 120, 1}}}, false))
	return v
}

// tracked returns the first frames in a format.
func tracked(v *VideoPredictor, format MaskFormat) (all []*Frame) {
	v.Format = format
	err := v.PropagateInVideo(0, 2, false, func(f *Frame) bool { all = append(all, f); return true })
	if err != nil {
		panic(err)
	}
	return all
}

// A map of ids is a map of labels with the id of each object in place of its number.
func TestMapsOfIDs(t *testing.T) {
	labels, bytes, words := tracked(herd(t), MaskLabels), tracked(herd(t), MaskIDs8), tracked(herd(t), MaskIDs16)
	for i, want := range labels {
		pixels, wrong := [3]int{}, 0
		for at, label := range want.Labels {
			id := []uint8{0, 42, 71}[label]
			pixels[label]++
			wrong += btoi(bytes[i].IDs8[at] != id) + btoi(words[i].IDs16[at] != uint16(id))
		}
		if wrong != 0 || slices.Contains(pixels[:], 0) || want.IDs8 != nil || bytes[i].Labels != nil || words[i].IDs8 != nil {
			t.Error(i, wrong, pixels)
		}
	}
	// An id remains when another object is removed. A map of bytes has no large ids.
	v := herd(t)
	v.Format = MaskIDs16
	if err := v.RemoveObject(42); err != nil {
		t.Fatal(err)
	}
	f := must(v.AddNewPointsOrBox(0, 300, click, false))
	if !slices.Contains(f.IDs16, 71) || !slices.Contains(f.IDs16, 300) || slices.Contains(f.IDs16, 42) {
		t.Error("ids of the objects")
	}
	v.Format = MaskIDs8
	if _, err := v.AddNewPointsOrBox(0, 71, click, true); status(err) != InvalidArgument {
		t.Error(err)
	}
	// Images have no ids.
	p := must(demo(t).NewImagePredictor())
	p.Format = MaskIDs8
	if err := p.SetImage(image.NewGray(image.Rect(0, 0, 50, 40))); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Predict(Prompt{Points: []Point{{7, 7, 1}}}, false); status(err) != InvalidArgument {
		t.Error(err)
	}
}

// Masks of images in memory of the caller are the masks that are returned.
func TestMemoryForMasks(t *testing.T) {
	p := must(demo(t).NewImagePredictor())
	if err := p.SetImage(read(t, "demo/pictures/astronaut.png")); err != nil {
		t.Fatal(err)
	}
	prompts, size := []Prompt{{Points: []Point{{77, 400, 1}}}, {Box: &[4]float32{100, 20, 300, 200}}}, 512*512
	all := []struct {
		buffer *MaskBuffer
		same   func(i int, want *Prediction) bool
	}{
		{&MaskBuffer{Format: MaskBytes, Bytes: make([]uint8, 2*size+1)}, nil},
		{&MaskBuffer{Format: MaskBits, Bytes: make([]uint8, 2*size/8+1)}, nil},
		{&MaskBuffer{Format: MaskLogits, Logits: make([]float32, 2*size+1)}, nil},
		{&MaskBuffer{Format: MaskLabels, Words: make([]uint16, size+1)}, nil},
	}
	all[0].same = func(i int, want *Prediction) bool {
		got := gray(slices.Clone(all[0].buffer.Bytes[i*size:][:size]), image.Pt(512, 512))
		return reflect.DeepEqual(got, want.Masks[0])
	}
	all[1].same = func(i int, want *Prediction) bool {
		return slices.Equal(all[1].buffer.Bytes[i*size/8:][:size/8], want.Bits[0])
	}
	all[2].same = func(i int, want *Prediction) bool {
		return slices.Equal(all[2].buffer.Logits[i*size:][:size], want.Logits[0])
	}
	all[3].same = func(_ int, want *Prediction) bool { return slices.Equal(all[3].buffer.Words[:size], want.Labels) }
	for _, one := range all {
		p.Format, p.Into = one.buffer.Format, nil
		wanted := must(p.PredictAll(prompts, false))
		p.Format, p.Into = DefaultMasks, one.buffer
		for i, got := range must(p.PredictAll(prompts, false)) {
			want := wanted[i]
			if !one.same(i, want) || !reflect.DeepEqual(got.IoU, want.IoU) || !reflect.DeepEqual(got.LowRes, want.LowRes) {
				t.Error(one.buffer.Format, i)
			}
			if got.Masks != nil || got.Bits != nil || got.Logits != nil || got.Labels != nil {
				t.Error("masks are returned too")
			}
		}
	}
	for _, wrong := range []*MaskBuffer{
		{}, {Format: MaskBytes}, {Format: MaskBytes, Words: make([]uint16, 2*size)}, {Format: MaskBytes, Bytes: make([]uint8, 2*size-1)},
		{Format: MaskLogits}, {Format: MaskLabels}, {Format: MaskIDs8, Bytes: make([]uint8, size)}, {Format: 99, Bytes: make([]uint8, size)},
	} {
		p.Into = wrong
		if _, err := p.PredictAll(prompts, false); status(err) != InvalidArgument {
			t.Error(wrong.Format, err)
		}
	}
}

// Memory of the caller gets the masks of each frame, as many as it has room for.
func TestMemoryForFrames(t *testing.T) {
	v, size := herd(t), 480*360
	want := tracked(v, MaskIDs8)
	grays := tracked(herd(t), MaskBytes)
	ids, one := &MaskBuffer{Format: MaskIDs8, Bytes: make([]uint8, size)}, &MaskBuffer{Format: MaskBytes, Bytes: make([]uint8, size+99)}
	for _, buffer := range []*MaskBuffer{ids, one} {
		v.Into = buffer
		ctx, cancel := context.WithCancel(context.Background())
		seen := 0
		err := v.PropagateInVideoContext(ctx, 0, 2, false, func(f *Frame) bool {
			if buffer == ids && (!slices.Equal(ids.Bytes, want[seen].IDs8) || f.MasksWritten != 2) {
				t.Error("ids of frame", f.Index, f.MasksWritten)
			}
			first := image.Gray{Pix: slices.Clone(one.Bytes[:size]), Stride: 480, Rect: image.Rect(0, 0, 480, 360)}
			if buffer == one && (!reflect.DeepEqual(gray(first.Pix, image.Pt(480, 360)), grays[seen].Grays[0]) || f.MasksWritten != 1) {
				t.Error("mask of frame", f.Index, f.MasksWritten)
			}
			if f.Masks != nil || f.Grays != nil || f.IDs8 != nil || len(f.ObjIDs) != 2 {
				t.Error("masks are returned too")
			}
			seen++
			return true
		})
		cancel()
		if err != nil || seen != 3 {
			t.Error(err, seen)
		}
	}
	v.Into = &MaskBuffer{Format: MaskBytes, Bytes: make([]uint8, size-1)}
	if _, err := v.AddNewPointsOrBox(0, 42, click, false); status(err) != InvalidArgument {
		t.Error(err)
	}
	v.Into = &MaskBuffer{Format: MaskIDs8}
	if _, err := v.AddNewPointsOrBox(0, 42, click, false); status(err) != InvalidArgument {
		t.Error(err)
	}
	// A stream without objects, and then with one.
	stream := must(demo(t).NewStream(VideoPredictorOptions{}))
	stream.Into = one
	picture := read(t, "demo/samples/video1/frames/00000.jpg")
	if f := must(stream.PushFrame(picture)); f.MasksWritten != 0 {
		t.Error(f.MasksWritten)
	}
	if f := must(stream.AddNewPointsOrBox(0, 1, click, false)); f.MasksWritten != 1 {
		t.Error(f.MasksWritten)
	}
	f, area := must(stream.PushFrame(picture)), uint64(0)
	for _, value := range one.Bytes[:size] {
		area += uint64(value)
	}
	if area != f.Areas[0] || area == 0 {
		t.Error(area, f.Areas)
	}
}

// Coordinates from 0 to 1 are those pixels.
func TestNormalized(t *testing.T) {
	p := must(demo(t).NewImagePredictor())
	if err := p.SetImage(read(t, "demo/pictures/astronaut.png")); err != nil {
		t.Fatal(err)
	}
	pixels := Prompt{Points: []Point{{128, 384, 1}}, Box: &[4]float32{16, 160, 368, 512}}
	relative := Prompt{Points: []Point{{0.25, 0.75, 1}}, Box: &[4]float32{0.03125, 0.3125, 0.71875, 1}, Normalized: true}
	if !reflect.DeepEqual(must(p.Predict(pixels, false)), must(p.Predict(relative, false))) {
		t.Error("an image")
	}
	if _, err := p.PredictAll([]Prompt{pixels, relative}, false); status(err) != InvalidArgument {
		t.Error(err)
	}
	a := must(opened(t).AddNewPointsOrBox(0, 7, Prompt{Points: []Point{{150, 112.5, 1}}}, false))
	b := must(opened(t).AddNewPointsOrBox(0, 7, Prompt{Points: []Point{{0.3125, 0.3125, 1}}, Normalized: true}, false))
	if !reflect.DeepEqual(a, b) || a.Areas[1] == 0 {
		t.Error("a video", a.Areas, b.Areas)
	}
}
