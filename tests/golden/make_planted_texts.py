"""Golden data for what overflows where in text encoders: planted networks in real half precision.

    make_planted_texts.py [--out tests/golden/planted_texts.json]

A planted network is one of the small text encoders of tests/golden/texts with a few numbers changed, so
that one value of a random kind, at a random place, is between 0.55 and 3 times the largest of fp16. It
sees that folder's ids and mask, and runs on the CPU as model.half(), with attention in two codes:

    sdpa    transformers' default, written out so that no NaN is lost, as no CUDA kernel loses one: q k^T
            summed in fp32, then scaled, and the mask added; exp(l - max) rounded, times v in fp32, then
            divided by their sum; 0 for a row of logits that are all -inf
    eager   attn_implementation="eager": q k^T is stored, then times the scale, then plus bias and mask

and T5 also with every wo in fp32, as from_pretrained(dtype=torch.float16) leaves it
(_keep_in_fp32_modules): its output, and the residual stream from then on, are fp32.

The JSON file:

    bases     {NAME: [PATH...]}     modules in the order in which their forward ends; "" last
    networks  [{base, kind, edits, runs}]
              edits: [{tensor, op: fill|scale, at: [], value}]    in this order; tensor: a name of
              model.safetensors; at: leading indices, [] is all of it; fill sets, scale multiplies
              (in fp32)
              runs: [{attention, wo, first, modules, outputs}]
                  wo       true: kept in fp32
                  first    the first module, as they end, whose output has inf or NaN; null: none
                  modules  all that have any, as [first, last] pairs of indices into bases
                  outputs  how many values of last_hidden_state are inf or NaN

Networks in which 0.2 % more or less of the planted numbers changes what is lost are drawn anew, and those
in which it matters whether a kernel adds -inf to the logit of a hidden key or puts it in its place. Made with
torch 2.15.0 (CPU, one thread, eval), transformers 5.24.0, safetensors 0.8.0, seed 0.
"""
import argparse
import json
import math
import os
import random
from contextlib import nullcontext

import torch
from safetensors.torch import load_file
from torch.overrides import TorchFunctionMode
from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel, UMT5EncoderModel

from make_texts import first_tensor, watched

HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = os.path.join(HERE, "texts")
LIMIT = 65520.0  # the first value that rounds to inf
COUNT = 15       # networks of a base
BASES = {"clip-mask": CLIPTextModel, "clip-projection": CLIPTextModelWithProjection, "t5-relu": T5EncoderModel,
         "t5-gated-mask": T5EncoderModel, "umt5": UMT5EncoderModel}


class WrittenOut(TorchFunctionMode):
    """scaled_dot_product_attention that loses no NaN. added: a hidden key's logit is not replaced by
    -inf, which is added to it instead."""

    def __init__(self, added=False):
        super().__init__()
        self.added = added

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") != "scaled_dot_product_attention":
            return func(*args, **(kwargs or {}))
        q, k, v = args
        dtype = q.dtype
        q, k, v = (x.float() for x in (q, k, v))
        logits = q @ k.transpose(-1, -2) * kwargs["scale"]
        mask = kwargs.get("attn_mask")
        if kwargs.get("is_causal"):
            mask = torch.ones(logits.shape[-2:], dtype=torch.bool).tril()
        if mask is not None:
            if mask.dtype == torch.bool and not self.added:
                logits = logits.masked_fill(~mask, -math.inf)
            elif mask.dtype == torch.bool:
                logits = logits + torch.zeros(mask.shape).masked_fill(~mask, -math.inf)
            else:
                logits = logits + mask
        p = (logits - logits.amax(-1, keepdim=True)).exp()
        none = (logits == -math.inf).all(-1, keepdim=True)
        y = p.to(dtype).float() @ v / p.sum(-1, keepdim=True)
        return torch.where(none, 0, y).to(dtype)


