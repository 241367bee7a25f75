"""Golden data for windows of frames, and for sampling from a part of the trajectory.

    make_windows.py [--out FILE]      defaults to tests/golden/windows.safetensors

Made with torch 2.15.0, diffusers 0.42.1, safetensors 0.8.0; seed 0. All tensors are F32.

LENGTH-SIZE-STRIDE-SCHEME.share [n][size]: how much each window of FreeNoiseTransformerBlock counts in
each of its frames, read from its output: its attention adds a constant for each window, all else is
zero. The block gets frames of one number; the part of window k is what its constant changes.
LENGTH-SIZE-STRIDE.noise [length]: frames of _prepare_latents_free_noise ("shuffle_context") whose
latents are the numbers of the frames. The order within a block is the generator's.
SCHEDULER-STEPS-STRENGTH.start [N]: what img2img pipelines begin from (get_timesteps of
StableDiffusionImg2ImgPipeline, add_noise), with .t, the timesteps that remain; `clean` and `noise` [N].
The metadata hold each scheduler_config.json under SCHEDULER.
"""
import argparse
import json
import os
from types import SimpleNamespace

import torch
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler
from diffusers import StableDiffusionImg2ImgPipeline
from diffusers.models.attention import FreeNoiseTransformerBlock
from diffusers.pipelines.free_noise_utils import AnimateDiffFreeNoiseMixin
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
N = 24
WINDOWS = [(16, 8, 4), (25, 16, 4), (10, 4, 3), (9, 5, 2), (8, 8, 4), (7, 3, 3)]
SCHEDULERS = {
    "ddim": (DDIMScheduler, dict(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")),
    "ddpm": (DDPMScheduler, {}),
    "euler": (EulerDiscreteScheduler, dict(beta_schedule="scaled_linear", beta_start=0.00085,
                                           beta_end=0.012, timestep_spacing="leading", steps_offset=1)),
    "heun": (HeunDiscreteScheduler, dict(beta_start=0.00085, beta_end=0.012)),
}
STRENGTHS = [0.3, 0.65, 0.8]
STEPS = 10


class Constant(torch.nn.Module):
    """Attention that answers 1 for the window whose turn it is, else 0."""

    def __init__(self):
        super().__init__()
        self.turn, self.wanted = 0, 0

    def forward(self, x, **k):
        self.turn += 1
        return torch.full_like(x, float(self.turn - 1 == self.wanted))


class Zero(torch.nn.Module):
    def forward(self, x, **k):
        return torch.zeros_like(x)


def share(length, size, stride, scheme):
    b = FreeNoiseTransformerBlock(dim=1, num_attention_heads=1, attention_head_dim=1,
                                  context_length=size, context_stride=stride,
                                  weighting_scheme=scheme)
    b.attn1, b.attn2, b.norm2, b.ff, b.pos_embed = Constant(), None, None, Zero(), None
    windows = b._get_frame_indices(length)
    if windows[-1][1] != length:
        windows.append((length - size, length))
    rows = []
    for k, (a, e) in enumerate(windows):
        b.attn1.turn, b.attn1.wanted = 0, k
        with torch.no_grad():
            rows.append(b(torch.zeros(1, length, 1))[0, a:e, 0])
    return torch.stack(rows)


def noise(length, size, stride):
    p = SimpleNamespace(_free_noise_context_length=size, _free_noise_context_stride=stride,
                        _free_noise_noise_type="shuffle_context", vae_scale_factor=1)
    latents = torch.arange(length).float().view(1, 1, length, 1, 1)
    # as the pipeline itself makes them: of all frames, then shuffled from the first window on
    import diffusers.pipelines.free_noise_utils as module
    module.randn_tensor = lambda *a, **k: latents.clone()
    return AnimateDiffFreeNoiseMixin._prepare_latents_free_noise(
        p, 1, 1, length, 1, 1, torch.float32, "cpu", torch.Generator().manual_seed(0)).flatten()


def start(cls, config, strength, clean, normal):
    s = cls(**config)
    s.set_timesteps(STEPS)
    t, _ = StableDiffusionImg2ImgPipeline.get_timesteps(SimpleNamespace(scheduler=s), STEPS, strength,
                                                        "cpu")
    return s.add_noise(clean.double()[None], normal.double()[None], t[:1])[0].float(), t.float()


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "windows.safetensors"))
    a = p.parse_args()
    g = torch.Generator().manual_seed(0)
    tensors = {"clean": torch.randn(N, generator=g), "noise": torch.randn(N, generator=g)}
    metadata = {}
    for length, size, stride in WINDOWS:
        tensors[f"{length}-{size}-{stride}.noise"] = noise(length, size, stride)
        for scheme in ("flat", "pyramid"):
            tensors[f"{length}-{size}-{stride}-{scheme}.share"] = share(length, size, stride, scheme)
    for name, (cls, config) in SCHEDULERS.items():
        metadata[name] = json.dumps({"_class_name": cls.__name__, **config}, sort_keys=True)
        for strength in STRENGTHS:
            x, t = start(cls, config, strength, tensors["clean"], tensors["noise"])
            tensors[f"{name}-{STEPS}-{strength}.start"] = x
            tensors[f"{name}-{STEPS}-{strength}.t"] = t
    save_file({k: v.contiguous() for k, v in tensors.items()}, a.out, metadata=metadata)
    print(f"{len(tensors)} tensors, {os.path.getsize(a.out)} bytes")


if __name__ == "__main__":
    main()
