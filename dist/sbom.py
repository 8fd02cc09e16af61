#!/usr/bin/env python3
"""Prints the crates that are compiled into the files of a target, as CycloneDX 1.6 in JSON.

usage: dist/sbom.py TARGET
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ["sam2-cli", "sam2-ffi"]


def output(*command):
    return subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout


def linked(target):
    """The names and versions of the crates that are linked. Procedural macros run while the others are compiled."""
    lines = output(
        *("cargo", "tree", "--locked", "--target", target, "--edges", "normal,no-proc-macro"),
        *("--prefix", "none", "--format", "{p}", *(word for package in SHIPPED for word in ("-p", package))),
    ).splitlines()
    # A line is "name v1.2.3", with words after it.
    return {(name, version.removeprefix("v")) for name, version, *_ in map(str.split, filter(None, lines))}


def checksums():
    """The SHA-256 sums of crates in Cargo.lock, by name and version."""
    sums, entry = {}, {}
    for line in (ROOT / "Cargo.lock").read_text(encoding="utf-8").splitlines():
        if line == "[[package]]":
            entry = {}
        elif " = " in line:
            key, value = line.split(" = ", 1)
            entry[key] = value.strip('"')
            if key == "checksum":
                sums[entry["name"], entry["version"]] = entry[key]
    return sums


def ref(package):
    return f"{package['name']}@{package['version']}"


def component(package, sums):
    name, version = package["name"], package["version"]
    found = {"type": "library", "name": name, "version": version, "bom-ref": ref(package)}
    # Older manifests have "/" where SPDX has OR.
    found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if (name, version) in sums:
        found["purl"] = f"pkg:cargo/{name}@{version}"
        found["hashes"] = [{"alg": "SHA-256", "content": sums[name, version]}]
    return found


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = sys.argv[1]
    names = linked(target)
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", target))
    packages = [p for p in metadata["packages"] if (p["name"], p["version"]) in names]
    missing = names - {(p["name"], p["version"]) for p in packages}
    if missing:
        sys.exit(f"not among the packages of cargo metadata: {sorted(missing)}")
    packages.sort(key=lambda p: (p["name"], p["version"]))
    refs = {p["id"]: ref(p) for p in packages}
    sums = checksums()
    components = [component(p, sums) for p in packages]
    rust = output("rustc", "--version").split()[1]
    licence = [{"expression": "MIT OR Apache-2.0"}]
    components.append(
        {"type": "library", "name": "std", "version": rust, "bom-ref": "std", "licenses": licence,
         "description": "the standard library of Rust"}
    )  # fmt: skip
    uses = {}
    for node in metadata["resolve"]["nodes"]:
        if node["id"] in refs:
            normal = [d["pkg"] for d in node["deps"] if any(kind["kind"] is None for kind in d["dep_kinds"])]
            uses[node["id"]] = sorted(refs[key] for key in normal if key in refs)
    version = next(p["version"] for p in packages if p["name"] == "sam2")
    product = {"type": "application", "name": "sam2", "version": version, "bom-ref": f"sam2-{target}"}
    product["licenses"] = [{"license": {"id": "Apache-2.0"}}]
    shipped = [refs[p["id"]] for p in packages if p["name"] in SHIPPED]
    dependencies = [{"ref": product["bom-ref"], "dependsOn": [*sorted(shipped), "std"]}]
    dependencies += [{"ref": refs[key], "dependsOn": value} for key, value in sorted(uses.items())]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": product, "properties": [{"name": "target", "value": target}]},
        "components": components,
        "dependencies": dependencies,
    }
    print(json.dumps(document, indent=1))


main()
