"""Makes tests/golden/fp8: weights of 8 and of 64 bits, with scales as each kind of writer names them.

    make_fp8.py tests/golden/fp8

    codes.safetensors     all 256 codes of float8_e4m3fn and float8_e5m2, without scales
    comfy.safetensors     ComfyUI: X.scale_weight of one value, X.scale_input, the marker scaled_fp8
    quant.safetensors     ComfyUI's newer one: X.weight_scale, X.comfy_quant with a JSON text
    rows.safetensors      compressed-tensors: X.weight_scale [out,1] and [out], X.input_scale; a 3x3 kernel
    blocks.safetensors    DeepSeek: X.weight_scale_inv [1,2] of [3,130], blocks of 128; [2,3] of [4,6], of 2
    double.safetensors    F64: exactly representable, not, beyond f32
    network.safetensors   the network of tests/golden/trainings: matrices in F8 with scales, vectors in F64
    want.safetensors      what PyTorch makes of each: W.float() * scale, or W.float()

Values are random (seed 0), quantised by torch's cast. The names are those of the writers' sources:
none of them is installed. Version: torch 2.15.0.
"""
import os
import sys

import torch
from safetensors.torch import load_file, save_file

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
torch.manual_seed(0)
E4, E5 = torch.float8_e4m3fn, torch.float8_e5m2
want = {}


def bytes_of(text):
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def quantised(name, shape, scale, dtype=E4):
    """Random weights as codes; scale is broadcast over them as it is."""
    q = (torch.randn(shape) * 20).to(dtype)
    want[name] = q.float() * scale
    return q


codes = torch.arange(256, dtype=torch.uint8)
save_file({"e4m3.weight": codes.view(E4), "e5m2.weight": codes.clone().view(E5)}, f"{out}/codes.safetensors")
want["e4m3.weight"], want["e5m2.weight"] = codes.view(E4).float(), codes.view(E5).float()

s = torch.rand(2) / 50
save_file({"scaled_fp8": torch.zeros(2, dtype=E4),
           "comfy.a.weight": quantised("comfy.a.weight", (5, 7), s[0]), "comfy.a.scale_weight": s[0].reshape(1),
           "comfy.a.scale_input": torch.ones(1), "comfy.a.bias": torch.randn(5).bfloat16(),
           "comfy.b.weight": quantised("comfy.b.weight", (3, 5, 3, 3), s[1]), "comfy.b.scale_weight": s[1].clone()},
          f"{out}/comfy.safetensors")

s = torch.rand(2).bfloat16() / 50
save_file({"quant.a.weight": quantised("quant.a.weight", (5, 7), s[0].float()), "quant.a.weight_scale": s[0].clone(),
           "quant.a.comfy_quant": bytes_of('{"format": "float8_e4m3fn"}'),
           "quant.b.weight": quantised("quant.b.weight", (5, 7), s[1].float(), E5),
           "quant.b.weight_scale": s[1].clone(), "quant.b.input_scale": torch.ones(()),
           "quant.b.comfy_quant": bytes_of('{"format": "float8_e5m2", "full_precision_matrix_mult": true}')},
          f"{out}/quant.safetensors")

s = torch.rand(5, 1) / 50
save_file({"rows.a.weight": quantised("rows.a.weight", (5, 7), s), "rows.a.weight_scale": s,
           "rows.a.input_scale": torch.ones(1),
           "rows.b.weight": quantised("rows.b.weight", (5, 2, 3, 3), s.reshape(5, 1, 1, 1)),
           "rows.b.weight_scale": s.reshape(5).clone()}, f"{out}/rows.safetensors")

a, b = torch.rand(1, 2) / 50, torch.rand(2, 3) / 50
save_file({"blocks.a.weight": quantised("blocks.a.weight", (3, 130), a.repeat_interleave(128, 1)[:, :130]),
           "blocks.a.weight_scale_inv": a,
           "blocks.b.weight": quantised("blocks.b.weight", (4, 6), b.repeat_interleave(2, 0).repeat_interleave(2, 1)),
           "blocks.b.weight_scale_inv": b}, f"{out}/blocks.safetensors")

d = {"double.exact": torch.randn(9).double(), "double.rounded": torch.randn(9, dtype=torch.float64),
     "double.large": torch.tensor([1e300, -0.0, float("nan"), 1.0], dtype=torch.float64)}
want.update({k: v.float() for k, v in d.items()})
save_file(d, f"{out}/double.safetensors")
net = load_file("tests/golden/trainings/diffusers/checkpoint-4/unet/diffusion_pytorch_model.safetensors")
mixed = {}
for k, v in net.items():
    if v.dim() == 2:
        mixed[k.replace("weight", "scale_weight")] = s = v.abs().max() / 448
        mixed[k] = (v / s).to(E4)
    else:
        mixed[k] = v.double()
save_file({**mixed, "scaled_fp8": torch.zeros(2, dtype=E4)}, f"{out}/network.safetensors")
save_file(want, f"{out}/want.safetensors")
