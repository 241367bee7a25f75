"""Golden data for single files: tests/golden/single.json.gz

Models of diffusers and transformers are laid out as the code bases of Stable Diffusion store them
(LDM, sgm, OpenCLIP), by tables that were written here, from the other side than those of
models/file/single_tables.c. diffusers' own conversion of each file must give the model back, so
that both directions are checked by what others wrote.

    make_single.py OUT.json.gz CONFIGS    writes the golden data; CONFIGS: folder of published configs
    make_single.py --open SIGMASCOPE DIR CONFIGS
                                          makes the small files in DIR, lets `SIGMASCOPE convert` make
                                          folders of them, and opens those in diffusers, strictly

The file holds no weights. For each case:
    file        {name: shape} of the single file
    components  {unet|vae|text_encoder|text_encoder_2: {
                    config  what must be inferred,
                    tensors {diffusers' name: [shape, CRC-32 or null]}}}
A tensor NAME of the file has as value i (F16) the bits (crc32(NAME) + 40503 i) & 0xbbff, so that all
are finite and of ordinary size; the CRC is that of a converted tensor's bytes. Cases of full size
have names and shapes only (null).

Written with torch 2.15.0, diffusers 0.42.1, transformers 5.24.0.
"""
import gzip
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as theirs
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

CONFIGS = Path(sys.argv[-1])

# ---- the configurations that must be inferred ----

UNET = {"_class_name": "UNet2DConditionModel", "act_fn": "silu", "norm_num_groups": 32,
        "norm_eps": 1e-05, "flip_sin_to_cos": True, "freq_shift": 0, "downsample_padding": 1,
        "mid_block_scale_factor": 1, "center_input_sample": False, "in_channels": 4,
        "out_channels": 4}
VAE = {"_class_name": "AutoencoderKL", "act_fn": "silu", "norm_num_groups": 32, "in_channels": 3,
       "out_channels": 3, "latent_channels": 4}
CLIP = {"vocab_size": 49408, "max_position_embeddings": 77, "layer_norm_eps": 1e-05,
        "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "model_type": "clip_text_model",
        "attention_dropout": 0.0}


def unet(width, layers, depth, text, heads, **more):
    """depth: transformer blocks per level, 0 where there are none."""
    return dict(UNET, block_out_channels=width, layers_per_block=layers, cross_attention_dim=text,
                attention_head_dim=heads,
                down_block_types=["CrossAttnDownBlock2D" if d else "DownBlock2D" for d in depth],
                up_block_types=["CrossAttnUpBlock2D" if d else "UpBlock2D" for d in depth[::-1]],
                **more)


def vae(width, layers, scaling, size, **more):
    return dict(VAE, block_out_channels=width, layers_per_block=layers, scaling_factor=scaling,
                sample_size=size, down_block_types=["DownEncoderBlock2D"] * len(width),
                up_block_types=["UpDecoderBlock2D"] * len(width), **more)


def clip(width, layers, inner, act, projection=None, **more):
    name = "CLIPTextModelWithProjection" if projection else "CLIPTextModel"
    return dict(CLIP, architectures=[name], hidden_size=width, num_hidden_layers=layers,
                intermediate_size=inner, hidden_act=act, num_attention_heads=width // 64,
                projection_dim=projection or width, **more)


def published(name):
    """A published config.json, without keys that have diffusers' default or say nothing."""
    return json.loads((CONFIGS / name).read_text())


SMALL_VOCABULARY = {"vocab_size": 96, "max_position_embeddings": 12}
SMALL_VAE = dict(width=[32, 64], layers=1)
XL_LABELS = dict(addition_embed_type="text_time", addition_time_embed_dim=256,
                 use_linear_projection=True)

