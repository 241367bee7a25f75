"""Compares whole samplings of the bundled network with diffusers: DDIM, 50 steps, every class.

    compare_samples.py [--program build/sigmascope] [--guidance G]

Runs the program with --probe, takes the first state from the run file, and lets PyTorch go on from
there with the same network and DDIMScheduler. Prints the relative L2 error of each later state,
the largest of them, and how many bytes of the pictures differ. Made with torch 2.15.0, diffusers
0.42.1.
"""
import argparse
import os
import subprocess
import tempfile

import h5py
import numpy as np
import torch
from diffusers import DDIMScheduler
from PIL import Image

from train_fashion import NULL, load

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "demo", "fashion-mnist", "step-06000")


@torch.no_grad()
def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default=os.path.join(ROOT, "build", "sigmascope"))
    p.add_argument("--guidance", type=float, default=1)
    a = p.parse_args()
    model, table = load(MODEL)
    scheduler = DDIMScheduler.from_config(DDIMScheduler.load_config(MODEL + "/scheduler"))
    scheduler.set_timesteps(50)
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run([a.program, "generate", MODEL, "-o", tmp + "/out", "--sampler", "ddim", "--classes",
                        "all", "--guidance", str(a.guidance), "--probe", tmp + "/run.h5"], check=True)
        with h5py.File(tmp + "/run.h5") as f:
            assert list(scheduler.timesteps.numpy()) == list(f["/axes/timestep"][...].astype(int))
            seen = torch.from_numpy(f["/inputs/x"][0]).permute(0, 1, 4, 2, 3)
        ours = np.stack([np.array(Image.open(f"{tmp}/out/01-step-06000/{k:04d}.png"))
                         for k in range(10)])
    x, y, errors = seen[0].contiguous(), torch.arange(10), []
    for i, t in enumerate(scheduler.timesteps):
        errors.append(float((seen[i] - x).norm() / x.norm()))
        v = model(x, t, encoder_hidden_states=table[y]).sample
        if a.guidance != 1:
            u = model(x, t, encoder_hidden_states=table[torch.full_like(y, NULL)]).sample
            v = u + a.guidance * (v - u)
        x = scheduler.step(v, t, x).prev_sample
    theirs = ((x.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()[:, 0]
    print("state errors:", " ".join(f"{e:.1e}" for e in errors[1:]))
    print(f"largest {max(errors):.1e}; {np.count_nonzero(ours != theirs)} of {ours.size} bytes differ")


if __name__ == "__main__":
    main()
