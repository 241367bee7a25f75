"""Golden data for the metrics of activation maps: tests/golden/blobs.safetensors

Computed with numpy alone, in float64, by other ways than ours where there are any: singular
values instead of eigenvalues, a complex transform, gradients by convolution.

    make_blobs.py OUT.safetensors

For each case NAME:
    x:NAME       the map, F32 [h,w,c], or [n,c] for tokens
    others:NAME  the sum of the map and of others, F32, same shape
    y:NAME       F32 [7]: rank, low-frequency share, cosine, top channel, top 1 %, spread, squareness;
                 NaN where it is not defined

Seed 0. Written with numpy 2.
"""
import sys

import numpy as np
from safetensors.numpy import save_file

rng = np.random.default_rng(0)


def rank(x):
    s = np.linalg.svd(x.reshape(-1, x.shape[-1]), compute_uv=False)
    p = s ** 2 / np.sum(s ** 2)
    p = p[p > 0]
    return np.exp(-np.sum(p * np.log(p)))


def low(x):
    h, w, _ = x.shape
    if min(h, w) < 4:
        return np.nan
    power = np.sum(np.abs(np.fft.fft2(x, axes=(0, 1))) ** 2, axis=2)
    fy, fx = np.meshgrid(np.fft.fftfreq(h), np.fft.fftfreq(w), indexing="ij")
    return power[np.hypot(fy, fx) * min(h, w) <= 1 + 1e-12].sum() / power.sum()


def cosine(x, everything):
    y = everything - x
    return np.sum(x * y) / np.linalg.norm(x) / np.linalg.norm(y)


def squareness(x):
    h, w, c = x.shape
    if min(h, w) < 3:
        return np.nan
    smooth, slope = np.array([3, 10, 3]), np.array([-1, 0, 1])
    num = den = 0
    for k in range(c):
        gx, gy = np.zeros((h - 2, w - 2)), np.zeros((h - 2, w - 2))
        for i in range(3):
            for j in range(3):
                part = x[i:h - 2 + i, j:w - 2 + j, k]
                gx += smooth[i] * slope[j] * part
                gy += slope[i] * smooth[j] * part
        weight = gx ** 2 + gy ** 2
        a, b = np.sum(gx ** 2), np.sum(gy ** 2)
        along = np.sum(weight * np.cos(4 * np.arctan2(gy, gx)))
        num += along * 2 * min(a, b) / (a + b)
        den += a + b
    return num / den


def metrics(x, everything):
    e = x.astype(np.float64) ** 2
    at = np.sort(e.reshape(-1, x.shape[-1]).sum(axis=1))[::-1]
    channel = e.reshape(-1, x.shape[-1]).sum(axis=0)
    top = int(np.ceil(0.01 * len(at)))
    return [
        rank(x), low(x) if x.ndim == 3 else np.nan, cosine(x, everything),
        channel.max() / e.sum(), at[:top].sum() / e.sum(),
        at.sum() ** 2 / (len(at) * np.sum(at ** 2)), squareness(x) if x.ndim == 3 else np.nan,
    ]


def blob(h, w, c):
    y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
    bump = np.exp(-3 * (np.abs(x - 0.2) ** 4 + np.abs(y) ** 4))[..., None]
    return 50 * bump * rng.standard_normal(c) + rng.standard_normal((h, w, c)) + 2


cases = {
    "noise": rng.standard_normal((12, 10, 6)),
    "odd": rng.standard_normal((5, 9, 4)) + 1,
    "blob": blob(16, 16, 5),
    "wide": blob(4, 6, 40),
    "thin": rng.standard_normal((3, 20, 2)),
    "tokens": rng.standard_normal((9, 5)) * np.array([1, 2, 4, 8, 16]),
}
out = {}
for name, x in cases.items():
    x = x.astype(np.float32)
    everything = (x + 0.7 * x + rng.standard_normal(x.shape)).astype(np.float32)
    y = metrics(x.astype(np.float64), everything.astype(np.float64))
    out["x:" + name], out["others:" + name] = x, everything
    out["y:" + name] = np.array(y, dtype=np.float32)
    print(name, x.shape, " ".join("%.5f" % v for v in y))
save_file(out, sys.argv[1])
