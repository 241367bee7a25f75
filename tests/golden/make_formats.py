"""Golden data for number formats: tests/golden/formats.safetensors

Made by implementations that are not ours: PyTorch's casts and the ml_dtypes package.

    make_formats.py OUT.safetensors

For each format NAME:
    values:NAME  every finite value >= 0, in the order of the bit patterns 0, 1, 2, ... (F32), so
                 that the index is the pattern and its lowest bit the fraction's lowest bit
    x:NAME       4096 F32 inputs: random bit patterns, and random values around the format's range
    y:NAME       the inputs cast to the format and back; NaN where the cast gives NaN

Seed 0. Written with torch 2.15.0, numpy and ml_dtypes 0.5.
"""
import sys

import ml_dtypes
import numpy as np
import torch
from safetensors.numpy import save_file

FORMATS = {  # our name: (dtype, bits)
    "fp16": (np.float16, 16),
    "bf16": (ml_dtypes.bfloat16, 16),
    "fp8-e4m3": (ml_dtypes.float8_e4m3fn, 8),
    "fp8-e5m2": (ml_dtypes.float8_e5m2, 8),
    "e4m3-ieee": (ml_dtypes.float8_e4m3, 8),
    "e3m4": (ml_dtypes.float8_e3m4, 8),
}
TORCH = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp8-e5m2": torch.float8_e5m2}

rng = np.random.default_rng(0)
out = {}
for name, (dtype, bits) in FORMATS.items():
    patterns = np.arange(2 ** (bits - 1), dtype=np.uint16 if bits == 16 else np.uint8)
    values = patterns.view(dtype).astype(np.float32)
    values = values[np.isfinite(values)]
    assert np.all(np.diff(values) > 0)
    out["values:" + name] = values

    top = np.log2(values[-1])
    low = np.log2(values[1])
    x = np.concatenate([
        rng.integers(0, 2 ** 32, 2048, dtype=np.uint32).view(np.float32),
        (np.exp2(rng.uniform(low - 3, top + 2, 2048)) * rng.choice([-1, 1], 2048)),
    ]).astype(np.float32)
    with np.errstate(all="ignore"):
        y = x.astype(dtype).astype(np.float32)
    if name in TORCH:
        z = torch.from_numpy(x).to(TORCH[name]).float().numpy()
        assert np.array_equal(y, z, equal_nan=True), name
    out["x:" + name], out["y:" + name] = x, y
save_file(out, sys.argv[1])
for k, v in out.items():
    print(k, v.shape, v[-1])
