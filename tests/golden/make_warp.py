"""Golden data for probe/warp.c and probe/color_match.c.

    make_warp.py [--out FILE]      defaults to tests/golden/warp.safetensors

Made with torch 2.15.0, scikit-image 0.26.0, numpy 2, safetensors; PyTorch's generator with seed 0,
in float64, stored as F32. The formulas of probe/warp.h are written here with matrices and
torch.nn.functional.grid_sample (bilinear, border, align_corners=False). Tensors: `x` [H][W][3],
`depth` [H][W]; CASE.move [7]: translation, rotation, field of view; CASE.deforum and CASE.rays
[H][W][3]. For colours: gray.x, gray.reference, gray.matched [P][1], rgb.* [P][3] in [-1, 1], by
skimage's rgb2lab, match_histograms and lab2rgb.
"""
import argparse
import math
import os

import numpy as np
import torch
from safetensors.torch import save_file
from skimage.color import lab2rgb, rgb2lab
from skimage.exposure import match_histograms

HERE = os.path.dirname(os.path.abspath(__file__))
H, W = 9, 14
CASES = {
    "still": ((0, 0, 0), (0, 0, 0), 40),
    "pan": ((12, 0, 0), (0, 0, 0), 40),
    "zoom": ((0, 0, 25), (0, 0, 0), 40),
    "turn": ((0, 0, 0), (2, -3, 5), 60),
    "all": ((-7, 4, 15), (-1.5, 2.5, -8), 75),
}


def rotation(angles):
    a, b, c = (math.radians(v) for v in angles)
    rx = torch.tensor([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    ry = torch.tensor([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    rz = torch.tensor([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return (rx @ ry @ rz).double()


def grid(h, w, ends):
    """[h*w][2]: x and y from -1 to 1, with the ends of the range or the middles of pixels."""
    if ends:
        xs, ys = torch.linspace(-1, 1, w).double(), torch.linspace(-1, 1, h).double()
    else:
        xs, ys = (2 * torch.arange(w).double() + 1) / w - 1, (2 * torch.arange(h).double() + 1) / h - 1
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    return torch.stack((x.flatten(), y.flatten()), 1)


def warp(x, depth, translation, angles, fov, rays):
    h, w, _ = x.shape
    tangent = math.tan(math.radians(fov) / 2)
    k = torch.tensor([h / w / tangent, 1 / tangent], dtype=torch.float64)
    r = rotation(angles)
    t = torch.tensor([-translation[0], translation[1], -translation[2]], dtype=torch.float64) / 200
    z = depth.flatten()[:, None]

    def project(p):
        return k * p[:, :2] / p[:, 2:]

    if rays:
        p = torch.cat((grid(h, w, False) / k * z, z), 1)
        at = project((p - t) @ r.T)
    else:
        p = torch.cat((grid(h, w, True), z), 1)
        at = grid(h, w, False) - (project(p @ r + t) - project(p))
    picture = x.permute(2, 0, 1)[None]
    out = torch.nn.functional.grid_sample(picture, at.reshape(1, h, w, 2), mode="bilinear",
                                          padding_mode="border", align_corners=False)
    return out[0].permute(1, 2, 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=os.path.join(HERE, "warp.safetensors"))
    args = parser.parse_args()
    g = torch.Generator().manual_seed(0)
    x = (torch.rand(H, W, 3, generator=g).double() * 2 - 1).float().double()
    depth = (0.6 + 2 * torch.rand(H, W, generator=g).double()).float().double()
    out = {"x": x, "depth": depth}
    for name, (t, r, fov) in CASES.items():
        out[name + ".move"] = torch.tensor([*t, *r, fov], dtype=torch.float64)
        out[name + ".deforum"] = warp(x, depth, t, r, fov, False)
        out[name + ".rays"] = warp(x, depth, t, r, fov, True)
    n = 60
    for name, c in (("gray", 1), ("rgb", 3)):
        a = (torch.randint(0, 40, (n, c), generator=g) / 20.0 - 1).float().double().numpy()
        b = (torch.rand(n, c, generator=g) * 1.2 - 0.9).float().double().numpy()
        if c == 3:
            one, two = (rgb2lab((v[None] + 1) / 2) for v in (a, b))
            matched = 2 * lab2rgb(match_histograms(one, two, channel_axis=-1))[0] - 1
        else:
            matched = match_histograms(a[None], b[None], channel_axis=-1)[0]
        for part, v in (("x", a), ("reference", b), ("matched", np.clip(matched, -1, 1))):
            out[f"{name}.{part}"] = torch.tensor(v)
    save_file({k: v.float().contiguous() for k, v in out.items()}, args.out)


if __name__ == "__main__":
    main()
