"""The activation penalty, which keeps activations small while a network trains:

    P = mean over watched modules b of mean(a_b^2),   a_b the module's output
    L = loss + lambda P

as the program's `train` has it (train/penalty.h), with k lambda on every k-th step, of which step 0 is one.
"""
import math
import warnings
import weakref

import torch
from torch.autograd.function import once_differentiable

from . import hooks
from . import modules as names
from .blocks import blocks
from .statistics import norms, rows_of

of_models = weakref.WeakKeyDictionary()  # model without wrappers: its penalty, as a weak reference
in_backward = getattr(torch._C, "_current_graph_task_id", None)  # of PyTorch 2: -1 outside of a backward pass


def penalty(model, weight, **options):
    """The activation penalty of a model that trains; see Penalty for the options."""
    return Penalty(model, weight, **options)


def penalty_of(model):
    """The penalty of a model without wrappers, or None."""
    return of_models.get(model, lambda: None)()


class Penalty:
    """Adds weight * P to a loss.

        penalty = sigmascope.penalty(unet, 1e-4, every=8)
        for batch in data:
            loss = ...                            # the forward pass, as ever
            loss = loss + penalty()               # once for each forward pass
            loss.backward()
            ...

    weight      lambda; steps that have the penalty have it `every` times over, so that it acts like lambda on each
    every       steps between two that have it; step 0 has it, and in the others nothing is watched
    modules     globs of module names, as "up_blocks.*"; left out, the blocks of a network of diffusers
    accumulate  calls that make up a step, where gradients of several batches are added up
    step        the number of the first step: that of the checkpoint that the training resumes from

    Forward passes with gradients disabled do not count. Outputs that depend on frozen parameters alone count in P
    and have no gradient. A batch that is given up before its call has to be told by drop().
    """

    def __init__(self, model, weight, *, every=8, modules=None, accumulate=1, step=0):
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"weight={weight}: expected a finite number, 0 or more")
        if int(every) < 1 or int(accumulate) < 1 or int(step) < 0:
            raise ValueError(f"every={every}, accumulate={accumulate}, step={step}: expected 1 or more, "
                             "and step of 0 or more")
        self.weight, self.every, self.accumulate = float(weight), int(every), int(accumulate)
        self.model, self.modules = names.unwrap(model), _watched(model, modules)
        if any(_is_compiled(m) for m in model.modules()):
            raise ValueError(f"{type(self.model).__name__} is compiled, and what torch.compile makes of a model does not "
                             "call hooks that come and go: train it uncompiled to have the penalty")
        self._ids = {id(m): n for n, m in self.modules.items()}
        self._step, self._call = int(step), 0
        self._hooks, self._said, self._values = [], False, []
        self._entered = False  # the model itself is called, not only parts of it
        self._rest()
        self._arm()
        of_models[self.model] = weakref.ref(self)

    def __call__(self):
        """weight * P of the forward pass, a tensor without dimensions that has a gradient; zero in steps without."""
        if self._call == 0:
            self._values = []
        found = self._take() if self._has() else None
        self._call += 1
        if self._call == self.accumulate:
            self._step, self._call = self._step + 1, 0
        if self._has():
            self._arm()
        elif not self._again:
            self._disarm()
        if found is None:
            p = next(self.model.parameters(), None)
            return torch.zeros((), device=None if p is None else p.device)
        self._values.append(found.detach())
        return found * (self.weight * self.every)

    @property
    def value(self):
        """P of the last step, without weight; NaN if it had none. Waits for the device."""
        found = self.tensor()
        return float("nan") if found is None else float(found)

    def tensor(self):
        """The same on its device, or None."""
        return torch.stack(self._values).mean() if self._values else None

    @property
    def step(self):
        """The number of the step that comes, or is under way; may be set."""
        return self._step

    @step.setter
    def step(self, number):
        self._step, self._call = int(number), 0
        self._rest()
        self._arm()

    def drop(self):
        """Forgets the forward pass since the last call, whose batch does not count; the step is not over by it."""
        self._rest()
        self._arm()

    def remove(self):
        """Ends the penalty: all hooks are removed, and calls return zero."""
        self.weight = 0.0
        self._rest()
        self._disarm()
        if penalty_of(self.model) is self:
            del of_models[self.model]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def __del__(self):
        self._disarm()

    # Hooks are there in steps with the penalty alone, and while the backward pass of one computes parts again.

    def _has(self):
        return self.weight > 0 and self._step % self.every == 0

    def _arm(self):
        if not self._has():
            return self._disarm()
        if self._hooks:
            return
        me = weakref.proxy(self)
        add = self._hooks.append
        add(self.model.register_forward_pre_hook(lambda *_: me._enter()))
        for module in self.modules.values():
            add(module.register_forward_hook(lambda module, args, output: me._left(module, output)))
        add(self.model.register_forward_hook(lambda *_: me._leave()))

    def _disarm(self):
        for hook in getattr(self, "_hooks", ()):
            hook.remove()
        self._hooks = []

    def _rest(self):
        """Forgets what forward passes left."""
        self._kept = []  # outputs with gradients
        self._squares = []  # mean(a^2) of outputs without
        self._again = {}  # id of a module: how many of its outputs have a gradient only when they are computed again
        self._active, self._inside, self._collects, self._mark = False, False, True, (0, 0)

    def _enter(self):
        if not torch.is_grad_enabled() or hooks.replaying():
            return
        if not self._has():  # hooks that were left for the backward pass of the step before
            self._rest()
            return self._disarm()
        if not self._collects:  # the first pass since the last call
            self._rest()
        elif self._inside:  # the pass before ended in an exception
            del self._kept[self._mark[0]:], self._squares[self._mark[1]:]
        self._entered = self._active = self._inside = True
        self._mark = len(self._kept), len(self._squares)

    def _leave(self):
        if not hooks.replaying():
            self._active = self._inside = False

    def _left(self, module, output):
        name = self._ids.get(id(module))
        if name is None or hooks.replaying():  # of a copy of the model, which has the hooks, too
            return
        a = names.first_tensor(output)
        if a is None:
            return
        grad = torch.is_grad_enabled()
        if not self._collects and not self._entered and grad and in_backward() < 0:
            self._rest()  # the next forward pass, of a model whose parts are called by themselves
        if not self._collects:
            self._computed_again(module, a)
        elif grad:
            self._kept.append(a)
        elif self._active:  # a frozen part, or one that the backward pass computes again, then with gradients
            self._squares.append(mean_square(a))
            self._again[id(module)] = self._again.get(id(module), 0) + 1

    def _take(self):
        """P of what was kept, which is forgotten."""
        if not self._kept and not self._squares:
            if not self._said:
                self._said = True
                warnings.warn(f"sigmascope: no forward pass of {type(self.model).__name__} with gradients was seen "
                              "before a call of the penalty, which is zero there; is the model compiled?", stacklevel=3)
            return None
        squares = [_MeanSquare.apply(a) if a.requires_grad else mean_square(a) for a in self._kept] + self._squares
        again = self._again
        self._rest()
        device = squares[0].device
        found = torch.stack([s.to(device) for s in squares]).mean()
        self._collects = not self._entered and not in_backward
        if again:
            self._again = again
            self._slope, self._n = None, len(squares)  # d objective / dP, known in the backward pass
            found = _Slope.apply(found, torch.zeros((), requires_grad=True, device=device), weakref.ref(self))
        return found

    def _computed_again(self, module, a):
        """Adds the gradient of P to an output that has one only now, in the backward pass."""
        if not self._again.get(id(module)) or not a.requires_grad:
            return
        self._again[id(module)] -= 1
        me, values, factor = weakref.proxy(self), a.detach(), 2 / (self._n * a.numel())
        a.register_hook(lambda g: None if me._slope is None else g + _times(values, me._slope.to(g.device) * factor))


