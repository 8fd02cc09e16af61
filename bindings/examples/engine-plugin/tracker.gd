# Godot: `Tracker` is a class of a GDExtension whose methods call tracker.h, such as
#   int push(PackedByteArray rgba, int frame) -> tracker_push(t, rgba.ptr(), frame)
# Images of Godot begin with the top row and must be flipped.
extends Node

@export var model: String
@export var source: SubViewport
var tracker := Tracker.new()
var mask_texture: ImageTexture

func _ready() -> void:
	var size := source.size
	# Loading is slow, so it does not run on the thread that draws.
	WorkerThreadPool.add_task(func(): tracker.open(model, size.x, size.y, 0))

func click(at: Vector2) -> void:
	tracker.click(at.x, at.y)

func _process(_delta: float) -> void:
	if not tracker.is_open():
		return
	var image := source.get_texture().get_image()
	image.convert(Image.FORMAT_RGBA8)
	image.flip_y()
	if tracker.push(image.get_data(), Engine.get_process_frames()) < 0:
		push_error(tracker.error())
	var found: Dictionary = tracker.poll()  # {} where nothing is new; else frame, found, box, score, mask
	if not found.is_empty():
		var mask := Image.create_from_data(image.get_width(), image.get_height(), false, Image.FORMAT_R8, found.mask)
		mask.flip_y()
		mask_texture = ImageTexture.create_from_image(mask)
