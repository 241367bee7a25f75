"""Golden data for what overflows where: planted networks in real half precision.

    make_planted.py [--out tests/golden/planted.json]     makes the networks and runs them
    make_planted.py --again                               runs those of the file once more
    make_planted.py --lists build/sigmascope [--only N]   adds what the program's lists are worth
    make_planted.py --show N [--paste MODULE,...]         one network of the file, in words

A planted network is one of the small UNets of tests/golden/unets (BASES below) with a few numbers
changed, so that one value of a random kind, at a random place, is between 0.55 and 3 times the
largest of the format. It sees the first sample of that folder's input at one fixed noise level, and
runs on the CPU in

    half          model.half(), or .bfloat16(); what it is given likewise
    autocast      torch.autocast by CUDA's lists: the autocast of the CPU, within which the
                  operations that CUDA's list has in fp32 and the CPU's has not (group_norm,
                  layer_norm, softmax, upsample_nearest2d; AT_FORALL_FP32 and
                  AT_FORALL_FP32_SET_OPT_DTYPE of ATen/autocast_mode.h) get their inputs as floats
    autocast-cpu  torch.autocast("cpu") as it is

with attention in three codes: sdpa (AttnProcessor2_0, diffusers' default), eager (AttnProcessor:
the scaled logits are stored), eager-unscaled (q k^T is stored, then multiplied by the scale, as in
the first code of Stable Diffusion; with upcast_attention autocast is off there).

scaled_dot_product_attention is the CPU's fused kernel, as anybody gets it. In half precision that can
give 0 for a row of NaN, which no CUDA kernel does. Where it matters, "kept_nan" has the numbers of a
run with the same computation written out: q k^T summed in fp32, then scaled; exp(l - max) rounded,
times v in fp32, then divided by their sum; 0 for a row of logits that are all -inf.

Norms sum squares in fp32: when those reach 2^128 the output is beta, and nothing of a finite input is
left. On the CPU the lanes of a vector are merged in a way that can give NaN
first (delta^2 * 0 of ATen/native/cpu/moments_utils.h, where a lane's mean reaches 2^64), which
CUDA's Welford kernels (WelfordOps in ATen/native/SharedReduceOps.h) do not. Where norms as CUDA's
change what is lost, "cuda_norms" has the numbers of a run in which they are computed so.

The JSON file:

    bases     {NAME: {size: [h, w], told: "--timesteps" or "--sigmas", at: number, class: K or null,
               modules: [PATH...]}}     modules in the order in which their forward ends; "" last
    networks  [{base, kind, edits, runs}]
              edits: [{tensor, op: fill|scale, at: [], value}]    in this order; tensor: a name of
              the weights file, or input:NAME of golden.safetensors; at: leading indices, [] is all
              of it; fill sets, scale multiplies (in fp32)
              runs: [{as, format, attention, first, modules, outputs, lost}]
                  first    the first module, as they end, whose output has inf or NaN; null: none
                  modules  all that have any, as [first, last] pairs of indices into base.modules
                  outputs  how many values of the network's answer are inf or NaN
                  kept_nan    {first, modules, outputs} where NaN is kept, if they differ
                  cuda_norms  {first, modules, outputs, kept_nan} with CUDA's norms, if they differ
              and after --lists
                  fp32     of a network: how many values of the answer are lost in fp32 itself
              and, where anything is lost:
                  keep     {modules, enough, lost}: the program's list (analyze --keep-fp32), whether
                           it says that it suffices, how many values are lost when it is pasted
                  minimal  {modules, lost}: bisect --minimal-fp32, of every eighth network

Networks in which 0.2 % more or less of the planted numbers changes what is lost are drawn anew:
there the order of a sum decides. Made with torch 2.15.0 (CPU with AVX-512, one thread, eval),
diffusers 0.42.1, safetensors 0.8.0, seed 0.
"""
import argparse
import contextlib
import json
import math
import multiprocessing
import os
import random
import subprocess
import tempfile

import diffusers
import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from diffusers.models import attention_processor as ap
from safetensors.torch import load_file, save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from make_unets import first_tensor, watched

diffusers.utils.logging.set_verbosity_error()

HERE = os.path.dirname(os.path.abspath(__file__))
UNETS = os.path.join(HERE, "unets")
DTYPE = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
# The first value that rounds to inf is 65520, and 2^128 - 2^119.
LIMIT = {"fp16": 65520.0, "bf16": 2.0**128 - 2.0**119}

