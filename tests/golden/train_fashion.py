"""Trains the small network that demo/ carries, with PyTorch and diffusers.

A pixel-space UNet2DConditionModel on Fashion-MNIST (Debian's dataset-fashion-mnist), 28x28 padded
with black to 32x32 and scaled to [-1, 1]. The class reaches the network through cross-attention: a
learned table class_embeddings [11 classes, 4 tokens, WIDTH], whose row 10 is the null class (10 % of
the training examples get it). v-prediction on the squared-cosine schedule with 1000 steps.

The recipe is plain on purpose, so that activations grow as they do in large diverging runs: Adam
(0.9, 0.999) at a constant learning rate of 5e-3 after 100 warm-up steps, batch 32, no clipping, no
weight decay, no scaling of residuals; the last convolution of each residual branch and the output
projections of attention start at zero.

    train_fashion.py train OUT [--steps N] [--save 250,500,...]
        writes OUT/step-NNNNN for each saved step, as a diffusers pipeline folder:
            unet/config.json
            unet/diffusion_pytorch_model.safetensors     F16
            scheduler/scheduler_config.json
            class_embeddings.safetensors                 "class_embeddings" [11,4,WIDTH] F32
        and OUT/log.jsonl: loss, seconds a step, largest activations at several timesteps
    train_fashion.py measure DIR...        absmax of the blocks of saved steps, as they are stored
    train_fashion.py sheet DIR OUT.png     contact sheet of DDIM samples, one column a class
    train_fashion.py images DIR            real pictures of the test set as 32x32 grey PNGs

Versions used: see demo/README.md. Seeds: 0 for the weights, 1 for the order of the examples, noise
and timesteps, 2 for the inputs of the measurements and samples. The numbers repeat only on the same
machine with the same number of threads.
"""
import argparse
import gzip
import json
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file, save_file

WIDTH = 32
TOKENS = 4
NULL = 10
CLASSES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
           "ankle-boot"]
CONFIG = dict(
    sample_size=32, in_channels=1, out_channels=1,
    block_out_channels=[16, 32, 56], layers_per_block=1,
    down_block_types=["DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"],
    mid_block_type="UNetMidBlock2DCrossAttn",
    up_block_types=["CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
    attention_head_dim=4, cross_attention_dim=WIDTH, norm_num_groups=8,
    resnet_time_scale_shift="scale_shift", use_linear_projection=True)
MEASURED_T = [10, 250, 500, 750, 999]


def read_idx(path):
    with gzip.open(path, "rb") as f:
        raw = f.read()
    dims = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(dims)


def load_data(folder, part):
    """[N,1,32,32] uint8 and the labels [N]."""
    x = read_idx(os.path.join(folder, part + "-images-idx3-ubyte.gz"))
    y = read_idx(os.path.join(folder, part + "-labels-idx1-ubyte.gz"))
    x = np.pad(x, ((0, 0), (2, 2), (2, 2)))[:, None]
    return torch.from_numpy(x.copy()), torch.from_numpy(y.astype(np.int64))


def make_schedule():
    return DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2",
                         prediction_type="v_prediction", clip_sample=False)


def make_model(config):
    torch.manual_seed(0)
    model = UNet2DConditionModel(**config)
    for name, module in model.named_modules():
        if name.endswith((".conv2", ".to_out.0", ".ff.net.2", ".proj_out")):
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.zeros_(module.bias)
    table = torch.nn.Parameter(torch.randn(NULL + 1, TOKENS, WIDTH))
    return model.to(memory_format=torch.channels_last), table


def watched(model):
    """Blocks and their residual, attention and resampling parts."""
    for name, module in model.named_modules():
        part = name.split(".")
        if name in ("conv_in", "mid_block") or (len(part) > 1 and part[-2] in (
                "down_blocks", "up_blocks", "resnets", "attentions", "upsamplers", "downsamplers")):
            yield name, module


