"""Golden data for parameters and moments that are kept in 16 bits, rounded to nearest.

    make_optimizers_16.py [--out FILE]      defaults to tests/golden/optimizers_16.safetensors

Made with torch 2.15.0, safetensors 0.8.0; all F32. values [4096]: numbers of every size that the formats
know, ties, and what lies beyond; bf16, fp16 [4096]: the same after a cast there and back. CASE [3][24]: the
weights of make_optimizers.py's start after steps 1, 10 and 50 of its gradients, torch.optim.Adam computing in
f32, with weights and moments cast there and back after each step. lr 0.01.
"""
import argparse
import os

import torch
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))


def numbers():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(3000, generator=g) * torch.exp2(torch.randint(-40, 20, (3000,), generator=g).float())
    half = torch.arange(1, 513).float()
    ties = torch.cat([1 + half * 2.0**-12, half * 2.0**-25])
    ends = torch.tensor([0.0, -0.0, 65504, 65519.996, 65520, -65520, 1e38, -3.3961e38, 2.0**-24, 2.0**-25,
                         6.1e-5, 5.96e-8, 2.0**-133, 2.0**-134, float("inf"), float("-inf")])
    x = torch.cat([x, ties, ends, torch.linspace(-2, 2, 4096 - 3000 - 1024 - 16)])
    return x.float()


def run(start, grads, weights, states):
    p = torch.nn.Parameter(start.to(weights).float())
    o, rows = torch.optim.Adam([p], lr=0.01), []
    for t in range(50):
        p.grad = grads[t].clone()
        o.step()
        with torch.no_grad():
            p.copy_(p.to(weights).float())
            for key in ("exp_avg", "exp_avg_sq"):
                o.state[p][key].copy_(o.state[p][key].to(states).float())
        if t + 1 in (1, 10, 50):
            rows.append(p.detach().clone())
    return torch.stack(rows)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--out", default=os.path.join(HERE, "optimizers_16.safetensors"))
    a = a.parse_args()
    f = load_file(os.path.join(HERE, "optimizers.safetensors"))
    x = numbers()
    f32, bf16, fp16 = torch.float32, torch.bfloat16, torch.float16
    out = {"values": x, "bf16": x.to(bf16).float(), "fp16": x.to(fp16).float()}
    for name, w, s in (("bf16-bf16", bf16, bf16), ("fp16-f32", fp16, f32), ("f32-bf16", f32, bf16)):
        out[name] = run(f["start"], f["grad"], w, s)
    save_file({k: v.contiguous() for k, v in out.items()}, a.out)


if __name__ == "__main__":
    main()
