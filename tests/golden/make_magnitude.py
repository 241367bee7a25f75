"""Golden data for networks with the remedy magnitude_preserving, tests/golden/remedies/magnitude*,
read by tests/test_remedies.c; what is in a case make_remedies.py says.

    make_magnitude.py [--out DIR] [CASE...]

Made with torch 2.15.0 (CPU, one thread, float64), safetensors 0.8.0; seed: the CRC-32 of the case's name.
The network is written here from the paper (Karras et al. 2024, EDM2, config G) in the topology and with
the module names of diffusers' UNet2DModel. Weights are normal, rounded to F16; gains are not zero.
"""
import argparse
import json
import math
import os
import shutil
import zlib

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
EPS = 1e-4


def normalised(x, dims):
    return x / (EPS + x.square().mean(dims, keepdim=True).sqrt())


def silu(x):
    return F.silu(x) / 0.596


def mix(a, b, t):
    return torch.lerp(a, b, torch.tensor(t, dtype=a.dtype)) / math.sqrt((1 - t) ** 2 + t ** 2)


def join(a, b, t=0.5):
    na, nb = a.shape[1], b.shape[1]
    c = math.sqrt((na + nb) / ((1 - t) ** 2 + t ** 2))
    return torch.cat([c / math.sqrt(na) * (1 - t) * a, c / math.sqrt(nb) * t * b], 1)


class Product(nn.Module):
    """A convolution (kernel given) or a matrix product."""

    def __init__(self, i, o, kernel=None, stride=1, gain=False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(o, i, *([kernel] * 2 if kernel else [])))
        if gain:
            self.gain = nn.Parameter(0.5 + torch.rand(1))
        self.stride = stride

    def forward(self, x):
        w = self.weight
        w = normalised(w, list(range(1, w.ndim))) / math.sqrt(w[0].numel())
        if w.ndim == 2:
            y = x @ w.T
        else:
            y = F.conv2d(x, w, padding=w.shape[-1] // 2, stride=self.stride)
        return y * self.gain if hasattr(self, "gain") else y


class Resnet(nn.Module):
    def __init__(self, i, o, temb, encoder):
        super().__init__()
        self.encoder = encoder
        self.conv1 = Product(o if encoder else i, o, 3)
        self.time_emb_proj = Product(temb, o, gain=True)
        self.conv2 = Product(o, o, 3)
        self.conv_shortcut = Product(i, o, 1) if i != o else None

    def forward(self, x, e):
        if self.encoder:
            x = self.conv_shortcut(x) if self.conv_shortcut else x
            x = normalised(x, 1)
        y = self.conv1(silu(x))
        y = silu(y * (1 + self.time_emb_proj(silu(e)))[:, :, None, None])
        y = self.conv2(y)
        if not self.encoder and self.conv_shortcut:
            x = self.conv_shortcut(x)
        return mix(x, y, 0.3)


class Attention(nn.Module):
    def __init__(self, c, head):
        super().__init__()
        self.heads = c // head
        self.to_q, self.to_k, self.to_v = (Product(c, c) for _ in range(3))
        self.to_out = nn.ModuleList([Product(c, c)])

    def forward(self, x):
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = (normalised(f(tokens).reshape(n, h * w, self.heads, -1), -1).transpose(1, 2)
                   for f in (self.to_q, self.to_k, self.to_v))
        p = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        y = self.to_out[0]((p @ v).transpose(1, 2).reshape(n, h * w, c))
        return mix(x, y.transpose(1, 2).reshape(n, c, h, w), 0.3)


class Sampler(nn.Module):
    def __init__(self, c, stride):
        super().__init__()
        self.conv, self.up = Product(c, c, 3, stride), stride == 1

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else x)


class Level(nn.Module):
    def __init__(self, resnets, attends, head, sampler):
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        width = resnets[0].conv2.weight.shape[0]
        n = len(resnets) - (attends == "mid")
        if attends:
            self.attentions = nn.ModuleList([Attention(width, head) for _ in range(n)])
        if sampler:
            setattr(self, sampler[0], nn.ModuleList([Sampler(width, sampler[1])]))


