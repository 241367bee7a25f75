"""A forward pass of a model once more, with its modules watched: which one gives the first value that is not finite.

Nothing of the training changes by it: parameters are replaced by new leaves over the same numbers, buffers by
copies, and what modules and generators of random numbers have is put back after it. So .grad is not touched, no
hook on a parameter is called (as DistributedDataParallel's), and running statistics stay.
"""
import contextlib
import random
import warnings

import numpy as np
import torch

from . import eager
from . import modules as names


class Stop(BaseException):
    """Ends a replay whose answer is known; no `except Exception` of a model catches it."""


class Random:
    """The states of all generators that a forward pass may draw from."""

    def __init__(self, device):
        self.cpu, self.device = torch.get_rng_state(), device if device.type == "cuda" else None
        self.cuda = torch.cuda.get_rng_state(device) if self.device else None
        self.python, self.numpy = random.getstate(), np.random.get_state()

    def put(self):
        torch.set_rng_state(self.cpu)
        if self.device:
            torch.cuda.set_rng_state(self.cuda, self.device)
        random.setstate(self.python)
        np.random.set_state(self.numpy)


def autocast(device):
    """The dtype of autocast where it is on, else None."""
    if hasattr(torch, "get_autocast_dtype"):
        return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    if device == "cuda":
        return torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else None
    return torch.get_autocast_cpu_dtype() if device == "cpu" and torch.is_autocast_cpu_enabled() else None


class Call:
    """What a call of the model was given, and what has become of it. Tensors are borrowed."""

    def __init__(self, model, args, kwargs, device):
        self.args, self.kwargs, self.device = args, kwargs, device
        self.random, self.autocast, self.training = Random(device), autocast(device.type), model.training
        self.versions = [x._version for x in names.tensors((args, kwargs))]
        self.gradients = {}  # index of an output tensor: its gradient
        self.told = {}  # sigma, timestep, loss
        self.alive = None  # weak reference that ends with the graph of its outputs

    def changed(self):
        """True where somebody has written into its inputs since."""
        return self.versions != [x._version for x in names.tensors((self.args, self.kwargs))]

    def batch(self):
        """Of how many samples it was."""
        first = names.first_tensor((self.args, self.kwargs))
        return first.shape[0] if first is not None and first.dim() else 1


def mapped(value, function):
    """The same with each tensor replaced, in tuples, lists and dictionaries."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, dict) and type(value) is dict:
        return {k: mapped(v, function) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(v, function) for v in value))
    if type(value) in (tuple, list):
        return type(value)(mapped(v, function) for v in value)
    return value


def why_not(model):
    """What prevents a replay in this process alone, or None."""
    from . import distributed
    for module in model.modules():
        if getattr(module, "_fsdp_wrapped_module", None) is not None or "FSDP" in type(module).__name__:
            return "its weights are spread over processes"
        if isinstance(module, torch.nn.SyncBatchNorm) and module.training and distributed.together():
            return "its SyncBatchNorm waits for the other processes"
    if any(hasattr(p, "to_local") for p in model.parameters()):
        return "its weights are spread over processes"
    return None


@contextlib.contextmanager
def borrowed(model, call, watcher):
    """The model as it was for a call, each module's forward told to the watcher."""
    modules = [(names.clean(n) or names.ROOT, m) for n, m in model.named_modules()
               if not isinstance(m, torch.jit.ScriptModule)]
    kept = [(m, dict(m.__dict__), dict(m._parameters), dict(m._buffers)) for _, m in modules]
    gradients = [(p, p.grad) for p in model.parameters()]
    now, leaves = Random(call.device), {}
    try:
        for p, _ in gradients:
            p.grad = None
        for name, m in modules:
            for k, p in m._parameters.items():
                if p is not None and type(p) in (torch.nn.Parameter, torch.Tensor):
                    if id(p) not in leaves:
                        leaves[id(p)] = leaf = torch.nn.Parameter(p.detach(), requires_grad=p.requires_grad)
                        watcher.weight(name, k, leaf)
                    m._parameters[k] = leaves[id(p)]
            for k, b in m._buffers.items():
                m._buffers[k] = None if b is None else b.detach().clone()
            if isinstance(m.__dict__.get("_flat_weights"), list):  # of recurrent networks
                m.__dict__["_flat_weights"] = [leaves.get(id(w), w) for w in m._flat_weights]
            m.__dict__["forward"] = _watched(watcher, name, m, m.forward)
        if model.training != call.training:
            model.train(call.training)
        call.random.put()
        with warnings.catch_warnings(), _eagerly(), torch.autocast(call.device.type, dtype=call.autocast or torch.bfloat16,
                                      enabled=call.autocast is not None, cache_enabled=False):
            warnings.simplefilter("ignore")  # all that a model says was said the first time
            yield
    finally:
        for m, attributes, parameters, buffers in kept:
            for there, before in ((m._parameters, parameters), (m._buffers, buffers), (m.__dict__, attributes)):
                for key in [k for k in there if k not in before]:
                    del there[key]
                for key, value in before.items():
                    if there.get(key, there) is not value:
                        there[key] = value
        for p, g in gradients:
            p.grad = g
        now.put()


