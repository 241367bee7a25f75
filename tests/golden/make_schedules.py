"""Golden data for the noise schedules: what diffusers' schedulers compute.

    make_schedules.py [--out FILE]      defaults to tests/golden/schedules.safetensors

Made with torch 2.15.0, diffusers 0.42.1, safetensors 0.8.0; no random numbers. For each case a tensor
CASE of alphas_cumprod, F32 [steps]. The case's scheduler_config.json is in the file's metadata under
CASE, so that the test reads the very options that diffusers was given.
"""
import argparse
import json
import os

from diffusers import (CogVideoXDDIMScheduler, DDIMScheduler, DDPMScheduler,
                       EulerDiscreteScheduler, PNDMScheduler)
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))

CASES = {
    "defaults": (DDPMScheduler, {}),
    "linear": (DDPMScheduler, dict(beta_start=0.0015, beta_end=0.0195, num_train_timesteps=250)),
    "stable-diffusion": (PNDMScheduler, dict(beta_schedule="scaled_linear", beta_start=0.00085,
                                             beta_end=0.012)),
    "cosine": (DDPMScheduler, dict(beta_schedule="squaredcos_cap_v2")),
    "cosine-odd": (DDPMScheduler, dict(beta_schedule="squaredcos_cap_v2", num_train_timesteps=77)),
    "sigmoid": (DDPMScheduler, dict(beta_schedule="sigmoid")),
    "laplace": (DDPMScheduler, dict(beta_schedule="laplace")),
    "snr-shift": (CogVideoXDDIMScheduler, dict(snr_shift_scale=2.0, num_train_timesteps=100)),
    "trained": (DDPMScheduler, dict(trained_betas=[0.1, 0.05, 0.2, 0.15, 0.3])),
    "zero-snr": (DDIMScheduler, dict(beta_schedule="scaled_linear", beta_start=0.00085,
                                     beta_end=0.012, rescale_betas_zero_snr=True,
                                     prediction_type="v_prediction")),
    "zero-snr-euler": (EulerDiscreteScheduler, dict(rescale_betas_zero_snr=True)),
}


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "schedules.safetensors"))
    a = p.parse_args()
    tensors, metadata = {}, {}
    for name, (cls, options) in CASES.items():
        s = cls(**options)
        tensors[name] = s.alphas_cumprod.float().contiguous()
        metadata[name] = json.dumps(dict(options, _class_name=cls.__name__), sort_keys=True)
    save_file(tensors, a.out, metadata=metadata)
    print(f"{len(CASES)} schedules, {os.path.getsize(a.out)} bytes")


if __name__ == "__main__":
    main()
