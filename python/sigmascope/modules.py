"""Modules by the names that they have without wrappers, and the tensors in what they take and return."""
import fnmatch

import torch

# What DistributedDataParallel, FSDP, torch.compile and checkpointing put between a module and its name.
ROOT = "(model)"  # what the whole model is called
WRAPPERS = {"_fsdp_wrapped_module", "_orig_mod", "_checkpoint_wrapped_module"}


def clean(name):
    """The name of a module or parameter without wrappers."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


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
        if getattr(module, "_fsdp_wrapped_module", None) is not None or \
                getattr(module, "_checkpoint_wrapped_module", None) is not None:
            continue
        name = clean(name) or ROOT
        if any(fnmatch.fnmatchcase(name, g) for g in globs):
            found[name] = module
    return found


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
        elif not isinstance(value, (tuple, list)):
            value = vars(value).values() if hasattr(value, "__dict__") and not isinstance(
                value, (torch.nn.Module, type)) else ()
        for part in value:
            yield from tensors(part, depth + 1)


def first_tensor(value):
    """The first of them, which stands for the module; or None."""
    return next(tensors(value), None)