@contextlib.contextmanager
def _eagerly():
    """Without compiled code, which would be compiled once more for the watched modules."""
    if eager.available():
        eager.begin()
    try:
        yield
    finally:
        if eager.available():
            eager.end()


def _watched(watcher, name, module, inner):
    def forward(*args, **kwargs):
        visit, args, kwargs = watcher.enter(name, module, args, kwargs)
        return watcher.leave(visit, inner(*args, **kwargs))
    return forward


class Visit:
    """A module while it runs."""

    def __init__(self, name, module, args, kwargs, random=None):
        self.name, self.module, self.args, self.kwargs, self.random = name, module, args, kwargs, random
        self.output, self.gradients, self.around = None, {}, None


class Place:
    """Where the first value is that is not finite: a visit of a module, the port, and the tensor.

    port   "input", "output", "inner value", "gradient of output", "gradient of input", "gradient of weight",
           "gradient of inner value"
    beside the module that was about to take an inner value, or that gave the one of an inner gradient
    """

    def __init__(self, visit, port, tensor, beside=None, parameter=None):
        self.visit, self.port, self.tensor, self.beside, self.parameter = visit, port, tensor, beside, parameter


def wrong(value, is_input=False):
    """The first tensor in a value that is not finite, or None. -inf in other inputs than the first is a mask."""
    for k, x in enumerate(names.tensors(value)):
        x = x.detach()
        bad = x.isnan() | (x == float("inf")) if is_input and k else ~x.isfinite()
        if bool(bad.any()):
            return x
    return None


class Forward:
    """Watches a forward pass up to the first value that is not finite; `place` then, else None."""

    def __init__(self, device):
        self.stack, self.place, self.device = [], None, device

    def weight(self, name, key, leaf):
        pass

    def enter(self, name, module, args, kwargs):
        visit = Visit(name, module, args, kwargs, Random(self.device))
        around = self.stack[-1] if self.stack else None
        self.stack.append(visit)
        bad = wrong((args, kwargs), True)
        if bad is not None:
            self.place = Place(around, "inner value", bad, visit) if around else Place(visit, "input", bad)
            raise Stop
        return visit, args, kwargs

    def leave(self, visit, output):
        visit.output = output
        bad = wrong(output)
        # A module without weights that gives -inf alone makes a mask.
        mask = bad is not None and len(self.stack) > 1 and next(visit.module.parameters(), None) is None and \
            not bool((bad.isnan() | (bad == float("inf"))).any())
        if bad is not None and not mask:
            self.place = Place(visit, "output", bad)
            raise Stop
        self.stack.pop()
        return output


@torch.no_grad()
def find_forward(model, call):
    """The Place of a call's first value that is not finite in the forward pass; None if it has none this time."""
    watcher = Forward(call.device)
    with borrowed(model, call, watcher):
        try:
            model(*call.args, **call.kwargs)
        except Stop:
            pass
    return watcher.place