CASES = {
    "small-1": {
        "unet": unet([32, 64], 1, [1, 0], 768, 8, use_linear_projection=False, sample_size=64,
                     transformer_layers_per_block=1),
        "vae": vae([32, 64], 1, 0.18215, 512),
        "text_encoder": clip(64, 2, 128, "quick_gelu", **SMALL_VOCABULARY),
    },
    "small-1-inpainting": {
        "unet": unet([32, 32, 64], 1, [0, 1, 1], 768, 8, use_linear_projection=False,
                     sample_size=64, transformer_layers_per_block=1, **{"in_channels": 9}),
    },
    "small-2": {
        "unet": unet([64, 128], 1, [1, 0], 1024, [1, 2], use_linear_projection=True,
                     sample_size=64, transformer_layers_per_block=1, upcast_attention=False),
        "vae": vae([32, 64], 1, 0.18215, 768),
        "text_encoder": clip(128, 3, 64, "gelu", **SMALL_VOCABULARY),
    },
    "small-xl": {
        "unet": unet([32, 64, 64], 2, [0, 1, 3], 2048, [1, 1, 1], sample_size=128,
                     transformer_layers_per_block=[1, 1, 3],
                     projection_class_embeddings_input_dim=70, **XL_LABELS),
        "vae": vae([32, 64], 1, 0.13025, 1024),
        "text_encoder": clip(64, 2, 128, "quick_gelu", **SMALL_VOCABULARY),
        "text_encoder_2": clip(128, 2, 64, "gelu", 192, **SMALL_VOCABULARY),
    },
    "small-refiner": {
        "unet": unet([64, 128, 128], 1, [0, 2, 0], 1280, [1, 2, 2], sample_size=128,
                     transformer_layers_per_block=2, projection_class_embeddings_input_dim=50,
                     **XL_LABELS),
        "vae": vae([32, 64], 1, 0.13025, 1024),
        "text_encoder_2": clip(64, 3, 32, "gelu", 96, **SMALL_VOCABULARY),
    },
    "small-vae": {"vae": vae([32, 32, 64], 2, 0.18215, 512)},
    "small-vae-16": {
        "vae": vae([32, 64], 1, 0.3611, 1024, latent_channels=16, shift_factor=0.1159,
                   use_quant_conv=False, use_post_quant_conv=False)
    },
    "1.5": {
        "unet": published("stable-diffusion-1.5.json"),
        "vae": vae([128, 256, 512, 512], 2, 0.18215, 512),
        "text_encoder": clip(768, 12, 3072, "quick_gelu"),
    },
    "2.1-base": {
        "unet": published("stable-diffusion-2.1-base.json"),
        "vae": vae([128, 256, 512, 512], 2, 0.18215, 768),
        "text_encoder": clip(1024, 23, 4096, "gelu"),
    },
    "xl-base": {
        "unet": published("stable-diffusion-xl-base-1.0.json"),
        "vae": vae([128, 256, 512, 512], 2, 0.13025, 1024),
        "text_encoder": clip(768, 12, 3072, "quick_gelu"),
        "text_encoder_2": clip(1280, 32, 5120, "gelu", 1280),
    },
    "xl-refiner": {  # as published at stabilityai/stable-diffusion-xl-refiner-1.0
        "unet": unet([384, 768, 1536, 1536], 2, [0, 4, 4, 0], 1280, [6, 12, 24, 24],
                     sample_size=128, transformer_layers_per_block=4,
                     projection_class_embeddings_input_dim=2560, **XL_LABELS),
        "vae": vae([128, 256, 512, 512], 2, 0.13025, 1024),
        "text_encoder_2": clip(1280, 32, 5120, "gelu", 1280),
    },
}
FULL = {"1.5", "2.1-base", "xl-base", "xl-refiner"}

CLASSES = {"UNet2DConditionModel": UNet2DConditionModel, "AutoencoderKL": AutoencoderKL}


def make(config):
    """The model of a configuration, without values."""
    with torch.device("meta"):
        if "architectures" in config:
            cls = (CLIPTextModelWithProjection if config["architectures"] ==
                   ["CLIPTextModelWithProjection"] else CLIPTextModel)
            return cls(CLIPTextConfig(**{k: v for k, v in config.items() if k != "architectures"}))
        return CLASSES[config["_class_name"]].from_config(config)


def shapes(model):
    """{name: shape}, with the names of published files."""
    named = {k: list(v.shape) for k, v in model.state_dict().items()}
    if isinstance(model, CLIPTextModel):
        named = {k if k.startswith("text_model.") else "text_model." + k: v
                 for k, v in named.items()}
    return named