class Base:
    """A folder of tests/golden/texts, and what its modules do in fp32."""

    def __init__(self, name):
        self.name, self.family = name, BASES[name]
        folder = os.path.join(TEXTS, name)
        self.config = self.family.config_class.from_pretrained(folder)
        self.weights = {k: v.float() for k, v in load_file(folder + "/model.safetensors").items()
                        if "position_ids" not in k}
        golden = load_file(folder + "/golden.safetensors")
        self.given = dict(input_ids=golden["ids"].long(), attention_mask=golden.get("mask"))
        self.prefix = "text_model." if self.family is CLIPTextModel else ""
        self.modules, self.out = [], {}
        net = self.build([], "sdpa")
        for path, m in self.every(net):
            m.register_forward_hook(self.look(path))
        self.call(net)

    def every(self, net):
        yield from ((self.prefix + n, m) for n, m in watched(net) if n != "shared")
        if self.prefix:
            yield self.prefix[:-1], net
        yield "", net

    def look(self, path):
        def f(module, args, y):
            self.modules.append(path)
            self.out[path] = first_tensor(y)
        return f

    def build(self, edits, attention):
        self.config._attn_implementation = attention
        net = self.family(self.config).eval()
        state = {}
        for k, v in apply_edits(self.weights, edits).items():
            state[k.removeprefix(self.prefix)] = v
        if "shared.weight" in state or "encoder.embed_tokens.weight" in state:
            table = state.get("shared.weight", state.get("encoder.embed_tokens.weight"))
            state["shared.weight"] = state["encoder.embed_tokens.weight"] = table
        net.load_state_dict(state)
        return net

    def call(self, net):
        with torch.no_grad():
            return net(**self.given)

    def largest(self, path):
        return float(self.out[path].abs().max())


def apply_edits(tensors, edits):
    done = dict(tensors)
    for e in edits:
        whole = done[e["tensor"]].clone()
        part = whole[tuple(e["at"])] if e["at"] else whole
        part.fill_(e["value"]) if e["op"] == "fill" else part.mul_(e["value"])
        if e["at"] and part.ndim == 0:  # indexing down to one number copies it
            whole[tuple(e["at"])] = part
        done[e["tensor"]] = whole
    return done


def run(base, edits, attention, wo, added=False):
    net = base.build(edits, attention).half()
    for name, m in net.named_modules():
        if wo and name.endswith(".wo"):
            m.float().weight.data.copy_(apply_edits(base.weights, edits)[name + ".weight"])
    lost = set()

    def look(path):
        def f(module, args, y):
            if not bool(first_tensor(y).isfinite().all()):
                lost.add(base.modules.index(path))
        return f
    for path, m in base.every(net):
        m.register_forward_hook(look(path))
    with WrittenOut(added) if attention == "sdpa" else nullcontext():
        y = base.call(net).last_hidden_state
    lost = sorted(lost)
    pairs = []
    for i in lost:
        if pairs and pairs[-1][1] == i - 1:
            pairs[-1][1] = i
        else:
            pairs.append([i, i])
    return dict(attention=attention, wo=wo, first=base.modules[lost[0]] if lost else None, modules=pairs,
                outputs=int((~y.isfinite()).sum()))


# ---- what is planted ----

def f32(x):
    return float(torch.tensor(x, dtype=torch.float32))


def edit(op, tensor, at, value):
    return dict(tensor=tensor, op=op, at=list(at), value=f32(value))


