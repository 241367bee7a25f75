"""Makes demo/fashion-mnist/rescaled-06000: the late checkpoint with a larger residual stream.

    make_rescaled.py OUT [--factor 128]

What a UNet's blocks add to the residual stream is read again through group norms, which do not
depend on how large it is, or through convolutions that the stream goes through itself. So a
training whose weights grow (no decay, no scaling of residuals) moves along a line on which the
network's answer stays what it was, while its activations grow out of fp16. This script goes 128
times further along that line than step 6000:

    times FACTOR, weight and bias    what adds to the stream: conv_in, conv2 of each residual block,
                                     proj_out of each transformer
    times FACTOR, bias only          what the stream goes through: shortcuts, down- and upsamplers

A power of two changes no digit of a weight; only eps of the norms weighs less. The first upsampling
convolution of the decoder then exceeds 65504 at high noise.

Checks it against step-06000 in PyTorch on the CPU, and exits 1 unless
    in fp32     both answers agree to 1e-4 of their norm
    in fp16     model.half() and torch.autocast give inf or NaN, where step-06000 gives none
and prints the first module whose output is not finite. The weights are stored as F16, which holds
them exactly. Made with torch 2.15.0, diffusers 0.42.1; seconds. Run from the top of the tree.
"""
import argparse
import os
import re
import shutil
import sys

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

CHECKPOINT = "demo/fashion-mnist/step-06000"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
ADDS = r"conv_in|.*\.resnets\.\d+\.conv2|.*\.attentions\.\d+\.proj_out"
PASSES = r".*\.resnets\.\d+\.conv_shortcut|.*\.(down|up)samplers\.\d+\.conv"


def make(out, factor):
    shutil.copytree(CHECKPOINT, out)
    old = load_file(f"{CHECKPOINT}/{WEIGHTS}")
    new = {}
    for name, w in old.items():
        module, kind = name.rsplit(".", 1)
        grows = re.fullmatch(ADDS, module) or (kind == "bias" and re.fullmatch(PASSES, module))
        new[name] = (w.float() * (factor if grows else 1)).half()
        assert torch.equal(new[name].float() / (factor if grows else 1), w.float()), name
    save_file(new, f"{out}/{WEIGHTS}")


def answers(folder, dtype=torch.float32, autocast=False):
    """Answers to noise at three timesteps, and the first module that gives inf or NaN at each."""
    net = UNet2DConditionModel.from_pretrained(f"{folder}/unet", torch_dtype=dtype)
    table = load_file(f"{folder}/class_embeddings.safetensors")["class_embeddings"].to(dtype)
    first = {}

    def look(name, t):
        def hook(module, args, y):
            y = y[0] if isinstance(y, tuple) else getattr(y, "sample", y)
            if not torch.isfinite(y).all():
                first.setdefault(t[0], name)
        return hook

    t = [0]
    for name, m in net.named_modules():
        if not list(m.children()):
            m.register_forward_hook(look(name, t))
    y = []
    x = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0)).to(dtype)
    for t[0] in (10, 500, 999):
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16, enabled=autocast):
            y.append(net(x, t[0], table[3].expand(4, -1, -1)).sample.float())
    return torch.stack(y), first


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--factor", type=float, default=128)
    a = p.parse_args()
    torch.set_num_threads(1)
    make(a.out, a.factor)
    (was, _), (now, _) = answers(CHECKPOINT), answers(a.out)
    distance = float((now - was).norm() / was.norm())
    print(f"fp32: relative L2 distance to step-06000 {distance:.2e}")
    ok = distance < 1e-4
    for how, kinds in {"half()": {"dtype": torch.float16}, "autocast": {"autocast": True}}.items():
        for folder in (CHECKPOINT, a.out):
            y, first = answers(folder, **kinds)
            print(f"fp16, {how}, {os.path.basename(folder)}: {int((~y.isfinite()).sum())} of {y.numel()} lost; "
                  f"first at each timestep: {first or 'none'}")
            ok &= bool(first) == (folder == a.out)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
