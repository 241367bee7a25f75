"""Writes flow.safetensors: pairs of pictures whose flow is known, and the error of OpenCV's flow.

    python3 tests/golden/make_flow.py

opencv-python-headless 5.0.0, numpy 2, safetensors 0.8; numbers of numpy's default_rng(seed) as below.
A picture is a sum of waves, computed at every place that it is asked at, so that moved ones need no
interpolation; it is then rounded to bytes. For each CASE:

    CASE.a, CASE.b    [48][64] grey levels, f16
    CASE.flow         [48][64][2] x and y of w, b(p + w) = a(p), f16
    CASE.hidden       [48][64] 1 where a pixel of a cannot be seen in b, f16
    CASE.error        [2] mean |w' - w| of Farneback's and of DIS flow over the other pixels, f32
"""
import os

import cv2
import numpy as np
from safetensors.numpy import save_file

H, W = 48, 64


def texture(seed, finest):
    rng = np.random.default_rng(seed)
    n = 80
    f = np.exp(rng.uniform(np.log(0.015), np.log(finest), n))
    angle, phase = rng.uniform(0, 2 * np.pi, n), rng.uniform(0, 2 * np.pi, n)
    a = f ** -0.5
    a *= 55 / np.sqrt(np.sum(a * a) / 2)

    def at(y, x):
        out = np.full(np.broadcast(y, x).shape, 128.0)
        for k in range(n):
            out += a[k] * np.cos(2 * np.pi * f[k] * (np.cos(angle[k]) * x + np.sin(angle[k]) * y) + phase[k])
        return out
    return at


Y, X = np.mgrid[0:H, 0:W].astype(float)


def whole(seed, matrix, shift, finest=0.2):
    """p -> middle + matrix (p - middle) + shift"""
    at = texture(seed, finest)
    m, s = np.array(matrix, float), np.array(shift, float)
    my, mx = (H - 1) / 2, (W - 1) / 2
    flow = np.stack([m[0, 0] * (X - mx) + m[0, 1] * (Y - my) + s[0] - (X - mx),
                     m[1, 0] * (X - mx) + m[1, 1] * (Y - my) + s[1] - (Y - my)], -1)
    i = np.linalg.inv(m)
    qx, qy = X - mx - s[0], Y - my - s[1]
    b = at(i[1, 0] * qx + i[1, 1] * qy + my, i[0, 0] * qx + i[0, 1] * qy + mx)
    tx, ty = X + flow[..., 0], Y + flow[..., 1]
    hidden = (tx < 0) | (ty < 0) | (tx > W - 1) | (ty > H - 1)
    return at(Y, X), b, flow, hidden


def item(seed, shift, behind):
    """A disc that moves over a ground that moves, too."""
    ground, disc = texture(seed, 0.15), texture(seed + 100, 0.2)
    cy, cx, r = 22.0, 28.0, 12.0
    on_a = (Y - cy) ** 2 + (X - cx) ** 2 <= r * r
    on_b = (Y - cy - shift[1]) ** 2 + (X - cx - shift[0]) ** 2 <= r * r
    a = np.where(on_a, disc(Y, X), ground(Y, X))
    b = np.where(on_b, disc(Y - shift[1], X - shift[0]), ground(Y - behind[1], X - behind[0]))
    flow = np.where(on_a[..., None], np.array(shift, float), np.array(behind, float))
    tx, ty = X + behind[0], Y + behind[1]
    covered = (ty - cy - shift[1]) ** 2 + (tx - cx - shift[0]) ** 2 <= r * r
    out = (tx < 0) | (ty < 0) | (tx > W - 1) | (ty > H - 1)
    return a, b, flow, ~on_a & (covered | out)


def turned(degrees, zoom):
    c, s = np.cos(np.radians(degrees)) * zoom, np.sin(np.radians(degrees)) * zoom
    return [[c, -s], [s, c]]


E = [[1, 0], [0, 1]]
cases = {
    "whole_pixels": whole(1, E, (3, -2)),
    "parts_of_pixels": whole(2, E, (0.4, 1.3)),
    "far": whole(3, E, (11, 7)),
    "turn": whole(4, turned(4, 1), (0, 0)),
    "zoom": whole(5, turned(0, 1.06), (1, 0)),
    "item": item(6, (4, 2), (0, 0)),
    "item_and_ground": item(7, (3, -3), (-1, 0.5)),
}
out = {}
for name, (a, b, flow, hidden) in cases.items():
    a, b = (np.clip(np.rint(x), 0, 255).astype(np.uint8) for x in (a, b))
    farneback = cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 4, 15, 5, 5, 1.1, 0)
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(a, b, None)
    error = [np.linalg.norm(f - flow, axis=-1)[~hidden].mean() for f in (farneback, dis)]
    print(f"{name:16s} farneback {error[0]:.3f} dis {error[1]:.3f} hidden {hidden.mean():.3f}")
    out[f"{name}.a"], out[f"{name}.b"] = a.astype(np.float16), b.astype(np.float16)
    out[f"{name}.flow"] = flow.astype(np.float16)
    out[f"{name}.hidden"] = hidden.astype(np.float16)
    out[f"{name}.error"] = np.array(error, np.float32)
save_file(out, os.path.join(os.path.dirname(os.path.abspath(__file__)), "flow.safetensors"))
