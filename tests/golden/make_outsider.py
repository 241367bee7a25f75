"""Makes tests/golden/outsider.h5 with hook_run.py: a run file that somebody else's hooks wrote.

    make_outsider.py make tests/golden/outsider.h5
        a UNet2DModel of diffusers with random weights (seed 0), 16x16, over three noise levels of the
        schedule that DDPM has, pictures of noise with and without a grating (seed 1), 2 samples
    make_outsider.py transformer tests/golden/transformer.h5
        a DiTTransformer2DModel of diffusers with random weights (seed 0), 16x16, whose class token
        has a scale that makes fp8-e4m3 overflow in two modules; noise levels and pictures as above
    make_outsider.py odd
        prints what the hooks record of modules that return dictionaries, objects, nothing, integers,
        empty tensors and tensors without a batch
    make_outsider.py repeat RUN.h5 OUT.h5
        the hooks on the model of our own run, fed what the network saw there: /inputs/x, /axes/timestep
        and --class K. `sigmascope compare RUN.h5 OUT.h5` tells how well the two agree.

Versions: torch 2.15.0, diffusers 0.42.1, h5py 3.16.0, numpy 2.4.6.
"""
import argparse
import os
import tempfile

import h5py
import numpy as np
import torch
from diffusers import (DDPMScheduler, DiTTransformer2DModel, UNet2DConditionModel,
                       UNet2DModel)
from safetensors.torch import load_file

from hook_run import record

SAMPLES = 2


def make(a):
    torch.manual_seed(0)
    model = UNet2DModel(
        sample_size=16, in_channels=1, out_channels=1, layers_per_block=1,
        block_out_channels=[8, 16], norm_num_groups=4, attention_head_dim=8,
        down_block_types=["DownBlock2D", "AttnDownBlock2D"],
        up_block_types=["AttnUpBlock2D", "UpBlock2D"]).eval()
    ac = DDPMScheduler(1000).alphas_cumprod.double()
    schedule = ((1 - ac) / ac).sqrt()
    rng = torch.Generator().manual_seed(1)
    noise = torch.randn(SAMPLES, 1, 16, 16, generator=rng)
    grating = torch.sin(torch.arange(16) * (2 * np.pi / 8)).expand(SAMPLES, 1, 16, 16)
    clean = {"noise": torch.zeros_like(noise), "grating": grating}
    sigmas = [float(schedule[t]) for t in (10, 500, 999)]

    def forward(label, sigma):
        t = int((schedule.log() - np.log(sigma)).abs().argmin())
        model((clean[label] + sigma * noise) * float(ac[t].sqrt()), t)

    record(model, forward, list(clean), sigmas, SAMPLES, a.out, tool="hook_run.py",
           model_path="outsider/step-00100", family="UNet2DModel")


def transformer(a):
    torch.manual_seed(0)
    model = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=3, sample_size=16,
        patch_size=2, num_embeds_ada_norm=10).eval()
    with torch.no_grad():
        model.transformer_blocks[1].ff.net[2].weight.mul_(3000)
    ac = DDPMScheduler(1000).alphas_cumprod.double()
    schedule = ((1 - ac) / ac).sqrt()
    rng = torch.Generator().manual_seed(1)
    noise = torch.randn(SAMPLES, 4, 16, 16, generator=rng)
    grating = torch.sin(torch.arange(16) * (2 * np.pi / 8)).expand(SAMPLES, 4, 16, 16)
    clean = {"noise": torch.zeros_like(noise), "grating": grating}
    sigmas = [float(schedule[t]) for t in (10, 500, 999)]

    def forward(label, sigma):
        t = int((schedule.log() - np.log(sigma)).abs().argmin())
        model((clean[label] + sigma * noise) * float(ac[t].sqrt()),
              timestep=torch.full((SAMPLES,), t), class_labels=torch.ones(SAMPLES, dtype=int))

    record(model, forward, list(clean), sigmas, SAMPLES, a.out, tool="hook_run.py",
           model_path="transformer/step-00100", family="DiTTransformer2DModel")


class Odd(torch.nn.Module):
    """Returns what `make` makes of its input."""

    def __init__(self, make, **parts):
        super().__init__()
        self.make = make
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x=None):
        return self.make(self, x)


def odd(a):
    class Answer:
        def __init__(self, prediction):
            self.note, self.prediction = "no tensor", prediction

    def whole(m, x):
        m.nothing(x)
        m.integers(x)
        m.empty(x)
        return Answer(m.dictionary(x)["b"][0] + m.position())

    model = Odd(whole, nothing=Odd(lambda m, x: None), integers=Odd(lambda m, x: (3, x > 0)),
                empty=Odd(lambda m, x: x[:, :0]), dictionary=Odd(lambda m, x: {"a": None, "b": [x]}),
                position=Odd(lambda m, x: torch.full((1, 5, 8), 3.)))
    path = os.path.join(tempfile.mkdtemp(), "odd.h5")
    x = torch.arange(80.).reshape(SAMPLES, 5, 8)
    record(model, lambda label, sigma: model(x * sigma), ["x"], [1., 10.], SAMPLES, path)
    with h5py.File(path) as f:
        for name, absmax in zip(f["axes/module"][:], f["stats/absmax"][:, 0]):
            print(name.decode(), absmax.tolist())


def repeat(a):
    with h5py.File(a.run) as f:
        folder, x = f.attrs["model_path"], torch.from_numpy(f["inputs/x"][:])
        labels = [s.decode() for s in f["axes/input"][:]]
        sigmas, timesteps = list(f["axes/sigma"][:]), f["axes/timestep"][:]
    x = x.permute(0, 1, 2, 5, 3, 4)
    model = UNet2DConditionModel.from_config(
        UNet2DConditionModel.load_config(folder + "/unet"))
    weights = load_file(folder + "/unet/diffusion_pytorch_model.safetensors")
    model.load_state_dict({k: v.float() for k, v in weights.items()})
    table = load_file(folder + "/class_embeddings.safetensors")["class_embeddings"]
    model.eval()

    def forward(label, sigma):
        s = sigmas.index(sigma)
        model(x[labels.index(label), s], float(timesteps[s]),
              encoder_hidden_states=table[a.label].expand(x.shape[2], -1, -1))

    record(model, forward, labels, sigmas, x.shape[2], a.out, tool="hook_run.py",
           model_path=os.path.normpath(folder), family="UNet2DConditionModel")


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(required=True)
    s = sub.add_parser("make")
    s.add_argument("out")
    s.set_defaults(f=make)
    s = sub.add_parser("transformer")
    s.add_argument("out")
    s.set_defaults(f=transformer)
    s = sub.add_parser("odd")
    s.set_defaults(f=odd)
    s = sub.add_parser("repeat")
    s.add_argument("run")
    s.add_argument("out")
    s.add_argument("--class", dest="label", type=int, default=3)
    s.set_defaults(f=repeat)
    a = p.parse_args()
    a.f(a)


if __name__ == "__main__":
    main()
