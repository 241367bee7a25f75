"""A folder with what the NaN guard found, which can be opened and played without the training.

    finding.json          where: module, its class and settings, port, noise level, sample, step, formats, loss scale
    tensors.safetensors   input.*, output.*, gradient.* (of its output), weight.* of the module; batch.* of the model;
                          found: the tensor that is not finite; sigma, timestep, loss; rng.* before the module ran
    replay.py             the module once more, in PyTorch
    README.md             what was found, and how to go on

It appears whole or not at all.
"""
import json
import os
import shutil
import struct
import tempfile

import torch

from . import modules as names

LIMIT = 1 << 30  # bytes, above which only samples that are not finite are kept

KINDS = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
         "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"}


def flat(value, name):
    """[(name, part)] of what a module takes or returns: its tensors, numbers and texts, by where they stand."""
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, (tuple, list)):
        parts = enumerate(value)
    elif hasattr(value, "__dict__") and not isinstance(value, (torch.Tensor, torch.nn.Module, type)):
        parts = vars(value).items()
    else:
        return [(name, value)]
    return [found for k, v in parts for found in flat(v, f"{name}.{k}")]


def _arguments(value, name):
    """What is needed to call a module in the same way: as JSON, tensors by their names."""
    if isinstance(value, torch.Tensor):
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": {str(k): _arguments(v, f"{name}.{k}") for k, v in value.items()}}
    if isinstance(value, (tuple, list)):
        return {"list": [_arguments(v, f"{name}.{i}") for i, v in enumerate(value)]}
    return {"value": value} if isinstance(value, (int, float, str, bool, type(None))) else {"other": repr(value)[:200]}


def _tensors(value, name):
    return {n: local for n, x in flat(value, name) if isinstance(x, torch.Tensor) and not x.is_sparse
            for local in [(x.to_local() if hasattr(x, "to_local") else x).detach()]
            if str(local.dtype)[6:] in KINDS}


def gather(call, place, samples, limit=LIMIT):
    """({name: tensor on the CPU}, arguments of the module, what was left out or "")."""
    visit = place.visit if place else None
    rows, rest, arguments = {}, {}, None
    if visit and visit.args is not None:
        rows.update(_tensors(visit.args, "input"))
        rows.update(_tensors(visit.kwargs, "input"))
        arguments = {"args": _arguments(visit.args, "input"), "kwargs": _arguments(visit.kwargs, "input")}
    if visit and visit.output is not None:
        rows.update(_tensors(visit.output, "output") if not isinstance(visit.output, torch.Tensor)
                    else {"output.0": visit.output.detach()})
    if visit:
        rows.update({f"gradient.{k}": g.detach() for k, g in visit.gradients.items()})
        if place.port not in ("output", "input") and place.parameter is None:
            rows["found"] = place.tensor.detach()
        elif place.parameter is not None:
            rest["found"] = place.tensor.detach()
        if visit.module is not None:
            rest.update(_tensors(dict(visit.module.named_parameters()), "weight"))
            rest.update(_tensors(dict(visit.module.named_buffers()), "weight"))
    rows.update(_tensors(call.args, "batch"))
    rows.update(_tensors(call.kwargs, "batch"))
    random = visit.random if visit and visit.random else call.random
    rest["rng.cpu"] = random.cpu
    if random.cuda is not None:
        rest["rng.cuda"] = random.cuda

    said = ""

    def size():
        return sum(x.numel() * x.element_size() for x in [*rows.values(), *rest.values()])
    if size() > limit and samples:
        n = call.batch()
        rows = {k: _rows_of(x, samples[0], n) for k, x in rows.items()}
        said = f"other samples than {samples[0]}"
    if size() > limit:
        rest = {k: v for k, v in rest.items() if not k.startswith("weight.")}
        said += (" and " if said else "") + "the weights"
    if size() > limit:
        rows = {k: v for k, v in rows.items() if not k.startswith("batch.")}
        said += " and the batch"
    return {k: x.to("cpu", copy=True).contiguous() for k, x in {**rows, **rest}.items()}, arguments, said


def _rows_of(x, sample, batch):
    if not x.dim() or x.shape[0] % batch:
        return x
    each = x.shape[0] // batch
    return x[sample * each:(sample + 1) * each]


