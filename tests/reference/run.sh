#!/bin/sh
# Makes tests/data again from the reference (half a minute on one core). PYTHON: an interpreter with the packages that
# README.md lists.
set -e
cd "$(dirname "$0")"
export PYTHONPATH="$PWD" TQDM_DISABLE=1
P="${PYTHON:-python3}"
OUT=../data
$P fixtures.py inputs $OUT/inputs
$P fixtures.py jpegs $OUT/golden/jpeg
$P pictures.py $OUT/golden/pictures
$P make_weights.py mini21 --seed 3 --bf16 --name mini21 --out $OUT/weights
$P make_weights.py mini20 --seed 0 --bf16 --name mini20 --out $OUT/weights
$P make_weights.py mini21 --seed 0 --obj-bias 1.8 --bf16 --name mini21occ --out $OUT/weights
$P fixtures.py forms $OUT/weights/mini21.safetensors $OUT/weights
CLIP=$(mktemp -d)
$P fixtures.py clip "$CLIP"
I="--image $OUT/inputs/coffee.png --image2 $OUT/inputs/chelsea.png --video $CLIP"
$P make_golden.py mini21 $OUT/weights/mini21.safetensors $OUT/golden/mini21 $I --cases image,video,amg
rm $OUT/golden/mini21/amg_*.safetensors
$P make_golden.py mini20 $OUT/weights/mini20.safetensors $OUT/golden/mini20 $I --cases image
$P make_golden.py mini20 $OUT/weights/mini20.safetensors $OUT/golden/mini20 $I --cases video --lean --frames 4 --only point,mask,correction_from_start
$P make_golden.py mini21 $OUT/weights/mini21occ.safetensors $OUT/golden/mini21occ $I --cases video --only point,two_objects,correction_from_next
rm -r "$CLIP"
