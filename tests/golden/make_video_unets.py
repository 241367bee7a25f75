"""Golden data for the UNets of videos: small random-weight diffusers models and what each module gives.

    make_video_unets.py [--out DIR] [CASE...]  DIR: tests/golden/unets; without a CASE, all of them

Made with torch 2.15.0 (CPU, one thread, eval, fp32), diffusers 0.42.1, safetensors 0.8.0. Weights, seeds
and the choice of k are those of make_unets.py; of the networks with 32 groups three weights of four are
zero, so that the files compress. A case is a folder as there, but videos are

    x, out                 [N,F,C,H,W]
    added_time_ids         [N,3] of Stable Video Diffusion

and a module's output is laid out as [N,F,H,W,C], or [N,H W,F,C] between the tokens of attention over
frames. The projections of time embedding and text, which PyTorch repeats for every frame or every
position, are kept once for each sample; a second call of a mixer is PATH.second. make_gradients.py has two of the cases, too.
"""
import argparse
import copy
import json
import os
import shutil
import zlib

import torch
from diffusers import UNet3DConditionModel, UNetSpatioTemporalConditionModel
from diffusers import LatentConsistencyModelPipeline as LCM
from safetensors.torch import save_file

from make_unets import HERE, first_tensor, randomise, watched
from make_vaes import keep

DOWN, UP, CDOWN, CUP = "DownBlock3D", "UpBlock3D", "CrossAttnDownBlock3D", "CrossAttnUpBlock3D"
SDOWN, SUP = "DownBlockSpatioTemporal", "UpBlockSpatioTemporal"
SCDOWN, SCUP = "CrossAttnDownBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"


def three(size, frames, n=2, inputs=None, **options):
    """A UNet3DConditionModel (ModelScope, Zeroscope)."""
    base = dict(block_out_channels=[4, 8], layers_per_block=1, norm_num_groups=2, attention_head_dim=2,
                cross_attention_dim=12, down_block_types=[CDOWN, DOWN], up_block_types=[UP, CUP])
    return UNet3DConditionModel, dict(base, **options), size, frames, n, inputs or {}


def svd(size, frames, n=2, inputs=None, **options):
    """A UNetSpatioTemporalConditionModel (Stable Video Diffusion); its norms have 32 groups, always."""
    base = dict(block_out_channels=[32], layers_per_block=1, num_attention_heads=2,
                cross_attention_dim=12, addition_time_embed_dim=8, num_frames=frames,
                projection_class_embeddings_input_dim=24, down_block_types=[SCDOWN],
                up_block_types=[SCUP])
    return UNetSpatioTemporalConditionModel, dict(base, **options), size, frames, n, inputs or {}


CASES = {
    "video-3d": three((5, 7), 3),
    # as ModelScope's text-to-video, with fewer channels
    "video-3d-modelscope": three((9, 16), 7, n=1, block_out_channels=[8, 8, 16, 16], attention_head_dim=4,
                                 norm_num_groups=1,
                                 down_block_types=[CDOWN, CDOWN, CDOWN, DOWN],
                                 up_block_types=[UP, CUP, CUP, CUP], sample_size=8),
    # heads of three channels leave some of a block's channels out
    "video-3d-options": three((6, 8), 1, block_out_channels=[8, 16], attention_head_dim=3, act_fn="gelu", norm_eps=1e-6,
                              mid_block_scale_factor=1.5, downsample_padding=0, time_cond_proj_dim=9,
                              in_channels=5, out_channels=3,
                              inputs=dict(guidance=torch.tensor([8.5, 2.25]))),
    "video-svd": svd((3, 2), 3),
    # two transformer blocks in a row, and only in the middle; sizes that halving rounds
    "video-svd-levels": svd((5, 3), 7, n=1, block_out_channels=[32, 32], num_attention_heads=[1, 4],
                            transformer_layers_per_block=[1, 2], cross_attention_dim=[99, 10],
                            down_block_types=[SDOWN, SDOWN], up_block_types=[SUP, SUP]),
    "video-svd-one-frame": svd((2, 3), 1, transformer_layers_per_block=[[0]], in_channels=3, out_channels=3,
                               down_block_types=[SDOWN], up_block_types=[SUP]),
}


def thin(model):
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.copy_((p * (torch.rand(p.shape) < 0.25) * 2).half().float())


