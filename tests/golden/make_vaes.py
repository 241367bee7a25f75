"""Golden data for the autoencoders: small random-weight diffusers models and what each module gives.

    make_vaes.py [--out DIR] [CASE...]       DIR: tests/golden/vaes; without a CASE, all of them

Made with torch 2.15.0 (CPU, one thread, eval, fp32), diffusers 0.42.1, safetensors 0.8.0. Weights,
seeds and the choice of k are those of make_unets.py; of convolutions three weights of four are zero,
so that the files compress.

Each case is a folder:

    config.json                            as diffusers' save_config writes it, without what is null
    diffusion_pytorch_model.safetensors    the weights, F16
    golden.safetensors                     all F32
        x          [N,C,H,W] pictures
        latents    [N,c,h,w] what encode() gives of them, as a denoiser has it: the mean, less
                   latents_mean or shift_factor, times scaling_factor, over latents_std
        z          [N,c,h,w], or [N,F,c,h,w] of a decoder of videos: other latents
        out        what decode() gives of them, in the same order
        module:PATH, norm:PATH   as in make_unets.py; modules below `encoder` and quant_conv of the
                   encoding, the others of the decoding. Frames come before rows: [N,F,H,W,C]
        and, in the cases of GRADIENTS, of PyTorch in float64 and the loss
        mean((encode(x) - target)^2) + mean((decode(z) - picture)^2):
        target, picture          random, shaped as latents and out
        loss [1], gradient:NAME, gradient-norm:NAME  of each parameter that has one, as of modules
"""
import argparse
import copy
import json
import os
import shutil
import zlib

import torch
from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder
from safetensors.torch import save_file
from torch import nn

import make_unets
from make_unets import HERE, SAMPLES, first_tensor, randomise, watched

DOWN, UP = "DownEncoderBlock2D", "UpDecoderBlock2D"
ADOWN, AUP = "AttnDownEncoderBlock2D", "AttnUpDecoderBlock2D"
GRADIENTS = ["sd", "svd"]


def pictures(size=(12, 8), n=2, **options):
    """An AutoencoderKL; n pictures."""
    levels = len(options.get("block_out_channels", [0, 0]))
    base = dict(in_channels=3, out_channels=3, block_out_channels=[8, 16], layers_per_block=1,
                norm_num_groups=4, sample_size=16, down_block_types=[DOWN] * levels,
                up_block_types=[UP] * levels)
    return AutoencoderKL, dict(base, **options), size, n, 0


def video(size=(8, 6), n=1, frames=3, **options):
    """An AutoencoderKLTemporalDecoder."""
    levels = len(options["block_out_channels"])
    return (AutoencoderKLTemporalDecoder, dict(dict(down_block_types=[DOWN] * levels), **options), size, n,
            frames)


CASES = {
    "sd": pictures(layers_per_block=2),
    "sdxl": pictures(scaling_factor=0.13025, force_upcast=True, norm_num_groups=8, n=1,
                     block_out_channels=[8, 8, 16], size=(16, 8)),
    "flux": pictures(latent_channels=16, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False,
                     use_post_quant_conv=False, norm_num_groups=2),
    # sizes that halving rounds down, one sample, another number of channels on each side
    "odd-size": pictures(size=(15, 22), n=1, in_channels=4, out_channels=2, sample_size=[15, 22],
                         block_out_channels=[4, 8, 8], act_fn="swish"),
    "one-level": pictures(block_out_channels=[4], size=(5, 7), act_fn="mish", latent_channels=1),
    "no-mid-attention": pictures(mid_block_add_attention=False, use_post_quant_conv=False, act_fn="relu"),
    "attention-levels": pictures(down_block_types=[DOWN, ADOWN], up_block_types=[AUP, UP], act_fn="gelu",
                                 layers_per_block=2),
    "statistics": pictures(latents_mean=[0.5, -1.25, 0.0, 2.0], latents_std=[1.5, 0.75, 2.0, 3.0],
                           scaling_factor=0.5, n=1),
    # of three residual blocks in the middle the last does not run; of one, the attention does not
    "svd": video(block_out_channels=[32], layers_per_block=3, n=2, frames=3, size=(3, 2)),
    "svd-levels": video(block_out_channels=[32, 32], layers_per_block=1, scaling_factor=0.3),
}


def thin(model):
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 3:
                keep = torch.rand(p.shape) < 0.25
                p.copy_((p * keep * 2).half().float())