#        told what, at which value, class label
BASES = {
    "attn": ("--timesteps", 641, None),
    "attn-one-head": ("--timesteps", 37, None),
    "scale-shift-attn-groups": ("--timesteps", 500, None),
    "center-scale-nonsquare": ("--timesteps", 900, None),
    "no-mid-attention-mish": ("--timesteps", 250, None),
    "resnet-blocks": ("--timesteps", 641, None),
    "resnet-resample": ("--timesteps", 641, None),
    "tables": ("--timesteps", 37, 3),
    "ncsnpp": ("--sigmas", 0.7, None),
    "skip-layers-2": ("--timesteps", 641, None),
    "sd15": ("--timesteps", 641, None),
    "sd21": ("--timesteps", 37, None),
    "sdxl": ("--timesteps", 641, None),
    "if-1": ("--timesteps", 500, None),
    "if-2": ("--timesteps", 641, 250),
    "only-cross-list": ("--timesteps", 641, 7),
    "cross-norm-layer": ("--timesteps", 641, None),
    "fashion": ("--timesteps", 250, None),
    "attn-blocks-cond": ("--timesteps", 641, None),
    "transformer-layers-lists": ("--timesteps", 750, None),
}


# ---- networks ----

class Base:
    """A folder of tests/golden/unets, and what its modules do in fp32."""

    def __init__(self, name):
        self.name = name
        self.told, self.at, self.label = BASES[name]
        folder = os.path.join(UNETS, name)
        with open(folder + "/config.json") as f:
            self.config = json.load(f)
        self.family = {"UNet2DModel": UNet2DModel,
                       "UNet2DConditionModel": UNet2DConditionModel}[self.config["_class_name"]]
        self.weights = {k: v.float() for k, v in load_file(
            folder + "/diffusion_pytorch_model.safetensors").items()}
        self.golden = load_file(folder + "/golden.safetensors")
        self.net = self.build([])
        self.modules = []
        self.out, self.inner = {}, {}
        hooks = [m.register_forward_hook(self.look(n)) for n, m in self.every()]
        self.call(self.net, self.given([]))
        for h in hooks:
            h.remove()

    def every(self, net=None):
        """All modules that are watched, and last the network itself."""
        net = net or self.net
        return [*watched(net), ("", net)]

    def look(self, name):
        def f(module, args, y):
            if name not in self.modules:  # a resampling that runs twice
                self.modules.append(name)
            self.out[name] = first_tensor(y).clone()  # the last sum is in place
        return f

    def build(self, edits):
        net = self.family.from_config(self.config).eval()
        net.load_state_dict(apply_edits(self.weights, edits))
        return net

    def given(self, edits):
        keys = ("x", "encoder_hidden_states", "text_embeds", "time_ids")
        given = {"input:" + k: self.golden[k][:1] for k in keys if k in self.golden}
        return {k[6:]: v for k, v in apply_edits(given, edits, True).items()}

    def call(self, net, given):
        t = torch.tensor([self.at], dtype=torch.float32 if self.told == "--sigmas" else torch.int64)
        args = dict(timestep=t)
        if self.label is not None:
            args["class_labels"] = torch.tensor([self.label])
        if self.family is UNet2DConditionModel:
            args["encoder_hidden_states"] = given["encoder_hidden_states"]
            if "text_embeds" in given:
                args["added_cond_kwargs"] = {k: given[k] for k in ("text_embeds", "time_ids")}
        with torch.no_grad():
            return net(given["x"], **args).sample

    def largest(self, name, channel=None):
        """Largest |x| of a module's output in fp32, or of one channel of it."""
        y = self.out[name]
        if channel is not None:
            y = y.select(1 if y.ndim == 4 else -1, channel)
        return float(y.abs().max())


def apply_edits(tensors, edits, inputs=False):
    done = dict(tensors)
    for e in edits:
        if e["tensor"].startswith("input:") != inputs:
            continue
        whole = done[e["tensor"]].clone()
        part = whole[tuple(e["at"])] if e["at"] else whole
        if e["op"] == "fill":
            part.fill_(e["value"])
        else:
            part.mul_(e["value"])
        if e["at"] and part.ndim == 0:  # indexing down to one number copies it
            whole[tuple(e["at"])] = part
        done[e["tensor"]] = whole
    return done


# ---- how PyTorch runs them ----

class CudaLists(TorchFunctionMode):
    """What CUDA's autocast does in fp32, and the CPU's does not."""
    names = {"group_norm", "layer_norm", "softmax", "log_softmax", "interpolate", "sum", "prod",
             "cumsum", "exp", "log", "pow", "__pow__", "rsqrt", "reciprocal", "norm", "softplus"}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in self.names and torch.is_autocast_enabled("cpu"):
            args = [widen(a) for a in args]
            kwargs = {k: widen(v) for k, v in kwargs.items()}
        return func(*args, **kwargs)