def make_inputs(model, size, frames, n, given):
    c = model.config
    wide = isinstance(model, UNetSpatioTemporalConditionModel)
    width = c.cross_attention_dim if isinstance(c.cross_attention_dim, int) else c.cross_attention_dim[-1]
    out = {"x": torch.randn(n, frames, c.in_channels, *size),
           "timesteps": torch.tensor([1.6, -0.7] if wide else [641, 37])[:n],
           "encoder_hidden_states": torch.randn(n, 1 if wide else 5, width)}
    if wide:
        out["added_time_ids"] = torch.tensor([[6.0, 127.0, 0.02], [24.0, 20.0, 0.5]])[:n]
    if "guidance" in given:
        out["guidance"] = given["guidance"]
        out["timestep_cond"] = LCM.get_guidance_scale_embedding(None, given["guidance"] - 1,
                                                                c.time_cond_proj_dim)
    return out


def call(model, given):
    x, args = given["x"], dict(encoder_hidden_states=given["encoder_hidden_states"])
    if isinstance(model, UNetSpatioTemporalConditionModel):
        return model(x, given["timesteps"], added_time_ids=given["added_time_ids"], **args).sample
    y = model(x.transpose(1, 2), given["timesteps"], timestep_cond=given.get("timestep_cond"), **args)
    return y.sample.transpose(1, 2)


def once(name, y, n):
    """What is the same for every frame or position, once for each sample."""
    parts = name.split(".")
    cross = parts[-2:-1] == ["attn2"] and parts[-1] in ("to_k", "to_v") and "attentions" in parts
    if parts[-1] != "time_emb_proj" and not cross:
        return y
    y = y.reshape(n, -1, *y.shape[1 if cross else -1:])
    assert torch.allclose(y, y[:, :1].expand_as(y), atol=1e-5), name
    return y[:, 0]


def laid_out(name, y, n):
    if y.ndim == 5:
        return y.permute(0, 2, 3, 4, 1)
    if y.ndim == 4:
        return y.permute(0, 2, 3, 1)
    return once(name, y, n)


def run(model, given):
    golden, hooks, n = {}, [], len(given["x"])

    def hook(name):
        def f(module, _, y):
            y = first_tensor(y)
            if y is not None:
                key = name + (".second" if "norm:" + name in golden else "")
                keep(golden, "module:" + key, "norm:" + key, laid_out(name, y, n))
        return f
    for name, module in watched(model):
        hooks.append(module.register_forward_hook(hook(name)))
    with torch.no_grad():
        out = call(model, given)
    for h in hooks:
        h.remove()
    return golden, out


def in_double(model, given):
    model = copy.deepcopy(model).double()
    for name, module in model.named_modules():
        if name.endswith("time_proj"):
            module.register_forward_hook(lambda module, x, y: y.double())
    return model, {k: v.double() if v.is_floating_point() else v for k, v in given.items()}


def rounding(model, given, golden):
    """The worst relative L2 distance of golden to the same run in fp64, over the modules."""
    exact, _ = run(*in_double(model, given))
    return max(float((golden[k] - v).norm() / v.norm()) for k, v in exact.items() if "norm:" not in k)


def make(name, folder):
    cls, options, size, frames, n, inputs = CASES[name]
    for k in range(50):
        torch.manual_seed(zlib.crc32(name.encode()) + k)
        model = cls(**options).eval()
        randomise(model, torch.float16)
        if cls is UNetSpatioTemporalConditionModel:
            thin(model)
        given = make_inputs(model, size, frames, n, inputs)
        golden, out = run(model, given)
        error = rounding(model, given, golden)
        if error < 2.5e-6:
            break
    assert error < 2.5e-6 and torch.isfinite(out).all(), name
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    model.save_config(folder)
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()},
              folder + "/diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    path = folder + "/config.json"
    with open(path) as f:
        config = json.load(f)
    config.pop("_name_or_path", None)
    with open(path, "w") as f:
        f.write(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_file({k: v.float().contiguous() for k, v in {**given, **golden, "out": out}.items()},
              folder + "/golden.safetensors")
    top = max(float(v.abs().max()) for k, v in golden.items() if k.startswith("module:"))
    total = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:22s} {sum(k.startswith('module:') for k in golden):4d} modules {total / 1024:7.1f} KiB, "
          f"largest sample {top:6.2f}, rounding {error:.1e}, k {k}", flush=True)
    return total


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "unets"))
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    total = sum(make(name, os.path.join(a.out, name)) for name in a.cases or CASES)
    print(f"{total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