@torch.no_grad()
def measure(model, table, x, y):
    """absmax of each watched block at each of MEASURED_T, and the denoising loss there."""
    sch = make_schedule()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    out, hooks = {}, []

    def hook(name):
        def f(_, __, o):
            o = o[0] if isinstance(o, tuple) else o
            o = o if torch.is_tensor(o) else o.sample
            out[t][name] = float(o.abs().max())
        return f
    for name, module in watched(model):
        hooks.append(module.register_forward_hook(hook(name)))
    for t in MEASURED_T:
        out[t] = {}
        tt = torch.full((len(x),), t)
        v = model(sch.add_noise(x, noise, tt), tt, encoder_hidden_states=table[y]).sample
        out[t]["loss"] = float(F.mse_loss(v, sch.get_velocity(x, noise, tt)))
    for h in hooks:
        h.remove()
    return out


def largest_up(d):
    return max((v, k) for k, v in d.items() if k.startswith("up_blocks"))


def export(model, table, folder):
    os.makedirs(folder + "/unet", exist_ok=True)
    model.save_config(folder + "/unet")
    path = folder + "/unet/config.json"
    with open(path) as f:
        config = json.load(f)
    config.pop("_name_or_path", None)
    with open(path, "w") as f:
        f.write(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_file({k: v.detach().half().contiguous(memory_format=torch.contiguous_format)
               for k, v in model.state_dict().items()},
              folder + "/unet/diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    save_file({"class_embeddings": table.detach().float().contiguous()},
              folder + "/class_embeddings.safetensors", metadata={"format": "pt"})
    make_schedule().save_config(folder + "/scheduler")


def load(folder):
    model = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder + "/unet"))
    weights = load_file(folder + "/unet/diffusion_pytorch_model.safetensors")
    model.load_state_dict({k: v.float() for k, v in weights.items()})
    return model.eval(), load_file(folder + "/class_embeddings.safetensors")["class_embeddings"]


