#!/usr/bin/env python3
"""Drives `sam2 serve` with the real client libraries of Roboflow and X-AnyLabeling, and decodes the brush masks for Label
Studio with its own library. clients.txt lists what is needed.

usage: clients.py PROGRAM
"""

import base64
import json
import os
import shutil
import sys
import tempfile
import types
import urllib.error
import urllib.request

from program import ROOT, serve

IMAGE = ROOT / "demo/samples/images/image1.png"
FRAMES = ROOT / "demo/samples/video1/frames"
POINT = (148, 208)
# A point on the object of the frames.
OBJECT = (390, 215)

os.environ["QT_QPA_PLATFORM"] = "offscreen"
# Parts of the libraries import these, and nothing here uses them.
sys.modules["openai"] = types.SimpleNamespace(OpenAI=None)
sys.modules["supervision"] = types.ModuleType("supervision")


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def by_api(url):
    """The best mask of the point by the server's own interface, as rows of 0 and 1."""
    request = urllib.request.Request(f"{url}/api/v1/images?wait=1", IMAGE.read_bytes(), {"Content-Type": "image/png"})
    with urllib.request.urlopen(request) as answer:
        image = json.load(answer)
    prompt = {"points": [{"x": POINT[0], "y": POINT[1], "label": 1}]}
    found = post(f"{url}/api/v1/images/{image['id']}/masks", {"prompts": [prompt], "format": "bits"})
    best = max(found["results"][0]["masks"], key=lambda mask: mask["predicted_iou"])
    return unpacked(best["bits"], image["width"], image["height"])