def channels_last(module, y):
    if y.ndim == 5:
        return y.permute(0, 2, 3, 4, 1).reshape(-1)
    return make_unets.channels_last(module, y)


def unit(model, x, back):
    """Latents of the network to those of a denoiser, or back."""
    c = model.config
    mean, std = c.get("latents_mean"), c.get("latents_std")
    shape = (-1, 1, 1)
    mean = x.new_tensor(mean).view(shape) if mean else c.get("shift_factor") or 0.0
    std = x.new_tensor(std).view(shape) if std else 1.0
    if back:
        return x * std / c.scaling_factor + mean
    return (x - mean) * c.scaling_factor / std


def encode(model, x):
    return unit(model, model.encode(x).latent_dist.mode(), False)


def decode(model, z):
    z = unit(model, z, True)
    if z.ndim == 4:
        return model.decode(z).sample
    y = model.decode(z.flatten(0, 1), num_frames=z.shape[1]).sample
    return y.unflatten(0, z.shape[:2])


def keep(golden, name, norm, y):
    """64 of the values, and how large all are."""
    y, n = y.reshape(-1), y.numel()
    k = torch.arange(SAMPLES) * n // SAMPLES if n > SAMPLES else torch.arange(n)
    golden[name], golden[norm] = y[k].clone(), torch.tensor([float(y.double().norm()), n])


def run(model, x, z):
    golden, hooks = {}, []

    def hook(name):
        def f(module, _, y):
            y = first_tensor(y)
            if y is None:
                return
            keep(golden, "module:" + name, "norm:" + name, channels_last(module, y))
        return f
    for name, module in watched(model):
        hooks.append(module.register_forward_hook(hook(name)))
    with torch.no_grad():
        golden["latents"], golden["out"] = encode(model, x), decode(model, z)
    for h in hooks:
        h.remove()
    return golden


def rounding(model, x, z, golden):
    """The worst relative L2 distance of golden to the same run in fp64, over the modules."""
    exact = run(copy.deepcopy(model).double(), x.double(), z.double())
    return max(float((golden[k] - v).norm() / v.norm()) for k, v in exact.items() if "norm:" not in k)


def gradients(model, x, z):
    model = copy.deepcopy(model).double()
    got, made = encode(model, x.double()), decode(model, z.double())
    target, picture = torch.randn(got.shape), torch.randn(made.shape)
    loss = (got - target.double()).square().mean() + (made - picture.double()).square().mean()
    loss.backward()
    golden = {}
    for name, p in model.named_parameters():
        if p.grad is not None:
            keep(golden, "gradient:" + name, "gradient-norm:" + name, p.grad)
    return dict(golden, loss=loss.detach().reshape(1), target=target, picture=picture)


def make(name, folder):
    cls, options, size, n, frames = CASES[name]
    for k in range(50):
        torch.manual_seed(zlib.crc32(name.encode()) + k)
        model = cls(**options).eval()
        randomise(model, torch.float16)
        thin(model)
        c = model.config
        factor = 2 ** (len(c.block_out_channels) - 1)
        x = torch.randn(n, c.in_channels, *size)
        z = torch.randn(n, *([frames] if frames else []), c.latent_channels, *(s // factor for s in size))
        golden = run(model, x, z)
        error = rounding(model, x, z, golden)
        if error < 2.5e-6:
            break
    assert error < 2.5e-6, name
    if name in GRADIENTS:
        golden.update(gradients(model, x, z))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    model.save_config(folder)
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()},
              folder + "/diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    path = folder + "/config.json"
    with open(path) as f:
        config = {k: v for k, v in json.load(f).items() if v is not None}
    config.pop("_name_or_path", None)
    with open(path, "w") as f:
        f.write(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_file({k: v.float().contiguous() for k, v in {"x": x, "z": z, **golden}.items()},
              folder + "/golden.safetensors")
    top = max(float(v.abs().max()) for k, v in golden.items() if k.startswith("module:"))
    total = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:20s} {sum(k.startswith('module:') for k in golden):4d} modules {total / 1024:7.1f} KiB, "
          f"largest sample {top:6.2f}, rounding {error:.1e}, k {k}", flush=True)
    return total


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "vaes"))
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    total = sum(make(name, os.path.join(a.out, name)) for name in a.cases or CASES)
    print(f"{total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