def save(path, tensors):
    """Writes safetensors: 8 bytes of length, JSON, the tensors' bytes."""
    header, at = {}, 0
    # The largest alignment first, as readers expect that values lie at multiples of their size.
    order = sorted(tensors, key=lambda k: (-tensors[k].element_size(), k))
    for name in order:
        x = tensors[name]
        end = at + x.numel() * x.element_size()
        header[name] = {"dtype": KINDS[str(x.dtype)[6:]], "shape": list(x.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            if tensors[name].numel():
                f.write(memoryview(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy()))
        f.flush()
        os.fsync(f.fileno())


def write(folder, found, tensors, arguments):
    """Writes the folder, under the next free name NAME-1, NAME-2 ... if it is there; returns its name."""
    from .finding import strict
    parent = os.path.dirname(os.path.abspath(folder))
    beside = tempfile.mkdtemp(prefix="." + os.path.basename(folder) + ".", suffix=".partial", dir=parent)
    try:
        found = dict(found, arguments=arguments)
        with open(os.path.join(beside, "finding.json"), "w", encoding="utf-8") as f:
            json.dump(strict(found), f, indent=1)
        save(os.path.join(beside, "tensors.safetensors"), tensors)
        with open(os.path.join(beside, "replay.py"), "w", encoding="utf-8") as f:
            f.write(REPLAY)
        with open(os.path.join(beside, "README.md"), "w", encoding="utf-8") as f:
            f.write(readme(found))
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o777 & ~mask)
        place, k = folder, 0
        while True:
            if not os.path.lexists(place):
                try:
                    os.rename(beside, place)
                    return place
                except OSError:
                    if not os.path.lexists(place):
                        raise
            k += 1
            place = f"{folder}-{k}"
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def readme(found):
    left = f"\nLeft out, as it was too large: {found['left_out']}.\n" if found.get("left_out") else ""
    own = "" if found["settings"] is not None else f"""
`replay.py` builds modules of `torch.nn` alone. For this one, `module = model.get_submodule("{found['module']}")` of a
model with these weights, then in Python, in this folder:

    from replay import args, kwargs
    module(*args, **kwargs)
""" if found["module"] not in (None, names.ROOT) else ""
    return f"""# Not finite

{found['text']}.

    sigmascope bisect --bundle .      # the module by sigmascope's own arithmetic: a matter of the format, or not?
    python replay.py                  # the same in PyTorch

`finding.json` has all that is known; `tensors.safetensors` has what the module took (`input.*`) and gave (`output.*`),
the gradient of that (`gradient.*`), its weights (`weight.*`), the batch that the model took (`batch.*`), and the
states of the generators of random numbers (`rng.*`).
{left}{own}"""


REPLAY = '''"""The module that gave the first value that is not finite, once more: python replay.py. Needs PyTorch alone."""
import json
import os
import struct

import torch

here = os.path.dirname(os.path.abspath(__file__))
found = json.load(open(os.path.join(here, "finding.json"), encoding="utf-8"))
raw = open(os.path.join(here, "tensors.safetensors"), "rb").read()
data = 8 + struct.unpack("<Q", raw[:8])[0]
kinds = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
         "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}
tensors = {}
for name, t in json.loads(raw[8:data]).items():
    a, b = t["data_offsets"]
    x = torch.frombuffer(bytearray(raw[data + a:data + b]), dtype=kinds[t["dtype"]]) if b > a else torch.zeros(0)
    tensors[name] = x.reshape(t["shape"])


def filled(a):
    """Arguments as the module took them."""
    if "tensor" in a:
        return tensors[a["tensor"]]
    if "list" in a:
        return [filled(x) for x in a["list"]]
    return {k: filled(x) for k, x in a["dict"].items()} if "dict" in a else a.get("value")


def show(what, x):
    finite = x.isfinite()
    largest = x[finite].abs().max().item() if finite.any() else float("nan")
    print(f"{what}: {x.numel() - int(finite.sum())} of {x.numel()} values not finite, the largest finite {largest:g}")
    return bool(finite.all())


arguments = found["arguments"] or {"args": {"list": []}, "kwargs": {"dict": {}}}
args, kwargs = filled(arguments["args"]), filled(arguments["kwargs"])


def replay(module, dtype, amp):
    """Plays the module in a format, under autocast or not; True where all that it gives is finite."""
    def cast(x):
        return x.to(dtype) if torch.is_tensor(x) and x.is_floating_point() else x
    if "rng.cpu" in tensors:
        torch.set_rng_state(tensors["rng.cpu"])
    backward = found["phase"] == "backward"
    inputs = [cast(x).detach().requires_grad_(backward and cast(x).is_floating_point()) if torch.is_tensor(x) else x
              for x in args]
    module = module.to(dtype)
    with torch.autocast("cpu", dtype=amp or torch.bfloat16, enabled=bool(amp)):
        y = module(*inputs, **{k: cast(x) for k, x in kwargs.items()})
    y = y if torch.is_tensor(y) else y[0]
    good = show("  output", y.detach())
    if backward and "gradient.0" in tensors:
        y.backward(tensors["gradient.0"].to(y.dtype))
        for k, x in enumerate(inputs):
            if torch.is_tensor(x) and x.grad is not None:
                good &= show(f"  gradient of input {k}", x.grad)
        for k, p in module.named_parameters():
            if p.grad is not None:
                good &= show(f"  gradient of {k}", p.grad)
    return good


if __name__ == "__main__":
    print(found["text"])
    for name in tensors:
        if name.split(".")[0] in ("input", "output", "gradient", "found") and tensors[name].is_floating_point():
            show(f"recorded {name}", tensors[name])
    if found["settings"] is None or not hasattr(torch.nn, found["class"] or ""):
        print("The module is none of torch.nn: README.md says how to play it.")
    else:
        def build():
            made = getattr(torch.nn, found["class"])(**found["settings"])
            made.load_state_dict({k[7:]: x for k, x in tensors.items() if k.startswith("weight.")})
            return made
        weights = [x.dtype for k, x in tensors.items() if k.startswith("weight.") and x.is_floating_point()]
        inputs = [x.dtype for x in args if torch.is_tensor(x) and x.is_floating_point()]
        dtype = (weights or inputs or [torch.float32])[0]
        amp = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(found["autocast"])
        print(f"as recorded ({found['autocast'] and 'autocast ' + found['autocast'] or dtype}):")
        replay(build(), dtype, amp)
        print("in float32:")
        good = replay(build(), torch.float32, None)
        print("float32 holds it: a matter of the format" if good else
              "float32 does not hold it either: a matter of weights or inputs")
'''
