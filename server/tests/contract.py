#!/usr/bin/env python3
"""Sends `sam2 serve` generated requests by schemathesis, and holds its answers against its OpenAPI document. Needs
schemathesis in the environment of this Python.

usage: contract.py PROGRAM
"""

import subprocess
import sys
import urllib.request
from pathlib import Path

from program import ROOT, serve

# What a schema cannot say is an error too, such as a point outside of the image: a request that conforms may be refused.
# A member may be null where the document has none.
LEFT_OUT = "positive_data_acceptance,negative_data_rejection"


def main():
    schemathesis = Path(sys.executable).with_name("schemathesis")
    with serve(sys.argv[1], "--max-images", "4", "--max-sessions", "4") as url:
        # Requests about images find one.
        image = (ROOT / "demo/samples/images/image1.png").read_bytes()
        urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/images?wait=1", image, {"Content-Type": "image/png"}))
        command = [schemathesis, "run", f"{url}/api/v1/openapi.json", "--url", url, "--exclude-checks", LEFT_OUT,
                   "--max-examples", "30", "--seed", "1", "--generation-deterministic", "--request-timeout", "30"]
        done = subprocess.run(command, check=False)
    sys.exit(done.returncode)


main()
