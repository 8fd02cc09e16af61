//go:build !sam2_static

package sam2

// #cgo pkg-config: sam2
import "C"
