#!/usr/bin/env python3
"""Trains LoRA adapters of a small UNet in the manner of sd-scripts, and records it. Needs nothing but PyTorch and h5py.

    python kohya_like.py --output out                                  # half a minute on a CPU
    python kohya_like.py --output bad --broken_image_at 37             # the trainer hides it, the recorder does not
    sigmascope analyze bad/run.h5

It has what such loops do to a loss: v-prediction, a noise offset, min-SNR weights for each sample, and a loss of zero
where it is not finite. The recorder gets the losses before that. Its four lines are marked with # sigmascope.
"""
import argparse
import contextlib
import os

import torch
import torch.nn.functional as F

import sigmascope  # sigmascope


class LoRA(torch.nn.Module):
    """Takes the place of another module's forward(); the other module stays where it is."""

    def __init__(self, module, rank=4, alpha=4.0):
        super().__init__()
        if isinstance(module, torch.nn.Conv2d):
            self.down = torch.nn.Conv2d(module.in_channels, rank, module.kernel_size, module.stride, module.padding,
                                        bias=False)
            self.up = torch.nn.Conv2d(rank, module.out_channels, 1, bias=False)
        else:
            self.down = torch.nn.Linear(module.in_features, rank, bias=False)
            self.up = torch.nn.Linear(rank, module.out_features, bias=False)
        torch.nn.init.zeros_(self.up.weight)
        self.scale, self.original = alpha / rank, module.forward
        module.forward = self.forward

    def forward(self, x):
        return self.original(x) + self.scale * self.up(self.down(x))


class Block(torch.nn.Module):
    def __init__(self, inputs, outputs, time):
        super().__init__()
        self.norm1, self.norm2 = torch.nn.GroupNorm(4, inputs), torch.nn.GroupNorm(4, outputs)
        self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time, self.skip = torch.nn.Linear(time, outputs), torch.nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, t):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(t)[:, :, None, None]
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class UNet(torch.nn.Module):
    """[N,4,16,16], as latents are; skips are concatenated."""

    def __init__(self, width=16, time=32):
        super().__init__()
        self.conv_in = torch.nn.Conv2d(4, width, 3, padding=1)
        self.time1, self.time2 = torch.nn.Linear(16, time), torch.nn.Linear(time, time)
        self.down = torch.nn.ModuleList([Block(width, width, time), Block(width, 2 * width, time)])
        self.mid = Block(2 * width, 2 * width, time)
        self.up = torch.nn.ModuleList([Block(4 * width, width, time), Block(2 * width, width, time)])
        self.conv_out = torch.nn.Conv2d(width, 4, 3, padding=1)

    def forward(self, sample, timestep):
        angle = timestep[:, None].float() * torch.exp(-torch.arange(8, device=sample.device) * 1.15)
        t = self.time2(F.silu(self.time1(torch.cat([angle.sin(), angle.cos()], 1))))
        h, skips = self.conv_in(sample), []
        for block in self.down:
            h = block(h, t)
            skips.append(h)
            h = F.avg_pool2d(h, 2)
        h = self.mid(h, t)
        for block in self.up:
            h = F.interpolate(h, scale_factor=2.0)
            h = block(torch.cat([h, skips.pop()], 1), t)
        return self.conv_out(F.silu(h))


class Scheduler:
    """Noise levels of Stable Diffusion."""
    alphas_cumprod = torch.cumprod(1 - torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000) ** 2, 0)


def latents(n):
    """Smooth pictures drawn by chance, [n,4,16,16]."""
    return F.interpolate(torch.randn(n, 4, 4, 4), scale_factor=4.0, mode="bilinear", align_corners=False)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--output", default="out")
    p.add_argument("--max_train_steps", type=int, default=100)
    p.add_argument("--train_batch_size", type=int, default=8)
    p.add_argument("--learning_rate", type=float, default=1e-3)
    p.add_argument("--mixed_precision", default="no", choices=["no", "fp16", "bf16"])
    p.add_argument("--v_prediction", action="store_true")
    p.add_argument("--noise_offset", type=float, default=0.05)
    p.add_argument("--min_snr_gamma", type=float, default=5.0)
    p.add_argument("--max_grad_norm", type=float, default=1.0)
    p.add_argument("--broken_image_at", type=int, default=-1, help="the step whose batch has a NaN in one latent")
    args = p.parse_args()
    os.makedirs(args.output, exist_ok=True)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    unet = UNet().to(device).requires_grad_(False)
    network = torch.nn.ModuleDict({"lora_" + name.replace(".", "_"): LoRA(m) for name, m in unet.named_modules()
                                   if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))}).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.learning_rate)
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(args.mixed_precision)
    scheduler = Scheduler()
    snr = (scheduler.alphas_cumprod / (1 - scheduler.alphas_cumprod)).to(device)

    watch = sigmascope.watch(unet, os.path.join(args.output, "run.h5"), every=1, optimizer=optimizer,  # sigmascope
                             scheduler=scheduler, adapters=network)
    hidden = 0
    for step in range(args.max_train_steps):
        x0 = latents(args.train_batch_size).to(device)
        if step == args.broken_image_at:
            x0[3, 0, 5, 5] = float("nan")
        noise = torch.randn_like(x0) + args.noise_offset * torch.randn(len(x0), 4, 1, 1, device=device)
        t = torch.randint(0, 1000, (len(x0),), device=device)
        a = scheduler.alphas_cumprod.to(device)[t].view(-1, 1, 1, 1)
        noisy = a.sqrt() * x0 + (1 - a).sqrt() * noise
        with torch.autocast(device.type, dtype) if dtype else contextlib.nullcontext():
            predicted = unet(noisy, t)
        target = a.sqrt() * noise - (1 - a).sqrt() * x0 if args.v_prediction else noise
        weight = snr[t].clamp(max=args.min_snr_gamma) / (snr[t] + 1 if args.v_prediction else snr[t])
        losses = (predicted.float() - target).square().mean((1, 2, 3)) * weight
        loss = losses.mean()
        if not torch.isfinite(loss):
            hidden += 1
            loss = 0 * sum(p.sum() for p in network.parameters())  # goes on as if nothing had been
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), args.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        watch.step(loss=losses)  # sigmascope
        if (step + 1) % 25 == 0:
            print(f"step {step + 1}: loss {float(loss):.4f}")
    watch.close()  # sigmascope
    torch.save(network.state_dict(), os.path.join(args.output, "lora.pt"))
    print(f"{hidden} losses that were not finite were set to zero")


if __name__ == "__main__":
    main()
