"""Golden data for UNetMotionModel (AnimateDiff): small random-weight models and what each module gives.

    make_motion_unets.py [--out DIR] [CASE...]      DIR: tests/golden/unets; without a CASE, all of them

Made with torch 2.15.0 (CPU, one thread, eval, fp32), diffusers 0.42.1, safetensors 0.8.0. Cases, seeds,
weights and files are those of make_unets.py, but

    x, out                 [N,F,C,H,W]
    module:PATH            a video's samples are laid out [N,F,H,W,C], those between attention over
                           frames [N,H W,F,C]; what PyTorch repeats for every frame, the projections of
                           the time embedding and of the text, is kept once for each sample.
                           pos_embed runs twice; both calls are kept, the second as PATH.second

Of GRADIENTS, tests/golden/gradients/CASE.safetensors has what make_gradients.py says.

tests/golden/adapters (--adapters makes them) has two UNet2DConditionModels, a MotionAdapter for each, and
what UNetMotionModel.from_unet2d makes of the pairs, all in F16:

    unet/, adapter/, together/              as AnimateDiff v1.5
    mm.ckpt                                 adapter's tensors by the names that AnimateDiff gives them, a
                                            pickle {"state_dict": ...} with prefix "module."
    sdxl-unet/, sdxl-adapter/, sdxl-together/      as SDXL beta, without motion in the middle; its
                                            add_embedding is the UNet's, which from_unet2d leaves random
"""
import argparse
import copy
import json
import os
import shutil
import zlib

import torch
from diffusers import LatentConsistencyModelPipeline as LCM
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from safetensors.torch import save_file
from torch import nn

from make_unets import HERE, SAMPLES, first_tensor, randomise, watched

DOWN, UP, CDOWN, CUP = "DownBlockMotion", "UpBlockMotion", "CrossAttnDownBlockMotion", "CrossAttnUpBlockMotion"
GRADIENTS = ["motion-v2"]


def motion(size=(6, 8), frames=3, inputs=None, **options):
    base = dict(sample_size=8, block_out_channels=[4, 8], layers_per_block=1, norm_num_groups=2,
                num_attention_heads=2, cross_attention_dim=12, motion_num_attention_heads=2,
                motion_max_seq_length=5, use_motion_mid_block=False,
                down_block_types=[CDOWN, DOWN], up_block_types=[UP, CUP])
    return dict(base, **options), size, frames, inputs or {}


CASES = {
    "motion": motion(size=(5, 7)),
    # as AnimateDiff v2: motion in the middle, too
    "motion-v2": motion(use_motion_mid_block=True, frames=4, block_out_channels=[8, 8]),
    # as AnimateDiff for SDXL
    "motion-sdxl": motion(num_attention_heads=[1, 2], use_linear_projection=True, sample_size=[6, 8],
                          transformer_layers_per_block=[1, 2], addition_embed_type="text_time",
                          addition_time_embed_dim=8, projection_class_embeddings_input_dim=58,
                          cross_attention_dim=20, down_block_types=[DOWN, CDOWN], up_block_types=[CUP, UP]),
    "motion-lists": motion(block_out_channels=[8, 8], layers_per_block=[1, 2], motion_num_attention_heads=[4, 1], frames=5,
                           use_motion_mid_block=True, transformer_layers_per_block=[[1], [1, 2]],
                           reverse_transformer_layers_per_block=[[2, 1, 1], [1, 1]],
                           temporal_transformer_layers_per_block=[[2], [1, 2]],
                           reverse_temporal_transformer_layers_per_block=[[1, 1, 1], [2, 1]],
                           temporal_transformer_layers_per_mid_block=2,
                           transformer_layers_per_mid_block=2,
                           down_block_types=[CDOWN, CDOWN], up_block_types=[CUP, CUP]),
    "motion-options": motion(size=(7, 10), frames=1, in_channels=5, out_channels=3, act_fn="gelu",
                             block_out_channels=[8, 8, 8], norm_eps=1e-6, mid_block_scale_factor=1.3,
                             downsample_padding=0, time_cond_proj_dim=9, motion_max_seq_length=1,
                             temporal_transformer_layers_per_block=[1, 2, 1], num_attention_heads=[2, 1, 4],
                             down_block_types=[DOWN, CDOWN, CDOWN], up_block_types=[CUP, UP, CUP],
                             inputs=dict(guidance=torch.tensor([8.5, 2.25]))),
}


