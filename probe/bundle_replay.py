"""Feeds the saved input to a checkpoint by PyTorch and diffusers, and compares one module's output.

python replay.py CHECKPOINT [DTYPE]    DTYPE: float32 (default), float16, bfloat16
"""
import hashlib
import json
import os
import sys

import diffusers
import torch
from safetensors.torch import load_file

if len(sys.argv) not in (2, 3):
    sys.exit(__doc__.strip())
here = os.path.dirname(os.path.abspath(__file__))
want = json.load(open(os.path.join(here, "expected.json")))
sums = dict(reversed(line.split(maxsplit=1))
            for line in open(os.path.join(here, "checkpoint.sha256")).read().splitlines())
folder = os.path.join(sys.argv[1], want["folder"])
if not os.path.isdir(folder):
    folder = sys.argv[1]


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


paths = {name: os.path.join(folder, name) for name in sums}
if any(not os.path.exists(p) or sha256(p) != sums[name] for name, p in paths.items()):
    print(f"warning: {sys.argv[1]} is not {want['checkpoint']}, in which this was found "
          "(checkpoint.sha256): its numbers may be others", file=sys.stderr)
dtype = getattr(torch, sys.argv[2] if len(sys.argv) == 3 else "float32")
if want["precision"] != "fp32":
    print(f"note: expected are numbers under emulation ({want['precision']}); these are of PyTorch "
          f"in {dtype}", file=sys.stderr)
model = getattr(diffusers, want["family"]).from_pretrained(folder, variant=want.get("variant"),
                                                           torch_dtype=dtype).eval()
given = load_file(os.path.join(here, "input.safetensors"))
n = len(want["absmax"])
if want["family"] == "UNetSpatioTemporalConditionModel":
    given.update(x=given["x"].transpose(1, 2), added_time_ids=given.pop("time_ids"))
x, timestep = given.pop("x").to(dtype), given.pop("timestep")
given = {k: v.long() if k == "class_labels" and v.dim() == 1 else v.to(dtype)
         for k, v in given.items()}
added = {k: given.pop(k) for k in ("text_embeds", "time_ids") if k in given}
if added:
    given["added_cond_kwargs"] = added


def compare(module, args, output):
    y = output[0] if isinstance(output, tuple) else getattr(output, "sample", output)
    y = y.double().reshape(n, -1)
    for k in range(n):
        finite = y[k][y[k].isfinite()]
        absmax = finite.abs().max().item() if len(finite) else None
        rms = finite.square().mean().sqrt().item() if len(finite) else None
        bad = y.shape[1] - len(finite)
        print(f"{want['module'] or '(model)'}, row {k}: absmax {absmax} (expected "
              f"{want['absmax'][k]}), rms {rms} ({want['rms'][k]}), not finite {bad} "
              f"({want['nonfinite'][k]})")


model.get_submodule(want["module"]).register_forward_hook(compare)
with torch.no_grad():
    model(x, timestep, **given)
