package sam2

import (
	"context"
	"errors"
	"image"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Every call with a context returns its error after the context is done.
func TestContexts(t *testing.T) {
	m, v := demo(t), opened(t)
	p, g, picture := must(m.NewImagePredictor()), small(m), read(t, "demo/pictures/astronaut.png")
	if err := p.SetImage(picture); err != nil {
		t.Fatal(err)
	}
	stream, mask := must(m.NewStream(VideoPredictorOptions{})), image.NewGray(image.Rect(0, 0, 8, 8))
	state := must(v.SaveState())
	// In this order, because a cleared object has nothing to propagate.
	all := []struct {
		name string
		call func(context.Context) error
	}{
		{"Load", func(c context.Context) error {
			_, err := LoadContext(c, filepath.Join(root, "demo"), Options{})
			return err
		}},
		{"SetImage", func(c context.Context) error { return p.SetImageContext(c, picture) }},
		{"Predict", func(c context.Context) error { _, err := p.PredictContext(c, click, true); return err }},
		{"Batch", func(c context.Context) error { return p.SetImageBatchContext(c, []image.Image{picture, picture}) }},
		{"All", func(c context.Context) error { _, err := p.PredictAllContext(c, []Prompt{click}, true); return err }},
		{"Generate", func(c context.Context) error { _, err := g.GenerateContext(c, picture); return err }},
		{"Until", func(c context.Context) error {
			_, _, err := g.GenerateUntilContext(c, picture, SearchLimits{})
			return err
		}},
		{"Open", func(c context.Context) error {
			_, err := m.OpenVideoContext(c, filepath.Join(root, "demo/samples/video1/frames"), VideoPredictorOptions{})
			return err
		}},
		{"Points", func(c context.Context) error { _, err := v.AddNewPointsOrBoxContext(c, 0, 1, click, false); return err }},
		{"Mask", func(c context.Context) error { _, err := v.AddNewMaskContext(c, 0, 2, mask); return err }},
		{"Propagate", func(c context.Context) error {
			return v.PropagateInVideoContext(c, -1, -1, false, func(*Frame) bool { return true })
		}},
		{"Save", func(c context.Context) error { _, err := v.SaveStateContext(c); return err }},
		{"Clear", func(c context.Context) error { _, err := v.ClearAllPromptsInFrameContext(c, 0, 1); return err }},
		{"LoadState", func(c context.Context) error { return v.LoadStateContext(c, state) }},
		{"Push", func(c context.Context) error { _, err := stream.PushFrameContext(c, picture, 0); return err }},
		{"Reserve", func(c context.Context) error { return stream.ReserveContext(c, 1, 64, 64) }},
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for _, f := range all {
		if err := f.call(gone); !errors.Is(err, context.Canceled) {
			t.Error(f.name, err)
		}
	}
	// Done during the call, which has ended when it returns. The object can be used at once.
	for _, f := range all {
		soon, cancel := context.WithTimeout(context.Background(), 3*time.Millisecond)
		err := f.call(soon)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(f.name, err)
		}
		if err := f.call(context.Background()); err != nil {
			t.Error(f.name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	seen := 0
	err := opened(t).PropagateInVideoContext(ctx, -1, -1, false, func(*Frame) bool {
		if seen++; seen == 2 {
			cancel()
		}
		return true
	})
	if !errors.Is(err, context.Canceled) || seen != 2 {
		t.Error(err, seen)
	}
	late, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.PredictContext(late, click, true); err != context.Canceled {
		t.Error(err)
	}
}

// A call ends when its context is done, and not only between frames.
func TestContextsEndCalls(t *testing.T) {
	m := must(Load(filepath.Join(root, "demo"), Options{Device: CPU, ImageSize: 1024, Threads: 1}))
	defer m.Close()
	p, stream, picture := must(m.NewImagePredictor()), must(m.NewStream(VideoPredictorOptions{})), read(t, "demo/pictures/astronaut.png")
	must(stream.PushFrame(picture))
	must(stream.AddNewPointsOrBox(0, 1, click, false))
	all := map[string]func(context.Context) error{
		"SetImage": func(c context.Context) error { return p.SetImageContext(c, picture) },
		"Push":     func(c context.Context) error { _, err := stream.PushFrameContext(c, picture, 0); return err },
	}
	for name, call := range all {
		start := time.Now()
		if err := call(context.Background()); err != nil {
			t.Fatal(name, err)
		}
		whole := time.Since(start)
		ctx, cancel := context.WithTimeout(context.Background(), whole/10)
		start = time.Now()
		err := call(ctx)
		cancel()
		if took := time.Since(start); err != context.DeadlineExceeded || took > whole*3/4 {
			t.Error(name, err, took, "of", whole)
		}
	}
	if f := must(stream.PushFrame(picture)); f.Index != 2 {
		t.Error("a frame whose push was ended is part of the stream")
	}
}

// Loading tells how far it is, and ends when its function says so or its context is done.
func TestProgress(t *testing.T) {
	last, calls, path := float32(0), 0, filepath.Join(root, "demo")
	must(Load(path, Options{Device: CPU, Progress: func(fraction float32) bool {
		calls++
		forwards := fraction >= last && fraction <= 1
		last = fraction
		return forwards
	}})).Close()
	if last != 1 || calls < 10 {
		t.Error(last, calls)
	}
	calls = 0
	if _, err := Load(path, Options{Device: CPU, Progress: func(float32) bool { calls++; return calls < 3 }}); status(err) != Cancelled || calls != 3 {
		t.Error(err, calls)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := LoadContext(ctx, path, Options{Device: CPU, Progress: func(float32) bool { cancel(); return true }}); err != context.Canceled {
		t.Error(err)
	}
	if with := panics(func() { Load(path, Options{Device: CPU, Progress: func(float32) bool { panic("mine") }}) }); with != "mine" {
		t.Error(with)
	}
}

// Cancel and Close end the call of another goroutine. Close is refused inside a callback.
func TestCancelAndClose(t *testing.T) {
	m, picture := demo(t), read(t, "demo/pictures/astronaut.png")
	p := must(m.NewImagePredictor())
	left := make(chan bool)
	go func() {
		for {
			select {
			case <-left:
				return
			default:
				p.Cancel()
			}
		}
	}()
	var err error
	for err == nil {
		err = p.SetImage(picture)
	}
	left <- true
	if status(err) != Cancelled || p.SetImage(picture) != nil {
		t.Error(err)
	}
	video, begun, done := opened(t), make(chan bool, 100), make(chan error)
	var inside error
	go func() {
		done <- video.PropagateInVideo(-1, -1, false, func(*Frame) bool {
			if inside == nil {
				inside = video.Close()
				begun <- true
			}
			return true
		})
	}()
	<-begun
	// A callback may run at this moment.
	for end := time.Now().Add(time.Minute); status(video.Close()) == Busy && time.Now().Before(end); {
		runtime.Gosched()
	}
	if err := <-done; status(err) != Cancelled || status(inside) != Busy {
		t.Error(err, inside)
	}
	if _, err := video.SaveState(); status(err) != InvalidHandle {
		t.Error(err)
	}
}