class KeptNan(TorchFunctionMode):
    """scaled_dot_product_attention that loses no NaN."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") != "scaled_dot_product_attention":
            return func(*args, **(kwargs or {}))
        q, k, v = args
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else q.dtype
        q, k, v = (x.to(dtype).float() for x in (q, k, v))
        with torch.autocast("cpu", enabled=False):
            logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
            p = (logits - logits.amax(-1, keepdim=True)).exp()
            none = (logits == -math.inf).all(-1, keepdim=True)
            y = p.to(dtype).float() @ v / p.sum(-1, keepdim=True)
            return torch.where(none, 0, y).to(dtype)


class CudaNorms(TorchFunctionMode):
    """Norms of huge values as CUDA's kernels compute them; all others as they are."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        y = func(*args, **kwargs)
        name, x = getattr(func, "__name__", ""), args[0] if args else None
        if name not in ("group_norm", "layer_norm") or not x.isfinite().all() or x.abs().max() < 1e15:
            return y
        given = dict(zip(("x", "by", "weight", "bias", "eps"), args), **kwargs)
        rows = x.reshape(x.shape[0], given["by"], -1) if name == "group_norm" else x
        rows = rows.double()
        centred = rows - rows.mean(-1, keepdim=True)
        m2 = centred.square().sum(-1, keepdim=True)
        h = centred / (m2 / rows.shape[-1] + given.get("eps", 1e-5)).sqrt()
        h = torch.where(m2 >= 2.0**128, 0, h).reshape(x.shape)
        shape = [-1] + [1] * (x.ndim - 2) if name == "group_norm" else [-1]
        return (h * given["weight"].double().view(shape) + given["bias"].double().view(shape)).to(y.dtype)


def widen(x):
    if torch.is_tensor(x):
        return x.float() if x.is_floating_point() else x
    if isinstance(x, (tuple, list)):
        return type(x)(widen(v) for v in x)
    if isinstance(x, dict):
        return {k: widen(v) for k, v in x.items()}
    return x


def narrow(x, dtype):
    if torch.is_tensor(x):
        return x.to(dtype) if x.is_floating_point() else x
    if isinstance(x, tuple):
        return tuple(narrow(v, dtype) for v in x)
    if hasattr(x, "sample"):
        x.sample = narrow(x.sample, dtype)
    return x


def unscaled_scores(attn, query, key, attention_mask=None):
    dtype = query.dtype
    off = torch.autocast("cpu", enabled=False) if attn.upcast_attention else contextlib.nullcontext()
    with off:
        if attn.upcast_attention:
            query, key = query.float(), key.float()
        scores = torch.einsum("bid,bjd->bij", query, key) * attn.scale
    return scores.softmax(dim=-1).to(dtype)


def set_attention(net, code):
    for m in net.modules():
        if not isinstance(m, ap.Attention) or code == "sdpa":
            continue
        added = isinstance(m.processor, (ap.AttnAddedKVProcessor, ap.AttnAddedKVProcessor2_0))
        m.set_processor(ap.AttnAddedKVProcessor() if added else ap.AttnProcessor())
        if code == "eager-unscaled":
            m.get_attention_scores = unscaled_scores.__get__(m)


def paste(net, names, mode, weights):
    """What a user writes for the modules on a list, so that they stay in fp32.

    weights: of the network in fp32, from which a module of a network in half precision gets those
    back that half() has rounded, or made inf of."""
    if mode == "half" and "" not in names:
        # UNet2DModel casts embeddings to its dtype, which is that of the first parameter
        dtype = net.dtype
        net.__class__ = type("Kept", (type(net),), {"dtype": property(lambda self: dtype)})
    for name in names:
        m = net.get_submodule(name)
        forward = m.forward
        if mode == "half":
            def wrapped(*args, forward=forward, **kwargs):
                narrowest = narrowest_of([args, kwargs])
                return narrow(forward(*widen(args), **widen(kwargs)), narrowest)
            inside = name + "." if name else ""
            m.float().load_state_dict({k[len(inside):]: v for k, v in weights.items() if k.startswith(inside)})
        else:
            def wrapped(*args, forward=forward, **kwargs):
                with torch.autocast("cpu", enabled=False):
                    return forward(*widen(args), **widen(kwargs))
        m.forward = wrapped


def narrowest_of(x):
    """The format that a module's arguments have: float where it lies inside of one that is kept."""
    if torch.is_tensor(x):
        return x.dtype if x.is_floating_point() else torch.float32
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, (tuple, list)):
        found = [narrowest_of(v) for v in x]
        return next((d for d in found if d != torch.float32), torch.float32)
    return torch.float32


