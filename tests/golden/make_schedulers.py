"""Golden data for scheduler files: what diffusers' scheduler classes take by default, and what those
that are not made of betas do with a picture.

    make_schedulers.py [--out FILE]      defaults to tests/golden/schedulers.safetensors

Made with torch 2.15.0, diffusers 0.42.1, safetensors 0.8.0; PyTorch's generator with seed 0.

For each class made of betas, tensor CLASS.abar, F32: alphas_cumprod at steps 0, 111, ... 999, and
in the metadata under CLASS the scheduler_config.json that it saves (without infinite values).

For each other case tensors CASE.sigma [n] (EDM's noise level), CASE.told [n], the timestep that the
network is told, and [n][N] each: CASE.x0 and CASE.noise, CASE.x, what the network sees of them,
CASE.y, some answer, and CASE.denoised, what the scheduler makes of it. The metadata have the file
under CASE.
"""
import argparse
import json
import math
import os

import diffusers
import torch
from diffusers.schedulers import scheduling_consistency_models
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
N, STEPS = 8, 6
BETAS = """DDPM DDPMParallel DDIM DDIMParallel DDIMInverse RePaint UnCLIP PNDM EulerDiscrete
    EulerAncestralDiscrete HeunDiscrete KDPM2Discrete KDPM2AncestralDiscrete DPMSolverMultistep
    DPMSolverMultistepInverse DPMSolverSinglestep UniPCMultistep DEISMultistep SASolver LCM TCD
    CogVideoXDDIM CogVideoXDPM""".split()
SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
FLOW = dict(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0)
V = dict(prediction_type="v_prediction")

CASES = {
    "edm": ("EDMEulerScheduler", {}),
    "edm-v": ("EDMEulerScheduler", dict(sigma_data=1.0, **V)),
    "cm": ("CMStochasticIterativeScheduler", dict(clip_denoised=False)),
    "cm-data": ("CMStochasticIterativeScheduler", dict(clip_denoised=False, sigma_data=0.8,
                                                       sigma_min=0.01, sigma_max=20.0)),
    "flow": ("FlowMatchEulerDiscreteScheduler", {}),
    "flow-shift": ("FlowMatchEulerDiscreteScheduler", dict(shift=3.0)),
    "flow-dpm": ("DPMSolverMultistepScheduler", FLOW),
    "flow-unipc": ("UniPCMultistepScheduler", FLOW),
    "continuous": ("EulerDiscreteScheduler", dict(**SD, **V, timestep_type="continuous",
                                                  use_karras_sigmas=True, sigma_min=0.002,
                                                  sigma_max=700.0)),
    "continuous-epsilon": ("EulerDiscreteScheduler", dict(**SD, timestep_type="continuous")),
}


def text(config):
    return json.dumps({k: v for k, v in config.items()
                       if not (isinstance(v, float) and math.isinf(v))}, sort_keys=True)


def one_level(s, kind, i, t, x0, noise, y):
    """(EDM's sigma, what the network sees, what the answer y to it means)"""
    sigma = s.sigmas[i].double()
    if kind.startswith("flow"):
        x = (1 - sigma) * x0 + sigma * noise
        if kind in ("flow", "flow-shift"):
            same = s.scale_noise(x0[None], t[None], noise[None])[0]
            assert torch.allclose(same, x, atol=1e-6)
            return sigma / (1 - sigma), x, x - sigma * y
        s._step_index = i
        return sigma / (1 - sigma), x, s.convert_model_output(y, sample=x)
    noisy = x0 + sigma * noise
    s._step_index, s.is_scale_input_called = i, False
    x = s.scale_model_input(noisy, t).double()
    s._step_index = i
    out = s.step(y, t, noisy)
    if kind.startswith("cm"):
        return sigma, x, out.prev_sample  # the noise added to it is zero
    return sigma, x, out.pred_original_sample


def case(name, cls, config, g):
    s = getattr(diffusers, cls)(**config)
    s.set_timesteps(STEPS)
    x0, noise, y = (torch.randn(STEPS, N, generator=g, dtype=torch.float64) for _ in range(3))
    got = {k: [] for k in ("sigma", "told", "x", "denoised")}
    for i, t in enumerate(s.timesteps):
        sigma, x, clean = one_level(s, name, i, t, x0[i], noise[i], y[i])
        if not math.isfinite(float(sigma)):
            sigma = torch.tensor(float("inf"))
        for k, v in zip(got, (sigma, t, x, clean)):
            got[k].append(v.double())
    got = {k: torch.stack(v) for k, v in got.items()}
    return {**got, "x0": x0, "noise": noise, "y": y}, text(dict(s.config))


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "schedulers.safetensors"))
    a = p.parse_args()
    g = torch.Generator().manual_seed(0)
    scheduling_consistency_models.randn_tensor = lambda shape, **k: torch.zeros(shape)
    tensors, metadata = {}, {}
    for name in BETAS:
        s = getattr(diffusers, name + "Scheduler")()
        tensors[name + ".abar"] = s.alphas_cumprod[::111].float().contiguous()
        metadata[name] = text({"_class_name": name + "Scheduler", **dict(s.config)})
    for name, (cls, config) in CASES.items():
        got, file = case(name, cls, config, g)
        for k, v in got.items():
            tensors[f"{name}.{k}"] = v.float().contiguous()
        metadata[name] = json.dumps({"_class_name": cls, **json.loads(file)}, sort_keys=True)
    save_file(tensors, a.out, metadata=metadata)
    print(f"{len(BETAS)} classes, {len(CASES)} cases, {os.path.getsize(a.out)} bytes")


if __name__ == "__main__":
    main()
