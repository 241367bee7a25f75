"""Golden data for what overflows where in decoders of latents, as make_planted.py has it for denoisers.

    make_planted_vaes.py [--out tests/golden/planted_vaes.json]     makes the networks and runs them
    make_planted_vaes.py --lists build/sigmascope                   adds what the program's lists are worth

A planted network is the decoder of one of the small autoencoders of tests/golden/vaes, with a few
numbers changed so that one value is between 0.55 and 3 times the largest of the format. It is given the
first of the case's latents z (of a video its first frame alone), in the decoder's unit, without noise.
How it is run, what is lost and the JSON file are those of make_planted.py, but that a base has
"folder": "vaes", that `modules` ends with the decoder, whose output is the answer, and that size is
that of the picture. Made with torch 2.15.0 (CPU with AVX-512, one thread, eval), diffusers 0.42.1, seed 0.
"""
import argparse
import json
import os
import random

import torch
from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder
from safetensors.torch import load_file, save_file
from torch import nn

import make_planted as planted
from make_planted import Base, Planter, fill
from make_unets import watched
from make_vaes import HERE, unit

VAES = os.path.join(HERE, "vaes")
BASES = ["sd", "sdxl", "flux", "attention-levels", "no-mid-attention", "svd", "svd-levels"]
N_NETWORKS = {"fp16": 60, "bf16": 16}


class Decoding:
    """The part of a network that decodes."""

    def __init__(self, net):
        self.net, self.get_submodule = net, net.get_submodule

    def named_modules(self):
        return [(n, m) for n, m in self.net.named_modules() if n.startswith(("decoder", "post_quant"))]

    def modules(self):
        return [m for _, m in self.named_modules()]


class Decoder(Base):
    def __init__(self, name):
        self.name, self.told, self.at, self.label = name, "--sigmas", 1, None
        folder = os.path.join(VAES, name)
        with open(folder + "/config.json") as f:
            self.config = json.load(f)
        self.family = {"AutoencoderKL": AutoencoderKL,
                       "AutoencoderKLTemporalDecoder": AutoencoderKLTemporalDecoder}[self.config["_class_name"]]
        self.weights = {k: v.float() for k, v in load_file(
            folder + "/diffusion_pytorch_model.safetensors").items()}
        z = load_file(folder + "/golden.safetensors")["z"][:1]
        self.z = z[:, 0] if z.ndim == 5 else z
        net = self.build([])
        self.net = Decoding(net)
        self.modules, self.out = [], {}
        hooks = [m.register_forward_hook(self.look(n)) for n, m in self.every(net)]
        y = self.call(net, self.given([]))
        self.size = list(y.shape[2:])
        for h in hooks:
            h.remove()

    def every(self, net=None):
        return [(n, m) for n, m in watched(net) if n.startswith(("decoder", "post_quant"))]

    def given(self, edits):
        return {"z": unit(self.build([]), self.z, True)}

    def call(self, net, given):
        more = dict(num_frames=1) if self.family is AutoencoderKLTemporalDecoder else {}
        z = given["z"]
        if all(p.dtype == torch.float32 for p in net.parameters()):
            z = z.float()  # the whole network is kept in fp32, whose forward is not called
        with torch.no_grad():
            return net.decode(z, **more).sample


