"""Modules by the names that they have without wrappers, and the tensors in what they take and return."""
import contextlib
import dataclasses
import fnmatch
import inspect
import sys

import torch

# What DistributedDataParallel, FSDP, torch.compile and checkpointing put between a module and its name.
ROOT = "(model)"  # what the whole model is called
WRAPPERS = {"_fsdp_wrapped_module", "_orig_mod", "_checkpoint_wrapped_module"}


def clean(name):
    """The name of a module or parameter without wrappers."""
    if "_fsdp_wrapped_module" in name or "_orig_mod" in name or "_checkpoint_wrapped_module" in name:
        name = ".".join(part for part in name.split(".") if part not in WRAPPERS)
    return name


def unwrap(model):
    """The module below DistributedDataParallel, DataParallel, FSDP and torch.compile."""
    while True:
        inner = getattr(model, "_orig_mod", None) or getattr(model, "_fsdp_wrapped_module", None)
        if inner is None and isinstance(model, (torch.nn.parallel.DistributedDataParallel, torch.nn.DataParallel)):
            inner = model.module
        if inner is None:
            return model
        model = inner


def named_modules(model, globs=("*",)):
    """name: module, of all that match, the whole model as ROOT, wrappers left out."""
    found = {}
    for name, module in unwrap(model).named_modules():
        if "_fsdp_wrapped_module" in module._modules or "_checkpoint_wrapped_module" in module._modules:
            continue
        name = clean(name) or ROOT
        if "*" in globs or any(fnmatch.fnmatchcase(name, g) for g in globs):
            found[name] = module
    return found


def kind(module):
    """The class of a module, without what fully_shard() makes of it."""
    kinds = type(module).__mro__
    return kinds[2].__name__ if len(kinds) > 2 and kinds[1].__name__ == "FSDPModule" else kinds[0].__name__


def named_parameters(model):
    """name: parameter, wrappers left out."""
    return {clean(name): p for name, p in unwrap(model).named_parameters()}


def tensors(value, depth=0):
    """All tensors of numbers in what a module takes or returns: tensors, tuples, lists, dictionaries and objects of
    these, and None."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point() and value.numel() and not value.is_sparse:
            yield value
    elif depth < 8:
        if isinstance(value, dict):
            value = value.values()
        elif isinstance(value, (torch.nn.Module, type)):
            value = ()
        elif dataclasses.is_dataclass(value):
            value = [getattr(value, f.name, None) for f in dataclasses.fields(value)]
        elif not isinstance(value, (tuple, list)):
            value = vars(value).values() if hasattr(value, "__dict__") else ()
        for part in value:
            yield from tensors(part, depth + 1)


def first_tensor(value):
    """The first of them, which stands for the module; or None."""
    if type(value) is torch.Tensor and value.is_floating_point() and value.numel() and not value.is_sparse:
        return value  # the usual case, at once
    return next(tensors(value), None)


def plain(x):
    """The tensor within what torch.func and sharding wrap around it; what vmap() goes over comes first."""
    if type(x) is not torch.Tensor and hasattr(x, "to_local"):
        x = x.to_local()
    of = getattr(torch._C, "_functorch", None) if inside_func() else None
    while of is not None and hasattr(of, "is_functorch_wrapped_tensor") and of.is_functorch_wrapped_tensor(x):
        over = of.maybe_get_bdim(x) if of.is_batchedtensor(x) else None
        x = of.get_unwrapped(x)
        if over:
            x = x.movedim(over, 0)
    return x


def inside_func():
    """Whether a function runs for torch.func, as within grad() and vmap()."""
    return "torch._functorch.pyfunctorch" in sys.modules and bool(torch._C._functorch.peek_interpreter_stack())


def outside_func():
    """A context in which torch.func does not see what is computed."""
    if not inside_func():
        return contextlib.nullcontext()
    return sys.modules["torch._functorch.pyfunctorch"].temporarily_clear_interpreter_stack()


def loss_of(output):
    """The loss that a model of transformers returns with its output, or None."""
    loss = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
    return loss.detach() if isinstance(loss, torch.Tensor) and loss.numel() == 1 else None


class Argument:
    """An argument of a model's forward(), by its name, or the first of several that it has."""

    def __init__(self, model, names):
        parameters = list(inspect.signature(type(model).forward).parameters)[1:]
        self.name = next((n for n in names if n in parameters), None)
        self.at = parameters.index(self.name) if self.name else None

    def of(self, args, kwargs):
        """Its value in a call, as a tensor, or None."""
        if self.name is None:
            return None
        value = kwargs.get(self.name, args[self.at] if self.at < len(args) else None)
        return torch.as_tensor(value).detach() if isinstance(value, (torch.Tensor, int, float)) else None


def fused(modules, seen, trained):
    """Names of modules that did not run though their own weights were used.

    modules name: module; seen: names of those that ran; trained: ids of the parameters whose gradients are not 0.
    A weight that several modules share may have been used by any of them.
    """
    owners = {}
    for name, module in modules.items():
        if not isinstance(module, (torch.nn.ParameterList, torch.nn.ParameterDict)):
            for p in [p for p in module._parameters.values() if p is not None]:
                owners.setdefault(id(p), []).append(name)
    found = [names[0] for p, names in owners.items() if p in trained and not any(n in seen for n in names)]
    return list(dict.fromkeys(found))