def make_inputs(model, size, frames, given):
    c, n = model.config, 2
    out = {"x": torch.randn(n, frames, c.in_channels, *size), "timesteps": torch.tensor([641, 37])}
    if "guidance" in given:
        out["guidance"] = given["guidance"]
        out["timestep_cond"] = LCM.get_guidance_scale_embedding(None, given["guidance"] - 1,
                                                                c.time_cond_proj_dim)
    out["encoder_hidden_states"] = torch.randn(n, 5, c.cross_attention_dim)
    if c.addition_embed_type == "text_time":
        out["text_embeds"] = torch.randn(n, 10)
        out["time_ids"] = torch.tensor([[64., 48., 3., 0., 64., 48.], [32., 32., 0., 5., 16., 8.]])
    return out


def call(model, given):
    """As the pipeline does: the text is repeated for every frame."""
    frames = given["x"].shape[1]
    args = dict(encoder_hidden_states=given["encoder_hidden_states"].repeat_interleave(frames, 0),
                timestep_cond=given.get("timestep_cond"))
    if "text_embeds" in given:
        args["added_cond_kwargs"] = {k: given[k] for k in ("text_embeds", "time_ids")}
    return model(given["x"].transpose(1, 2), given["timesteps"], **args).sample.transpose(1, 2)


def once(name, y, n):
    """What is the same for every frame, once for each sample."""
    parts = name.split(".")
    cross = "attentions" in parts and parts[-2] == "attn2" and parts[-1] in ("to_k", "to_v")
    if parts[-1] != "time_emb_proj" and not cross:
        return y
    y = y.reshape(n, -1, *y.shape[1:])
    assert torch.allclose(y, y[:, :1].expand_as(y), atol=1e-5), name
    return y[:, 0]


def channels_last(module, y):
    if y.ndim == 5:
        return y.permute(0, 2, 3, 4, 1).reshape(-1)
    if y.ndim == 4:
        return y.permute(0, 2, 3, 1).reshape(-1)
    if y.ndim == 3 and isinstance(module, nn.GroupNorm):
        return y.transpose(1, 2).reshape(-1)
    return y.reshape(-1)


def keep(golden, key, norm_key, y):
    n = y.numel()
    k = torch.arange(SAMPLES) * n // SAMPLES if n > SAMPLES else torch.arange(n)
    golden[key] = y[k].clone()
    golden[norm_key] = torch.tensor([float(y.double().norm()), n])


def run(model, given):
    golden, hooks, n = {}, [], given["x"].shape[0]
    seen = {name: m for name, m in model.named_modules() if name.endswith("pos_embed")}

    def hook(name):
        def f(module, _, y):
            y = first_tensor(y)
            if y is None:
                return
            path = name + ".second" if name in seen and "module:" + name in golden else name
            y = channels_last(module, once(name, y, n))
            keep(golden, "module:" + path, "norm:" + path, y)
        return f
    for name, module in [*watched(model), *seen.items()]:
        hooks.append(module.register_forward_hook(hook(name)))
    with torch.no_grad():
        out = call(model, given)
    for h in hooks:
        h.remove()
    return golden, out


def in_double(model, given):
    model = copy.deepcopy(model).double()
    model.time_proj.register_forward_hook(lambda module, x, y: y.double())
    if hasattr(model, "add_time_proj"):
        model.add_time_proj.register_forward_hook(lambda module, x, y: y.double())
    return model, {k: v.double() if v.is_floating_point() else v for k, v in given.items()}


def rounding(model, given, golden):
    exact, _ = run(*in_double(model, given))
    return max(float((golden[k] - v).norm() / v.norm())
               for k, v in exact.items() if k.startswith("module:"))


def gradients(model, given):
    torch.manual_seed(0)
    answer = call(model, given)
    target = torch.randn(answer.shape).to(answer.dtype)
    loss = (answer - target).square().mean()
    model.zero_grad()
    loss.backward()
    tensors = {"loss": loss.detach().reshape(1), "target": target}
    tensors.update({k: p.grad for k, p in model.named_parameters() if p.grad is not None})
    return tensors


def gradient_rounding(model, given):
    """The worst relative L2 distance of a gradient in fp32 to that in fp64."""
    exact = gradients(*in_double(model, given))
    return max(float((v - exact[k]).norm() / (exact[k].norm() + 1e-6))
               for k, v in gradients(model, given).items())


def write_gradients(name, model, given):
    tensors = gradients(*in_double(model, given))
    save_file({k: v.float().contiguous() for k, v in tensors.items()},
              os.path.join(HERE, "gradients", name + ".safetensors"),
              metadata={"torch": torch.__version__, "seed": "0"})


