"""Steps without torch.compile: compiled code does not call the hooks that a step needs which is recorded."""
import sys

import torch

_users = 0  # steps of several models may be recorded at once


def available():
    return hasattr(getattr(torch, "compiler", None), "set_stance")


def begin():
    """From here on what is compiled runs as it was written. Call end() as often; only where available()."""
    global _users
    _users += 1
    if _users == 1:
        torch.compiler.set_stance("force_eager")


def end():
    global _users
    _users -= 1
    if _users == 0:
        torch.compiler.set_stance("default")


def compiled(model):
    """Whether a part of a model is compiled, or a function is of which it may be a part."""
    if any(getattr(m, "_compiled_call_impl", None) is not None or hasattr(m, "_orig_mod") for m in model.modules()):
        return True
    dynamo = sys.modules.get("torch._dynamo.utils")
    return dynamo is not None and bool(dynamo.counters["stats"].get("unique_graphs"))
