"""Makes tests/golden/trainings: the folders that trainings leave, by those who write them.

    make_trainings.py tests/golden/trainings

    diffusers/checkpoint-4                 as diffusers' scripts save it: unet/, unet_ema/, optimizer.bin
    accelerate/checkpoint_0                Accelerator.save_state of a network and its EMA, without config
    accelerate-sharded/checkpoint_0        likewise, as shards with an index
    wrapped/compiled-ddp.safetensors       state_dict of a network in torch.compile in DataParallel
    wrapped/checkpoints.safetensors        with activation checkpoints in it
    wrapped/attribute.safetensors          a module that has the network as .unet, and nothing else
    wrapped/averaged.safetensors           torch.optim.swa_utils.AveragedModel, with its counter
    wrapped/both.safetensors               online_model. and ema_model., initted, step, as ema-pytorch has it
                                           (by hand: that package is not there)

The network is a UNet2DModel with random weights (seed 0), trained on noise by AdamW (seed 1) for
four steps.

Versions: torch 2.15.0, diffusers 0.42.1, accelerate 1.15.0, safetensors 0.8.0.
"""
import os
import shutil
import sys

import torch
from accelerate import Accelerator
from diffusers import UNet2DModel
from diffusers.training_utils import EMAModel
from safetensors.torch import save_file
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

out = sys.argv[1]
shutil.rmtree(out, ignore_errors=True)
os.makedirs(f"{out}/wrapped")


def network():
    torch.manual_seed(0)
    return UNet2DModel(sample_size=8, in_channels=1, out_channels=1, layers_per_block=1,
                       block_out_channels=(4,), norm_num_groups=2, attention_head_dim=2,
                       down_block_types=("AttnDownBlock2D",), up_block_types=("AttnUpBlock2D",))


def step(model, optimizer, rng):
    x, n = torch.randn(2, 4, 1, 8, 8, generator=rng)
    (model(x + n, 500).sample - n).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def train(accelerator, folder, each, steps=4):
    model = network()
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.01},
         {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}],
        lr=1e-3, betas=(0.9, 0.99))
    model, optimizer = accelerator.prepare(model, optimizer)
    ema = EMAModel(model.parameters(), decay=0.5, model_cls=UNet2DModel, model_config=model.config)
    rng = torch.Generator().manual_seed(1)
    for i in range(1, steps + 1):
        step(model, optimizer, rng)
        ema.step(model.parameters())
        each(i, model, ema, folder)
    return model, ema


def save_hooked(accelerator, i, model, ema, folder):
    """The hooks of examples/text_to_image/train_text_to_image.py."""
    def save(models, weights, where):
        ema.save_pretrained(os.path.join(where, "unet_ema"))
        for m in models:
            accelerator.unwrap_model(m).save_pretrained(os.path.join(where, "unet"))
            weights.pop()
    if i == 4:
        handle = accelerator.register_save_state_pre_hook(save)
        accelerator.save_state(f"{folder}/checkpoint-{i}")
        handle.remove()


accelerator = Accelerator(cpu=True)
model, ema = train(accelerator, f"{out}/diffusers",
                   lambda *a: save_hooked(accelerator, *a))
state = {k: v.detach().clone() for k, v in model.state_dict().items()}
average = network()
ema.copy_to(average.parameters())

for name, size in (("accelerate", "10GB"), ("accelerate-sharded", "5KB")):
    accelerator = Accelerator(cpu=True)
    twin = network()
    twin.load_state_dict(average.state_dict())

    def save(i, m, e, folder):
        if i == 4:
            accelerator.prepare(twin)
            if size == "10GB":
                accelerator.save_state(f"{folder}/checkpoint_0")
            else:
                accelerator.save_model(m, f"{folder}/checkpoint_0", max_shard_size=size)
    train(accelerator, f"{out}/{name}", save)

for root, folders, files in os.walk(out):
    for f in files:
        if f.startswith(("random_states", "scheduler.bin", "sampler")) or (f == "optimizer.bin" and "accelerate" in root):
            os.remove(os.path.join(root, f))

plain = network()
plain.load_state_dict(state)
save_file(torch.nn.DataParallel(torch.compile(plain)).state_dict(), f"{out}/wrapped/compiled-ddp.safetensors")
averaged = torch.optim.swa_utils.AveragedModel(plain)
save_file(averaged.state_dict(), f"{out}/wrapped/averaged.safetensors")


class Owner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.unet = plain


save_file(Owner().state_dict(), f"{out}/wrapped/attribute.safetensors")
save_file({**{f"online_model.{k}": v for k, v in state.items()},
           **{f"ema_model.{k}": v for k, v in average.state_dict().items()},
           "initted": torch.tensor(True), "step": torch.tensor(4)}, f"{out}/wrapped/both.safetensors")
for i, block in enumerate(plain.down_blocks):
    plain.down_blocks[i] = checkpoint_wrapper(block)
# state_dict() and named_parameters() of the wrapper hide its name; who walks the modules sees it
raw = {f"{name}.{leaf}": p.detach() for name, module in plain.named_modules()
       for leaf, p in module._parameters.items() if p is not None}
save_file(raw, f"{out}/wrapped/checkpoints.safetensors")
