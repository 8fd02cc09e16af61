"""Writes the logits that f32.c writes: python3 logits.py OUT"""

import sys

import sam2_engine

model = sam2_engine.build_sam2(None, "demo", precision="f32")
predictor = sam2_engine.SAM2ImagePredictor(model)
predictor.set_image(sam2_engine.read_picture("demo/pictures/astronaut.png"))
masks, _, _ = predictor.predict([[77, 400]], [1], multimask_output=False, return_logits=True)
video = sam2_engine.SAM2VideoPredictor(model)
state = video.init_state("demo/samples/video1/frames")
video.add_new_points_or_box(state, 0, 1, points=[[208, 249]], labels=[1])
with open(sys.argv[1], "wb") as out:
    out.write(masks.tobytes())
    for found in video.propagate(state, max_frame_num_to_track=3, masks="logits"):
        out.write(found.masks.tobytes())