def unpacked(text, width, height):
    """A mask of packed bits in base64, as rows of 0 and 1."""
    bits, row = base64.b64decode(text), (width + 7) // 8
    return [[bits[y * row + x // 8] >> (7 - x % 8) & 1 for x in range(width)] for y in range(height)]


def filled(ring, width, height):
    """The pixels whose centres are inside a ring, by the even-odd rule."""
    import numpy
    y, x = numpy.mgrid[:height, :width] + 0.5
    inside = numpy.zeros((height, width), bool)
    for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1]):
        if y0 != y1:
            crosses = ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
            inside ^= crosses
    return inside


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def roboflow(url, want):
    import numpy
    from inference_sdk import InferenceHTTPClient
    client = InferenceHTTPClient(api_url=url, api_key="none")
    prompts = [{"points": [{"x": POINT[0], "y": POINT[1], "positive": True}]}]
    found = client.sam2_segment_image(str(IMAGE), prompts=prompts)
    found = found[0] if isinstance(found, list) else found
    mask = numpy.zeros_like(want)
    for ring in found["predictions"][0]["masks"]:
        mask |= filled([tuple(p) for p in ring], want.shape[1], want.shape[0])
    print(f"inference-sdk: IoU {iou(mask, want):.4f} with the mask of /api/v1, whose holes its outlines lack")
    assert iou(mask, want) > 0.9


def x_anylabeling(url, want):
    from PyQt6.QtGui import QImage
    from PyQt6.QtWidgets import QApplication
    import anylabeling.config
    # As the application sets it at its start. A text of YAML is taken too.
    settings = {"remote_server_settings": {"server_url": url, "api_key": ""}}
    anylabeling.config.current_config_file = json.dumps(settings)
    from anylabeling.services.auto_labeling.remote_server import RemoteServer
    _application = QApplication([])
    config = {"type": "remote_server", "name": "remote_server", "display_name": "sam2"}
    client = RemoteServer(config, lambda message: print(message))
    models = client.get_available_models()
    assert models, "no models"
    client.set_model_id(next(iter(models)))
    client.set_auto_labeling_marks([{"type": "point", "data": list(POINT), "label": 1}])
    result = client.predict_shapes(QImage(str(IMAGE)), str(IMAGE))
    ring = [(p.x(), p.y()) for p in result.shapes[0].points]
    mask = filled(ring, want.shape[1], want.shape[0])
    print(f"x-anylabeling: a polygon of {len(ring)} points, IoU {iou(mask, want):.4f} with the mask of /api/v1")
    assert iou(mask, want) > 0.9


def x_anylabeling_video(url, _want):
    import anylabeling.config
    import numpy
    settings = {"remote_server_settings": {"server_url": url, "api_key": ""}}
    anylabeling.config.current_config_file = json.dumps(settings)
    from anylabeling.services.auto_labeling.remote_server import RemoteServer
    messages = []
    client = RemoteServer({"type": "remote_server", "name": "remote_server", "display_name": "sam2"}, messages.append)
    [model] = [name for name, about in client.get_available_models().items() if about["batch_processing_mode"] == "video"]
    client.set_model_id(model)
    client.set_auto_labeling_marks([{"type": "point", "data": list(OBJECT), "label": 1}])
    with tempfile.TemporaryDirectory() as folder:
        frames = [shutil.copy(frame, folder) for frame in sorted(FRAMES.glob("*.jpg"))[:5]]
        # The client asks only whether there is an image.
        clicked = client.predict_shapes(object(), frames[0])
        assert clicked.shapes, messages
        client.set_cache_auto_label("ring", 7)
        client._widget = types.SimpleNamespace(
            image_list=frames, output_dir=None, _config={"store_data": False}, cancel_processing=False, _progress_dialog=None,
            _batch_processing_active=True, _batch_start_index=0, _batch_end_index=len(frames))
        client.predict_shapes(object(), frames[0], run_tracker=True)
        client._reset_video_session()
        masks = []
        for frame in frames:
            shapes = json.loads(open(f"{os.path.splitext(frame)[0]}.json").read())["shapes"]
            assert {(shape["label"], shape["shape_type"]) for shape in shapes} == {("ring", "polygon")}
            parts = [filled([tuple(p) for p in shape["points"]], 480, 360) for shape in shapes]
            masks.append(numpy.logical_or.reduce(parts))
    session = by_api_video(url, 5)
    least = min(iou(mask, numpy.array(want, bool)) for mask, want in zip(masks, session))
    print(f"x-anylabeling: {len(masks)} frames tracked, least IoU {least:.4f} with masks of /api/v1, whose holes its shapes lack")
    assert least > 0.9 and not any("error" in message.lower() for message in messages), messages


def by_api_video(url, count):
    """The masks of the object on the frames, by a stream of the server's own interface, as rows of 0 and 1."""
    session = f"{url}/api/v1/sessions/{post(f'{url}/api/v1/sessions', {'stream': True})['id']}"
    masks = []
    for number, frame in enumerate(sorted(FRAMES.glob("*.jpg"))[:count]):
        request = urllib.request.Request(f"{session}/frames", frame.read_bytes(), {"Content-Type": "image/jpeg"})
        urllib.request.urlopen(request).read()
        if number == 0:
            point = {"x": OBJECT[0], "y": OBJECT[1], "label": 1}
            post(f"{session}/prompts", {"frame": 0, "object": 1, "points": [point]})
        with urllib.request.urlopen(f"{session}/masks?from={number}&to={number}&format=bits") as answer:
            [[mask]] = [frame["masks"] for frame in json.load(answer)["frames"]]
        masks.append(unpacked(mask["bits"], 480, 360))
    return masks


def label_studio(url, want):
    import numpy
    from label_studio_sdk.converter.brush import decode_rle
    height, width = want.shape
    value = {"x": 100 * POINT[0] / width, "y": 100 * POINT[1] / height, "width": 1, "keypointlabels": ["object"]}
    context = {"result": [{"original_width": width, "original_height": height, "value": value, "is_positive": 1,
                           "type": "keypointlabels", "from_name": "keypoints", "to_name": "image"}]}
    config = ('<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image"><Label value="object"/>'
              '</BrushLabels><KeyPointLabels name="keypoints" toName="image"><Label value="object"/></KeyPointLabels></View>')
    data = "data:image/png;base64," + base64.b64encode(IMAGE.read_bytes()).decode()
    found = post(f"{url}/predict", {"tasks": [{"id": 1, "data": {"image": data}}], "project": "1.1", "label_config": config,
                                    "params": {"login": None, "password": None, "context": context}})
    rle = found["results"][0]["result"][0]["value"]["rle"]
    mask = numpy.array(decode_rle(rle)).reshape(height, width, 4)[:, :, 3] > 0
    print(f"label_studio_sdk: IoU {iou(mask, want):.4f} with the mask of /api/v1")
    assert (mask == want).all()


def main():
    import numpy
    # X-AnyLabeling writes settings there.
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        with serve(sys.argv[1], "--compat", "roboflow,x-anylabeling,label-studio") as url:
            want = numpy.array(by_api(url), bool)
            for test in (roboflow, label_studio, x_anylabeling, x_anylabeling_video):
                test(url, want)


main()