class Net(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, layers, head = c["block_out_channels"], c["layers_per_block"], c["attention_head_dim"]
        temb, last = 4 * width[0], len(width) - 1
        self.first = width[0]
        self.conv_in = Product(c["in_channels"] + 1, width[0], 3)
        self.time_embedding = nn.ModuleDict(
            {"linear_1": Product(width[0], temb), "linear_2": Product(temb, temb)})
        if c.get("num_class_embeds"):
            self.class_embedding = nn.Embedding(c["num_class_embeds"], temb)
        self.down_blocks = nn.ModuleList([
            Level([Resnet(w if j else width[max(i - 1, 0)], w, temb, True) for j in range(layers)],
                  c["down_block_types"][i].startswith("Attn"), head,
                  ("downsamplers", 2) if i < last else None) for i, w in enumerate(width)])
        back = width[::-1]
        self.up_blocks = nn.ModuleList([
            Level([Resnet((w if j else back[max(i - 1, 0)]) +
                          (w if j < layers else back[min(i + 1, last)]), w, temb, False)
                   for j in range(layers + 1)],
                  c["up_block_types"][i].startswith("Attn"), head,
                  ("upsamplers", 1) if i < last else None) for i, w in enumerate(back)])
        self.mid_block = Level([Resnet(back[0], back[0], temb, False) for _ in range(2)], "mid",
                               head, None)
        self.conv_out = Product(width[0], c["out_channels"], 3, gain=True)

    def forward(self, x, t, labels):
        half = self.first // 2
        phase = t[:, None] * torch.exp(-math.log(10000.0) * torch.arange(half).double() / half)
        e = math.sqrt(2) * torch.cat([phase.cos(), phase.sin()], 1)
        e = self.time_embedding["linear_2"](silu(self.time_embedding["linear_1"](e)))
        if labels is not None:
            e = mix(e, normalised(self.class_embedding.weight, 1)[labels], 0.5)
        x = self.conv_in(torch.cat([x, torch.ones_like(x[:, :1])], 1))
        skips = [x]
        for b in self.down_blocks:
            for j, r in enumerate(b.resnets):
                x = r(x, e)
                x = b.attentions[j](x) if hasattr(b, "attentions") else x
                skips.append(x)
            if hasattr(b, "downsamplers"):
                x = b.downsamplers[0](x)
                skips.append(x)
        x = self.mid_block.resnets[0](x, e)
        x = self.mid_block.resnets[1](self.mid_block.attentions[0](x), e)
        for b in self.up_blocks:
            for j, r in enumerate(b.resnets):
                x = r(join(x, skips.pop()), e)
                x = b.attentions[j](x) if hasattr(b, "attentions") else x
            if hasattr(b, "upsamplers"):
                x = b.upsamplers[0](x)
        return self.conv_out(x)


def config(**more):
    base = dict(_class_name="UNet2DModel", sample_size=8, in_channels=3, out_channels=3,
                block_out_channels=[4, 8], layers_per_block=1, attention_head_dim=4, norm_num_groups=2,
                downsample_padding=1, freq_shift=0, flip_sin_to_cos=True,
                down_block_types=["DownBlock2D", "AttnDownBlock2D"],
                up_block_types=["AttnUpBlock2D", "UpBlock2D"],
                remedies={"magnitude_preserving": True})
    return dict(base, **more)


CASES = {
    "magnitude": config(),
    "magnitude-classes": config(num_class_embeds=3, layers_per_block=2),
}


def make(name, folder):
    c = CASES[name]
    torch.manual_seed(zlib.crc32(name.encode()))
    net = Net(c)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(p.half().float())
    net = net.double()
    given = {"x": torch.randn(2, 3, 8, 12), "timesteps": torch.tensor([641.0, 37.0])}
    labels = torch.tensor([0, 2]) if c.get("num_class_embeds") else None
    out = net(given["x"].double(), given["timesteps"].double(), labels)
    target = torch.randn(out.shape)
    loss = (out - target.double()).square().mean()
    loss.backward()
    if labels is not None:
        given["class_labels"] = labels
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(folder + "/config.json", "w") as f:
        f.write(json.dumps(c, indent=2, sort_keys=True) + "\n")
    save_file({k: p.detach().half().contiguous() for k, p in net.named_parameters()},
              folder + "/diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    stored = {**given, "out": out.detach(), "target": target, "loss": loss.detach().reshape(1)}
    stored.update({"grad:" + k: p.grad for k, p in net.named_parameters()})
    save_file({k: v.float().contiguous() for k, v in stored.items()},
              folder + "/golden.safetensors")
    print(f"{name:18s} {len(stored) - 4} tensors, loss {loss.item():.4f}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "remedies"))
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    torch.set_num_threads(1)
    for case in a.cases or CASES:
        make(case, os.path.join(a.out, case))
