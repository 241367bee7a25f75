"""Hooks on modules that belong to one training, not to the module: a copy of the module has none that do anything."""
import contextlib
import inspect
import sys

import torch

# The arguments of a module that are given by name are seen by hooks of PyTorch 2.
_KWARGS = {"with_kwargs": True} if "with_kwargs" in inspect.signature(
    torch.nn.Module.register_forward_pre_hook).parameters else {}


_compiling = getattr(getattr(torch, "compiler", None), "is_compiling", None) or bool  # compiled code has no hooks
_paused = 0


@contextlib.contextmanager
def paused():
    """A context in which no hook of this package does anything."""
    global _paused
    _paused += 1
    try:
        yield
    finally:
        _paused -= 1


def replaying():
    """Whether the NaN guard plays a step once more: nothing of that counts."""
    return _paused > 0


def nothing(*_):
    """What a hook is in a copy of its module."""


def _in_a_copy():
    return nothing


class Hook:
    """A function of (module, args, kwargs) before a module runs, of (module, args, output) after it; what it returns
    is dropped, so that it cannot change what the module takes or gives."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args):
        if not _compiling() and not _paused:
            self.function(*args)

    def __reduce__(self):  # of deepcopy() and pickle
        return _in_a_copy, ()


def before(module, function):
    """function(module, args, kwargs) before each forward of a module; kwargs is empty in PyTorch 1."""
    def hook(module, args, kwargs=None):
        function(module, args, kwargs or {})
    return module.register_forward_pre_hook(Hook(hook), **_KWARGS)


def after(module, function):
    """function(module, args, output) after each forward of a module that ends without an exception."""
    return module.register_forward_hook(Hook(function))


def recomputing():
    """Whether a forward pass runs a second time, for torch.utils.checkpoint without reentry."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name in ("unpack_hook", "unpack") and code.co_filename.endswith("checkpoint.py"):
            return True
        frame = frame.f_back
    return False