def train(a):
    config = dict(CONFIG, **json.loads(a.config))
    torch.set_num_threads(a.threads)
    data, label = load_data(a.data, "train")
    test_x, test_y = load_data(a.data, "t10k")
    test_x, test_y = test_x[:64].float() / 127.5 - 1, test_y[:64]
    model, table = make_model(config)
    params = list(model.parameters()) + [table]
    print(sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    sch = make_schedule()
    ac = sch.alphas_cumprod
    opt = torch.optim.Adam(params, lr=a.lr, betas=(0.9, 0.999))
    rng = torch.Generator().manual_seed(1)
    os.makedirs(a.out, exist_ok=True)
    log = open(a.out + "/log.jsonl", "w")
    saves = {int(s) for s in a.save.split(",")}
    mean, start, spent = None, time.time(), 0.0
    model.train()
    for step in range(1, a.steps + 1):
        for g in opt.param_groups:
            g["lr"] = a.lr * min(1.0, step / 100)
        t0 = time.time()
        i = torch.randint(len(data), (a.batch,), generator=rng)
        x = data[i].float() / 127.5 - 1
        y = torch.where(torch.rand(a.batch, generator=rng) < 0.1, NULL, label[i])
        t = torch.randint(1000, (a.batch,), generator=rng)
        eps = torch.randn(x.shape, generator=rng)
        al, si = ac[t].sqrt().view(-1, 1, 1, 1), (1 - ac[t]).sqrt().view(-1, 1, 1, 1)
        v = model((al * x + si * eps).contiguous(memory_format=torch.channels_last), t,
                  encoder_hidden_states=table[y], return_dict=False)[0]
        loss = F.mse_loss(v, al * eps - si * x)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        spent += time.time() - t0
        value = float(loss.detach())
        mean = value if mean is None else 0.98 * mean + 0.02 * value
        if not math.isfinite(value):
            print("step", step, "loss", value)
            return
        if step % a.every == 0 or step in saves:
            model.eval()
            m = measure(model, table.detach(), test_x, test_y)
            model.train()
            log.write(json.dumps({"step": step, "loss": mean, "s_per_step": spent / step,
                                  "absmax": m}) + "\n")
            log.flush()
            print(f"step {step} loss {mean:.4f} {spent / step:.3f} s/step; decoder "
                  + ", ".join(f"t={t}: {largest_up(m[t])[0]:.1f}" for t in MEASURED_T)
                  + f" ({largest_up(m[999])[1]})", flush=True)
        if step in saves:
            export(model, table, f"{a.out}/step-{step:05d}")
    print(f"{time.time() - start:.0f} s")


def measure_saved(a):
    test_x, test_y = load_data(a.data, "t10k")
    test_x, test_y = test_x[:64].float() / 127.5 - 1, test_y[:64]
    rows = [measure(*load(d), test_x, test_y) for d in a.dirs]
    names = list(rows[0][999])
    print("block".ljust(34) + "".join(f"{os.path.basename(d.rstrip('/')):>24s}" for d in a.dirs))
    print(" " * 34 + f"{'t=10':>12s}{'t=999':>12s}" * len(rows))
    for n in names:
        print(n.ljust(34) + "".join(f"{r[10][n]:12.3f}{r[999][n]:12.3f}" for r in rows))


@torch.no_grad()
def sheet(a):
    """a.rows rows of DDIM samples, 50 steps, guidance a.guidance."""
    torch.set_num_threads(a.threads)
    model, table = load(a.dir)
    sch = DDIMScheduler.from_config(make_schedule().config, clip_sample=False)
    sch.set_timesteps(50)
    y = torch.arange(10).repeat(a.rows)
    x = torch.randn(len(y), 1, 32, 32, generator=torch.Generator().manual_seed(2))
    for t in sch.timesteps:
        v = model(x, t, encoder_hidden_states=table[y]).sample
        if a.guidance != 1:
            u = model(x, t, encoder_hidden_states=table[torch.full_like(y, NULL)]).sample
            v = u + a.guidance * (v - u)
        x = sch.step(v, t, x).prev_sample
    x = ((x.clamp(-1, 1) + 1) * 127.5).round().byte().view(a.rows, 10, 32, 32)
    img = Image.fromarray(x.permute(0, 2, 1, 3).reshape(a.rows * 32, 320).numpy())
    img.resize((img.width * 3, img.height * 3), Image.NEAREST).save(a.png)


def images(a):
    x, y = load_data(a.data, "t10k")
    os.makedirs(a.dir, exist_ok=True)
    for c in range(10):
        i = int((y == c).nonzero()[0])
        Image.fromarray(x[i, 0].numpy()).save(f"{a.dir}/{c}-{CLASSES[c]}.png", optimize=True)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    p.add_argument("--threads", type=int, default=2)
    sub = p.add_subparsers(required=True)
    s = sub.add_parser("train")
    s.add_argument("out")
    s.add_argument("--steps", type=int, default=8000)
    s.add_argument("--save", default="250,500,1000,2000,3000,4000,6000,8000")
    s.add_argument("--lr", type=float, default=5e-3)
    s.add_argument("--batch", type=int, default=32)
    s.add_argument("--every", type=int, default=250)
    s.add_argument("--config", default="{}", help="JSON that overrides parts of the model's config")
    s.set_defaults(f=train)
    s = sub.add_parser("measure")
    s.add_argument("dirs", nargs="+")
    s.set_defaults(f=measure_saved)
    s = sub.add_parser("sheet")
    s.add_argument("dir")
    s.add_argument("png")
    s.add_argument("--rows", type=int, default=4)
    s.add_argument("--guidance", type=float, default=1)
    s.set_defaults(f=sheet)
    s = sub.add_parser("images")
    s.add_argument("dir")
    s.set_defaults(f=images)
    a = p.parse_args()
    a.f(a)


if __name__ == "__main__":
    main()