def run(base, edits, how, kept=(), kept_nan=False, cuda_norms=False):
    """What is lost: first module, all modules (indices), values of the answer."""
    mode, fmt, attention = how
    net, given = base.build(edits), base.given(edits)
    set_attention(net, attention)
    if mode == "half":
        net.to(DTYPE[fmt])
        given = {k: v.to(DTYPE[fmt]) for k, v in given.items()}
    paste(net, kept, mode, apply_edits(base.weights, edits))
    lost = set()

    def look(name):
        def f(module, args, y):
            if not bool(first_tensor(y).isfinite().all()):
                lost.add(base.modules.index(name))
        return f
    for name, m in base.every(net):
        m.register_forward_hook(look(name))
    with contextlib.ExitStack() as s:
        if kept_nan:
            s.enter_context(KeptNan())
        if cuda_norms:
            s.enter_context(CudaNorms())
        if mode != "half":
            s.enter_context(torch.autocast("cpu", dtype=DTYPE[fmt]))
        if mode == "autocast":
            s.enter_context(CudaLists())
        y = base.call(net, given)
    lost = sorted(lost)
    return dict(first=base.modules[lost[0]] if lost else None, modules=runs_of(lost),
                outputs=int((~y.isfinite()).sum()))


def runs_of(sorted_indices):
    out = []
    for i in sorted_indices:
        if out and out[-1][1] == i - 1:
            out[-1][1] = i
        else:
            out.append([i, i])
    return out


# ---- what is planted: each gives edits, or None where the base has no such place ----

def f32(x):
    return float(torch.tensor(x, dtype=torch.float32))


def fill(tensor, at, value):
    return dict(tensor=tensor, op="fill", at=list(at), value=f32(value))


def scale(tensor, at, value):
    return dict(tensor=tensor, op="scale", at=list(at), value=f32(value))


