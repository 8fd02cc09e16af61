#!/usr/bin/env python3
"""Checks a list of contents: unique references that exist, licences, sums, and the crates that are always there.

usage: dist/tests/sbom.py FILE
"""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)
assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
components = document["components"]
refs = [component["bom-ref"] for component in components]
assert len(set(refs)) == len(refs) > 50, len(refs)
known = {*refs, document["metadata"]["component"]["bom-ref"]}
for entry in document["dependencies"]:
    assert entry["ref"] in known and set(entry["dependsOn"]) <= known, entry
reached, todo = set(), [document["metadata"]["component"]["bom-ref"]]
uses = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
while todo:
    ref = todo.pop()
    if ref not in reached:
        reached.add(ref)
        todo += uses.get(ref, [])
assert reached == known, f"used by nothing: {sorted(known - reached)}"
for component in components:
    assert component["licenses"][0]["expression"], component
    ours = component["name"].startswith("sam2") or component["name"] == "std"
    assert ours or len(component["hashes"][0]["content"]) == 64, component
assert {"sam2-engine", "sam2-ffi", "clap", "png", "std"} <= {component["name"] for component in components}
print(f"list of contents: {len(components)} components")
