"""Golden data for the training objectives: what diffusers' schedulers and formulas give.

    make_objectives.py [--out FILE]      defaults to tests/golden/objectives.safetensors

Made with torch 2.15.0, diffusers 0.42.1, safetensors 0.8.0, seed 0. All F32. x0, noise, answer [6][20]
are shared; for PREDICTION in epsilon, v_prediction, sample (cosine schedule, timesteps in the tensor
timesteps [6]) and edm (EDMEulerScheduler, sigma_data 0.5, noise levels in sigmas [6]):

    PREDICTION.input, .target   [6][20]      what the network is fed and should answer
    PREDICTION.weight           [6]          min-SNR with gamma 5, as the training scripts weigh (not edm)
    PREDICTION.x0               [6][20]      edm: x0 from the answer, which fixes the target
    PREDICTION.grad             [6][20]      gradient of the weighted loss by torch.autograd
    edm.timestep                [6]
"""
import argparse
import os

import torch
from diffusers import DDPMScheduler, EDMEulerScheduler
from diffusers.training_utils import compute_snr
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
T = torch.tensor([0, 3, 120, 500, 901, 999])
SIGMAS = torch.tensor([0.002, 0.05, 0.3, 1.0, 7.0, 80.0])


def gradient(answer, target, weight):
    answer = answer.clone().requires_grad_(True)
    loss = (((answer - target) ** 2).mean(1) * weight).mean()
    loss.backward()
    return answer.grad


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "objectives.safetensors"))
    a = p.parse_args()
    g = torch.Generator().manual_seed(0)
    x0, noise, answer = (torch.randn(6, 20, generator=g) for _ in range(3))
    out = dict(x0=x0, noise=noise, answer=answer, timesteps=T.float(), sigmas=SIGMAS)
    s = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    xt = s.add_noise(x0, noise, T)
    snr = compute_snr(s, T)
    least = torch.clamp(snr, max=5.0)
    for name, target, weight in (("epsilon", noise, least / snr),
                                 ("v_prediction", s.get_velocity(x0, noise, T), least / (snr + 1)),
                                 ("sample", x0, least)):
        out.update({name + ".input": xt, name + ".target": target, name + ".weight": weight,
                    name + ".grad": gradient(answer, target, weight)})
    e = EDMEulerScheduler(sigma_data=0.5)
    xt = x0 + noise * SIGMAS[:, None]
    sigma = SIGMAS[:, None]
    out["edm.input"] = e.precondition_inputs(xt, sigma)
    out["edm.timestep"] = torch.stack([e.precondition_noise(v) for v in SIGMAS])
    out["edm.x0"] = e.precondition_outputs(xt, answer, sigma)
    denoised = lambda f: e.precondition_outputs(xt.double(), f, sigma.double())
    f = answer.double().requires_grad_(True)
    lam = (sigma ** 2 + 0.25).double() / (sigma * 0.5).double() ** 2
    (lam * (denoised(f) - x0.double()) ** 2).mean().backward()
    out["edm.grad"] = f.grad.float()
    out = {k: v.float().clone().contiguous() for k, v in out.items()}
    save_file(out, a.out)
    print(f"{len(out)} tensors, {os.path.getsize(a.out)} bytes")


if __name__ == "__main__":
    main()