class Planter:
    def __init__(self, rng, bases):
        self.rng, self.bases = rng, bases

    def pick(self, items):
        items = list(items)
        return self.rng.choice(items) if items else None

    def sign(self):
        return self.rng.choice((1, -1))

    def linear(self, base, want=lambda n: True, bias=True):
        return self.pick(n for n, m in base.net.named_modules()
                         if isinstance(m, (nn.Conv2d, nn.Linear)) and want(n) and
                         (m.bias is not None or not bias))

    def channels(self, base, name):
        return base.weights[name + ".bias"].numel()

    def enlarge(self, base, name, target, at=()):
        """The weights and bias of a module, so that its largest output is the target."""
        top = base.largest(name, at[0] if at else None)
        if not top:
            return None
        return [scale(f"{name}.{k}", at, target / top) for k in ("weight", "bias")
                if f"{name}.{k}" in base.weights]

    # module outputs
    def bias_of_one(self, base, v):
        n = self.linear(base)
        return [fill(n + ".bias", [self.rng.randrange(self.channels(base, n))], self.sign() * v)]

    def bias_of_all(self, base, v):
        return [fill(self.linear(base) + ".bias", [], self.sign() * v)]

    def output(self, base, v):
        return self.enlarge(base, self.linear(base, bias=False), v)

    def output_channel(self, base, v):
        n = self.linear(base)
        return self.enlarge(base, n, v, [self.rng.randrange(self.channels(base, n))])

    def resampling(self, base, v):
        n = self.linear(base, lambda n: "sampler" in n or "conv_shortcut" in n or "skip_conv" in n)
        return n and self.pick((self.enlarge(base, n, v),
                                [fill(n + ".bias", [], self.sign() * v)]))

    def ends(self, base, v):
        return self.enlarge(base, self.pick(("conv_in", "conv_out")), v)

    # weights that the format cannot hold, or only just
    def weight(self, base, v):
        n = self.linear(base, bias=False)
        w = base.weights[n + ".weight"]
        return [fill(n + ".weight", [self.rng.randrange(d) for d in w.shape], self.sign() * v)]

    def norm(self, base, v):
        n = self.pick(n for n, m in base.net.named_modules()
                      if isinstance(m, (nn.GroupNorm, nn.LayerNorm)))
        c = self.rng.randrange(self.channels(base, n))
        if self.rng.random() < 0.5:
            return [fill(n + ".bias", [c], self.sign() * v)]
        y = base.out[n]
        y = y.select(-1 if isinstance(base.net.get_submodule(n), nn.LayerNorm) else 1, c)
        g, b = base.weights[n + ".weight"][c], base.weights[n + ".bias"][c]
        return [fill(n + ".weight", [c], v / float(((y - b) / g).abs().max()))]

    # sums, each part below the limit
    def parts(self, v):
        limit = LIMIT["fp16" if v < 1e30 else "bf16"]
        v = min(v, 1.8 * limit)
        least = max(0.3, 1 - 0.95 * limit / v)
        a = self.rng.uniform(least, 1 - least)
        s = self.sign()
        return s * v * a, s * v * (1 - a)

    def time_sum(self, base, v):
        n = self.pick(n for n, m in base.net.named_modules()
                      if getattr(m, "time_embedding_norm", "") == "default")
        if not n:
            return None
        a, b = self.parts(v)
        c = self.rng.randrange(self.channels(base, n + ".conv1"))
        return [fill(n + ".conv1.bias", [c], a), fill(n + ".time_emb_proj.bias", [c], b)]

    def residual(self, base, v):
        """x + h of a residual block, with a convolution in its shortcut or without."""
        places = []
        for n, m in base.net.named_modules():
            if type(m).__name__ != "ResnetBlock2D":
                continue
            if m.conv_shortcut is not None:
                places.append((n + ".conv_shortcut", n + ".conv2", m.output_scale_factor))
            elif n == "mid_block.resnets.1" and "mid_block.attentions.0.proj_out.bias" in base.weights:
                places.append(("mid_block.attentions.0.proj_out", n + ".conv2", m.output_scale_factor))
            elif n == "mid_block.resnets.1":
                before = "mid_block.attentions.0.to_out.0" \
                    if "mid_block.attentions.0.to_out.0.bias" in base.weights else "mid_block.resnets.0.conv2"
                places.append((before, n + ".conv2", m.output_scale_factor))
        scaled = [p for p in places if p[2] != 1]
        p = self.pick(scaled if scaled and self.rng.random() < 0.7 else places)
        if not p:
            return None
        a, b = self.parts(v)
        c = self.rng.randrange(self.channels(base, p[1]))
        return [fill(p[0] + ".bias", [c], a), fill(p[1] + ".bias", [c], b)]

    def stream(self, base, v):
        """The residual stream of a transformer, or of an attention by itself."""
        n = self.pick(n for n, m in base.net.named_modules()
                      if type(m).__name__ == "Transformer2DModel")
        a, b = self.parts(v)
        if n:
            block = n + ".transformer_blocks.0."
            pairs = [(n + ".proj_in", block + "attn1.to_out.0"), (n + ".proj_in", block + "attn2.to_out.0"),
                     (n + ".proj_in", block + "ff.net.2"), (block + "attn1.to_out.0", block + "ff.net.2"),
                     (n.replace("attentions", "resnets") + ".conv2", n + ".proj_out")]
        else:
            n = self.pick(n for n, m in base.net.named_modules()
                          if type(m).__name__ == "Attention" and ".attentions." in n)
            if not n:
                return None
            pairs = [(n.replace("attentions", "resnets") + ".conv2", n + ".to_out.0")]
        p = self.pick(p for p in pairs if all(q + ".bias" in base.weights for q in p))
        if not p:
            return None
        c = self.rng.randrange(self.channels(base, p[1]))
        return [fill(p[0] + ".bias", [c], a), fill(p[1] + ".bias", [c], b)]

    def skip(self, base, v):
        """A value that fits, kept for the decoder, where a shortcut makes more of it."""
        n = self.pick(n for n, m in base.net.named_modules() if type(m).__name__ == "ResnetBlock2D" and
                      n.startswith("up_blocks") and m.conv_shortcut is not None and ".resnets." in n)
        if not n:
            return None
        w = base.weights[n + ".conv_shortcut.weight"]
        big = 0.3 * LIMIT["fp16"] if v < 1e30 else 0.3 * LIMIT["bf16"]
        # the first convolution's channels come last in the last block
        last = [k for k, m in base.net.named_modules() if type(m).__name__ == "ResnetBlock2D" and
                k.startswith("up_blocks") and ".resnets." in k][-1]
        if n != last:
            return [fill(n + ".conv_shortcut.bias", [], self.sign() * v)]
        c = self.rng.randrange(self.channels(base, "conv_in"))
        at = w.shape[1] - self.channels(base, "conv_in") + c
        return [fill("conv_in.bias", [c], big), fill(n + ".conv_shortcut.weight", [], 0),
                *[fill(n + ".conv_shortcut.weight", [0, at], v / big)]]

    # attention
    def logits(self, base, v):
        n = self.pick(n for n, m in base.net.named_modules() if type(m).__name__ == "Attention" and
                      n + ".to_k.weight" in base.weights)
        if not n:
            return None
        m = base.net.get_submodule(n)
        q, k = base.out[n + ".to_q"], base.out[n + ".to_k"]
        if m.heads * (q.shape[-1] // m.heads) != q.shape[-1]:
            return None
        q, k = (x.reshape(x.shape[1], m.heads, -1).transpose(0, 1) for x in (q, k))
        top = float((q @ k.transpose(1, 2)).abs().max()) * (m.scale if self.rng.random() < 0.7 else 1)
        f = math.sqrt(v / top)
        s = self.sign()
        return [scale(f"{n}.{p}.{w}", [], f * (s if p == "to_k" else 1)) for p in ("to_q", "to_k")
                for w in ("weight", "bias") if f"{n}.{p}.{w}" in base.weights]

    def query(self, base, v):
        n = self.linear(base, lambda n: n.endswith(("to_q", "to_k", "add_k_proj")), bias=False)
        return n and self.enlarge(base, n, v)

    def values(self, base, v):
        n = self.linear(base, lambda n: n.endswith(("to_v", "add_v_proj")), bias=False)
        return n and self.enlarge(base, n, v)

    def attention_out(self, base, v):
        n = self.linear(base, lambda n: n.endswith("to_out.0"), bias=False)
        return n and self.enlarge(base, n, v)

    # products
    def geglu(self, base, v):
        n = self.pick(n for n, m in base.net.named_modules() if type(m).__name__ == "GEGLU")
        if not n:
            return None
        half = self.channels(base, n + ".proj") // 2
        c = self.rng.randrange(half)
        gate = math.sqrt(v) * self.rng.uniform(0.5, 2)
        return [fill(n + ".proj.bias", [c], self.sign() * v / gate),
                fill(n + ".proj.bias", [c + half], gate)]

    def modulation(self, base, v):
        """norm (1 + scale), or that and the shift."""
        n = self.pick(n for n, m in base.net.named_modules()
                      if getattr(m, "time_embedding_norm", "") == "scale_shift")
        if not n:
            return None
        half = self.channels(base, n + ".norm2")
        c = self.rng.randrange(half)
        top = base.largest(n + ".norm2", c)
        a, b = (v, 0) if self.rng.random() < 0.5 else map(abs, self.parts(v))
        by = math.exp(self.rng.uniform(0.25, 0.75) * math.log(a))
        y = base.out[n + ".norm2"].select(1, c)
        s = 1 if float(y.max()) >= -float(y.min()) else -1
        edits = [scale(f"{n}.norm2.{k}", [c], a / by / top) for k in ("weight", "bias")]
        edits.append(fill(n + ".time_emb_proj.bias", [c], by))
        return edits + [fill(n + ".time_emb_proj.bias", [c + half], s * b)] * (b > 0)

    # embeddings
    def embeddings(self, base, v):
        others = [n for n in ("add_embedding.linear_2", "class_embedding.linear_2")
                  if n + ".bias" in base.weights]
        c = self.rng.randrange(self.channels(base, "time_embedding.linear_2"))
        a, b = self.parts(v)
        first = fill("time_embedding.linear_2.bias", [c], a)
        if others:
            return [first, fill(self.pick(others) + ".bias", [c], b)]
        if "class_embedding.weight" in base.weights:
            return [first, fill("class_embedding.weight", [base.label, c], b)]
        if "add_embedding.norm2.bias" in base.weights:
            return [first, fill("add_embedding.norm2.bias", [c], b)]
        return None

    def text(self, base, v):
        n = self.linear(base, lambda n: n.startswith(("encoder_hid_proj", "add_embedding")))
        return n and self.enlarge(base, n, v)

    def huge_input(self, base, v):
        k = self.pick(k for k in base.given([]) if k != "time_ids")
        x = base.golden[k][0]
        if self.rng.random() < 0.5:
            return [scale("input:" + k, [], v / float(x.abs().max()))]
        return [fill("input:" + k, [0, *[self.rng.randrange(d) for d in x.shape]], self.sign() * v)]

    # fp32's own range: what a norm reads is so large that its variance is not finite
    def huge_norm(self, base, v):
        n = self.linear(base, lambda n: n.endswith(("conv1", "conv2", "conv_in", "proj_in", "to_out.0")))
        return self.enlarge(base, n, 10 ** self.rng.uniform(16.5, 30))


KINDS = {  # how often each is drawn
    "bias_of_one": 3, "bias_of_all": 2, "output": 4, "output_channel": 3, "resampling": 3, "ends": 2,
    "weight": 3, "norm": 4, "time_sum": 4, "residual": 7, "stream": 6, "skip": 3, "logits": 9, "query": 3,
    "values": 3, "attention_out": 2, "geglu": 4, "modulation": 6, "embeddings": 4, "text": 2,
    "huge_input": 3,
}
SEARCHED = 8  # of so many networks one has its minimal list searched for, which takes longest
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # for files of no consequence
N_NETWORKS = {"fp16": 245, "bf16": 60}


def hows(rng, fmt, kind, has_attention):
    """Two of the ways to run, and now and then the other format."""
    codes = ["sdpa"]
    if has_attention:
        codes = ["sdpa", "eager", "eager-unscaled"] if kind in ("logits", "query") else \
            ["sdpa", "sdpa", "eager", "eager-unscaled"]
    out = [(mode, fmt, rng.choice(codes)) for mode in rng.sample(("half", "autocast", "autocast-cpu"), 2)]
    if rng.random() < 0.06:
        out.append(("half", "bf16" if fmt == "fp16" else "fp16", "sdpa"))
    return out


def nudged(edits, factor):
    return [dict(e, value=f32(e["value"] * factor)) for e in edits]


def variants(base, edits, how):
    """What is lost, and what else other kernels lose."""
    r = run(base, edits, how)
    sdpa = how[2] == "sdpa"
    kept = run(base, edits, how, kept_nan=True) if sdpa else r
    cuda = run(base, edits, how, cuda_norms=True) if how[1] == "bf16" else r
    if cuda != r and sdpa:
        both = run(base, edits, how, kept_nan=True, cuda_norms=True)
        cuda = dict(cuda, kept_nan=both) if both != cuda else cuda
    return dict(r, **({"kept_nan": kept} if kept != r else {}),
                **({"cuda_norms": cuda} if run_of(cuda) != r else {}))


def run_of(r):
    return {k: r[k] for k in ("first", "modules", "outputs")}


def draw(rng, planter, bases, fmt):
    """One network that 0.2 % does not change."""
    while True:
        kind = rng.choices(list(KINDS), KINDS.values())[0]
        if fmt == "bf16" and rng.random() < 0.35:
            kind = "huge_norm"
        # a sixth stays below the limit
        m = rng.uniform(0.55, 0.97) if rng.random() < 0.17 else math.exp(rng.uniform(0.03, math.log(3)))
        if fmt == "bf16":  # 3 times the limit is inf in fp32, too
            m = rng.uniform(0.55, 0.997) if rng.random() < 0.4 else rng.uniform(1.0002, 1.9)
        edits = None
        for name in rng.sample(list(bases), len(bases)):
            base = bases[name]
            edits = getattr(planter, kind)(base, m * LIMIT[fmt])
            if edits:
                break
        if not edits or not all(math.isfinite(e["value"]) for e in edits):
            continue
        has_attention = any(isinstance(x, ap.Attention) for x in base.net.modules())
        runs = []
        for how in hows(rng, fmt, kind, has_attention):
            r = variants(base, edits, how)
            if all(variants(base, nudged(edits, f), how) == r for f in (0.998, 1.002)):
                runs.append(dict(zip(("as", "format", "attention"), how), **r))
        if runs:
            return dict(base=base.name, kind=kind, edits=edits, runs=runs)


def make(path):
    rng = random.Random(0)
    bases = {n: Base(n) for n in BASES}
    planter = Planter(rng, bases)
    networks = []
    for fmt, count in N_NETWORKS.items():
        for _ in range(count):
            networks.append(draw(rng, planter, bases, fmt))
            n = networks[-1]
            print(len(networks), n["base"], n["kind"], [(r["as"], r["first"]) for r in n["runs"]], flush=True)
    write(path, dict(
        made_with=dict(torch=torch.__version__.split("+")[0], diffusers=diffusers.__version__),
        bases={n: dict(size=list(b.golden["x"].shape[2:]), told=b.told, at=b.at,
                       **{"class": b.label}, modules=b.modules) for n, b in bases.items()},
        networks=networks))
    summary(networks)


def again(path):
    with open(path) as f:
        data = json.load(f)
    bases = {n: Base(n) for n in BASES}
    for i, n in enumerate(data["networks"]):
        runs = [dict(zip(("as", "format", "attention"), how), **variants(bases[n["base"]], n["edits"], how))
                for how in ((r["as"], r["format"], r["attention"]) for r in n["runs"])]
        for new, old in zip(runs, n["runs"]):
            if run_of(new) != run_of(old):
                print("changed:", i, n["base"], n["kind"], run_of(old), run_of(new), flush=True)
        n["runs"] = runs
    write(path, data)
    summary(data["networks"])


def summary(networks):
    runs = [r for n in networks for r in n["runs"]]
    print(len(networks), "networks,", len(runs), "runs,", sum(r["first"] is None for r in runs),
          "lose nothing,", sum("kept_nan" in r for r in runs), "differ where NaN is kept,",
          sum("cuda_norms" in r for r in runs), "with CUDA's norms")


def write(path, data):
    """One network a line."""
    text = json.dumps(dict(data, networks=[]), separators=(",", ":"))
    assert text.endswith('"networks":[]}')
    lines = ",\n".join(json.dumps(n, separators=(",", ":")) for n in data["networks"])
    with open(path, "w") as f:
        f.write(text[:-2] + "\n" + lines + "]}\n")


# ---- what the program's lists are worth ----

def scratch(base, edits, folder):
    """The network and its inputs as files; options of probe that run it."""
    net = base.build(edits)
    net.save_config(folder)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()},
              folder + "/diffusion_pytorch_model.safetensors")
    given = base.given(edits)
    save_file({k: v.contiguous() for k, v in given.items()}, folder + "/inputs.safetensors")
    h, w = given["x"].shape[2:]
    at = folder + "/inputs.safetensors#"
    options = ["--inputs", f"raw:{at}x", "--size", f"{h}x{w}", base.told, str(base.at), "--samples", "1"]
    for option, key in (("--prompt-embeds", "encoder_hidden_states"), ("--text-embeds", "text_embeds"),
                        ("--time-ids", "time_ids")):
        if key in given:
            options += [option, at + key]
    if base.label is not None:
        options += ["--class", str(base.label)]
    return options


