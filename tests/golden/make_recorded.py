"""Writes recorded.h5: the run file of a live PyTorch training, as a recorder leaves it while it grows.

A little diffusers UNet is trained on drawn pictures for 160 steps in fp32; forward hooks record every
10th step, in five bins of noise level. The loss also rewards large outputs of the decoder, so that its
activations grow until they are over fp16's largest number in the last steps.
The file has room for 20 steps, of which 16 are done, and is not closed.

    pip install torch diffusers h5py; OMP_NUM_THREADS=1 python make_recorded.py

Layout: runfile/run_file.h. Made with torch 2.15.0, diffusers 0.42.1 and h5py 3.16.0, seed 0.
"""
import math
import os

import h5py
import numpy as np
import torch
from diffusers import UNet2DModel

STEPS, EVERY, ROOM, BATCH, SIZE = 160, 10, 20, 16, 8
BINS, LOWEST, HIGHEST = 5, 0.02, 50.0
RATE = 9e-4
STATS = ("min", "max", "absmax", "mean", "std", "rms", "l2")
TRAINING = ("loss", "penalty", "norm", "rate", "scale", "skipped", "skips")
UPDATES = ("gradient_rms", "update_rms", "weight_rms", "staleness")
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "recorded.h5")


class File:
    """A file whose data sets are labelled by dimension scales, hard-linked into their groups."""

    def __init__(self, path):
        self.h5 = h5py.File(path, "w", libver="earliest")

    def attributes(self, **values):
        for name, value in values.items():
            if isinstance(value, str):
                self.h5.attrs.create(name, value, dtype=h5py.string_dtype())
            else:
                self.h5.attrs.create(name, value)

    def axis(self, name, values, dtype):
        scale = self.h5.create_dataset(f"axes/{name}", data=np.asarray(values, dtype=dtype)
                                       if dtype != "text" else list(values),
                                       dtype=h5py.string_dtype() if dtype == "text" else dtype)
        scale.make_scale(name)

    def along(self, path, axes, values, dtype):
        """A data set over axes; a value for all of it, or all of its values."""
        shape = tuple(len(self.h5[f"axes/{a}"]) for a in axes)
        group, name = path.rsplit("/", 1)
        data = list(values) if dtype == "text" else \
            np.broadcast_to(np.asarray(values, dtype=dtype), shape)
        set = self.h5.create_dataset(path, shape, data=data,
                                     dtype=h5py.string_dtype() if dtype == "text" else dtype)
        for i, a in enumerate(axes):
            set.dims[i].attach_scale(self.h5[f"axes/{a}"])
            set.dims[i].label = a
            if group != "axes" and a not in self.h5[group]:
                self.h5[group][a] = self.h5[f"axes/{a}"]


def edges():
    return np.geomspace(LOWEST, HIGHEST, BINS + 1)


def bin_of(sigma):
    return np.clip(np.searchsorted(edges(), sigma, side="right") - 1, 0, BINS - 1)


class Statistics:
    """Sums over the values of all samples of a bin, of one module at one step."""

    def __init__(self):
        self.least = np.full(BINS, np.inf)
        self.most = np.full(BINS, -np.inf)
        self.n, self.sum, self.squares, self.bad = (np.zeros(BINS) for _ in range(4))

    def add(self, y, bins):
        for b in set(bins):
            v = y[bins == b].double().reshape(-1)
            good = v[torch.isfinite(v)]
            self.bad[b] += v.numel() - good.numel()
            if good.numel():
                self.least[b] = min(self.least[b], good.min().item())
                self.most[b] = max(self.most[b], good.max().item())
                self.n[b] += good.numel()
                self.sum[b] += good.sum().item()
                self.squares[b] += (good ** 2).sum().item()

    def values(self):
        known = self.n > 0
        n = np.where(known, self.n, 1)
        mean = np.where(known, self.sum / n, np.nan)
        squares = np.where(known, self.squares, np.nan)
        least, most = (np.where(known, x, np.nan) for x in (self.least, self.most))
        return {"min": least, "max": most, "absmax": np.fmax(np.abs(least), np.abs(most)),
                "mean": mean, "std": np.sqrt(np.maximum(squares / n - mean ** 2, 0)),
                "rms": np.sqrt(squares / n), "l2": np.sqrt(squares)}


def watched(model):
    """Blocks, and what computes in them: no containers that return what is inside."""
    return [(path, m) for path, m in model.named_modules()
            if not isinstance(m, (torch.nn.ModuleList, torch.nn.Dropout, torch.nn.SiLU))
            and not path.startswith("time_") and "time_emb" not in path]


def is_block(m):
    return type(m).__name__ in ("DownBlock2D", "UpBlock2D", "UNetMidBlock2D", "ResnetBlock2D",
                                "Upsample2D", "Downsample2D")


def rms(x):
    return x.double().pow(2).mean().sqrt().item()


