"""Golden data for what the list of structure says: which modules of diffusers read what.

    make_structure.py [--out FILE] [--only CASE...]     FILE: tests/golden/structure.json
    make_structure.py --check SIGMASCOPE CONFIG...      builds small networks of these config.json
                                                        and compares `SIGMASCOPE inspect --json`

Made with torch 2.15.0 (CPU, one thread, eval, fp64), diffusers 0.42.1. The networks are those of
tests/golden/unets, the configurations of --check with their widths made small. Nothing is taken from
their code; it is tried out: a source is made 1000 times larger, and a module reads it without a norm
if its input becomes more than 30 times larger; none becomes 10 to 30 times larger.

Of each network, lists of module paths:

    stream      convolutions, proj_out and parts of attention that read the stream of a residual,
                attention or resampling block (the source is the block's input), or of a
                transformer (the source is what its last block puts out)
    text        to_k, to_v, add_k_proj, add_v_proj, encoder_hid_proj that read the given text
    embedding   time_emb_proj, conv2 that read the time embedding
    picture     conv_in, skip_conv that read the picture
    undivided   blocks that add their branch to the stream as it is: twice the branch changes the
                output by the branch itself
    sums        how many blocks add a branch to the stream at all
"""
import argparse
import json
import os
import subprocess
import tempfile

import torch
import diffusers
from safetensors.torch import load_file
from torch import nn

import make_unets
import make_video_unets
from make_unets import make_inputs, randomise

HERE = os.path.dirname(os.path.abspath(__file__))
FACTOR = 1000
TRANSFORMERS = ("Transformer2DModel", "TransformerTemporalModel", "TransformerSpatioTemporalModel")
BLOCKS = TRANSFORMERS + ("ResnetBlock2D", "Attention", "Downsample2D", "Upsample2D",
                         "BasicTransformerBlock", "TemporalConvLayer", "TemporalResnetBlock")
WHOLE = ("ResnetBlock2D", "BasicTransformerBlock", "TemporalBasicTransformerBlock")
ENDS = {"ResnetBlock2D": "conv2", "Attention": "to_out.0", "Transformer2DModel": "proj_out",
        "TransformerTemporalModel": "proj_out", "TransformerSpatioTemporalModel": "proj_out",
        "TemporalConvLayer": "conv4.3", "TemporalResnetBlock": "conv2"}
TEXT = ("to_k", "to_v", "add_k_proj", "add_v_proj", "encoder_hid_proj")


def kind(module):
    return type(module).__name__


def call(model, given):
    videos = given["x"].ndim == 5
    return (make_video_unets if videos else make_unets).call(model, given)


def sizes(model, given, hook=None):
    """The norm of the input of every convolution and linear layer, with a hook of a source."""
    seen, hooks = {}, [hook] if hook else []
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            def see(_, args, name=name):
                seen[name] = float(args[0].double().norm())
            hooks.append(module.register_forward_pre_hook(see))
    with torch.no_grad():
        call(model, given)
    for h in hooks:
        h.remove()
    return seen


def enlarge_input(module, index=0, keyword="hidden_states"):
    def f(_, args, kwargs):
        if len(args) > index:
            args = args[:index] + (args[index] * FACTOR,) + args[index + 1:]
        else:
            kwargs = dict(kwargs, **{keyword: kwargs[keyword] * FACTOR})
        return args, kwargs
    return module.register_forward_pre_hook(f, with_kwargs=True)


def enlarge_output(module, factor=FACTOR):
    return module.register_forward_hook(lambda m, args, y: y * factor)


def output(model, module, given, hook=None):
    seen = []
    watch = module.register_forward_hook(
        lambda m, args, y: seen.append(y if torch.is_tensor(y) else y[0]))
    with torch.no_grad():
        call(model, given)
    watch.remove()
    if hook:
        hook.remove()
    return seen[-1]


def look(model, given):
    model = model.double()
    for name, module in model.named_modules():
        if name.endswith("time_proj"):
            module.register_forward_hook(lambda module, x, y: y.double())
    given = {k: v.double() if v.is_floating_point() else v for k, v in given.items()}
    found = {k: set() for k in ("stream", "text", "embedding", "picture", "undivided")}
    sums, modules, base = 0, dict(model.named_modules()), sizes(model, given)

    def collect(what, hook, wanted):
        for name, size in sizes(model, given, hook).items():
            ratio = size / base[name]
            if wanted(name):
                assert ratio > 30 or ratio < 10, (what, name, ratio)
                if ratio > 30:
                    found[what].add(name)

    for name, module in modules.items():
        parent = kind(modules[name.rpartition(".")[0]]) if name else ""
        if kind(module) not in BLOCKS or parent in WHOLE:
            continue
        inside = lambda x: x.startswith(name + ".")
        collect("stream", enlarge_input(module), inside)
        if kind(module) in ("ResnetBlock2D", "TemporalResnetBlock"):
            collect("embedding", enlarge_input(module, 1, "temb"), inside)
        if kind(module) in TRANSFORMERS and len(module.transformer_blocks):
            collect("stream", enlarge_output(module.transformer_blocks[-1]),
                    lambda x: x == name + ".proj_out")
        if kind(module) not in ENDS:
            continue
        end = modules[name + "." + ENDS[kind(module)]]
        once, branch = output(model, module, given), output(model, end, given)
        twice = output(model, module, given, enlarge_output(end, 2))
        sums += 1
        if float((twice - once).norm()) > 0.999 * float(branch.norm()):
            found["undivided"].add(name)
    for norm, end in [("conv_norm_out", "conv_out")] + [
            (n, n.replace("skip_norm", "skip_conv")) for n in modules if n.endswith("skip_norm")]:
        collect("stream", enlarge_input(modules[norm], 0, "input"), lambda x: x == end)
    if given.get("encoder_hidden_states") is not None:
        large = dict(given, encoder_hidden_states=given["encoder_hidden_states"] * FACTOR)
        found["text"] = {k for k, v in sizes(model, large).items()
                         if k.endswith(TEXT) and v > 30 * base[k]}
    large = dict(given, x=given["x"] * FACTOR)
    found["picture"] = {k for k, v in sizes(model, large).items()
                        if (k == "conv_in" or k.endswith("skip_conv")) and v > 30 * base[k]}
    return dict({k: sorted(v) for k, v in found.items()}, sums=sums,
                told_text=given.get("encoder_hidden_states") is not None)


