"""Golden data for the optimisers: 50 steps of torch.optim, and of Lion in numpy.

    make_optimizers.py [--out FILE]      defaults to tests/golden/optimizers.safetensors

Made with torch 2.15.0, diffusers 0.42.1, numpy 2.4.6, safetensors 0.8.0, seed 0; all F32. start [24] holds
two tensors, of 7 and 17 values; grad [50][24] their gradients, normal numbers of very different size: times
10^-12 to 10^6 by position, and step 30 times 1e6. CASE [3][24]: the weights after steps 1, 10 and 50.
clip cases use clip_grad_norm_; ema is diffusers' EMAModel of the weights of case adam; Lion follows the
program in Chen et al. 2023. Options of a case stand in tests/test_optimizer.c beside its name.
"""
import argparse
import os

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
MAGNITUDES = [1e-12, 1e-6, 1e-3, 1.0, 1.0, 1e3, 1e6]


def run(start, grads, make, clip=0.0, ema=None):
    p = [torch.nn.Parameter(start[:7].clone()), torch.nn.Parameter(start[7:].clone())]
    o, rows = make(p), []
    e = EMAModel(p, **ema) if ema else None
    for t in range(50):
        p[0].grad, p[1].grad = grads[t, :7].clone(), grads[t, 7:].clone()
        if clip:
            torch.nn.utils.clip_grad_norm_(p, clip)
        o.step()
        if e:
            e.step(p)
        if t + 1 in (1, 10, 50):
            rows.append(torch.cat([x.detach().flatten() for x in (e.shadow_params if e else p)]))
    return torch.stack(rows)


def lion(start, grads, lr, b1, b2, wd):
    w, m, rows = start.numpy().astype(np.float32).copy(), np.zeros(24, np.float32), []
    f = np.float32
    for t in range(50):
        g = grads[t].numpy()
        update = np.sign(m * f(b1) + f(1 - b1) * g)
        w = w * f(1 - lr * wd) - f(lr) * update
        m = m * f(b2) + f(1 - b2) * g
        if t + 1 in (1, 10, 50):
            rows.append(torch.from_numpy(w.copy()))
    return torch.stack(rows)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--out", default=os.path.join(HERE, "optimizers.safetensors"))
    a = a.parse_args()
    g = torch.Generator().manual_seed(0)
    start = torch.randn(24, generator=g)
    grads = torch.randn(50, 24, generator=g) * torch.tensor((MAGNITUDES * 4)[:24])
    grads[29] *= 1e6
    opt, out = torch.optim, dict(start=start, grad=grads)
    adam = lambda p: opt.Adam(p, lr=0.01, foreach=False)
    out["adam"] = run(start, grads, adam)
    out["adam-decay"] = run(start, grads, lambda p: opt.Adam(
        p, lr=0.01, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1, foreach=False))
    out["adamw"] = run(start, grads, lambda p: opt.AdamW(p, lr=0.01, weight_decay=0.1, foreach=False))
    out["adam-clip"] = run(start, grads, adam, clip=1.0)
    out["sgd"] = run(start, grads, lambda p: opt.SGD(p, lr=0.01, weight_decay=0.1, foreach=False))
    out["sgd-momentum"] = run(start, grads, lambda p: opt.SGD(p, lr=0.01, momentum=0.9, foreach=False))
    out["sgd-nesterov"] = run(start, grads, lambda p: opt.SGD(
        p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1, foreach=False), clip=2.0)
    out["lion"] = lion(start, grads, 0.001, 0.9, 0.99, 0.1)
    out["ema"] = run(start, grads, adam, ema=dict(decay=0.8))
    save_file({k: v.float().contiguous() for k, v in out.items()}, a.out)
    print(f"{len(out)} tensors, {os.path.getsize(a.out)} bytes")


if __name__ == "__main__":
    main()
