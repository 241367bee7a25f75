"""Writes docs/videos: moving items of clothing, as docs/video-metrics.md measures them.

    python3 tests/golden/make_videos.py

Debian's dataset-fashion-mnist, numpy 2, Pillow; seed 0. Four videos of 16 frames of 32 x 32, as strips:

    docs/videos/steady/000K.png    an item of 28 x 28 that moves in a line over a soft ground
    docs/videos/windows/000K.png   the same videos as a model of windows of 8 frames might make them:
                                   noise that is new in every frame, and a second window that is
                                   brighter and displaced by a pixel
"""
import gzip
import pathlib

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "videos"
DATA = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"
SIDE, FRAMES = 32, 16
rng = np.random.default_rng(0)
items = np.frombuffer(gzip.open(DATA).read(), np.uint8)[16:].reshape(-1, 28, 28) / 255.0


def at(picture, y, x):
    """The picture at real places, linearly between pixels, 0 outside."""
    h, w = picture.shape
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    out = np.zeros(y.shape)
    for dy in (0, 1):
        for dx in (0, 1):
            yy, xx = y0 + dy, x0 + dx
            inside = (yy >= 0) & (yy < h) & (xx >= 0) & (xx < w)
            weight = (1 - abs(y - yy)) * (1 - abs(x - xx))
            out += np.where(inside, picture[yy.clip(0, h - 1), xx.clip(0, w - 1)] * weight, 0)
    return out


def frame(item, start, speed, t, shift=(0, 0)):
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    top, left = (start[i] + speed[i] * (t - (FRAMES - 1) / 2) + shift[i] for i in (0, 1))
    ground = 60 + 20 * np.sin(x / 5 + start[0]) * np.cos(y / 7 + start[1])
    size = 22 / 28
    cover = at(item, (y - top) / size, (x - left) / size)
    return ground * (1 - cover) + 230 * cover


def save(name, k, frames):
    path = ROOT / name / f"{k:04d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    strip = np.concatenate(frames, 1)
    Image.fromarray(np.clip(np.rint(strip), 0, 255).astype(np.uint8)).save(path, optimize=True)


for k in range(4):
    item, start = items[10 + 7 * k], rng.uniform(3, 7, 2)
    angle = rng.uniform(0, 2 * np.pi)
    speed = 0.5 * np.array([np.sin(angle), np.cos(angle)])
    save("steady", k, [frame(item, start, speed, t) for t in range(FRAMES)])
    made = []
    for t in range(FRAMES):
        second = t >= 8
        made.append(frame(item, start, speed, t, (1, -1) if second else (0, 0)) + 6 * second
                    + rng.normal(0, 4, (SIDE, SIDE)))
    save("windows", k, made)
