package sam2

/*
#include <sam2.h>
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// held keeps how a callback ended, since Go must not unwind the library's frames: the call ends, and then release does
// the same on the caller's side.
type held struct {
	ctx    context.Context
	ended  bool // by returning false, a panic, or the end of its goroutine
	panics any
	exits  bool
}

// run calls back, on a goroutine whose end does no harm; whether the library goes on.
func (h *held) run(callback func() bool) C.int32_t {
	if h.ended || h.ctx.Err() != nil {
		return 1
	}
	h.ended, h.exits = true, true
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if h.exits {
				// Nil where the goroutine ends without a panic.
				h.panics = recover()
				h.exits = h.panics == nil
			}
		}()
		h.ended = !callback()
		h.exits = false
	}()
	<-done
	if h.ended {
		return 1
	}
	return 0
}

// release ends as the callback ended.
func (h *held) release() {
	if h.panics != nil {
		panic(h.panics)
	}
	if h.exits {
		runtime.Goexit()
	}
}

// withHandle gives C a pointer that stands for a value, for the length of a call.
func withHandle(value any, f func(user unsafe.Pointer) error) error {
	h := cgo.NewHandle(value)
	defer h.Delete()
	user := C.malloc(C.size_t(unsafe.Sizeof(h)))
	defer C.free(user)
	*(*cgo.Handle)(user) = h
	return f(user)
}

// of is what a pointer of withHandle stands for.
func of[T any](user unsafe.Pointer) T { return (*(*cgo.Handle)(user)).Value().(T) }