def class_of(config):
    return getattr(diffusers, config["_class_name"])


def golden_case(folder):
    with open(folder + "/config.json") as f:
        config = json.load(f)
    model = class_of(config).from_pretrained(folder).eval()
    g = load_file(folder + "/golden.safetensors")
    given = {k: g[k] for k in ("x", "timesteps", "class_labels", "encoder_hidden_states",
                               "attention_mask", "text_embeds", "time_ids", "timestep_cond",
                               "added_time_ids") if k in g}
    if "class_labels" in given and config.get("num_class_embeds") and given["class_labels"].ndim == 1:
        given["class_labels"] = given["class_labels"].long()
    if config.get("time_embedding_type") == "learned":
        given["timesteps"] = given["timesteps"].long()
    return model, given


def small(config):
    """The same network with narrow layers, and at most two blocks in a transformer."""
    config = dict(config)
    heads = config.get("attention_head_dim")
    config["block_out_channels"] = [8 * (1 + i) for i in range(len(config["block_out_channels"]))]
    config["norm_num_groups"] = 4
    if config["_class_name"] == "UNet2DConditionModel":
        config["attention_head_dim"] = [4] * len(heads) if isinstance(heads, list) else 4
        for key, value in (("cross_attention_dim", 32), ("encoder_hid_dim", 48),
                           ("addition_time_embed_dim", 4), ("addition_embed_type_num_heads", 4)):
            if config.get(key):
                config[key] = value
        if config.get("addition_embed_type") == "text_time":
            config["projection_class_embeddings_input_dim"] = 10 + 6 * 4
    depth = config.get("transformer_layers_per_block")
    if isinstance(depth, list):
        config["transformer_layers_per_block"] = [min(d, 2) for d in depth]
    config["sample_size"] = 16
    return config


# What the rows of the list claim, in the words of the golden lists.
def claims(rows):
    def of(kinds, wanted=lambda m: True):
        return {m for r in rows if r["kind"] in kinds for m in r["modules"].split(", ") if wanted(m)}
    inner = ("residual_sum", "image_sum")
    return {
        "stream": of(("attention without norm", "convolution without norm"),
                     lambda m: m.endswith(("to_q", "to_k", "to_v", "to_out.0", ".conv",
                                           "conv_shortcut", "proj_out"))),
        "text": of(("text without norm",)),
        "embedding": of(("scale after the norm", "embedding without norm"),
                        lambda m: m.endswith(("time_emb_proj", "conv2"))),
        "picture": of(("input without norm",)),
        "undivided": of(("sum without scale",),
                        lambda m: not m.endswith(inner) and "transformer_blocks." not in m),
    }


def check(program, path):
    with open(path) as f:
        config = small(json.load(f))
    torch.manual_seed(0)
    model = class_of(config).from_config(config).eval()
    randomise(model, torch.float32)
    side = 2 ** (len(config["block_out_channels"]) - 1)
    labels = {"timestep": torch.tensor([5., 9.])}.get(config.get("class_embed_type"))
    given = make_inputs(model, (side, side), {"class_labels": labels} if labels is not None else {})
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        r = subprocess.run([program, "inspect", "--json", "--quiet", folder], capture_output=True)
    want = look(model, given)
    got = claims(json.loads(r.stdout)["structure"]["rows"])
    wrong = {k: sorted(set(want[k]) ^ got[k]) for k in got if set(want[k]) != got[k]}
    print(f"{os.path.basename(path)}: {sum(len(want[k]) for k in got)} modules,",
          f"differ: {wrong}" if wrong else "as PyTorch", flush=True)
    return not wrong


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "structure.json"))
    p.add_argument("--check", metavar="SIGMASCOPE")
    p.add_argument("--only", action="append", metavar="CASE", help="add these to FILE, keep the others")
    p.add_argument("configs", nargs="*")
    a = p.parse_args()
    torch.set_num_threads(1)
    if a.check:
        raise SystemExit(0 if all([check(a.check, c) for c in a.configs]) else 1)
    result = {}
    if a.only:
        with open(a.out) as f:
            result = json.load(f)
    for name in a.only or sorted(os.listdir(HERE + "/unets")):
        result[name] = look(*golden_case(os.path.join(HERE, "unets", name)))
        print(name, {k: v if isinstance(v, int) else len(v) for k, v in result[name].items()}, flush=True)
    with open(a.out, "w") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, sort_keys=True)}"
                                   for k, v in sorted(result.items())) + "\n}\n")


if __name__ == "__main__":
    main()
