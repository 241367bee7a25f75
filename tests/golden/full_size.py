"""Holds the program against PyTorch at full size, module by module, with random weights.

    full_size.py CONFIGS OUT [--models sd15,sdxl,if-i-m,cifar10,sd-vae,sdxl-vae,modelscope,svd,animatediff]
                 [--size 32x32] [--frames 4] [--dtype f32|f16]
                 [--strided K] [--program build/sigmascope] [--stages make,reference,program,compare]

CONFIGS is a folder of published config.json files, named as in MODELS below. For each model there are
four stages, each a process of its own, so that no two copies of the weights are ever in memory:

    make       OUT/NAME/config.json, diffusion_pytorch_model*.safetensors (in shards of 2 GB), and
               OUT/NAME-inputs.safetensors: x [N,C,H,W], of videos [N,C,F,H,W], and what the model
               wants of encoder_hidden_states [N,77,width], [N,1,width] of Stable Video Diffusion,
               text_embeds [N,width], time_ids [N,6] or [N,3]; of an autoencoder z [N,c,h,w], and OUT/NAME.png, which it encodes
    reference  OUT/NAME-reference.h5: what each module gives in PyTorch (fp32, eval), channels last
    program    OUT/NAME-run.h5: the same from `sigmascope probe --dump '*'`; of an autoencoder of
               what decodes, and OUT/NAME-encode-run.h5 of what encodes
    compare    a line of the table: modules compared and missing, the worst relative L2 distance and its
               module, and that of the network's answer (conv_out, or the decoder's)

The exit status is 1 if a module is missing or further away than --limit. A small model of 36 million
parameters takes seconds; SDXL takes 10 GB of memory and of disk in f32, half the disk in f16, and its
activations at 128x128 as much again: --size 32x32 makes them small, and --strided K keeps K evenly
strided elements of each module's output in the reference and compares only those.

Seeds: the CRC-32 of each tensor's name. Made with torch 2.15.0, diffusers 0.42.1, h5py 3.16.0.
"""
import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
import zlib

import diffusers
import h5py
import numpy
import torch
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import make_motion_unets
import make_unets
import make_video_unets
from make_unets import channels_last, first_tensor, watched

MODELS = {
    "sd15": "stable-diffusion-1.5",
    "sdxl": "stable-diffusion-xl-base-1.0",
    "if-i-m": "deepfloyd-if-i-m",
    "cifar10": "ddpm-cifar10-32",
    "sd-vae": "stable-diffusion-1.5-vae",
    "sdxl-vae": "stable-diffusion-xl-vae",
    "modelscope": "text-to-video-ms-1.7b",
    "svd": "stable-video-diffusion-img2vid",
    "animatediff": "animatediff-v3-stable-diffusion-1.5", # the config of UNetMotionModel.from_unet2d
}
VIDEOS = ["modelscope", "svd", "animatediff"]
STAGES = ["make", "reference", "program", "compare"]
WEIGHTS = "diffusion_pytorch_model"
SHARD = 2 << 30


def empty_model(path):
    """The model of a config.json, without memory for its weights."""
    with open(path) as f:
        config = json.load(f)
    cls = getattr(diffusers, config["_class_name"])
    with torch.device("meta"):
        return cls.from_config(config).eval()


