"""Hooks before and after the steps of optimisers."""
import functools
import sys

import torch

every = sys.modules["torch.optim.optimizer"]  # hooks on all optimisers are there since PyTorch 2
if not hasattr(every, "register_optimizer_step_pre_hook"):
    every = None


def hook_steps(optimizer, before, after):
    """Handles of hooks on an optimiser, or on all for None; [] where this PyTorch has none for all."""
    while isinstance(getattr(optimizer, "optimizer", None), torch.optim.Optimizer):  # accelerate and Lightning wrap it
        optimizer = optimizer.optimizer
    if hasattr(optimizer, "register_step_pre_hook"):
        return [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
    if optimizer is not None:
        return [_Wrapped(optimizer, before, after)]
    if every:
        return [every.register_optimizer_step_pre_hook(before), every.register_optimizer_step_post_hook(after)]
    return []


class _Wrapped:
    """Hooks on an optimiser's step() for PyTorch 1, by a method of the same name on the object."""

    def __init__(self, optimizer, before, after):
        self.optimizer, self.there = optimizer, optimizer.__dict__.get("step")
        inner = optimizer.step

        @functools.wraps(inner)
        def step(*args, **kwargs):
            before(optimizer)
            result = inner(*args, **kwargs)
            after(optimizer)
            return result
        optimizer.step = step

    def remove(self):
        if self.there is None:
            self.optimizer.__dict__.pop("step", None)
        else:
            self.optimizer.step = self.there
