#!/usr/bin/env python3
"""Drives `sam2 serve` with the real client libraries of Roboflow and X-AnyLabeling, and decodes the brush masks for Label
Studio with its own library. `.ci/long clients` installs what is needed.

usage: clients.py PROGRAM
"""

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGE = ROOT / "demo/samples/images/image1.png"
POINT = (148, 208)

os.environ["QT_QPA_PLATFORM"] = "offscreen"


def start(program):
    command = [program, "serve", "--model", str(ROOT / "demo"), "--port", "0",
               "--compat", "roboflow,x-anylabeling,label-studio"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return server, server.stdout.readline().strip().rstrip("/")


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
    bits = base64.b64decode(best["bits"])
    width, height = image["width"], image["height"]
    row = (width + 7) // 8
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
    server, url = start(sys.argv[1])
    try:
        want = numpy.array(by_api(url), bool)
        for test in (roboflow, label_studio, x_anylabeling):
            test(url, want)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


main()
