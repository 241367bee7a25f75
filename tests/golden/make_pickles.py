"""Files of torch.save and pickle, and the same tensors as safetensors, for tests/test_pickle.c.

    python tests/golden/make_pickles.py        PyTorch 2.15.0, safetensors 0.8; seed 0

writes into tests/golden/formats/pickles/:

    tensors.safetensors     every tensor, contiguous
    tensors.pt              the same as views, transposes, expansions, on shared storages: torch's zip
    tensors-legacy.pt       ... as pickles in a row, which PyTorch wrote before 1.6
    values-N.pkl            plain values and objects of many kinds, in protocol N
    nested.pt               two state dicts and an optimiser's, beside a number
    optimizer.bin           the state of AdamW after two steps
    module.pt               a module itself, not its state dict
    unet.pt                 the network tests/golden/unets/plain, convolutions in channels_last, and an average of it
"""
import argparse
import collections
import os
import pickle

import numpy
import torch
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(__file__)
OUT = os.path.join(HERE, "formats", "pickles")


def tensors():
    base = torch.randn(6, 5, 4)
    whole = torch.arange(24.0).reshape(4, 6)
    return collections.OrderedDict({
        "base": base, "transposed": base.permute(2, 0, 1), "cut": base[1:4, ::2, 1:], "row": base[3],
        "whole": whole, "t": whole.t(), "expanded": torch.arange(3.0).expand(2, 4, 3),
        "column": whole[:, 2:3], "diagonal": whole.diagonal(), "conv": torch.randn(3, 2, 3, 3),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "scalar": torch.tensor(3.5), "empty": torch.zeros(0, 7), "one": torch.ones(1, 1, 1),
        "parameter": torch.nn.Parameter(torch.randn(2, 3)), "half": torch.randn(5).half(),
        "half_cut": torch.randn(4, 4).half()[1:, 1:], "bfloat16": torch.randn(3, 3).bfloat16(),
        "float64": torch.randn(3, dtype=torch.float64), "int64": torch.arange(-2, 3),
        "int32": torch.arange(4, dtype=torch.int32), "int16": torch.arange(4, dtype=torch.int16),
        "int8": torch.arange(4, dtype=torch.int8), "uint8": torch.arange(4, dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]), "uint16": torch.arange(3).to(torch.uint16),
        "e4m3": torch.randn(6).to(torch.float8_e4m3fn), "e5m2": torch.randn(2, 3).to(torch.float8_e5m2),
        "name with spaces, \"quotes\"/slash\\": torch.ones(1), "wörter.日本.😀": torch.ones(2)})


def values():
    shared = [1, 2]
    ring = [0]
    ring.append(ring)
    return {
        "none": None, "true": True, "false": False, "small": 7, "byte": 200, "word": 40000, "negative": -5,
        "int": -2**31, "long": 2**40, "least": -2**63, "big": 2**70, "minus_big": -2**70, "float": 0.1,
        "inf": float("inf"), "text": "plain", "unicode": "äöü€😀\\u \n'\"", "empty": "", "bytes": b"\x00\xff\xc3a",
        "list": [1, [2, []]], "tuple0": (), "tuple1": (1,), "tuple2": (1, 2), "tuple3": (1, 2, 3),
        "tuple4": (1, 2, 3, 4), "shared": [shared, shared], "ring": ring, 5: "five",
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]), "default": collections.defaultdict(list, {"k": [1]}),
        "namespace": argparse.Namespace(lr=0.5, name="run"), "size": torch.Size([2, 3]), "dtype": torch.bfloat16,
        "numpy": numpy.float64(2.5), "array": numpy.arange(3), "set": {3}, "deque": collections.deque([1, 2]),
        "many": [str(i) for i in range(300)], "dotted.key": {"in.side": 1}}


def main():
    torch.manual_seed(0)
    os.makedirs(OUT, exist_ok=True)
    path = lambda name: os.path.join(OUT, name)
    t = tensors()
    save_file({k: v.detach().clone(memory_format=torch.contiguous_format).contiguous() for k, v in t.items()},
              path("tensors.safetensors"))
    torch.save(t, path("tensors.pt"))
    torch.save(t, path("tensors-legacy.pt"), _use_new_zipfile_serialization=False)
    for protocol in range(6):
        with open(path(f"values-{protocol}.pkl"), "wb") as f:
            pickle.dump(values(), f, protocol=protocol)

    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    opt = torch.optim.AdamW(net.parameters(), lr=0.25, betas=(0.9, 0.98))
    for _ in range(2):
        net(torch.randn(4, 2)).square().sum().backward()
        opt.step()
    torch.save(opt.state_dict(), path("optimizer.bin"))
    torch.save(net, path("module.pt"))
    ema = {k: v + 1 for k, v in net.state_dict().items()}
    torch.save({"step": 2, "model": net.state_dict(), "ema": ema, "optimizer": opt.state_dict(),
                "rng": torch.get_rng_state()[:8], "extra": {"lossless": torch.ones(1)}}, path("nested.pt"))

    unet = load_file(os.path.join(HERE, "unets", "plain", "diffusion_pytorch_model.safetensors"))
    unet = {k: v.to(memory_format=torch.channels_last) if v.dim() == 4 else v for k, v in unet.items()}
    ema = {k: v * 0.5 for k, v in unet.items()}
    torch.save({"epoch": 3, "state_dict": {"model": unet}, "ema": ema}, path("unet.pt"))


if __name__ == "__main__":
    main()
