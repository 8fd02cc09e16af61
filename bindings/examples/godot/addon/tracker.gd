# Tracks objects in the images of a SubViewport.
class_name Tracker
extends Node

signal tracked

@export_file var model: String
@export var source: SubViewport
## The id of the object at each pixel, divided by 255, in the red channel. 0 on the background.
var map: ImageTexture
var tracker := Sam2Tracker.new()
var opening := -1
var busy := false


func _ready() -> void:
	var path := ProjectSettings.globalize_path(model)
	var size := source.size
	# Loading takes long, so it runs on a worker thread. Until it ends, the other methods do nothing.
	opening = WorkerThreadPool.add_task(func() -> void:
		if not tracker.open(path, size.x, size.y, 0):
			push_error(tracker.get_error()))


# `at` is in pixels of the viewport.
func add_point(id: int, at: Vector2, on := true) -> bool:
	return tracker.add_point(id, at.x, at.y, on)


func _process(_delta: float) -> void:
	var polled := tracker.poll()
	if polled != 0:
		busy = false
	if polled < 0:
		push_error(tracker.get_error())
	elif polled > 0:
		var size := source.size
		var image := Image.create_from_data(size.x, size.y, false, Image.FORMAT_R8, tracker.label_map())
		map = ImageTexture.create_from_image(image)
		tracked.emit()
	if not busy:
		push()


# get_image() waits for the GPU. Since Godot 4.4, RenderingDevice.texture_get_data_async() does not.
func push() -> void:
	var image := source.get_texture().get_image()
	image.convert(Image.FORMAT_RGBA8)
	var pushed := tracker.push_frame(image.get_data(), Engine.get_process_frames())
	busy = pushed > 0
	if pushed < 0:
		push_error(tracker.get_error())


func _exit_tree() -> void:
	WorkerThreadPool.wait_for_task_completion(opening)