class DecoderPlanter(Planter):
    def linear(self, base, want=lambda n: True, bias=True):
        return self.pick(n for n, m in base.net.named_modules()
                         if isinstance(m, (nn.Conv2d, nn.Conv3d, nn.Linear)) and want(n) and n in base.out)

    def weight(self, base, v):
        n = self.linear(base)
        shape = base.weights[n + ".weight"].shape
        at = [self.rng.randrange(d) for d in shape]
        if len(shape) == 5:
            at[2] = 1  # beside the one frame there is only padding
        return [fill(n + ".weight", at, self.sign() * v)]

    def norm(self, base, v):
        n = self.pick(n for n, m in base.net.named_modules() if isinstance(m, nn.GroupNorm) and n in base.out)
        c = self.rng.randrange(self.channels(base, n))
        if self.rng.random() < 0.5:
            return [fill(n + ".bias", [c], self.sign() * v)]
        y = base.out[n].select(1, c)
        g, b = base.weights[n + ".weight"][c], base.weights[n + ".bias"][c]
        return [fill(n + ".weight", [c], v / float(((y - b) / g).abs().max()))]

    def residual(self, base, v):
        """x + h of a residual block with a convolution in its shortcut, or of frames together."""
        places = []
        for n, m in base.net.named_modules():
            if n in base.out and type(m).__name__ == "ResnetBlock2D" and m.conv_shortcut is not None:
                places.append((n + ".conv_shortcut", n + ".conv2"))
            elif n in base.out and type(m).__name__ == "TemporalResnetBlock":
                places.append((n.replace("temporal", "spatial") + ".conv2", n + ".conv2"))
        p = self.pick(places)
        if not p:
            return None
        a, b = self.parts(v)
        c = self.rng.randrange(self.channels(base, p[1]))
        return [fill(p[0] + ".bias", [c], a), fill(p[1] + ".bias", [c], b)]

    def stream(self, base, v):
        """x + attention."""
        n = self.pick(n for n, m in base.net.named_modules() if type(m).__name__ == "Attention" and n in base.out)
        if not n:
            return None
        before = n.replace("attentions", "resnets")
        before += ".temporal_res_block.conv2" if "temporal" in "".join(k for k in base.out if before in k) else ".conv2"
        a, b = self.parts(v)
        c = self.rng.randrange(self.channels(base, n + ".to_out.0"))
        return [fill(before + ".bias", [c], a), fill(n + ".to_out.0.bias", [c], b)]

    def logits(self, base, v):
        return None if self.pick(n for n in base.out if n.endswith("to_q")) is None else super().logits(base, v)

    def ends(self, base, v):
        return self.enlarge(base, "decoder." + self.pick(("conv_in", "conv_out")), v)


KINDS = {"bias_of_one": 3, "bias_of_all": 2, "output": 5, "output_channel": 4, "resampling": 4, "ends": 2,
         "weight": 3, "norm": 4, "residual": 7, "stream": 5, "logits": 6, "query": 3, "values": 3,
         "attention_out": 2}


def scratch(base, edits, folder):
    net = base.build(edits)
    net.save_config(folder)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()},
              folder + "/diffusion_pytorch_model.safetensors")
    save_file({"z": base.z.contiguous()}, folder + "/inputs.safetensors")
    h, w = base.size
    return ["--inputs", f"raw:{folder}/inputs.safetensors#z", "--size", f"{h}x{w}", "--sigmas", "1",
            "--samples", "1"]


def make(path):
    rng = random.Random(0)
    bases = {n: Decoder(n) for n in BASES}
    planter = DecoderPlanter(rng, bases)
    networks = []
    for fmt, count in N_NETWORKS.items():
        for _ in range(count):
            networks.append(planted.draw(rng, planter, bases, fmt))
            n = networks[-1]
            print(len(networks), n["base"], n["kind"], [(r["as"], r["first"]) for r in n["runs"]], flush=True)
    planted.write(path, dict(
        made_with=dict(torch=torch.__version__.split("+")[0]),
        bases={n: dict(folder="vaes", size=b.size, told=b.told, at=b.at, **{"class": None}, modules=b.modules)
               for n, b in bases.items()},
        networks=networks))
    planted.summary(networks)


PROVE = planted.prove


def prove(job):
    """As for denoisers; not of decoders of videos, which cast to the type of the first parameter of
    their up blocks: one that a list keeps in fp32 makes floats of all that follows it."""
    return job[1] if job[1]["base"].startswith("svd") else PROVE(job)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "planted_vaes.json"))
    p.add_argument("--lists", metavar="PROGRAM")
    p.add_argument("--only", type=int)
    p.add_argument("--jobs", type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(1)
    planted.KINDS, planted.Base, planted.BASES = KINDS, Decoder, BASES
    planted.scratch, planted.prove = scratch, prove
    if a.lists:
        planted.lists(a.out, a.lists, a.only, a.jobs)
    else:
        make(a.out)


if __name__ == "__main__":
    main()
