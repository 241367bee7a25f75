#!/usr/bin/env python3
"""Trains a small UNet of diffusers on Fashion-MNIST, in the manner of diffusers' own scripts, and records it.

    python train_diffusers.py --output out                       # half a minute on two CPU cores
    sigmascope analyze out/run.h5 --format fp16

Needs diffusers and accelerate. The four lines of the recorder are marked with # sigmascope.
"""
import argparse
import gzip
import os

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel

import sigmascope  # sigmascope


def parse_args():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--output", default="out")
    p.add_argument("--images", default="/usr/share/datasets/fashion-mnist", help="folder with train-*-ubyte.gz")
    p.add_argument("--max_train_steps", type=int, default=80)
    p.add_argument("--train_batch_size", type=int, default=8)
    p.add_argument("--gradient_accumulation_steps", type=int, default=2)
    p.add_argument("--learning_rate", type=float, default=1e-3)
    p.add_argument("--mixed_precision", default="no", choices=["no", "fp16", "bf16"])
    p.add_argument("--checkpointing_steps", type=int, default=40)
    p.add_argument("--resume_from_checkpoint", help="a folder checkpoint-N in --output")
    p.add_argument("--gradient_checkpointing", action="store_true")
    return p.parse_args()


def read_data(folder):
    """Pictures [N,1,32,32] in -1 to 1 and their classes; shapes drawn by chance where there is no such folder."""
    def read(name, skip):
        with gzip.open(os.path.join(folder, name)) as f:
            return np.frombuffer(f.read(), np.uint8, offset=skip)
    if os.path.isdir(folder):
        x = torch.tensor(read("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[:4096])
        y = torch.tensor(read("train-labels-idx1-ubyte.gz", 8)[:4096]).long()
    else:
        y = torch.randint(0, 10, (4096,))
        at = torch.arange(28).float()
        r = (at[:, None] - 14).square() + (at - 14).square()
        x = 255.0 * (r[None, None] < (3 + y.view(-1, 1, 1, 1)).square())
    return torch.utils.data.TensorDataset(F.pad(x.float() / 127.5 - 1, (2, 2, 2, 2), value=-1.0), y)


def main():
    args = parse_args()
    accelerator = Accelerator(gradient_accumulation_steps=args.gradient_accumulation_steps,
                              mixed_precision=args.mixed_precision)
    set_seed(0)
    os.makedirs(args.output, exist_ok=True)
    unet = UNet2DModel(sample_size=32, in_channels=1, out_channels=1, layers_per_block=1, norm_num_groups=8,
                       block_out_channels=(16, 32, 32), num_class_embeds=10,
                       down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
                       up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"))
    if args.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    noise_scheduler = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=args.learning_rate, weight_decay=1e-2)
    lr_scheduler = get_scheduler("cosine", optimizer, num_warmup_steps=10 * accelerator.num_processes,
                                 num_training_steps=args.max_train_steps * accelerator.num_processes)
    loader = torch.utils.data.DataLoader(read_data(args.images), args.train_batch_size, shuffle=True, drop_last=True)
    unet, optimizer, loader, lr_scheduler = accelerator.prepare(unet, optimizer, loader, lr_scheduler)
    ema = EMAModel(accelerator.unwrap_model(unet).parameters(), decay=0.99)

    global_step = 0
    if args.resume_from_checkpoint:
        accelerator.load_state(os.path.join(args.output, args.resume_from_checkpoint))
        global_step = int(args.resume_from_checkpoint.rsplit("-", 1)[1])

    watch = sigmascope.accelerate.watch(accelerator, unet, os.path.join(args.output, "run.h5"), every=5,  # sigmascope
                                        scheduler=noise_scheduler, step=global_step)
    while global_step < args.max_train_steps:
        for images, labels in loader:
            with accelerator.accumulate(unet):
                noise = torch.randn_like(images)
                timesteps = torch.randint(0, 1000, (len(images),), device=images.device)
                noisy = noise_scheduler.add_noise(images, noise, timesteps)
                predicted = unet(noisy, timesteps, class_labels=labels).sample
                losses = F.mse_loss(predicted.float(), noise.float(), reduction="none").mean((1, 2, 3))
                accelerator.backward(losses.mean())
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(unet.parameters(), 1.0)
                optimizer.step()
                lr_scheduler.step()
                optimizer.zero_grad()
            watch.step(loss=losses)  # sigmascope
            if accelerator.sync_gradients:
                ema.step(accelerator.unwrap_model(unet).parameters())
                global_step += 1
                if global_step % args.checkpointing_steps == 0:
                    accelerator.save_state(os.path.join(args.output, f"checkpoint-{global_step}"))
                if global_step % 20 == 0:
                    accelerator.print(f"step {global_step}: loss {losses.mean().item():.4f}")
                if global_step >= args.max_train_steps:
                    break
    watch.close()  # sigmascope
    accelerator.end_training()


if __name__ == "__main__":
    main()
