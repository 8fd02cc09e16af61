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
	"sync/atomic"
	"unsafe"
)

// held records how a callback ended, because Go must not unwind the frames of the library. After the call, release ends
// the calling goroutine in the same way.
type held struct {
	ctx    context.Context
	within *atomic.Int32 // Number of running callbacks of the object, if it has one.
	ended  bool          // The callback returned false, panicked, or ended its goroutine.
	panics any
	exits  bool
}

// run calls the callback on a goroutine of its own. It returns 0 if the library should continue.
func (h *held) run(callback func() bool) C.int32_t {
	if h.ended || h.ctx.Err() != nil {
		return 1
	}
	h.ended, h.exits = true, true
	if h.within != nil {
		h.within.Add(1)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if h.exits {
				// Nil if the goroutine ends without a panic.
				h.panics = recover()
				h.exits = h.panics == nil
			}
		}()
		h.ended = !callback()
		h.exits = false
	}()
	<-done
	if h.within != nil {
		h.within.Add(-1)
	}
	if h.ended {
		return 1
	}
	return 0
}

// release panics or ends the goroutine if the callback did.
func (h *held) release() {
	if h.panics != nil {
		panic(h.panics)
	}
	if h.exits {
		runtime.Goexit()
	}
}

// closing fails inside a callback of the object, since Close would wait for the end of the callback.
func closing(within *atomic.Int32) error {
	if within.Load() > 0 {
		return &Error{Status: Busy, Message: "a callback of the object runs"}
	}
	return nil
}

// withHandle passes a pointer to f that represents a value until f returns.
func withHandle(value any, f func(user unsafe.Pointer) error) error {
	h := cgo.NewHandle(value)
	defer h.Delete()
	user := C.malloc(C.size_t(unsafe.Sizeof(h)))
	defer C.free(user)
	*(*cgo.Handle)(user) = h
	return f(user)
}

// of returns the value of a pointer of withHandle.
func of[T any](user unsafe.Pointer) T { return (*(*cgo.Handle)(user)).Value().(T) }
