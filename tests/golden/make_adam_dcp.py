"""Makes tests/golden/trainings/dcp: Adam's state in folders of torch.distributed.checkpoint.

    make_adam_dcp.py tests/golden/trainings/dcp

    unet/          config.json of the network, without weights
    nested/        {"model": ..., "optim": ...} of get_model_state_dict and get_optimizer_state_dict
    flat/          the same with flatten_optimizer_state_dict, of a module that has the network as .unet
    numbers/       {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, of all parameters
    adam.json      by folder and parameter: s = RMS(m^ / sqrt(v^)), lr RMS(m^ / (sqrt(v^) + eps)) / RMS(w),
                   in float64, from the optimizer in memory

The network is a UNet2DModel with random weights (seed 0), trained on noise by AdamW (seed 1) for three
steps, in two groups, of which the second has its own rate. But for numbers/, only the parameters of
time_embedding (nested/) or of conv_in and conv_out (flat/) are trained: an item of a file takes more
than a kilobyte.

Versions: torch 2.15.0, diffusers 0.42.1.
"""
import json
import os
import shutil
import sys
import warnings

import torch
import torch.distributed.checkpoint as dcp
from diffusers import UNet2DModel
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, get_optimizer_state_dict

warnings.filterwarnings("ignore")
out = sys.argv[1]
shutil.rmtree(out, ignore_errors=True)
os.makedirs(out)
os.chdir(out)  # metadata has the path that it was saved to


class Module(torch.nn.Module):
    def __init__(self, unet):
        super().__init__()
        self.unet = unet


def network():
    torch.manual_seed(0)
    return UNet2DModel(sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(2,),
                       norm_num_groups=1, attention_head_dim=2, mid_block_type=None,
                       down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",))


def train(*trained):
    unet = network()
    for name, p in unet.named_parameters():
        p.requires_grad = name.startswith(trained)
    parameters = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.01},
         {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0, "lr": 5e-4, "betas": (0.8, 0.98)}],
        lr=1e-3, betas=(0.9, 0.99))
    rng = torch.Generator().manual_seed(1)
    for _ in range(3):
        x, n = torch.randn(2, 4, 1, 8, 8, generator=rng)
        (unet(x + n, 500).sample - n).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return unet, optimizer


def rows(unet, optimizer):
    names, r = {p: n for n, p in unet.named_parameters()}, {}
    rms = lambda x: float(x.square().mean().sqrt())
    for group in optimizer.param_groups:
        for p in group["params"]:
            s = optimizer.state[p]
            t, (b1, b2) = float(s["step"]), group["betas"]
            m, v = s["exp_avg"].double() / (1 - b1 ** t), s["exp_avg_sq"].double() / (1 - b2 ** t)
            r[names[p]] = [rms(m / v.clamp(min=group["eps"] ** 2).sqrt()),
                           group["lr"] * rms(m / (v.sqrt() + group["eps"])) / rms(p.detach().double())]
    return r


def save(name, state):
    dcp.save(state, checkpoint_id=name, no_dist=True)


unet, optimizer = train("")
unet.save_config("unet")
save("numbers", {"model": unet.state_dict(), "optimizer": optimizer.state_dict()})
want = {"numbers": rows(unet, optimizer)}
unet, optimizer = train("time_embedding.")
save("nested", {"model": get_model_state_dict(unet), "optim": get_optimizer_state_dict(unet, optimizer)})
want["nested"] = rows(unet, optimizer)
unet, optimizer = train("conv_in.", "conv_out.")
module, options = Module(unet), StateDictOptions(flatten_optimizer_state_dict=True)
save("flat", {"model": get_model_state_dict(module),
              "optim": get_optimizer_state_dict(module, optimizer, options=options)})
want["flat"] = rows(unet, optimizer)
json.dump(want, open("adam.json", "w"), indent=0)
