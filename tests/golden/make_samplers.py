"""Golden data for the samplers: whole trajectories of diffusers' schedulers.

    make_samplers.py [--out FILE]      defaults to tests/golden/samplers.safetensors

Made with torch 2.15.0, diffusers 0.42.1, safetensors 0.8.0; PyTorch's generator with seed 0. The
network is a formula that both sides compute, on the scaled input x [N] at timestep t:

    y_i = tanh(0.8 x_i + 0.3 x_{i+1 mod N}) + 0.2 cos(t / 100 + i)        the variance: sin(x_i + t / 200)

Computed in float64 except in EulerDiscreteScheduler, which casts every step to float32. Tensors, all
stored as F32: `noise` [STEPS][N], injected where a scheduler draws; `start` [N], times the
scheduler's init_noise_sigma. For each case CASE.x [evaluations + 1][N], the state before each
evaluation and at the end; CASE.x0 [evaluations][N]; CASE.t and CASE.sigma [evaluations], CASE.sigma
only where the scheduler has sigmas. The metadata hold, under CASE, the scheduler_config.json, and
under CASE.run the number of steps and eta.
"""
import argparse
import json
import os

import torch
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler
from diffusers.schedulers import scheduling_ddpm
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
N, STEPS = 24, 12
COSINE = dict(beta_schedule="squaredcos_cap_v2")
SD = dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
V = dict(prediction_type="v_prediction")
X0 = dict(prediction_type="sample")
LIMIT = dict(thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=1.5)
FREE = dict(clip_sample=False)

# name: class, steps, config, eta
CASES = {
    "ddpm": (DDPMScheduler, 10, {}),
    "ddpm-cosine-v": (DDPMScheduler, 10, dict(**COSINE, **V, **FREE)),
    "ddpm-small-log": (DDPMScheduler, 7, dict(variance_type="fixed_small_log", **COSINE)),
    "ddpm-large": (DDPMScheduler, 7, dict(variance_type="fixed_large", **SD, **X0)),
    "ddpm-learned": (DDPMScheduler, 8, dict(variance_type="learned_range", **COSINE, **LIMIT)),
    "ddpm-trailing": (DDPMScheduler, 7, dict(timestep_spacing="trailing", clip_sample_range=0.5)),
    "ddpm-linspace": (DDPMScheduler, 7, dict(timestep_spacing="linspace", **X0)),
    "ddpm-zero-snr": (DDPMScheduler, 6, dict(rescale_betas_zero_snr=True, **SD, **V,
                                             timestep_spacing="trailing")),
    "ddpm-all-steps": (DDPMScheduler, 12, dict(num_train_timesteps=12, beta_start=0.02,
                                               beta_end=0.4)),
    "ddim": (DDIMScheduler, 10, {}),
    "ddim-sd": (DDIMScheduler, 10, dict(set_alpha_to_one=False, steps_offset=1, **SD, **FREE)),
    "ddim-eta": (DDIMScheduler, 10, dict(**COSINE, **V, **FREE), 1.0),
    "ddim-half-eta": (DDIMScheduler, 7, dict(**LIMIT), 0.5),
    "ddim-sample": (DDIMScheduler, 9, dict(**X0, **FREE, timestep_spacing="linspace")),
    "ddim-trailing": (DDIMScheduler, 7, dict(timestep_spacing="trailing", **SD)),
    "ddim-zero-snr": (DDIMScheduler, 6, dict(rescale_betas_zero_snr=True, **SD, **V, **FREE,
                                             timestep_spacing="trailing")),
    "ddim-one-step": (DDIMScheduler, 1, dict(timestep_spacing="trailing", **COSINE, **V)),
    "euler": (EulerDiscreteScheduler, 10, {}),
    "euler-sd": (EulerDiscreteScheduler, 10, dict(timestep_spacing="leading", steps_offset=1, **SD)),
    "euler-v": (EulerDiscreteScheduler, 7, dict(timestep_spacing="trailing", **COSINE, **V)),
    "euler-sample": (EulerDiscreteScheduler, 7, dict(**SD, **X0)),
    "euler-karras": (EulerDiscreteScheduler, 10, dict(use_karras_sigmas=True, **SD)),
    "euler-karras-ends": (EulerDiscreteScheduler, 6, dict(use_karras_sigmas=True, sigma_min=0.1,
                                                          sigma_max=10.0, **SD)),
    "euler-exponential": (EulerDiscreteScheduler, 6, dict(use_exponential_sigmas=True, **SD,
                                                          final_sigmas_type="sigma_min")),
    "euler-continuous": (EulerDiscreteScheduler, 8, dict(
        use_karras_sigmas=True, sigma_min=0.002, sigma_max=700.0, timestep_type="continuous",
        timestep_spacing="leading", steps_offset=1, **SD, **V)),
    "euler-zero-snr": (EulerDiscreteScheduler, 6, dict(rescale_betas_zero_snr=True, **SD, **V,
                                                       timestep_spacing="trailing")),
    "heun": (HeunDiscreteScheduler, 6, dict(beta_start=0.00085, beta_end=0.012)),
    "heun-v": (HeunDiscreteScheduler, 6, dict(timestep_spacing="trailing", **COSINE, **V)),
    "heun-karras": (HeunDiscreteScheduler, 6, dict(use_karras_sigmas=True, clip_sample=True,
                                                   clip_sample_range=0.8, **SD)),
    "heun-sample": (HeunDiscreteScheduler, 5, dict(timestep_spacing="leading", steps_offset=1, **SD,
                                                   **X0)),
}