def random(name, shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def weights(model):
    """(name, numel, function that makes the tensor) of every parameter."""
    for path, module in model.named_modules():
        for key, p in module.named_parameters(recurse=False):
            name = f"{path}.{key}" if path else key
            if isinstance(module, (nn.GroupNorm, nn.LayerNorm)) and key == "weight":
                f = lambda n=name, s=p.shape: 1 + 0.2 * random(n, s)
            elif p.ndim == 1:
                f = lambda n=name, s=p.shape: 0.1 * random(n, s)
            elif isinstance(module, nn.Embedding):
                f = lambda n=name, s=p.shape: random(n, s)
            else:
                f = lambda n=name, s=p.shape: random(n, s) / s[1:].numel() ** 0.5
            yield name, p.numel(), f


def write_model(a, name):
    folder = os.path.join(a.out, name)
    os.makedirs(folder, exist_ok=True)
    model = empty_model(os.path.join(a.configs, MODELS[name] + ".json"))
    model.save_config(folder)
    dtype = torch.float16 if a.dtype == "f16" else torch.float32
    shards, size = [[]], 0
    for w in weights(model):
        bytes_ = w[1] * (2 if a.dtype == "f16" else 4)
        if shards[-1] and size + bytes_ > SHARD:
            shards.append([])
            size = 0
        shards[-1].append(w)
        size += bytes_
    index, total = {}, 0
    for f in os.listdir(folder):
        if f.startswith(WEIGHTS):
            os.unlink(os.path.join(folder, f))
    for i, shard in enumerate(shards):
        file = f"{WEIGHTS}.safetensors" if len(shards) == 1 else \
            f"{WEIGHTS}-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        tensors = {n: f().to(dtype) for n, _, f in shard}
        save_file(tensors, os.path.join(folder, file), metadata={"format": "pt"})
        index.update({n: file for n in tensors})
        total += sum(t.numel() * t.element_size() for t in tensors.values())
    if len(shards) > 1:
        with open(os.path.join(folder, WEIGHTS + ".safetensors.index.json"), "w") as f:
            json.dump({"metadata": {"total_size": total}, "weight_map": index}, f, indent=2)
    write_inputs(a, name, model.config)


def is_vae(c):
    return "latent_channels" in c


def is_video(c):
    return "num_frames" in c or any("3D" in t or "Motion" in t for t in c.get("down_block_types", []))


def is_motion(c):
    return any("Motion" in t for t in c.get("down_block_types", []))


def video_call(model, given):
    """A network for videos, whose x is stored as [N,C,F,H,W]."""
    given = dict(given, x=given["x"].transpose(1, 2), added_time_ids=given.get("time_ids"))
    return (make_motion_unets if is_motion(model.config) else make_video_unets).call(model, given)


def write_inputs(a, name, c):
    size = c.sample_size if isinstance(c.sample_size, (list, tuple)) else [c.sample_size] * 2
    if a.size:
        size = [int(s) for s in a.size.split("x")]
    if is_vae(c):
        x = 127.5 * (1 + 0.5 * random("x", (*size, c.in_channels)))
        Image.fromarray(x.round().clamp(0, 255).byte().numpy()).save(os.path.join(a.out, name + ".png"))
        down = 2 ** (len(c.block_out_channels) - 1)
        z = random("z", (1, c.latent_channels, *(s // down for s in size)))
        save_file({"z": z}, os.path.join(a.out, name + "-inputs.safetensors"))
        return
    video = is_video(c)
    given = {"x": random("x", (a.batch, c.in_channels, *([a.frames] if video else []), *size))}
    if c.get("cross_attention_dim"):
        width = c.get("encoder_hid_dim") or c.cross_attention_dim
        tokens = 1 if "num_frames" in c else 77
        given["encoder_hidden_states"] = random("encoder_hidden_states", (a.batch, tokens, width))
    if "num_frames" in c:
        given["time_ids"] = torch.tensor([[6., 127., 0.02]] * a.batch)
    if c.get("addition_embed_type") == "text_time":
        width = c.projection_class_embeddings_input_dim - 6 * c.addition_time_embed_dim
        given["text_embeds"] = random("text_embeds", (a.batch, width))
        given["time_ids"] = torch.tensor([[1024., 1024., 0., 0., 1024., 1024.]] * a.batch)
    save_file(given, os.path.join(a.out, name + "-inputs.safetensors"))


def read_model(folder):
    """The weights stay mapped where they are f32 already."""
    model, state = empty_model(os.path.join(folder, "config.json")), {}
    for file in sorted(os.listdir(folder)):
        if file.endswith(".safetensors"):
            with safe_open(os.path.join(folder, file), "pt") as f:
                for name in f.keys():
                    state[name] = f.get_tensor(name).float()
    for name, v in model.named_buffers(): # tables of positions, which stay as they are made
        if name not in state and name.endswith("pos_embed.pe"):
            state[name] = SinusoidalPositionalEmbedding(v.shape[2], v.shape[1]).pe
    model.load_state_dict(state, assign=True)
    return model


def reference(a, name):
    model = read_model(os.path.join(a.out, name))
    given = load_file(os.path.join(a.out, name + "-inputs.safetensors"))
    if not is_vae(model.config):
        given["timesteps"] = torch.full((len(given["x"]),), a.timestep)
    top, video, motion = 0.0, is_video(model.config), is_motion(model.config)
    with h5py.File(os.path.join(a.out, name + "-reference.h5"), "w") as out, torch.no_grad():
        out.attrs["strided"] = a.strided

        def hook(path):
            def f(module, _, y):
                nonlocal top
                y = first_tensor(y)
                if y is None:
                    return
                top = max(top, float(y.abs().max()))
                n = len(given["x"])
                y = (make_motion_unets.channels_last(module, make_motion_unets.once(path, y, n)) if motion
                     else make_video_unets.laid_out(path, y, n).reshape(-1) if video
                     else channels_last(module, y))
                if a.strided and y.numel() > a.strided:
                    y = y[torch.arange(a.strided) * y.numel() // a.strided]
                if path in out: # called twice: the last call counts
                    del out[path]
                out[path] = y.numpy()
            return f
        for path, module in watched(model):
            module.register_forward_hook(hook(path))
        start = time.time()
        if is_vae(model.config):
            x = torch.from_numpy(numpy.array(Image.open(os.path.join(a.out, name + ".png"))))
            model.encode((x.permute(2, 0, 1)[None] / 127.5 - 1))
            model.decode(given["z"] / model.config.scaling_factor)
        else:
            (video_call if video else make_unets.call)(model, given)
        count = len(out)
    print(f"{name}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, "
          f"{count} modules, largest activation {top:.1f}, {time.time() - start:.1f} s, "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** 20:.1f} GiB", flush=True)


def program(a, name):
    inputs = os.path.join(a.out, name + "-inputs.safetensors")
    with safe_open(inputs, "pt") as f:
        keys = set(f.keys())
    if "z" in keys:
        probe(a, name, "-run.h5", ["decoder*", "post_quant_conv"],
              ["--inputs", f"raw:{inputs}#z", "--sigmas", "1"])
        probe(a, name, "-encode-run.h5", ["encoder*", "quant_conv"],
              ["--inputs", f"images:{os.path.join(a.out, name)}.png", "--sigmas", "1"])
        return
    command = ["--inputs", f"raw:{inputs}#x", "--timesteps", str(a.timestep)]
    for option, key in (("--prompt-embeds", "encoder_hidden_states"),
                        ("--text-embeds", "text_embeds"), ("--time-ids", "time_ids")):
        if key in keys:
            command += [option, f"{inputs}#{key}"]
    probe(a, name, "-run.h5", ["*"], command)


def probe(a, name, end, modules, options):
    command = [a.program, "probe", os.path.join(a.out, name), "--samples", str(a.batch),
               "--dump-dtype", "f32", "--force", "-o", os.path.join(a.out, name + end), *options]
    for glob in modules:
        command += ["--dump", glob]
    if a.size:
        command += ["--size", a.size]
    if name in VIDEOS:
        command += ["--frames", str(a.frames)]
    if a.threads:
        command += ["--threads", str(a.threads)]
    subprocess.run(command + a.extra.split(), check=True)


def distance(got, want):
    """Relative L2 of two arrays, in float64 and a piece at a time."""
    d = n = 0.0
    for i in range(0, len(want), 1 << 22):
        g, w = (torch.from_numpy(v[i:i + (1 << 22)]).double() for v in (got, want))
        d += float((g - w).square().sum())
        n += float(w.square().sum())
    return (d / n) ** 0.5 if n else float(d > 0)


def compare(a, name):
    worst, where, missing, seen, answer = 0.0, "", [], 0, float("nan")
    with contextlib.ExitStack() as files:
        ends = ["-run.h5", "-encode-run.h5"] if name.endswith("vae") else ["-run.h5"]
        ref, *runs = [files.enter_context(h5py.File(os.path.join(a.out, name + end)))
                      for end in ["-reference.h5", *ends]]
        strided = int(ref.attrs["strided"])
        for path in ref:
            found = [r["activations"][path] for r in runs if path in r["activations"]]
            if not found:
                missing.append(path)
                continue
            want = ref[path][:]
            got = found[0][0, 0].astype("f4").reshape(-1) # [sample, ...]
            if strided and got.size > strided:
                got = got[(torch.arange(strided) * got.size // strided).numpy()]
            e = distance(got, want) if got.size == want.size else float("inf")
            seen += 1
            if not e <= worst: # a NaN counts as the worst
                worst, where = e, path
            if path in ("conv_out", "decoder.conv_out"):
                answer = e
    print(f"{name:10s} {seen:6d} compared {len(missing):5d} missing   worst {worst:.2e} {where}   "
          f"answer {answer:.2e}", flush=True)
    for path in missing[:10]:
        print("    missing:", path)
    return seen > 0 and not missing and worst <= a.limit


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("configs")
    p.add_argument("out")
    p.add_argument("--models", default=",".join(MODELS))
    p.add_argument("--stages", default=",".join(STAGES))
    p.add_argument("--size", help="HxW instead of the config's sample_size")
    p.add_argument("--frames", type=int, default=4)
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--timestep", type=int, default=601)
    p.add_argument("--dtype", choices=["f32", "f16"], default="f32")
    p.add_argument("--strided", type=int, default=0, metavar="K")
    p.add_argument("--program", default="build/sigmascope")
    p.add_argument("--extra", default="", help="more options for the program")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--limit", type=float, default=1e-5)
    p.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    a = p.parse_args()
    good = True
    for name in a.models.split(","):
        for stage in a.stages.split(","):
            if not a.in_process:
                rc = subprocess.run([sys.executable, *sys.argv, "--in-process", "--models", name,
                                     "--stages", stage]).returncode
                good = good and rc == 0
                if rc != 0:
                    break
                continue
            if a.threads:
                torch.set_num_threads(a.threads)
            good = {"make": write_model, "reference": reference, "program": program,
                    "compare": compare}[stage](a, name) is not False
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