# ---- from diffusers' names to those of single files ----

def ldm_unet_name(name, config):
    per = config["layers_per_block"] + 1
    for theirs_, ours in [("time_embedding.linear_1", "time_embed.0"),
                          ("time_embedding.linear_2", "time_embed.2"),
                          ("add_embedding.linear_1", "label_emb.0.0"),
                          ("add_embedding.linear_2", "label_emb.0.2"),
                          ("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"),
                          ("conv_out", "out.2")]:
        if name.startswith(theirs_ + "."):
            return ours + name[len(theirs_):]
    m = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)"
                     r"\.(\d+)\.(.*)", name)
    if m:
        side, block, kind, item, rest = m[1], int(m[2]), m[3], int(m[4]), m[5]
        if kind == "downsamplers":
            return f"input_blocks.{block * per + per}.0.op.{rest.removeprefix('conv.')}"
        if kind == "upsamplers":
            has = config["up_block_types"][block].startswith("Cross")
            return f"output_blocks.{block * per + per - 1}.{2 if has else 1}.{rest}"
        number = block * per + item + (1 if side == "down" else 0)
        head = f"{'input' if side == 'down' else 'output'}_blocks.{number}"
    else:
        m = re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name)
        kind, rest = m[1], m[3]
        head = f"middle_block.{1 if kind == 'attentions' else 2 * int(m[2])}"
    if kind == "attentions":
        return f"{head}.1.{rest}" if not head.startswith("middle") else f"{head}.{rest}"
    for a, b in [("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"),
                 ("norm2", "out_layers.0"), ("conv2", "out_layers.3"),
                 ("conv_shortcut", "skip_connection")]:
        rest = re.sub(rf"^{a}\.", b + ".", rest)
    return f"{head}.{rest}" if head.startswith("middle") else f"{head}.0.{rest}"


def ldm_vae_name(name, config):
    last = len(config["block_out_channels"]) - 1
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    if "mid_block.attentions.0" in name:
        for a, b in [("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"),
                     ("to_out.0", "proj_out")]:
            name = name.replace(f"mid_block.attentions.0.{a}.", f"mid.attn_1.{b}.")
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{last - int(m[1])}.block", name)
    return re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample",
                  name)


def add_unet(file, parts, prefix, config):
    model = make(config)
    for name, shape in shapes(model).items():
        ldm = prefix + ldm_unet_name(name, config)
        file[ldm] = shape
        parts[name] = (shape, [ldm], None)


def add_vae(file, parts, prefix, config):
    for name, shape in shapes(make(config)).items():
        ldm = prefix + ldm_vae_name(name, config)
        conv = "mid.attn_1" in ldm and len(shape) == 2
        file[ldm] = shape + [1, 1] if conv else shape
        parts[name] = (shape, [ldm], None)


def add_clip(file, parts, prefix, config):
    for name, shape in shapes(make(config)).items():
        file[prefix + name] = shape
        parts[name] = (shape, [prefix + name], None)


def add_open_clip(file, parts, prefix, config, layers):
    """layers: those in the file; the last is left out where the model has fewer."""
    model = make(config)
    width = config["hidden_size"]
    named = shapes(model)
    for name, shape in named.items():
        m = re.fullmatch(r"text_model\.encoder\.layers\.(\d+)\.(.*)", name)
        if not m:
            ldm = {"text_model.embeddings.token_embedding.weight": "token_embedding.weight",
                   "text_model.embeddings.position_embedding.weight": "positional_embedding",
                   "text_model.final_layer_norm.weight": "ln_final.weight",
                   "text_model.final_layer_norm.bias": "ln_final.bias",
                   "text_projection.weight": "text_projection"}[name]
            file[prefix + ldm] = shape[::-1] if ldm == "text_projection" else shape
            parts[name] = (shape, [prefix + ldm], "T" if ldm == "text_projection" else None)
            continue
        for layer in [int(m[1])] + ([layers - 1] if int(m[1]) == 0 else []):
            head, rest = f"{prefix}transformer.resblocks.{layer}.", m[2]
            q = re.fullmatch(r"self_attn\.([qkv])_proj\.(weight|bias)", rest)
            if q:
                ldm = f"{head}attn.in_proj_{q[2]}"
                file[ldm] = [3 * width] + shape[1:]
                change = "qkv".index(q[1])
            else:
                for a, b in [("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"),
                             ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"),
                             ("self_attn.out_proj", "attn.out_proj")]:
                    rest = re.sub(rf"^{a}\.", b + ".", rest)
                ldm, change = head + rest, None
                file[ldm] = shape
            if layer == int(m[1]):
                parts[name] = (shape, [ldm], change)
    if "text_projection.weight" not in named:
        file[prefix + "text_projection"] = [width, width]
    file[prefix + "logit_scale"] = []


