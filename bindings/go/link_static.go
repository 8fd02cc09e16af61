//go:build sam2_static

package sam2

// A file of its own: Go's cache tells builds apart by their files, and not by what pkg-config prints.

// #cgo pkg-config: sam2-static
import "C"
