#!/usr/bin/env python3
"""Runs Label Studio with `sam2 serve` as its ML backend: a project, an uploaded image, a click, and the mask that comes back.
`.ci/long label-studio` installs what is needed. Run it by the Python that has Label Studio.

usage: label_studio.py PROGRAM
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy
from label_studio_sdk.converter.brush import decode_rle

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGE = ROOT / "demo/samples/images/image1.png"
POINT = (148, 208)
TOKEN = "0123456789abcdef0123456789abcdef01234567"
PORT = 8917
STUDIO = f"http://127.0.0.1:{PORT}"
CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="object"/></BrushLabels>
<KeyPointLabels name="keypoints" toName="image" smart="true"><Label value="object"/></KeyPointLabels></View>"""


def ask(method, path, body=None, kind="application/json"):
    headers = {"Authorization": f"Token {TOKEN}"}
    if body is not None:
        headers["Content-Type"] = kind
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(STUDIO + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as e:
        sys.exit(f"{method} {path}: {e.code} {e.read().decode()[:500]}")


def start_studio(folder):
    settings = {"ML_BLOCK_LOCAL_IP": "false", "SSRF_PROTECTION_ENABLED": "false", "COLLECT_ANALYTICS": "false",
                "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true", "LATEST_VERSION_CHECK": "false"}
    program = Path(sys.executable).parent / "label-studio"
    command = [program, "start", "--no-browser", "--port", str(PORT), "--data-dir", folder, "--username", "a@example.com",
               "--password", "a-password-of-tests", "--user-token", TOKEN]
    log = open(Path(folder) / "log", "w")
    studio = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
    for _ in range(180):
        try:
            urllib.request.urlopen(f"{STUDIO}/health", timeout=2)
            return studio
        except OSError:
            time.sleep(1)
    sys.exit(f"Label Studio does not start: {(Path(folder) / 'log').read_text()[-2000:]}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "key").write_text(TOKEN)
        command = [sys.argv[1], "serve", "--log-requests", "--model", str(ROOT / "demo"), "--port", "0", "--compat", "label-studio",
                   "--label-studio-url", STUDIO, "--label-studio-key-file", f"{folder}/key"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        backend = server.stdout.readline().strip().rstrip("/")
        studio = start_studio(folder)
        try:
            project = ask("POST", "/api/projects", {"title": "masks", "label_config": CONFIG})["id"]
            form = (b'--x\r\nContent-Disposition: form-data; name="file"; filename="image1.png"\r\nContent-Type: image/png\r\n\r\n'
                    + IMAGE.read_bytes() + b"\r\n--x--\r\n")
            ask("POST", f"/api/projects/{project}/import", form, "multipart/form-data; boundary=x")
            tasks = ask("GET", f"/api/tasks?project={project}")
            task = (tasks["tasks"] if isinstance(tasks, dict) else tasks)[0]
            ml = ask("POST", "/api/ml", {"url": backend, "project": project, "title": "sam2", "is_interactive": True})
            width, height = 480, 360
            value = {"x": 100 * POINT[0] / width, "y": 100 * POINT[1] / height, "width": 1, "keypointlabels": ["object"]}
            context = {"result": [{"original_width": width, "original_height": height, "value": value, "is_positive": 1,
                                   "type": "keypointlabels", "from_name": "keypoints", "to_name": "image"}]}
            found = ask("POST", f"/api/ml/{ml['id']}/interactive-annotating", {"task": task["id"], "context": context})
            if "data" not in found:
                sys.exit(f"no mask: {found}")
            result = found["data"]["result"][0]
            mask = numpy.array(decode_rle(result["value"]["rle"])).reshape(height, width, 4)[:, :, 3] > 0
            print(f"Label Studio shows a mask of {mask.sum()} pixels, {result['type']}, of {task['data']['image']}")
            assert mask[POINT[1], POINT[0]] and 1000 < mask.sum() < 60000
        finally:
            studio.terminate()
            server.send_signal(signal.SIGTERM)
            server.wait()


main()