# ---- cases ----

def lay_out(case, components):
    """{name: shape} of the file, {component: {name: (shape, [source], change)}}."""
    file, parts = {}, {c: {} for c in components}
    xl = case.startswith(("xl", "small-xl", "small-refiner"))
    two = case.startswith(("2", "small-2"))
    alone = len(components) == 1 and "vae" in components
    for c, config in components.items():
        if c == "unet":
            add_unet(file, parts[c], "model.diffusion_model.", config)
        elif c == "vae":
            add_vae(file, parts[c], "" if alone else "first_stage_model.", config)
        elif c == "text_encoder_2":
            number = 1 if "text_encoder" in components else 0
            add_open_clip(file, parts[c], f"conditioner.embedders.{number}.model.", config,
                          config["num_hidden_layers"])
        elif two:
            add_open_clip(file, parts[c], "cond_stage_model.model.", config,
                          24 if config["num_hidden_layers"] == 23 else config["num_hidden_layers"])
        else:
            prefix = "conditioner.embedders.0" if xl else "cond_stage_model"
            add_clip(file, parts[c], prefix + ".transformer.", config)
            file[prefix + ".transformer.text_model.embeddings.position_ids"] = [
                1, config["max_position_embeddings"]]
    if not alone:
        for extra in ["alphas_cumprod", "sqrt_alphas_cumprod"] if not xl else ["denoiser.sigmas"]:
            file[extra] = [1000]
    if case == "small-1":  # with averaged weights
        for name in [n for n in file if n.startswith("model.diffusion_model.")]:
            file["model_ema." + name.removeprefix("model.").replace(".", "")] = file[name]
        file["model_ema.decay"] = []
        file["model_ema.num_updates"] = []
    return file, parts


def values(name, shape):
    n = int(np.prod(shape, dtype=np.int64))
    bits = (zlib.crc32(name.encode()) + 40503 * np.arange(n, dtype=np.uint64)) & 0xbbff
    return bits.astype(np.uint16).view(np.float16).reshape(shape)


def converted(part, file):
    """The values of a component's tensor, by our own table."""
    shape, (source,), change = part
    v = values(source, file[source])
    if change == "T":
        v = v.T
    elif change is not None:
        v = v[change * shape[0]:(change + 1) * shape[0]]
    return np.ascontiguousarray(v.reshape(shape))


def check_against_diffusers(case, components, file, parts):
    """diffusers' conversion of the file must give what our table gives."""
    full = case in FULL
    state = {k: (torch.empty(v, device="meta") if full else torch.from_numpy(values(k, v).copy()))
             for k, v in file.items()}
    for c, config in components.items():
        if c == "unet":
            got = theirs.convert_ldm_unet_checkpoint(dict(state), dict(
                config, class_embed_type=None))
        elif c == "vae":
            got = theirs.convert_ldm_vae_checkpoint(dict(state), config)
        elif any(k.endswith("in_proj_weight") and k.startswith(
                ("cond_stage_model", "conditioner.embedders")) for k in file) and (
                    c == "text_encoder_2" or "text_encoder_2" not in components):
            model = make(config)
            prefix = next(k for k in file if k.endswith("token_embedding.weight")
                          and ".model." in k).removesuffix("token_embedding.weight")
            # it splits in_proj by the rows of text_projection, which is right where that is square
            if f"{prefix}text_projection" in file:
                state[prefix + "text_projection"] = state[prefix + "text_projection"][
                    :config["hidden_size"]]
            got = theirs.convert_open_clip_checkpoint(model, dict(state), prefix=prefix)
            if "text_projection.weight" not in parts[c]:  # it keeps that of small encoders
                got.pop("text_projection.weight", None)
        else:
            got = theirs.convert_ldm_clip_checkpoint(dict(state))
            got = {k: v for k, v in got.items() if not k.endswith("position_ids")}
        assert set(got) == set(parts[c]), (case, c, set(got) ^ set(parts[c]))
        for name, part in parts[c].items():
            assert list(got[name].shape) == part[0], (case, c, name, got[name].shape, part[0])
            if not full:
                assert np.array_equal(got[name].numpy().view(np.uint16),
                                      converted(part, file).view(np.uint16)), (case, c, name)


