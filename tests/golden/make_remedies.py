"""Golden data for networks with remedies, tests/golden/remedies/CASE, read by tests/test_remedies.c.

    make_remedies.py [--out DIR] [CASE...]

Made with torch 2.15.0 (CPU, one thread, float64), diffusers 0.42.1, safetensors 0.8.0; seed: the CRC-32
of the case's name plus k, the first of 0, 1, 2... with which PyTorch's own gradients in f32 are within
2e-5 (relative L2, of each parameter): a norm over few channels can magnify rounding. A case is a diffusers network whose forward is changed from outside, by hooks: what
a remedy does is written here a second time. Weights are random and rounded to F16 as in make_unets.py.

    config.json                            as diffusers writes it, and "remedies"
    diffusion_pytorch_model.safetensors    the weights, learned factors among them, F16
    golden.safetensors                     all F32: x, timesteps, class_labels, encoder_hidden_states,
                                           out as in make_unets.py; loss [1] = mean((out -
                                           target)^2), target, and grad:NAME of each parameter
"""
import argparse
import json
import os
import re
import shutil
import zlib

import torch
from diffusers.utils import logging
from safetensors.torch import save_file
from torch import nn

import make_unets
from make_unets import ADOWN, AUP, DOWN, UP, cond, plain

HERE = os.path.dirname(os.path.abspath(__file__))

ATTN = dict(down_block_types=[DOWN, ADOWN], up_block_types=[AUP, UP])
CASES = {
    "clamp": (plain(**ATTN), {"clamp": 0.75}),
    "residual": (plain(**ATTN), {"residual_scale": 0.70710678}),
    "residual-learned": (plain(**ATTN), {"residual_scale": "learned"}),
    "skip": (plain(layers_per_block=2, **ATTN), {"skip_scale": 0.5}),
    "skip-learned": (plain(layers_per_block=2, **ATTN), {"skip_scale": "learned"}),
    "cosine": (plain(**ATTN), {"cosine_attention": True}),
    "text": (cond(block_out_channels=[8, 16]), {"clamp": 2, "residual_scale": "learned", "skip_scale": 0.70710678,
                      "cosine_attention": 2.5}),
    "all": (plain(num_class_embeds=3, inputs=dict(class_labels=torch.tensor([0, 2])), resnet_time_scale_shift="scale_shift", **ATTN),
            {"clamp": 1.5, "residual_scale": "learned", "skip_scale": "learned",
             "cosine_attention": 4}),
}
BLOCK = re.compile(r"(.*\.)?(resnets|attentions|downsamplers|upsamplers)\.\d+$|conv_in$|conv_out$")


def clamped(limit):
    def f(module, _, y):
        if torch.is_tensor(y):
            return y.clamp(-limit, limit)
        return (y[0].clamp(-limit, limit),) + tuple(y[1:])
    return f


def last_layer(module):
    """The layer whose output is a block's residual branch; None where the block has none."""
    kind = type(module).__name__
    if kind == "ResnetBlock2D":
        return module.conv2
    if kind == "Transformer2DModel":
        return module.proj_out
    if kind == "Attention" and module.residual_connection:
        return module.to_out[0]
    return None


def skip_width(model, path):
    level, layer = (int(n) for n in re.fullmatch(r"up_blocks\.(\d+)\.resnets\.(\d+)", path).groups())
    width = list(reversed(model.config.block_out_channels))
    if layer < len(model.up_blocks[level].resnets) - 1:
        return width[level]
    return width[min(level + 1, len(width) - 1)]


def cosine(scale):
    def attention(q, k, v, attn_mask=None, **_):
        s = q.shape[-1] ** 0.5 if scale is True else scale
        q, k = (x / x.norm(dim=-1, keepdim=True) for x in (q, k))
        logits = s * q @ k.transpose(-1, -2)
        if attn_mask is not None:
            logits = logits + attn_mask
        return logits.softmax(-1) @ v
    return attention