def _watched(model, globs):
    if globs is None:
        found = blocks(model)
        if not found:
            raise ValueError(f"{type(names.unwrap(model)).__name__} has no blocks that are known: name modules, as "
                             'modules="layers.*"')
        return found
    globs = [globs] if isinstance(globs, str) else list(globs)
    found = {}
    for g in globs:
        hit = names.named_modules(model, [g])
        if not hit:
            raise ValueError(f"modules={g!r} matches no module of {type(names.unwrap(model)).__name__}")
        found.update(hit)
    return found


def _is_compiled(module):
    return getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_orig_mod")


@torch.no_grad()
def mean_square(a):
    """mean(a^2), summed in f32 (f64 of f64); NaN where a has inf or NaN."""
    wide = torch.float64 if a.dtype == torch.float64 else torch.float32
    return norms(rows_of(a.detach().unsqueeze(0)), wide)[0].square() / a.numel()


def _times(a, factor):
    """a * factor in the type of a, rounded once: the factor may be less than f16 holds."""
    return a * factor.to(a.dtype) if a.dtype in (torch.float32, torch.float64) else (a.float() * factor).to(a.dtype)


class _MeanSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a):
        ctx.save_for_backward(a)
        return mean_square(a)

    @staticmethod
    @once_differentiable
    def backward(ctx, slope):
        a, = ctx.saved_tensors
        return _times(a, slope * (2 / a.numel()))


class _Slope(torch.autograd.Function):
    """Tells the penalty the slope of the objective in P. The backward pass comes here before it computes any part of
    the network again, as it takes what was computed last first."""

    @staticmethod
    def forward(ctx, p, anchor, owner):
        ctx.owner = owner
        return p.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, slope):
        owner = ctx.owner()
        if owner is not None:
            owner._slope = slope
        return slope, None, None
