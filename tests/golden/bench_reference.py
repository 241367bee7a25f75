"""The PyTorch side of `make bench`: a case that is run when asked, over standard input and output.

    bench_reference.py --threads T forward FOLDER --batch N
    bench_reference.py --threads T train FOLDER

FOLDER holds a config.json of diffusers. When the case stands the script writes "ready"; then each
line it reads names a method of the case, whose number (seconds, if not said otherwise) it writes
back. Eager, channels last, weights as the constructors leave them.

Used with torch 2.15.0 on the CPU, diffusers 0.42.1.
"""
import argparse
import gzip
import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel, UNet2DModel

DATA = "/usr/share/datasets/fashion-mnist/train-"


def make_model(folder):
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    cls = {"UNet2DModel": UNet2DModel,
           "UNet2DConditionModel": UNet2DConditionModel}[config["_class_name"]]
    torch.manual_seed(0)
    return cls.from_config(config).to(memory_format=torch.channels_last)


def peak():
    """Most memory that the process ever held, in MiB."""
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024


class Case:
    def peak(self):
        return peak()


class Forward(Case):
    def __init__(self, a):
        self.model = make_model(a.folder).eval()
        c = self.model.config
        x = torch.randn(a.batch, c.in_channels, c.sample_size, c.sample_size)
        self.x = x.to(memory_format=torch.channels_last)
        self.t = torch.full((a.batch,), 500)
        self.more = {}
        if c.get("cross_attention_dim"):
            width = c.encoder_hid_dim or c.cross_attention_dim
            tokens = 77 if c.cross_attention_dim > 64 else 4
            self.more["encoder_hidden_states"] = torch.randn(a.batch, tokens, width)

    @torch.no_grad()
    def forward(self):
        start = time.perf_counter()
        self.model(self.x, self.t, **self.more)
        return time.perf_counter() - start


class Train(Case):
    """FAST-16: v-prediction on Fashion-MNIST, cosine levels, Adam."""

    def __init__(self, a):
        self.model = make_model(a.folder)
        size = self.model.config.sample_size
        x = torch.frombuffer(bytearray(gzip.open(DATA + "images-idx3-ubyte.gz").read()[16:]),
                             dtype=torch.uint8).reshape(-1, 1, 28, 28).float()
        if size == 16:
            x = F.avg_pool2d(x, 2)
        margin = (size - x.shape[-1]) // 2
        self.x = F.pad(x / 127.5 - 1, (margin,) * 4, value=-1)
        self.y = torch.frombuffer(bytearray(gzip.open(DATA + "labels-idx1-ubyte.gz").read()[8:]),
                                  dtype=torch.uint8).long()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=5e-3)

    def batch(self, n=32):
        i = torch.randint(len(self.x), (n,))
        x0, y = self.x[i], self.y[i]
        y = torch.where(torch.rand(n) < 0.1, 10, y)
        u = torch.rand(n)
        logsnr = (-2 * torch.log(torch.tan(math.pi * u / 2))).clamp(-15, 15)[:, None, None, None]
        a, s = torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()
        eps = torch.randn_like(x0)
        x = (a * x0 + s * eps).to(memory_format=torch.channels_last)
        return x, 1000 * u, y, a * eps - s * x0

    def step(self):
        start = time.perf_counter()
        x, t, y, target = self.batch()
        loss = F.mse_loss(self.model(x, t, class_labels=y).sample, target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        loss.item()
        return time.perf_counter() - start


CASES = {"forward": Forward, "train": Train}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, required=True)
    p.add_argument("case", choices=CASES)
    p.add_argument("folder", nargs="?")
    p.add_argument("--batch", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    case = CASES[a.case](a)
    print("ready", flush=True)
    for line in sys.stdin:
        print(getattr(case, line.strip())(), flush=True)


if __name__ == "__main__":
    main()