def network(x, t):
    i = torch.arange(N, dtype=torch.float64)
    y = torch.tanh(0.8 * x + 0.3 * x.roll(-1)) + 0.2 * torch.cos(t / 100 + i)
    return y, torch.sin(x + t / 200)


def run(cls, steps, config, noise, start, eta=0.0):
    s = cls(**config)
    s.set_timesteps(steps)
    draws = iter(noise)
    scheduling_ddpm.randn_tensor = lambda *a, **k: next(draws).view(1, N, 1, 1)
    learned = config.get("variance_type") == "learned_range"
    x = (start * s.init_noise_sigma).view(1, N, 1, 1)
    x = x if cls is EulerDiscreteScheduler else x.double()
    states, clean = [x.flatten()], []
    for t in s.timesteps:
        y, v = network(s.scale_model_input(x, t).flatten(), t.double())
        y = (torch.cat([y, v]) if learned else y).view(1, -1, 1, 1)
        more = {}
        if cls is DDIMScheduler:
            more = dict(eta=eta, variance_noise=next(draws).view(1, N, 1, 1) if eta else None)
        out = s.step(y, t, x, **more)
        x = out.prev_sample
        states.append(x.flatten())
        clean.append(out.pred_original_sample.flatten())
    got = {"x": torch.stack(states), "x0": torch.stack(clean), "t": s.timesteps.float()}
    if hasattr(s, "sigmas"):
        got["sigma"] = s.sigmas[:-1].float()
    return got


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "samplers.safetensors"))
    a = p.parse_args()
    g = torch.Generator().manual_seed(0)
    noise, start = torch.randn(STEPS, N, generator=g), torch.randn(N, generator=g)
    tensors, metadata = {"noise": noise, "start": start}, {}
    for name, (cls, steps, config, *eta) in CASES.items():
        for k, v in run(cls, steps, config, noise, start, *eta).items():
            tensors[f"{name}.{k}"] = v.float().contiguous()
        metadata[name] = json.dumps({"_class_name": cls.__name__, **config}, sort_keys=True)
        metadata[name + ".run"] = f"{steps} {eta[0] if eta else 0.0}"
    save_file(tensors, a.out, metadata=metadata)
    print(f"{len(CASES)} trajectories, {os.path.getsize(a.out)} bytes")


if __name__ == "__main__":
    main()