def train():
    torch.manual_seed(0)
    model = UNet2DModel(sample_size=SIZE, in_channels=1, out_channels=1, layers_per_block=1,
                        block_out_channels=(8, 16), norm_num_groups=4, add_attention=False,
                        down_block_types=("DownBlock2D", "DownBlock2D"),
                        up_block_types=("UpBlock2D", "UpBlock2D"))
    modules, parameters = watched(model), list(model.named_parameters())
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, betas=(0.9, 0.99))
    decoder, seen, now = [], {}, {}

    def hook(path):
        def record(module, args, output):
            y = output if torch.is_tensor(output) else \
                output[0] if isinstance(output, tuple) else output.sample
            if path.startswith("up_blocks") and is_block(module):
                decoder.append(y)
            if now:
                seen.setdefault(path, Statistics()).add(y.detach(), now["bins"])
        return record

    for path, m in modules:
        m.register_forward_hook(hook(path))
    file = File(PATH)
    file.attributes(format="sigmascope-run", version="1.6", tool="sigmascope-python 1.0",
                    command="python make_recorded.py", model_path="", family="UNet2DModel",
                    device="cpu", precision="fp32", samples="bins", created="2026-01-01T00:00:00Z",
                    complete=np.int32(0))
    file.axis("module", [path or "(model)" for path, _ in modules], "text")
    file.axis("port", ["output"], "text")
    file.axis("input", ["training"], "text")
    file.axis("step", [EVERY * (i + 1) for i in range(ROOM)], "i8")
    file.axis("sample", range(BINS), "i4")
    file.axis("bin", np.sqrt(edges()[:-1] * edges()[1:]), "f8")
    file.axis("parameter", [name for name, _ in parameters], "text")
    file.along("axes/done", ["step"], 0, "u1")
    file.along("axes/module_kind", ["module"], [type(m).__name__ for _, m in modules], "text")
    file.along("axes/module_block", ["module"], [is_block(m) for _, m in modules], "u1")
    for name in STATS:
        file.along(f"stats/{name}", ["module", "port", "input", "step", "sample"], np.nan, "f4")
    file.along("stats/nonfinite", ["module", "port", "input", "step", "sample"], 0, "u8")
    for name in TRAINING:
        file.along(f"training/{name}", ["step"], np.nan, "f4")
    for name in ("sigma", "sample_loss", "samples"):
        file.along(f"training/{name}", ["step", "sample"], np.nan, "f4")
    file.along("training/loss_by_sigma", ["bin", "step"], np.nan, "f4")
    for name in UPDATES:
        file.along(f"updates/{name}", ["parameter", "step"], np.nan, "f4")
    for name, of in (("absmax", lambda p: p.abs().max().item()), ("rms", rms)):
        file.along(f"weights/{name}", ["parameter"], [of(p.detach()) for _, p in parameters], "f4")
    file.along("weights/nonfinite", ["parameter"], 0, "u8")
    h5, mean = file.h5, np.full(BINS, np.nan)

    x, y = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    for step in range(1, STEPS + 1):
        phase = torch.rand(BATCH, 1, 1, 1) * 6.28
        clean = torch.sin(phase + x / 2) * torch.cos(phase + y / 3)
        sigma = torch.exp(torch.randn(BATCH) * 1.6 - 0.4)
        noised = clean + sigma.view(-1, 1, 1, 1) * torch.randn_like(clean)
        c_in = (1 / (sigma ** 2 + 0.25).sqrt()).view(-1, 1, 1, 1)
        now.clear()
        seen.clear()
        decoder.clear()
        if step % EVERY == 0:
            now["bins"] = bin_of(sigma.numpy())
        out = model(noised * c_in, sigma.log() / 4).sample
        loss = ((out - clean) ** 2).mean(dim=(1, 2, 3)) / (1 + sigma)
        grow = sum(torch.log1p(h.pow(2).mean(dim=(1, 2, 3))) * sigma / (1 + sigma) for h in decoder)
        optimizer.zero_grad()
        (torch.log1p(loss).mean() - 2 * grow.mean()).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9).item()
        before = [p.detach().clone() for _, p in parameters]
        optimizer.step()
        for b in range(BINS):
            for v in loss[torch.as_tensor(bin_of(sigma.numpy()) == b)].tolist():
                mean[b] = v if math.isnan(mean[b]) else mean[b] + 0.05 * (v - mean[b])
        if not now:
            continue
        k, bins = step // EVERY - 1, now["bins"]
        for m, (path, _) in enumerate(modules):
            for name, value in seen[path].values().items():
                h5[f"stats/{name}"][m, 0, 0, k] = value
            h5["stats/nonfinite"][m, 0, 0, k] = seen[path].bad
        for name, value in (("loss", loss.mean().item()), ("norm", norm), ("rate", RATE),
                            ("scale", 1), ("skipped", 0), ("skips", 0)):
            h5[f"training/{name}"][k] = value
        for b in range(BINS):
            mine = torch.as_tensor(bins == b)
            h5["training/samples"][k, b] = mine.sum().item()
            h5["training/loss_by_sigma"][b, k] = mean[b]
            if mine.any():
                h5["training/sigma"][k, b] = sigma[mine].log().mean().exp().item()
                h5["training/sample_loss"][k, b] = loss[mine].mean().item()
        for i, (_, p) in enumerate(parameters):
            state = optimizer.state[p]
            second = state["exp_avg_sq"] / (1 - 0.99 ** step)
            h5["updates/gradient_rms"][i, k] = rms(p.grad)
            h5["updates/update_rms"][i, k] = rms(p.detach() - before[i])
            h5["updates/weight_rms"][i, k] = rms(p.detach())
            h5["updates/staleness"][i, k] = rms(p.grad / (second.sqrt() + 1e-12))
        h5["axes/done"][k] = 1
        print(step, f"loss {loss.mean().item():.3g}",
              f"largest {np.nanmax(h5['stats/absmax'][:, 0, 0, k]):.4g}")
    h5.close()
    print(len(modules), "modules,", os.path.getsize(PATH), "bytes")


if __name__ == "__main__":
    train()
