"""Golden gradients of whole UNets, tests/golden/gradients/CASE.safetensors, read by
tests/test_gradients_unet.c.

    python tests/golden/make_gradients.py [--out DIR] [CASE...]

Cases are those of make_unets.py, with the weights and inputs that lie in tests/golden/unets. PyTorch
2.x computes in float64; the loss is mean((answer - target)^2) with a normal target, seed 0. Stored as
F32: loss [1], target [N,C,H,W] and, under the name of each parameter, its gradient. A parameter
without one (what a config has but its computation does not use, and fixed frequencies) is left out.
../penalty.safetensors has, of the case attn-penalty, the gradients of loss + 0.5 P with the activation penalty P of
sigmascope.penalty (python/), which is `penalty` [1].
Of the networks for videos (make_video_unets.py) target is [N,F,C,H,W], and of a gradient of more than
256 values the values floor(k numel / 256).
"""
import argparse
import os
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import make_unets
import make_video_unets

sys.path.append(os.path.join(make_unets.HERE, "..", "..", "python"))
import sigmascope

CASES = ["attn", "scale-shift-attn-groups", "tables", "fashion", "if-2", "sdxl", "video-3d", "video-svd", "attn-penalty"]
SAMPLES = 256


def load(folder):
    files = [f for f in os.listdir(folder) if f.startswith("diffusion_pytorch_model")
             and f.endswith(".safetensors")]
    weights = {}
    for f in files:
        weights.update(load_file(os.path.join(folder, f)))
    return weights


def options_of(name):
    return make_unets.CASES.get(name) or make_video_unets.CASES[name]


def sampled(g):
    n = g.numel()
    return g.reshape(-1)[torch.arange(SAMPLES) * n // SAMPLES] if n > SAMPLES else g


def inputs(name, folder):
    given = {}
    with safe_open(os.path.join(folder, "golden.safetensors"), "pt") as f:
        for key in f.keys():
            if ":" not in key and key != "out":
                given[key] = f.get_tensor(key)
    options = options_of(name)[1]
    if options.get("num_class_embeds"):
        given["class_labels"] = given["class_labels"].long()
    if options.get("time_embedding_type") == "learned":
        given["timesteps"] = given["timesteps"].long()
    return {k: v.double() if v.is_floating_point() else v for k, v in given.items()}


def make(case, out):
    name = case.removesuffix("-penalty")
    folder = os.path.join(make_unets.HERE, "unets", name)
    cls, options = options_of(name)[:2]
    video = name not in make_unets.CASES
    model = cls(**options).eval().double()
    model.load_state_dict(load(folder))
    for path, module in model.named_modules():
        if path.endswith("time_proj"):
            module.register_forward_hook(lambda module, x, y: y.double())
    given = inputs(name, folder)
    penalty = sigmascope.penalty(model, 0.5, every=1) if name != case else None
    torch.manual_seed(0)
    answer = (make_video_unets if video else make_unets).call(model, given)
    target = torch.randn(answer.shape).double()
    loss = (answer - target).square().mean()
    (loss + penalty() if penalty else loss).backward()
    tensors = {"loss": loss.detach().reshape(1), "target": target}
    if penalty:
        tensors["penalty"] = penalty.tensor().reshape(1)
    for key, p in model.named_parameters():
        if p.grad is not None:
            tensors[key] = sampled(p.grad) if video else p.grad
    path = os.path.join(out, "../penalty.safetensors" if penalty else case + ".safetensors")
    save_file({k: v.float().contiguous() for k, v in tensors.items()}, path,
              metadata={"torch": torch.__version__, "seed": "0"})
    print(f"{case:26s} {len(tensors) - 2 - bool(penalty):4d} gradients {os.path.getsize(path) / 1024:7.1f} KiB")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(make_unets.HERE, "gradients"))
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    torch.set_num_threads(1)
    for case in a.cases or CASES:
        make(case, a.out)