def program(path, *args, ok=(0, 3)):
    p = subprocess.run([path, *args, "--quiet", "--threads", "1"], capture_output=True, text=True)
    if p.returncode not in ok:
        raise RuntimeError(f"{' '.join(args)}: {p.returncode}: {p.stderr}")
    return p.returncode, p.stdout


def prove(job):
    """Adds to one network's runs what the program's lists are worth; returns it."""
    i, n, binary, search = job
    torch.set_num_threads(1)
    if n["base"] not in loaded:
        loaded[n["base"]] = Base(n["base"])
    base = loaded[n["base"]]
    n["fp32"] = run(base, n["edits"], ("half", "fp32", "sdpa"), kept_nan=True, cuda_norms=True)["outputs"]
    for r in n["runs"]:
        if r.get("cuda_norms", r)["first"] is None:
            continue
        how = (r["as"], r["format"], r["attention"])

        def paste_list(text):
            kept = json.loads(text).get("keep_fp32")
            if kept is None:
                return None
            got = run(base, n["edits"], how, kept, kept_nan=how[2] == "sdpa", cuda_norms=True)
            return dict(modules=kept, lost=got["outputs"])
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            options = scratch(base, n["edits"], folder)
            one = folder + "/run.h5"
            emulated = ["--as", r["as"], "--attention", r["attention"]]
            program(binary, "probe", folder, "-o", one, *options)
            code, text = program(binary, "analyze", one, "--keep-fp32", r["format"], *emulated, "--check",
                                 "--json")
            r["keep"] = dict(paste_list(text), enough=code == 0)
            r.pop("minimal", None)
            if search:
                code, text = program(binary, "bisect", folder, "--fail", "absmax(*) > 0", "--cache",
                                     folder + "/cache", "--minimal-fp32", r["format"], *emulated, *options,
                                     "--json", ok=(0, 1, 2, 3))
                minimal = paste_list(text) if code in (0, 3) else None
                if minimal:
                    r["minimal"] = minimal
        print(i, n["base"], n["kind"], *how, r["first"], "keep", len(r["keep"]["modules"]), r["keep"]["enough"],
              r["keep"]["lost"], "minimal", r.get("minimal"), flush=True)
    return n


