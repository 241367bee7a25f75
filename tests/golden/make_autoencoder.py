"""Golden data for the training of autoencoders: PyTorch's loss and gradients of one batch.

    make_autoencoder.py [--out DIR]       DIR: tests/golden/autoencoders

Made with torch 2.15.0 (CPU, one thread, float64), diffusers 0.42.1, safetensors 0.8.0. The networks are the
cases `sd` (pictures) and `svd` (videos, the temporal decoder) of tests/golden/vaes, whose weights in F16
are widened; inputs are random, seed 0. DIR/CASE.safetensors, all F32, channels last:

    x          [N,H,W,C] or [N,F,H,W,C]
    noise      [N,h,w,c] or [N,F,h,w,c]: latents are mean + std noise
    out        what the network answers
    weights    [3] l1, kl, frame
    loss       [1]
    gradient:NAME, gradient-norm:NAME   64 values of each parameter's gradient, its norm and their number

The loss is mean((out - x)^2) + l1 mean|out - x| + kl mean((m^2 + e^v - 1 - v) / 2)
+ frame mean((d out - d x)^2), d being the difference between neighbouring frames; kl as
DiagonalGaussianDistribution.kl() has it, over the number of latents.
"""
import argparse
import os

import torch
from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder
from safetensors.torch import save_file

from make_vaes import HERE, keep

CASES = {"sd": (AutoencoderKL, (2, 12, 8), 0), "svd": (AutoencoderKLTemporalDecoder, (2, 3, 2), 3)}
L1, KL, FRAME = 0.25, 0.125, 0.5


def last(y):
    return y.movedim(-3, -1)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "autoencoders"))
    a = p.parse_args()
    torch.set_num_threads(1)
    os.makedirs(a.out, exist_ok=True)
    for name, (kind, (n, h, w), frames) in CASES.items():
        g = torch.Generator().manual_seed(0)
        model = kind.from_pretrained(os.path.join(HERE, "vaes", name)).double().eval()
        factor = 2 ** (len(model.config.block_out_channels) - 1)
        lead = (n, frames) if frames else (n,)
        x = (torch.rand(*lead, model.config.in_channels, h, w, generator=g) * 2 - 1).float()
        noise = torch.randn(*lead, model.config.latent_channels, h // factor, w // factor, generator=g)
        flat = x.double().flatten(0, len(lead) - 1)
        q = model.encode(flat).latent_dist
        z = q.mean + q.std * noise.double().flatten(0, len(lead) - 1)
        y = model.decode(z, num_frames=frames).sample if frames else model.decode(z).sample
        y = y.unflatten(0, lead)
        d = y - x.double()
        loss = (d ** 2).mean() + L1 * d.abs().mean() + KL * q.kl().sum() / z.numel()
        if frames:
            loss = loss + FRAME * ((d[:, 1:] - d[:, :-1]) ** 2).mean()
        loss.backward()
        golden = dict(x=last(x), noise=last(noise), out=last(y.detach()), loss=loss.detach().reshape(1),
                      weights=torch.tensor([L1, KL, FRAME]))
        for key, w_ in model.named_parameters():
            if w_.grad is not None:
                keep(golden, "gradient:" + key, "gradient-norm:" + key, w_.grad)
        golden = {k: v.float().clone().contiguous() for k, v in golden.items()}
        path = os.path.join(a.out, name + ".safetensors")
        save_file(golden, path)
        print(f"{name}: loss {float(loss.detach()):.6f}, {len(golden)} tensors, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
