package sam2

import (
	"errors"
	"image"
	"image/draw"
	"reflect"
	"testing"
)

const pictures = "../../tests/data/golden/"

// same reports whether an image is RGBA and has the pixels of another one.
func same(t *testing.T, got, want image.Image) {
	t.Helper()
	if got.Bounds() != want.Bounds() {
		t.Fatalf("%v, not %v", got.Bounds(), want.Bounds())
	}
	for y := 0; y < want.Bounds().Dy(); y++ {
		for x := 0; x < want.Bounds().Dx(); x++ {
			r, g, b, _ := got.At(x, y).RGBA()
			if wr, wg, wb, _ := want.At(x, y).RGBA(); r != wr || g != wg || b != wb {
				t.Fatalf("(%d, %d) is %v, not %v", x, y, got.At(x, y), want.At(x, y))
			}
		}
	}
}

func TestReadPicture(t *testing.T) {
	pixels := func(name string, o ...PictureOptions) image.Image {
		t.Helper()
		picture, err := ReadPicture(pictures+name, o...)
		if err != nil {
			t.Fatal(err)
		}
		return picture
	}
	// The pixels of Pillow, which are those of libjpeg.
	same(t, pixels("jpeg/420.jpg"), pixels("jpeg/420.png"))
	same(t, pixels("pictures/lossy.webp"), pixels("pictures/lossy.webp.png"))
	same(t, pixels("pictures/gray.tif"), pixels("pictures/gray.tif.png"))
	if _, gray := pixels("pictures/gray.tif").(*image.Gray); !gray {
		t.Error("gray is not gray")
	}
	for _, name := range []string{"orient6.jpg", "orient3.png", "orient8.tif"} {
		same(t, pixels("pictures/"+name, PictureOptions{Upright: true}), pixels("pictures/"+name+".png"))
	}
	if b := pixels("pictures/orient6.jpg").Bounds(); b.Dx() != 23 || b.Dy() != 17 {
		t.Errorf("stored pixels are %v", b)
	}
	var e *Error
	if _, err := ReadPicture(pictures+"jpeg/420.jpg", PictureOptions{BitDepth: 17}); !errors.As(err, &e) || e.Status != InvalidArgument {
		t.Errorf("a depth of 17 bits: %v", err)
	}
	if _, err := ReadPicture("/nowhere.png"); !errors.As(err, &e) || e.Status != IO {
		t.Errorf("no file: %v", err)
	}
}

// A part of an image equals a copy of it, whatever its type.
func TestPartsOfImages(t *testing.T) {
	p := must(demo(t).NewImagePredictor())
	predict := func(picture image.Image) *Prediction {
		if err := p.SetImage(picture); err != nil {
			t.Fatal(err)
		}
		return must(p.Predict(Prompt{Points: []Point{{67, 200, 1}}}, false))
	}
	source, part := read(t, "demo/pictures/astronaut.png"), image.Rect(10, 200, 411, 501)
	whole := source.Bounds()
	for _, picture := range []draw.Image{image.NewRGBA(whole), image.NewNRGBA(whole), image.NewRGBA64(whole), image.NewGray(whole)} {
		draw.Draw(picture, whole, source, image.Point{}, draw.Src)
		copied := image.NewRGBA(image.Rect(0, 0, part.Dx(), part.Dy()))
		draw.Draw(copied, copied.Rect, picture, part.Min, draw.Src)
		got := predict(picture.(interface {
			SubImage(image.Rectangle) image.Image
		}).SubImage(part))
		if !reflect.DeepEqual(got, predict(copied)) || got.Masks[0].Rect != copied.Rect {
			t.Errorf("%T", picture)
		}
	}
}