loaded = {}  # bases, of a worker


def lists(path, binary, only, jobs):
    with open(path) as f:
        data = json.load(f)
    work = [(i, n, binary, i % SEARCHED == 0 or only is not None)
            for i, n in enumerate(data["networks"]) if only in (None, i)]
    with multiprocessing.Pool(jobs) as pool:
        done = pool.map(prove, work, chunksize=1)
    if only is not None:
        return
    write(path, dict(data, networks=done))
    runs = [r for n in done for r in n["runs"] if "keep" in r]
    enough = [r for r in runs if r["keep"]["enough"]]
    minimal = [r for r in runs if "minimal" in r]
    print(f"{len(runs)} runs lose something; {len(enough)} lists are said to suffice, of them pasted "
          f"{sum(r['keep']['lost'] > 0 for r in enough)} lose something; of the {len(runs) - len(enough)} others "
          f"{sum(r['keep']['lost'] > 0 for r in runs if not r['keep']['enough'])}; of {len(minimal)} minimal lists "
          f"{sum(r['minimal']['lost'] > 0 for r in minimal)}")


def show(path, index, kept):
    with open(path) as f:
        data = json.load(f)
    n = data["networks"][index]
    base = Base(n["base"])
    for e in n["edits"]:
        print(e)
    for r in n["runs"]:
        got = run(base, n["edits"], (r["as"], r["format"], r["attention"]), kept)
        names = [base.modules[i] for a, b in got["modules"] for i in range(a, b + 1)]
        print(r["as"], r["format"], r["attention"], "first", got["first"], "outputs", got["outputs"])
        print("   ", " ".join(names))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "planted.json"))
    p.add_argument("--again", action="store_true")
    p.add_argument("--lists", metavar="PROGRAM")
    p.add_argument("--only", type=int)
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--show", type=int)
    p.add_argument("--paste", default="")
    a = p.parse_args()
    torch.set_num_threads(1)
    if a.show is not None:
        show(a.out, a.show, [k for k in a.paste.split(",") if k])
    elif a.again:
        again(a.out)
    elif a.lists:
        lists(a.out, a.lists, a.only, a.jobs)
    else:
        make(a.out)


if __name__ == "__main__":
    main()
