"""Makes tests/golden/adam.json: what Adam's states of tests/golden/trainings say, by PyTorch in float64.

    make_adam_state.py tests/golden/adam.json tests/golden/stale.pt

stale.pt (PyTorch's older layout, one group, below "optimizer") is a state of the same network, in which
1000 steps had gradients of 1e-3 and the last one, of mid_block.resnets.0.conv1.weight alone, one of 1.
adam.json has

    "orders"   of each network in tests/golden/unets: SHA-256 of the names of model.named_parameters(),
               joined by newlines
    "rows"     of trainings/diffusers/checkpoint-4/optimizer.bin, by parameter: s = RMS(m^ / sqrt(v^)) and
               lr RMS(m^ / (sqrt(v^) + eps)) / RMS(w)
    "limits"   the largest |m^| / sqrt(v^) that gradients can have, by betas and steps: from the best ones,
               g_i proportional to p_i / u_i, p and u being the weights of m and v

Versions: torch 2.15.0, diffusers 0.42.1.
"""
import glob
import hashlib
import json
import sys

import diffusers
import torch

diffusers.logging.set_verbosity_error()
orders = {}
for path in sorted(glob.glob("tests/golden/unets/*/config.json")):
    config = json.load(open(path))
    model = getattr(diffusers, config["_class_name"]).from_config(
        {k: v for k, v in config.items() if k != "_diffusers_version"})
    names = "\n".join(n for n, _ in model.named_parameters())
    orders[path.split("/")[-2]] = hashlib.sha256(names.encode()).hexdigest()

folder = "tests/golden/trainings/diffusers/checkpoint-4"
model = diffusers.UNet2DModel.from_pretrained(f"{folder}/unet")
state = torch.load(f"{folder}/optimizer.bin")
# as make_trainings.py gave them to the optimizer
order = [[n for n, p in model.named_parameters() if p.dim() > 1],
         [n for n, p in model.named_parameters() if p.dim() < 2]]
weights, rows = dict(model.named_parameters()), {}
for group, names in zip(state["param_groups"], order):
    for index, name in zip(group["params"], names, strict=True):
        s = state["state"][index]
        t, (b1, b2) = float(s["step"]), group["betas"]
        m, v = s["exp_avg"].double() / (1 - b1 ** t), s["exp_avg_sq"].double() / (1 - b2 ** t)
        rms = lambda x: float(x.square().mean().sqrt())
        rows[name] = [rms(m / v.clamp(min=group["eps"] ** 2).sqrt()),
                      group["lr"] * rms(m / (v.sqrt() + group["eps"])) / rms(weights[name].detach().double())]

limits = []
for b1, b2, t in ((0.9, 0.999, 1), (0.9, 0.999, 10), (0.9, 0.999, 3000), (0.9, 0.99, 50), (0.5, 0.98, 7), (0, 0.9, 5)):
    age = torch.arange(t, dtype=torch.float64)
    p, u = (1 - b1) * b1 ** age / (1 - b1 ** t), (1 - b2) * b2 ** age / (1 - b2 ** t)
    g = p / u
    limits.append([b1, b2, t, float((p * g).sum() / (u * g * g).sum().sqrt())])
b1, b2, planted = 0.9, 0.999, {"state": {}, "param_groups": [
    {"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "params": list(range(len(weights)))}]}
for i, (name, w) in enumerate(weights.items()):
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    for step in range(1, 1001):
        g = 1.0 if step == 1000 and name == "mid_block.resnets.0.conv1.weight" else 1e-3 * (-1) ** step
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    planted["state"][i] = {"step": 1000, "exp_avg": m.detach(), "exp_avg_sq": v.detach()}
torch.save({"model": {}, "optimizer": planted}, sys.argv[2], _use_new_zipfile_serialization=False)
json.dump({"orders": orders, "rows": rows, "limits": limits}, open(sys.argv[1], "w"), indent=0)
