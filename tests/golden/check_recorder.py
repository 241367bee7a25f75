"""Holds the recorder (python/) against the program, module by module: both see the same inputs.

    sigmascope probe demo/fashion-mnist/step-06000 --inputs noise:white --inputs checker:4 \\
        --prompt-embeds demo/fashion-mnist/step-06000/class_embeddings.safetensors#class_embeddings -o run.h5
    check_recorder.py run.h5 demo/fashion-mnist/step-06000

A pipeline folder with a UNet2DConditionModel whose text is class_embeddings.safetensors. Prints the largest
relative difference of each statistic over modules and noise levels, and where it is.
"""
import os
import sys
import tempfile

import h5py
import numpy as np
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
import sigmascope  # noqa: E402

run, model = sys.argv[1:3]
dtype = torch.float64 if "--double" in sys.argv else torch.float32
unet = UNet2DConditionModel.from_pretrained(model + "/unet", torch_dtype=dtype).eval()
text = load_file(model + "/class_embeddings.safetensors")["class_embeddings"].to(dtype)
path = os.path.join(tempfile.mkdtemp(), "recorded.h5")
with h5py.File(run) as f, sigmascope.watch(unet, path, every=1, bins=1, optimizer=torch.optim.SGD(
        unet.parameters(), 0.0)) as watch:
    x, t, inputs = f["inputs/x"][()], f["axes/timestep"][()], f["axes/input"][()]
    for i in range(x.shape[0]):
        for s in range(x.shape[1]):
            y = torch.from_numpy(x[i, s]).permute(0, 3, 1, 2).to(dtype)
            condition = text[torch.arange(len(y)) % len(text)]
            unet(y, torch.full((len(y),), float(t[s]), dtype=torch.float64), encoder_hidden_states=condition)
            watch.step()
with h5py.File(run) as f, h5py.File(path) as g:
    ours, theirs = ([m.decode() for m in h["axes/module"][()]] for h in (f, g))
    both = [m for m in theirs if m in ours]
    print(f"{len(both)} modules, {x.shape[0]} inputs, {x.shape[1]} noise levels, {x.shape[2]} samples; {dtype}")
    port = [p.decode() for p in f["axes/port"][()]].index("output")
    a = {k: f["stats/" + k][()][[ours.index(m) for m in both], port].astype("f8") for k in ("absmax", "min", "max", "rms")}
    b = {k: g["stats/" + k][()][[theirs.index(m) for m in both], 0, 0, :, 0].astype("f8") for k in a}
    join = {"absmax": np.nanmax, "max": np.nanmax, "min": np.nanmin, "rms": lambda v, axis: np.sqrt(np.nanmean(v ** 2, axis))}
    for k in a:
        want = join[k](a[k], axis=-1).reshape(len(both), -1)
        scale = join["absmax"](a["absmax"], axis=-1).reshape(len(both), -1) if k != "rms" else want
        far = np.abs(b[k].reshape(want.shape) - want) / scale
        at = np.unravel_index(np.nanargmax(far), far.shape)
        print(f"{k:7} {far[at]:.1e}  {both[at[0]]}")