def write_golden(path):
    out = {}
    for case, components in CASES.items():
        file, parts = lay_out(case, components)
        check_against_diffusers(case, components, file, parts)
        out[case] = {"file": file, "components": {}}
        for c, config in components.items():
            tensors = {name: [p[0], None if case in FULL else zlib.crc32(converted(
                p, file).tobytes())] for name, p in parts[c].items()}
            out[case]["components"][c] = {"config": config, "tensors": tensors}
        print(case, len(file), {c: len(p) for c, p in parts.items()})
    text = json.dumps(out, separators=(",", ":")).encode()
    with open(path, "wb") as f:  # no time in it: the same data give the same bytes
        f.write(gzip.compress(text, 9, mtime=0))
    print(path, Path(path).stat().st_size, "bytes")


# ---- what `convert` makes, opened by diffusers ----

def words(folder):
    """A pipeline's folder with tokenizers of a few words."""
    vocabulary = ["a", "b", "a</w>", "b</w>", "ab</w>", "<|startoftext|>", "<|endoftext|>"]
    for name in ["tokenizer", "tokenizer_2"]:
        (folder / "words" / name).mkdir(parents=True, exist_ok=True)
        (folder / "words" / name / "vocab.json").write_text(
            json.dumps({w: i for i, w in enumerate(vocabulary)}))
        (folder / "words" / name / "merges.txt").write_text("#version: 0.2\na b</w>\n")
        (folder / "words" / name / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 12}))
    return folder / "words"


def open_converted(program, folder):
    from safetensors.numpy import save_file
    folder = Path(folder)
    for case, components in CASES.items():
        if case in FULL:
            continue
        file, parts = lay_out(case, components)
        source, target = folder / f"{case}.safetensors", folder / case
        if case == "small-1":  # as trainers of that time wrote it
            source = source.with_suffix(".ckpt")
            torch.save({"state_dict": {k: torch.from_numpy(values(k, v).copy())
                                       for k, v in file.items()}, "global_step": 7}, source)
        else:
            save_file({k: values(k, v) for k, v in file.items()}, source)
        command = [program, "convert", source, target, "--force", "--tokenizer", words(folder)]
        if case == "small-2":
            command += ["--prediction", "v_prediction"]
        subprocess.run(command, check=True)
        alone = len(components) == 1
        for c, config in components.items():
            where = target if alone else target / c
            cls = type(make(config))
            model, info = cls.from_pretrained(where, output_loading_info=True,
                                              local_files_only=True, torch_dtype=torch.float16)
            assert not any(info[k] for k in ("missing_keys", "unexpected_keys",
                                             "mismatched_keys")), (case, c, info)
            state = {k if not isinstance(model, CLIPTextModel) or k.startswith("text_model.")
                     else "text_model." + k: v for k, v in model.state_dict().items()}
            for name, part in parts[c].items():
                assert np.array_equal(state[name].numpy().view(np.uint16),
                                      converted(part, file).view(np.uint16)), (case, c, name)
        if not alone:
            from diffusers import DiffusionPipeline
            pipe = DiffusionPipeline.from_pretrained(target, local_files_only=True,
                                                     torch_dtype=torch.float16)
            print(case, type(pipe).__name__, type(pipe.scheduler).__name__,
                  pipe.scheduler.config.prediction_type)
        else:
            print(case, "opened")


if sys.argv[1] == "--open":
    open_converted(sys.argv[2], sys.argv[3])
else:
    write_golden(sys.argv[1])
