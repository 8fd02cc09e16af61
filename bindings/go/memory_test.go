package sam2

import (
	"go/ast"
	"go/parser"
	"go/token"
	"image"
	"io/fs"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// collecting runs the garbage collector all the time while it runs a function.
func collecting(f func()) {
	var stop atomic.Bool
	done := make(chan bool)
	go func() {
		for !stop.Load() {
			runtime.GC()
		}
		close(done)
	}()
	f()
	stop.Store(true)
	<-done
}

// contains reports whether the source of a function has an expression.
func contains(f *ast.FuncDecl, is func(ast.Expr) bool) (found bool) {
	ast.Inspect(f.Body, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		found = found || ok && is(e)
		return !found
	})
	return found
}

// field reports whether an expression is a field of a variable.
func field(e ast.Expr, variable, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == variable
}

// Every method that uses the handle of its object keeps the object, so that no finalizer ends it during a call of the
// library. Close has no need to, because it replaces the finalizer.
func TestMethodsKeepTheirObjects(t *testing.T) {
	files, err := parser.ParseDir(token.NewFileSet(), ".", func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, 0)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files["sam2"].Files {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || len(f.Recv.List[0].Names) == 0 || f.Name.Name == "Close" {
				continue
			}
			object := f.Recv.List[0].Names[0].Name
			if !contains(f, func(e ast.Expr) bool { return field(e, object, "p") }) {
				continue
			}
			checked++
			keeps := contains(f, func(e ast.Expr) bool {
				c, ok := e.(*ast.CallExpr)
				if !ok || !field(c.Fun, "runtime", "KeepAlive") {
					return false
				}
				x, ok := c.Args[0].(*ast.Ident)
				return ok && x.Name == object
			})
			if !keeps {
				t.Error(f.Name.Name)
			}
		}
	}
	if checked < 15 {
		t.Error(checked, "methods")
	}
}

// A call keeps its object, even if it is the last use of the object.
func TestCallsKeepTheirObjects(t *testing.T) {
	m, picture := demo(t), image.NewRGBA(image.Rect(0, 0, 64, 64))
	state := []byte(nil)
	stream := func() *VideoPredictor { return must(m.NewStream(VideoPredictorOptions{Window: -1})) }
	begun := func() *VideoPredictor {
		v := stream()
		must(v.PushFrame(picture))
		return v
	}
	predictor := func() *ImagePredictor { return must(m.NewImagePredictor()) }
	point := Prompt{Points: []Point{{7, 7, 1}}}
	all := map[string]func() error{
		"Reserve":   func() error { return stream().Reserve(1, 64, 64) },
		"Fork":      func() error { return errorOf(stream().Fork()) },
		"Reset":     func() error { return stream().ResetState() },
		"Cancel":    func() error { return stream().Cancel() },
		"Push":      func() error { return errorOf(stream().PushFrame(picture)) },
		"Points":    func() error { return errorOf(begun().AddNewPointsOrBox(0, 1, point, false)) },
		"Save":      func() error { return errorOf(begun().SaveState()) },
		"Load":      func() error { return stream().LoadState(state) },
		"SetImage":  func() error { return predictor().SetImage(picture) },
		"Predictor": func() error { return errorOf(must(Load(root+"/demo", Options{Device: CPU})).NewImagePredictor()) },
		"Generate":  func() error { return errorOf(small(m).Generate(picture)) },
	}
	saved := begun()
	must(saved.AddNewPointsOrBox(0, 1, point, false))
	state = must(saved.SaveState())
	collecting(func() {
		for name, call := range all {
			for i := 0; i < 10; i++ {
				if err := call(); err != nil {
					t.Error(name, err)
				}
			}
		}
	})
}

// finalize runs the finalizers of all objects that are unreachable.
func finalize(t *testing.T) {
	// A finalizer of the second collection runs after those of the first.
	for i := 0; i < 2; i++ {
		done := make(chan bool)
		runtime.SetFinalizer(new([16]int), func(*[16]int) { close(done) })
		runtime.GC()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("finalizers do not run")
		}
	}
}

// The garbage collector releases objects that are not closed. The library then uses their places again, which are in the
// low half of its handles.
func TestForgottenObjects(t *testing.T) {
	m, picture := demo(t), image.NewRGBA(image.Rect(0, 0, 64, 64))
	last := uint32(0)
	for i := 0; i < 120; i++ {
		v := must(m.NewStream(VideoPredictorOptions{}))
		must(v.PushFrame(picture))
		last = max(last, uint32(uintptr(unsafe.Pointer(v.p)))>>1)
		if i%30 == 29 {
			finalize(t)
		}
	}
	// Other tests may have left some.
	if last >= 100 {
		t.Errorf("a stream has place %d", last)
	}
}
