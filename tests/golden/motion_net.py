"""Networks with "motion" in their config.json (models/net/motion_config.h), written a second time in
PyTorch, and their golden data tests/golden/motion/CASE, read by tests/test_motion.c.

    motion_net.py [--out DIR] [CASE...]

Made with torch 2.15.0 (CPU, one thread, float64), diffusers 0.42.1, safetensors 0.8.0; seed: the CRC-32
of the case's name plus k, the first of 0, 1, 2... with which PyTorch's own gradients in f32 are within
2e-5 (relative L2, of each parameter) and modules within 2.5e-6. A case is a diffusers network of
pictures, run on the frames of all samples as one batch, whose blocks have motion blocks hooked in.
Weights are random and rounded to F16 as in make_unets.py.

    config.json                            as diffusers writes it, and "motion"
    diffusion_pytorch_model.safetensors    the weights, F16
    golden.safetensors                     all F32: x [N,F,C,H,W], timesteps, class_labels,
                                           encoder_hidden_states, out as in make_unets.py, frames by
                                           frames; module:PATH and norm:PATH as there, in the layout
                                           [N,F,H,W,C]; loss [1] = mean((out - target)^2), target, and
                                           grad:NAME of each parameter; extended:KIND, the answer with
                                           positions extended from "trained" [1] frames
"""
import argparse
import json
import math
import os
import shutil
import zlib

import torch
from diffusers.utils import logging
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import make_unets
from make_unets import ADOWN, AUP, DOWN, UP, cond, plain

HERE = os.path.dirname(os.path.abspath(__file__))
THETA = 10000.0
DEFAULTS = dict(frames=8, layers=["conv"], after="block", norm=False, kernel=3, position="absolute",
                max_frames=32, heads=None, tokens=1, reference=False, freeze=False, remedies=None)