class Planter:
    def __init__(self, rng):
        self.rng = rng

    def linears(self, base, ends):
        return [n for n in base.modules if n.endswith(ends) and n + ".weight" in base.weights]

    def enlarge(self, base, path, target):
        """The weights and bias of a module, so that its largest output is the target."""
        k = target / base.largest(path)
        return [edit("scale", f"{path}.{w}", [], k) for w in ("weight", "bias") if f"{path}.{w}" in base.weights]

    def output(self, base, v):
        return self.enlarge(base, self.rng.choice(self.linears(base, (
            ".q", ".k", ".v", ".o", ".wi", ".wi_0", ".wi_1", ".wo", "q_proj", "k_proj", "v_proj", "out_proj",
            "fc1", "fc2", "text_projection"))), v)

    def feed_forward(self, base, v):
        return self.enlarge(base, self.rng.choice(self.linears(base, (".wo", "fc2"))), v)

    def norm(self, base, v):
        return self.enlarge(base, self.rng.choice(self.linears(base, (
            "layer_norm", "layer_norm1", "layer_norm2"))), v)

    def logits(self, base, v):
        """The largest |q.k| of a layer, divided among q and k."""
        q = self.rng.choice(self.linears(base, (".q", "q_proj")))
        k = q[:-len("q_proj")] + "k_proj" if q.endswith("q_proj") else q[:-1] + "k"
        heads = getattr(base.config, "num_heads", None) or base.config.num_attention_heads
        a, b = (base.out[n].unflatten(-1, (heads, -1)).transpose(1, 2) for n in (q, k))
        root = (v / float((a @ b.transpose(-1, -2)).abs().max())) ** 0.5
        return [edit("scale", f"{n}.{w}", [], root) for n in (q, k) for w in ("weight", "bias")
                if f"{n}.{w}" in base.weights]

    def product(self, base, v):
        """Of a gate: wi_0 and wi_1 of moderate size."""
        n = [n for n in self.linears(base, ".wi_1")]
        if not n:
            return None
        n = self.rng.choice(n)
        root = (v / (base.largest(n) * base.largest(n[:-1] + "0"))) ** 0.5
        return [edit("scale", f"{m}.weight", [], 1.2 * root) for m in (n, n[:-1] + "0")]

    def stream(self, base, v):
        """Two branches, each below the limit, that overflow in the sum."""
        ends = (".o", ".wo", "out_proj", "fc2")
        names = self.linears(base, ends)
        i = self.rng.randrange(len(names) - 1)
        v = min(v, 1.8 * LIMIT)
        if names[0].endswith("proj") or names[0].endswith("fc2"):
            c = self.rng.randrange(base.weights[names[i] + ".bias"].numel())
            return [edit("fill", names[i + j] + ".bias", [c], v / 2) for j in (0, 1)]
        return [e for j in (0, 1) for e in self.enlarge(base, names[i + j], v / 2)]

    def embeddings(self, base, v):
        tables = [n for n in base.weights if "embed" in n or n == "shared.weight"]
        n = self.rng.choice(tables)
        return [edit("scale", n, [], v / float(base.weights[n].abs().max()))]

    def position_bias(self, base, v):
        n = [n for n in base.weights if "relative_attention_bias" in n]
        if not n:
            return None
        n = self.rng.choice(n)
        return [edit("scale", n, [], v / float(base.weights[n].abs().max()))]


KINDS = ["output", "feed_forward", "feed_forward", "norm", "logits", "product", "stream", "embeddings",
         "position_bias"]


def nudged(edits, k):
    return [dict(e, value=f32(e["value"] * k)) for e in edits]


def runs(base, edits):
    hows = [(a, False) for a in ("sdpa", "eager")]
    if base.family in (T5EncoderModel, UMT5EncoderModel):
        hows.append(("sdpa", True))
    return [run(base, edits, *h) for h in hows]


def draw(rng, planter, base):
    while True:
        kind = rng.choice(KINDS)
        v = LIMIT * 0.55 * (3 / 0.55) ** rng.random()
        edits = getattr(planter, kind)(base, v)
        if not edits:
            continue
        got = runs(base, edits)
        if run(base, edits, "sdpa", False, added=True) == got[0] and all(
                runs(base, nudged(edits, k)) == got for k in (0.998, 1.002)):
            return dict(base=base.name, kind=kind, edits=edits, runs=got)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "planted_texts.json"))
    a = p.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(0)
    planter, networks, bases = Planter(rng), [], {}
    for name in BASES:
        base = Base(name)
        bases[name] = base.modules
        networks += [draw(rng, planter, base) for _ in range(COUNT)]
        lost = [n for n in networks if n["base"] == name and n["runs"][0]["first"]]
        print(name, len(lost), "of", COUNT, "lose something as half, sdpa:",
              sorted({n["runs"][0]["first"] for n in lost}), flush=True)
    with open(a.out, "w") as f:
        f.write('{"bases": {\n' + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in bases.items()) +
                '\n},\n"networks": [\n' + ",\n".join(json.dumps(n) for n in networks) + "\n]}\n")


if __name__ == "__main__":
    main()
