"""Compares the blocks that python/sigmascope/blocks.py finds in networks of diffusers with the program's
(/axes/module_block of a run file), for all of tests/golden/unets and tests/golden/vaes that a plain probe can run.

    python tests/golden/compare_blocks.py [PROGRAM]

Prints a line for each network, and ends with status 1 where they differ. Used with diffusers 0.42.1.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

import diffusers
import h5py

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "..", "python"))
from sigmascope.blocks import blocks  # noqa: E402

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "..", "build", "sigmascope")
TEXT, SIZE = ["--prompt-embeds", "zeros"], ["--size", "16x16"]
# Options that a network may need; the first with which it runs count.
TRIES = ([], TEXT, ["--class", "0"], TEXT + ["--class", "0"], SIZE, TEXT + SIZE, TEXT + ["--concat", "zeros"])


def of_the_program(folder):
    """(modules, those that are blocks), or None."""
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "run.h5")
        for more in TRIES:
            if subprocess.run([PROGRAM, "probe", folder, "-o", path, "--samples", "1", "--sigmas", "1", *more],
                              capture_output=True).returncode == 0:
                with h5py.File(path) as f:
                    modules = [m.decode() for m in f["axes/module"]]
                    return modules, {m for m, b in zip(modules, f["axes/module_block"]) if b}
    return None


wrong = 0
for folder in sorted(glob.glob(os.path.join(HERE, "unets", "*")) + glob.glob(os.path.join(HERE, "vaes", "*"))):
    theirs = of_the_program(folder)
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    ours = set(blocks(getattr(diffusers, config["_class_name"]).from_config(config)))
    if theirs is None:
        print(f"{os.path.basename(folder):26s} not run")
        continue
    differ = sorted(ours ^ theirs[1])
    wrong += bool(differ)
    print(f"{os.path.basename(folder):26s} {len(ours):3d} blocks", *(["differ in"] + differ if differ else []))
sys.exit(wrong > 0)