class Extension:
    """Positions beyond the trained length: linear, ntk, yarn, or None."""

    def __init__(self, kind=None, trained=1):
        self.kind, self.trained = kind, trained

    def factor(self, frames):
        return frames / self.trained if self.kind and frames > self.trained else 1.0

    def frequencies(self, width, s):
        theta = THETA * s ** (width / (width - 2)) if self.kind == "ntk" and width > 2 else THETA
        f = theta ** (-2 * torch.arange(width // 2, dtype=torch.float64) / width)
        if self.kind == "linear":
            f = f / s
        if self.kind == "yarn":
            turns = lambda n: width * math.log(self.trained / (n * 2 * math.pi)) / (2 * math.log(THETA))
            low, high = max(math.floor(turns(32)), 0), min(math.ceil(turns(1)), width - 1)
            high += 0.001 if high == low else 0
            ramp = ((torch.arange(width // 2, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
            f = f / s * ramp + f * (1 - ramp)
        return f

    def logits(self, s):
        return (0.1 * math.log(s) + 1) ** 2 if self.kind == "yarn" else 1.0


def rotate(x, heads, extension):
    """x [N,F,H,W,C]: the halves of each head turned by the frame's angle."""
    frames, width = x.shape[1], x.shape[-1] // heads
    s = extension.factor(frames)
    angle = torch.arange(frames, dtype=torch.float64)[:, None] * extension.frequencies(width, s)
    cos, sin = (f(angle).to(x.dtype)[None, :, None, None, None] for f in (torch.cos, torch.sin))
    a, b = x.unflatten(-1, (heads, width)).chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)


def side(n, b):
    return max(k for k in range(1, min(n, b) + 1) if n % k == 0)


class Norm(nn.GroupNorm):
    """Of each frame, or of all together. x [N,F,H,W,C]"""

    joint = False

    def forward(self, x):
        if self.joint:
            return super().forward(x.movedim(-1, 1)).movedim(1, -1)
        return super().forward(x.flatten(0, 1).movedim(-1, 1)).movedim(1, -1).unflatten(0, x.shape[:2])


def make_norm(channels, groups, kind):
    norm = Norm(groups, channels, eps=1e-5) if kind else None
    if norm:
        norm.joint = kind == "joint"
    return norm


class Factor:
    """k of a residual branch: 1, a number, or a parameter."""

    @staticmethod
    def add(module, remedies):
        k = (remedies or {}).get("residual_scale", 1.0)
        if k == "learned":
            module.residual_scale = nn.Parameter(torch.ones(1))
        else:
            module.fixed_scale = k

    @staticmethod
    def of(module):
        return module.residual_scale if hasattr(module, "residual_scale") else module.fixed_scale


class MotionConv(nn.Module):
    def __init__(self, channels, groups, g):
        super().__init__()
        k = g["kernel"]
        if g["norm"]:
            self.norm = make_norm(channels, groups, g["norm"])
        self.conv2d = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv1d = nn.Conv3d(channels, channels, (k, 1, 1), padding=(k // 2, 0, 0))
        nn.init.zeros_(self.conv1d.weight)
        nn.init.zeros_(self.conv1d.bias)
        Factor.add(self, g["remedies"])

    def forward(self, x):
        h = self.norm(x) if hasattr(self, "norm") else x
        h = F.silu(self.conv2d(h.flatten(0, 1).movedim(-1, 1)))              # [N F,C,H,W]
        h = self.conv1d(h.unflatten(0, x.shape[:2]).transpose(1, 2))         # [N,C,F,H,W]
        return x + Factor.of(self) * h.movedim(1, -1)


class MotionAttention(nn.Module):
    def __init__(self, channels, groups, heads, g):
        super().__init__()
        self.heads, self.g, self.extension = g["heads"] or heads, g, Extension()
        if g["norm"]:
            self.norm = make_norm(channels, groups, g["norm"])
        if g["position"] == "absolute":
            self.position = nn.Embedding(g["max_frames"], channels)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels, bias=False) for _ in "qkv")
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])
        nn.init.zeros_(self.to_out[0].weight)
        nn.init.zeros_(self.to_out[0].bias)
        Factor.add(self, g["remedies"])

    def positions(self, frames):
        s = self.extension.factor(frames)
        at = torch.arange(frames, dtype=torch.float64) / s
        low, high = at.floor().long(), at.ceil().long()
        if s > 1:
            high = high.clamp(max=self.extension.trained - 1)
        share = (at - low)[:, None].to(self.position.weight.dtype)
        if s == 1:
            return self.position(low)
        return (1 - share) * self.position(low) + share * self.position(high)

    def forward(self, x):
        N, frames, H, W, C = x.shape
        h = self.norm(x) if hasattr(self, "norm") else x
        if hasattr(self, "position"):
            h = h + self.positions(frames)[:, None, None, :]
        q, k, v = self.to_q(h), self.to_k(h), self.to_v(h)
        width = C // self.heads
        scale = width ** -0.5
        cosine = (self.g["remedies"] or {}).get("cosine_attention")
        if cosine:
            scale = width ** 0.5 if cosine is True else cosine
        if self.g["position"] == "rotary":
            q, k = rotate(q, self.heads, self.extension), rotate(k, self.heads, self.extension)
            scale = scale * self.extension.logits(self.extension.factor(frames))
        a, b = side(H, self.g["tokens"]), side(W, self.g["tokens"])

        def rows(t):                                                          # [N,R,heads,T,width]
            t = t.reshape(N, frames, H // a, a, W // b, b, self.heads, width)
            return t.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4, 6).flatten(1, 2)

        q, k, v = rows(q), rows(k), rows(v)
        if cosine:
            q, k = (t / t.norm(dim=-1, keepdim=True) for t in (q, k))
        y = (scale * q @ k.transpose(-1, -2)).softmax(-1) @ v
        y = y.reshape(N, H // a, W // b, self.heads, frames, a, b, width).permute(0, 4, 1, 5, 2, 6, 3, 7)
        return x + Factor.of(self) * self.to_out[0](y.reshape(x.shape))


class MotionBlock(nn.Module):
    """x [N,C,F,H,W] -> the same shape"""

    def __init__(self, channels, groups, heads, g):
        super().__init__()
        self.clamp = (g["remedies"] or {}).get("clamp")
        self.layers = nn.ModuleList(
            MotionConv(channels, groups, g) if kind == "conv" else
            MotionAttention(channels, groups, heads, g) for kind in g["layers"])

    def forward(self, x):
        h = x.movedim(1, -1)
        for layer in self.layers:
            h = layer(h)
        h = h.movedim(-1, 1)
        return h.clamp(-self.clamp, self.clamp) if self.clamp else h


class MotionNet(nn.Module):
    """A diffusers network of pictures with motion blocks; its parameters are those of the network, and
    BLOCK.motion.N. x [N,F,C,H,W]"""

    def __init__(self, unet, motion):
        super().__init__()
        self.g = dict(DEFAULTS, **motion)
        self.unet, self.frames = unet, 1
        if self.g["reference"]:
            self.widen(unet)
        for block in [*unet.down_blocks, *unet.up_blocks, unet.mid_block]:
            if block is not None:
                self.attach(block, block is unet.mid_block)

    @staticmethod
    def widen(unet):
        """Channels of reference frames and mask, which begin at zero."""
        old = unet.conv_in
        C = old.in_channels
        new = nn.Conv2d(2 * C + 1, old.out_channels, old.kernel_size, padding=old.padding)
        nn.init.zeros_(new.weight)
        with torch.no_grad():
            new.weight[:, :C] = old.weight
            new.bias.copy_(old.bias)
        unet.conv_in = new

    def attach(self, block, middle):
        resnets, attentions = list(block.resnets), list(getattr(block, "attentions", None) or [])
        attentions = [a for a in attentions if a is not None]
        at = resnets
        if self.g["after"] == "attention":
            at = attentions
        elif self.g["after"] == "block":
            at = attentions + resnets[len(attentions):]
        if not at:
            return
        head = self.unet.config.attention_head_dim
        block.motion = nn.ModuleList()
        for layer in at:
            channels = resnets[0].out_channels
            heads = channels // head
            if any(type(a).__name__ == "Transformer2DModel" for a in attentions):
                heads = head
            motion = MotionBlock(channels, self.unet.config.norm_num_groups, heads, self.g)
            block.motion.append(motion)
            layer.register_forward_hook(lambda m, a, y, motion=motion: self.see(motion, y))

    def see(self, motion, y):
        h = y if torch.is_tensor(y) else y[0]
        h = motion(h.unflatten(0, (-1, self.frames)).transpose(1, 2)).transpose(1, 2).flatten(0, 1)
        return h if torch.is_tensor(y) else (h,) + tuple(y[1:])

    def extend(self, extension):
        for m in self.modules():
            if isinstance(m, MotionAttention):
                m.extension = extension

    def forward(self, given):
        N, self.frames = given["x"].shape[:2]
        of_frames = {k: v.repeat_interleave(self.frames, 0) for k, v in given.items() if k != "x"}
        y = make_unets.call(self.unet, dict(of_frames, x=given["x"].flatten(0, 1)))
        return y.unflatten(0, (N, self.frames))


# ---- golden data ----

ATTN = dict(down_block_types=[DOWN, ADOWN], up_block_types=[AUP, UP], attention_head_dim=4)
LABELS = dict(num_class_embeds=3, inputs=dict(class_labels=torch.tensor([0, 2])))
CASES = {  # network, frames, motion
    "conv": (plain(size=(6, 10), **ATTN, **LABELS), 3, dict(frames=3, norm=True)),
    "conv-one-frame": (plain(size=(6, 4), **ATTN), 1, dict()),
    "conv-scale-shift": (plain(size=(4, 6), resnet_time_scale_shift="scale_shift", **LABELS), 3,
                         dict(frames=3)),
    "conv-joint-5": (plain(size=(4, 6), layers_per_block=2, **ATTN), 7,
                     dict(layers=["conv"], after="resnet", norm="joint", kernel=5)),
    "absolute": (plain(size=(6, 4), **ATTN), 7,
                 dict(layers=["attention"], after="attention", max_frames=8, norm=True)),
    "rotary": (plain(size=(2, 6), **ATTN), 7,
               dict(frames=4, layers=["attention"], after="resnet", position="rotary", heads=1)),
    "none-tokens": (plain(size=(8, 6), **ATTN), 3,
                    dict(layers=["attention"], position="none", tokens=2, norm="joint")),
    "both-reference": (plain(size=(6, 4), **ATTN), 3,
                       dict(layers=["conv", "attention"], position="rotary", reference=True, norm=True,
                            freeze=True)),
    "text": (cond(size=(5, 7)), 3,
             dict(frames=3, layers=["attention", "conv"], max_frames=4, tokens=3, norm=True)),
    "remedies": (plain(size=(6, 4), **ATTN), 3,
                 dict(layers=["attention", "conv"], position="rotary",
                      remedies={"clamp": 1.25, "residual_scale": "learned",
                                "cosine_attention": 3})),
}
EXTENDED = {"rotary": ("linear", "ntk", "yarn"), "absolute": ("linear",)}
ONCE = ("time_embedding", "time_emb_proj", "class_embedding", "attn2.to_k", "attn2.to_v")


def names(net):
    """Parameters by their names in the file."""
    return {k.removeprefix("unet."): p for k, p in net.named_parameters()}


def once_for_a_sample(path):
    return any(part in path for part in ONCE)


def watch(net, stored):
    """Stores samples and norms of all modules' outputs."""
    def hook(path):
        def f(module, _, y):
            y = make_unets.first_tensor(y)
            if y is None:
                return
            if ".motion." in path:                 # [N,C,F,H,W], or channels last already
                kind = type(module).__name__
                if kind in ("MotionBlock", "Conv3d"):
                    y = y.movedim(1, -1)
                elif kind == "Conv2d":
                    y = y.movedim(1, -1)
            else:
                if once_for_a_sample(path):
                    y = y[::net.frames]
                y = make_unets.channels_last(module, y)
            flat = y.detach().reshape(-1)
            n = flat.numel()
            at = torch.arange(n) if n < make_unets.SAMPLES else \
                torch.arange(make_unets.SAMPLES) * n // make_unets.SAMPLES
            stored[f"module:{path}"] = flat[at].clone()
            stored[f"norm:{path}"] = torch.tensor([flat.double().norm().item(), n],
                                                  dtype=torch.float64)
        return f
    for path, module in net.unet.named_modules():
        inside = list(module.parameters(recurse=False)) or list(module.children())
        if path and inside and not isinstance(module, make_unets.SKIPPED):
            module.register_forward_hook(hook(path), prepend=True)  # before motion blocks


def compute(net, given, target):
    for p in net.parameters():
        p.grad = None
    out = net(given)
    loss = (out - target).square().mean()
    loss.backward()
    return out.detach(), loss.detach(), {k: p.grad.clone() for k, p in names(net).items()}


def attempt(name, k):
    (cls, options, size, inputs), frames, motion = CASES[name]
    torch.manual_seed(zlib.crc32(name.encode()) + k)
    net = MotionNet(cls(**options), motion).eval()
    make_unets.randomise(net, torch.float16)
    given = make_unets.make_inputs(net.unet, size, inputs)
    channels = net.unet.conv_in.in_channels
    given["x"] = torch.randn(2, frames, channels, *size)
    target = torch.randn(2, frames, net.unet.config.out_channels, *size)
    net.unet.time_proj.register_forward_hook(lambda module, x, y: y.to(net.unet.dtype))
    stored, single = {}, {}
    watch(net, stored)
    f32 = compute(net, given, target)[2]
    single.update(stored)
    net.double()
    given = {k: v.double() if v.is_floating_point() else v for k, v in given.items()}
    out, loss, gradients = compute(net, given, target.double())
    whole = sum(float(g.square().sum()) for g in gradients.values()) ** 0.5
    error = max(float((f32[key] - g).norm() / g.norm()) for key, g in gradients.items()
                if g.norm() > 1e-7 * whole)
    modules = max(float((single[key] - v).norm() / v.norm()) for key, v in stored.items()
                  if key.startswith("module:"))
    return net, given, target, out, loss, gradients, dict(stored), error, modules


def make(name, folder):
    motion = CASES[name][2]
    for k in range(50):
        net, given, target, out, loss, gradients, stored, error, modules = attempt(name, k)
        if error < 2e-5 and modules < 2.5e-6:
            break
    assert error < 2e-5 and modules < 2.5e-6, (name, error, modules)
    golden = {**given, "out": out, "target": target, "loss": loss.reshape(1), **stored}
    golden.update({"grad:" + key: g for key, g in gradients.items()})
    trained = 4
    for kind in EXTENDED.get(name, ()):
        net.extend(Extension(kind, trained))
        with torch.no_grad():
            golden["extended:" + kind] = net(given)
        golden["trained"] = torch.tensor([float(trained)])

    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    net.unet.save_config(folder)
    with open(folder + "/config.json") as f:
        config = json.load(f)
    config.pop("_name_or_path", None)
    config["motion"] = motion
    with open(folder + "/config.json", "w") as f:
        f.write(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_file({k: v.detach().half().contiguous() for k, v in names(net).items()},
              folder + "/diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    save_file({k: v.float().contiguous() for k, v in golden.items()}, folder + "/golden.safetensors")
    total = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:16s} {len(gradients):4d} gradients {total / 1024:7.1f} KiB, loss {loss.item():.4f}, "
          f"f32: gradients {error:.1e}, modules {modules:.1e}, k {k}", flush=True)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "motion"))
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    for case in a.cases or CASES:
        make(case, os.path.join(a.out, case))