def write_config(model, folder):
    model.save_config(folder)
    path = folder + "/config.json"
    with open(path) as f:
        config = json.load(f)
    config.pop("_name_or_path", None)
    with open(path, "w") as f:
        f.write(json.dumps(config, indent=2, sort_keys=True) + "\n")


def make(name, folder):
    options, size, frames, inputs = CASES[name]
    for k in range(50):
        torch.manual_seed(zlib.crc32(name.encode()) + k)
        model = UNetMotionModel(**options).eval()
        randomise(model, torch.float16)
        given = make_inputs(model, size, frames, inputs)
        golden, out = run(model, given)
        error = rounding(model, given, golden)
        if error < 2.5e-6 and (name not in GRADIENTS or gradient_rounding(model, given) < 2e-5):
            break
    assert error < 2.5e-6 and torch.isfinite(out).all(), name
    if name in GRADIENTS:
        write_gradients(name, model, given)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_config(model, folder)
    # the table of positions is kept in fp32: it is no weight
    state = {k: v.contiguous() if k.endswith(".pe") else v.half().contiguous()
             for k, v in model.state_dict().items()}
    if name == "motion-v2":  # as a file without the buffers
        state = {k: v for k, v in state.items() if not k.endswith(".pe")}
    save_file(state, folder + "/diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    save_file({k: v.float().contiguous() for k, v in {**given, **golden, "out": out}.items()},
              folder + "/golden.safetensors")
    total = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:26s} {sum(k.startswith('module:') for k in golden):4d} modules {total / 1024:7.1f} KiB, "
          f"rounding {error:.1e}, k {k}", flush=True)
    return total


def save(model, folder):
    os.makedirs(folder)
    write_config(model, folder)
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()},
              folder + "/diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def original_name(name):
    """The name that AnimateDiff has for a tensor of diffusers'."""
    for ours, theirs in ((".attn1.", ".attention_blocks.0."), (".attn2.", ".attention_blocks.1."),
                         (".norm1.", ".norms.0."), (".norm2.", ".norms.1."), (".norm3.", ".ff_norm.")):
        name = name.replace(ours, theirs)
    parts = name.split(".")
    at = parts.index("motion_modules") + 2
    return "module." + ".".join(parts[:at] + ["temporal_transformer"] + parts[at:])


def make_adapters(out):
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    torch.manual_seed(0)
    plain, cross = ["CrossAttnDownBlock2D", "DownBlock2D"], ["UpBlock2D", "CrossAttnUpBlock2D"]
    base = dict(sample_size=8, block_out_channels=[8, 8], layers_per_block=1, norm_num_groups=2,
                attention_head_dim=2, cross_attention_dim=12)
    sdxl = dict(attention_head_dim=[1, 2], use_linear_projection=True, transformer_layers_per_block=[1, 2],
                addition_embed_type="text_time", addition_time_embed_dim=8, upcast_attention=True,
                projection_class_embeddings_input_dim=58)
    mine = dict(block_out_channels=[8, 8], motion_layers_per_block=1, motion_norm_num_groups=2,
                motion_max_seq_length=5)
    for prefix, more, adapter in (("", {}, {}), ("sdxl-", sdxl, dict(use_motion_mid_block=False, motion_num_attention_heads=2))):
        unet = UNet2DConditionModel(down_block_types=plain, up_block_types=cross, **dict(base, **more))
        motion = MotionAdapter(**dict(mine, **adapter))
        randomise(unet, torch.float16)
        randomise(motion, torch.float16)
        together = UNetMotionModel.from_unet2d(unet, motion)
        if more:
            together.add_embedding.load_state_dict(unet.add_embedding.state_dict())
        save(unet, f"{out}/{prefix}unet")
        save(motion, f"{out}/{prefix}adapter")
        save(together, f"{out}/{prefix}together")
        if not prefix:
            # its 8 heads are what a file without a configuration is taken to have
            state = {original_name(k): v.half() for k, v in motion.state_dict().items()
                     if not k.endswith(".pe")}
            for k in [k for k in state if k.endswith(".norm.weight")]:
                table = k[:-len("norm.weight")] + "transformer_blocks.0.attention_blocks.0.pos_encoder.pe"
                state[table] = torch.zeros(1, 5, len(state[k]))
            torch.save({"state_dict": state, "epoch": 3}, out + "/mm.ckpt")


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "unets"))
    p.add_argument("--adapters", action="store_true")
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    torch.set_num_threads(1)
    if a.adapters:
        make_adapters(os.path.join(HERE, "adapters"))
        return
    torch.use_deterministic_algorithms(True)
    total = sum(make(name, os.path.join(a.out, name)) for name in a.cases or CASES)
    print(f"{total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
