"""Writes tests/golden/frechet.safetensors: pairs of normal distributions and their distance.

numpy 2, scipy 1, seed 0. Of each case K:

    K.mean_a, K.mean_b [n]; K.cov_a, K.cov_b [n][n]; K.distance [1]
    rows.x [7][5], rows.mean [5], rows.cov [5][5]     numpy.mean and numpy.cov of rows
    weighted.w [7], weighted.mean, weighted.cov       the same, rows counted by aweights

all F64 in computing; in the file F32 pairs: NAME is the value rounded, NAME.low what is left of it.
The distance of singular ones is by eigenvectors, tr (A^1/2 B A^1/2)^1/2, in which nothing is lost;
of the others also by scipy.linalg.sqrtm, as FID programs have it, and both must agree.
"""
import pathlib

import numpy as np
import scipy.linalg
from safetensors.numpy import save_file

rng = np.random.default_rng(0)
out = {}


def put(name, value):
    value = np.atleast_1d(np.asarray(value, dtype=np.float64))
    high = value.astype(np.float32)
    out[name] = high
    out[name + ".low"] = (value - high).astype(np.float32)


def root(s):
    w, v = np.linalg.eigh(s)
    return v * np.sqrt(np.maximum(w, 0)) @ v.T


def distance(ma, a, mb, b):
    # singular values of the product of the roots: sum of them = tr (A^1/2 B A^1/2)^1/2
    trace = np.linalg.svd(root(a) @ root(b), compute_uv=False).sum()
    return ((ma - mb) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * trace


def case(name, n, rows_a, rows_b, shift=0.5, mixing=True):
    mix = rng.normal(size=(n, n)) if mixing else np.eye(n)
    xa = rng.normal(size=(rows_a, n)) @ mix
    xb = 1.3 * rng.normal(size=(rows_b, n)) + shift
    ma, mb, a, b = xa.mean(0), xb.mean(0), np.cov(xa.T).reshape(n, n), np.cov(xb.T).reshape(n, n)
    d = distance(ma, a, mb, b)
    if min(rows_a, rows_b) > n:
        other = ((ma - mb) ** 2).sum() + np.trace(a + b - 2 * np.real(scipy.linalg.sqrtm(a @ b)))
        assert abs(other - d) < 1e-9 * (1 + abs(d)), (name, other, d)
    put(name + ".mean_a", ma), put(name + ".mean_b", mb)
    put(name + ".cov_a", a), put(name + ".cov_b", b), put(name + ".distance", d)
    print(f"{name}: {d:.12g}")


case("one", 1, 9, 8)
case("small", 5, 40, 60)
case("wide", 24, 100, 90)
case("few", 12, 5, 40)      # fewer rows than features: singular
case("both_few", 12, 5, 4)  # both are
case("still", 6, 30, 30, shift=0, mixing=False)
x = rng.normal(size=(7, 5)).astype(np.float32)
w = rng.uniform(1, 2, size=7)
w /= w.sum()
put("rows.x", x), put("rows.mean", x.astype(np.float64).mean(0))
put("rows.cov", np.cov(x.T.astype(np.float64)))
put("weighted.w", w), put("weighted.mean", w @ x.astype(np.float64))
put("weighted.cov", np.cov(x.T.astype(np.float64), aweights=w))
save_file(out, pathlib.Path(__file__).with_name("frechet.safetensors"))
