"""Holds the fp32 keep-list against PyTorch: does a network that overflows in fp16 run with it?

    keep_fp32.py OUT [--scale 200] [--program build/sigmascope]

The bundled late checkpoint with its first upsampling convolution, whose output is the largest of
all and is not normalised, enlarged by --scale, so that it leaves fp16's range (65504). The
program probes it in fp32 and writes the list (analyze --keep-fp32 fp16 --check); the very inputs of
that run then go through diffusers' network under torch.autocast in fp16 on the CPU:

    without the list            some pictures must be lost, or nothing is shown
    with it                     none may be: modules of the list run with autocast off, on
                                input.float()
    without what only reads     for information: is it right to list modules that do not produce,
    without each in turn        but cast what they read?

Then the same of demo/fashion-mnist/rescaled-06000, with what the program prints for PyTorch, pasted
as it is: under autocast in fp16, and as half(), whose function converts the model; and again with
the arguments by name and the answer as a dataclass; with the file of --write-map, the program's own
emulation is finite, too.

Prints how many output values are inf or NaN, and the relative L2 distance from fp32. The exit
status is 1 when the list does not do what it says. Run from the top of the tree, with one
thread, seconds. Made with torch 2.15.0, diffusers 0.42.1, h5py 3.16.0.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys

import h5py
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

CHECKPOINT = "demo/fashion-mnist/step-06000"
ENLARGED = "up_blocks.0.upsamplers.0.conv"
CLASS = 3


def make(out, scale):
    model = os.path.join(out, "model")
    shutil.rmtree(model, ignore_errors=True)
    shutil.copytree(CHECKPOINT, model)
    path = os.path.join(model, "unet", "diffusion_pytorch_model.safetensors")
    weights = {name: w.float() for name, w in load_file(path).items()}
    for kind in ("weight", "bias"):
        weights[f"{ENLARGED}.{kind}"] *= scale
    save_file(weights, path)
    return model


def probe(program, model, run):
    quiet = ["--quiet", "--threads", "1"]
    subprocess.run(
        [program, "probe", model, "-o", run, "--force", "--class", str(CLASS), "--sigmas", "0.02,2,80",
         "--samples", "4", "--inputs", "images:demo/fashion-mnist/images", "--inputs", "noise:white"]
        + quiet, check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([program, "analyze", run, "--keep-fp32", "fp16", "--check", "--json"] + quiet,
                          check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def in_fp32(module):
    forward = module.forward

    def wrapped(*args, **kwargs):
        with torch.autocast("cpu", enabled=False):
            return forward(*(a.float() if torch.is_tensor(a) else a for a in args), **kwargs)

    module.forward = wrapped


def answer(model, run, keep, autocast=True):
    net = UNet2DConditionModel.from_pretrained(os.path.join(model, "unet"), torch_dtype=torch.float32)
    for name in keep:
        in_fp32(net.get_submodule(name))
    table = load_file(os.path.join(model, "class_embeddings.safetensors"))["class_embeddings"].float()
    with h5py.File(run) as h:
        x = torch.tensor(h["inputs/x"][:]).permute(0, 1, 2, 5, 3, 4)  # [input, sigma, sample, C, H, W]
        timesteps = h["axes/timestep"][:]
    context = table[CLASS].expand(x.shape[2], -1, -1)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16, enabled=autocast):
        return torch.stack([net(x[i, s], float(t), context).sample.float()
                            for i in range(x.shape[0]) for s, t in enumerate(timesteps)])


def printed(program, run, how):
    """The text for PyTorch that analyze prints, up to its last line, the call."""
    out = subprocess.run([program, "analyze", run, "--keep-fp32", "fp16", "--quiet", "--as", how],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    begin = out.index("import torch\n")
    return out[begin:out.index("(model, keep_fp32)\n", begin) + len("(model, keep_fp32)\n")]


def paste(program, out):
    """True if the printed texts do what they say."""
    model, run, ok = "demo/fashion-mnist/rescaled-06000", os.path.join(out, "rescaled.h5"), True
    probe(program, model, run)
    table = load_file(os.path.join(model, "class_embeddings.safetensors"))["class_embeddings"].float()
    with h5py.File(run) as h:
        x = torch.tensor(h["inputs/x"][:]).permute(0, 1, 2, 5, 3, 4)
        timesteps = h["axes/timestep"][:]
    context = table[CLASS].expand(x.shape[2], -1, -1)

    def lost(how, text):
        net = UNet2DConditionModel.from_pretrained(os.path.join(model, "unet"), torch_dtype=torch.float32)
        if text:
            exec(text, {"model": net})
        elif how == "half":
            net.half()
        dtype = torch.float16 if how == "half" else torch.float32
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16, enabled=how != "half"):
            y = [net(sample=x[i, s].to(dtype), timestep=float(t), encoder_hidden_states=context.to(dtype)).sample
                 for i in range(x.shape[0]) for s, t in enumerate(timesteps)]
        return sum(int((~v.isfinite()).sum()) for v in y)

    for how in ("autocast", "half"):
        text = printed(program, run, how)
        before, after = lost(how, None), lost(how, text)
        print(f"rescaled-06000, {how}: {before} values lost, with the pasted text {after}")
        ok &= before > 0 and after == 0
        names = os.path.join(out, "keep.txt")
        subprocess.run([program, "analyze", run, "--keep-fp32", "fp16", "--quiet", "--as", how, "--write-map", names],
                       check=True, stdout=subprocess.DEVNULL)
        done = subprocess.run([program, "probe", model, "-o", os.path.join(out, "mapped.h5"), "--force", "--quiet",
                               "--class", str(CLASS), "--sigmas", "0.02,2,80", "--samples", "4", "--inputs",
                               "noise:white", "--precision", "fp16", "--as", how, "--precision-map", "@" + names],
                              stdout=subprocess.DEVNULL)
        print(f"its emulation with the file of --write-map: exit status {done.returncode}")
        ok &= done.returncode == 0
    return ok


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--scale", type=float, default=200)
    p.add_argument("--program", default="build/sigmascope")
    a = p.parse_args()
    torch.set_num_threads(1)
    os.makedirs(a.out, exist_ok=True)
    run = os.path.join(a.out, "run.h5")
    model = make(a.out, a.scale)
    found = probe(a.program, model, run)
    rows = found["keep fp32 fp16"]["rows"]
    keep = found["keep_fp32"]
    exact = answer(model, run, [], autocast=False)

    def lost(kept, what):
        y = answer(model, run, kept)
        bad = int((~torch.isfinite(y)).sum())
        change = float((y - exact).norm() / exact.norm())
        print(f"{what:60} {bad:8} of {y.numel()} lost   relative L2 {change:.2e}")
        return bad

    for r in rows:
        print(f"{r['module']:40} {r['why']:10} {r['largest']:.6g}")
    before, after = lost([], "autocast in fp16"), lost(keep, "with the list")
    lost([r["module"] for r in rows if r["why"] != "reads"], "without what only reads")
    for name in keep:
        lost([k for k in keep if k != name], f"without {name}")
    return 0 if paste(a.program, a.out) and before and not after else 1


if __name__ == "__main__":
    sys.exit(main())