class Backward:
    """Watches a forward pass, so that the backward pass then says where its first gradient is not finite."""

    def __init__(self):
        self.stack, self.place, self.counts, self.owners = [], None, {}, {}

    def weight(self, name, key, leaf):
        self.owners[id(leaf)] = (name, key)
        if leaf.requires_grad:
            leaf.register_hook(lambda g: self._see(name, "gradient of weight", g, parameter=key))

    def enter(self, name, module, args, kwargs):
        visit = Visit(name, module, args, kwargs)
        visit.around = self.stack[-1] if self.stack else None
        self.stack.append(visit)
        if torch.is_grad_enabled():
            visit.count = self.counts[name] = self.counts.get(name, -1) + 1
            # A view for this module alone has the gradient that this module gives.
            args, kwargs = mapped(args, self._view(visit)), mapped(kwargs, self._view(visit))
        visit.args = visit.kwargs = None  # found again by find_inputs
        return visit, args, kwargs

    def _view(self, visit):
        def view(x):
            if not x.requires_grad:
                return x
            x = x.view_as(x)
            x.register_hook(lambda g: self._see(visit, "gradient of input", g))
            return x
        return view

    def leave(self, visit, output):
        self.stack.pop()
        for k, x in enumerate(names.tensors(output)):
            if x.requires_grad:
                x.register_hook(lambda g, k=k: self._see(visit, "gradient of output", g, index=k))
        return output

    def _see(self, visit, port, g, parameter=None, index=0):
        if self.place or g is None:
            return
        g = g.detach()
        if port == "gradient of output":
            visit.gradients[index] = g
        if bool(g.isfinite().all()):
            if port == "gradient of input":
                visit.gradients = {}
        elif isinstance(visit, str):
            self.place = Place(Visit(visit, None, None, None), port, g, parameter=parameter)
        elif port == "gradient of output" and visit.around:
            self.place = Place(visit.around, "gradient of inner value", g, visit)
        else:
            self.place = Place(visit, port, g)


def find_backward(model, call):
    """The Place of a call's first gradient that is not finite; None if it has none this time."""
    watcher = Backward()

    def own(x):  # the backward pass ends here
        return x.detach().requires_grad_(x.requires_grad)
    with borrowed(model, call, watcher), torch.enable_grad():
        outputs = list(names.tensors(model(*mapped(call.args, own), **mapped(call.kwargs, own))))
        pairs = [(y, call.gradients[k]) for k, y in enumerate(outputs) if k in call.gradients and y.requires_grad]
        if pairs:
            torch.autograd.backward([y for y, _ in pairs], [g for _, g in pairs])
        del outputs, pairs
    place = watcher.place
    if place:
        gradients = place.visit.gradients
        place.visit = find_inputs(model, call, place.visit.name, getattr(place.visit, "count", 0))
        place.visit.gradients = gradients
    return place


class Inputs(Forward):
    """Watches for one visit of one module."""

    def __init__(self, device, name, count):
        super().__init__(device)
        self.name, self.count, self.visit = name, count, None

    def enter(self, name, module, args, kwargs):
        visit = Visit(name, module, args, kwargs, Random(self.device) if name == self.name else None)
        return visit, args, kwargs

    def leave(self, visit, output):
        visit.output = output
        if visit.name == self.name:
            self.visit, self.count = visit, self.count - 1
            if self.count < 0:
                raise Stop
        return output


@torch.no_grad()
def find_inputs(model, call, name, count):
    """The visit of a module in the forward pass, or of the nearest around it that runs: what it took and gave."""
    while name != names.ROOT:
        watcher = Inputs(call.device, name, count)
        with borrowed(model, call, watcher):
            try:
                model(*call.args, **call.kwargs)
            except Stop:
                pass
        if watcher.visit:
            return watcher.visit
        name = name.rpartition(".")[0] or names.ROOT
    return Visit(name, model, call.args, call.kwargs, call.random)