def apply(model, remedies, learned):
    """Changes the model's forward; learned: path -> parameter, filled."""
    def factor(path, key):
        if remedies.get(key) == "learned":
            learned[f"{path}.{key}"] = nn.Parameter((0.5 + torch.rand(1)).half().float())
            return learned[f"{path}.{key}"]
        return remedies.get(key, 1.0)

    for path, module in model.named_modules():
        layer = last_layer(module)
        if layer is not None and "residual_scale" in remedies:
            k = factor(path, "residual_scale")
            layer.register_forward_hook(lambda m, _, y, k=k: y * k)
        if path.startswith("up_blocks") and ".resnets." in path and "skip_scale" in remedies \
                and type(module).__name__ == "ResnetBlock2D":
            k, n = factor(path, "skip_scale"), skip_width(model, path)
            module.register_forward_pre_hook(
                lambda m, a, k=k, n=n: (torch.cat([a[0][:, :-n], k * a[0][:, -n:]], 1),) + a[1:])
        if BLOCK.match(path) and "clamp" in remedies:
            module.register_forward_hook(clamped(remedies["clamp"]))
    if "cosine_attention" in remedies:
        nn.functional.scaled_dot_product_attention = cosine(remedies["cosine_attention"])


def compute(model, learned, given, target):
    """Answer, loss and the gradient of each parameter, in the model's dtype."""
    parameters = {**dict(model.named_parameters()), **learned}
    for p in parameters.values():
        p.grad = None
    out = make_unets.call(model, given)
    loss = (out - target).square().mean()
    loss.backward()
    return out.detach(), loss.detach(), {k: p.grad.clone() for k, p in parameters.items()}


def cast(dtype, model, learned, given):
    model.to(dtype)
    for p in learned.values():
        p.data = p.data.to(dtype)
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in given.items()}


def attempt(name, k):
    """The case from seed CRC + k, and the worst relative error of a gradient in PyTorch's f32."""
    (cls, options, size, inputs), remedies = CASES[name]
    torch.manual_seed(zlib.crc32(name.encode()) + k)
    model = cls(**options).eval()
    make_unets.randomise(model, torch.float16)
    given = make_unets.make_inputs(model, size, inputs)
    target = torch.randn(2, model.config.out_channels, *size)
    model.time_proj.register_forward_hook(lambda module, x, y: y.to(model.dtype))
    learned = {}
    apply(model, remedies, learned)
    single = compute(model, learned, cast(torch.float32, model, learned, given), target)[2]
    given = cast(torch.float64, model, learned, given)
    out, loss, gradients = compute(model, learned, given, target.double())
    whole = sum(float(g.square().sum()) for g in gradients.values()) ** 0.5
    error = max(float((single[key] - g).norm() / g.norm()) for key, g in gradients.items()
                if g.norm() > 1e-7 * whole)
    return model, learned, given, target, out, loss, gradients, error


def make(name, folder):
    remedies = CASES[name][1]
    attention = nn.functional.scaled_dot_product_attention
    for k in range(50):
        model, learned, given, target, out, loss, gradients, error = attempt(name, k)
        nn.functional.scaled_dot_product_attention = attention
        if error < 2e-5:
            break
    assert error < 2e-5, name
    parameters = {**dict(model.named_parameters()), **learned}

    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    model.save_config(folder)
    with open(folder + "/config.json") as f:
        config = json.load(f)
    config.pop("_name_or_path", None)
    config["remedies"] = remedies
    with open(folder + "/config.json", "w") as f:
        f.write(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_file({k: v.detach().half().contiguous() for k, v in parameters.items()},
              folder + "/diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    stored = {**given, "out": out, "target": target, "loss": loss.reshape(1)}
    stored.update({"grad:" + key: g for key, g in gradients.items()})
    save_file({k: v.float().contiguous() for k, v in stored.items()},
              folder + "/golden.safetensors")
    total = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:18s} {len(parameters):4d} gradients {total / 1024:7.1f} KiB, loss {loss.item():.4f}, "
          f"error of f32 {error:.1e}, k {k}",
          flush=True)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "remedies"))
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    for case in a.cases or CASES:
        make(case, os.path.join(a.out, case))
