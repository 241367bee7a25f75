"""watch(): the recorder of a live training."""
import collections
import functools
import inspect
import os
import shlex
import sys
import warnings
import weakref

import numpy as np
import torch

from . import distributed, noise, run_file, sums
from . import modules as names
from .parameters import Updates, weights
from .statistics import measure
from .version import VERSION

EVERY_EXPONENTS = 8
every_optimizer = sys.modules["torch.optim.optimizer"]  # hooks on all optimisers are there since PyTorch 2
if not hasattr(every_optimizer, "register_optimizer_step_pre_hook"):
    every_optimizer = None
# The arguments of a module that are given by name are seen by hooks of PyTorch 2.
WITH_KWARGS = {"with_kwargs": True} if "with_kwargs" in inspect.signature(
    torch.nn.Module.register_forward_pre_hook).parameters else {}


def watch(model, path, **options):
    """Begins to record the training of a model into a run file; see Watch for the options."""
    return Watch(model, path, **options)


class Watch:
    """Records statistics of a model's activations, gradients and updates while it trains.

        watch = sigmascope.watch(model, "run.h5", every=50)
        for batch in data:
            ...                                   # forward, backward, optimizer.step(), as ever
            watch.step(loss=loss_of_each_sample, sigma=sigma)

    every         steps between two that are recorded: those whose number it divides
    optimizer     whose steps are watched; left out, any that steps parameters of the model (PyTorch 2)
    scaler        a GradScaler, for its scale
    scheduler     turns timestep= of step() into sigma (noise.sigma_of)
    modules       globs of module names, as "up_blocks.*"
    inputs        records what modules take, too, not only what they return
    bins          bins of noise level: how many between sigma 0.01 and 100, or their inner edges
    exponents     counts of exponents, which tell what a format would flush to zero; of every 8th step at most
    updates       what each step of the optimiser does to each weight; needs memory for a copy of the weights
                  while a recorded step lasts
    step          the number of the first step: that of the checkpoint that the training resumes from
    name          what to call the model; the step in it, if any, is not used

    A file that is there is gone on with if it is of the same model and options; steps from `step` on are
    forgotten. Any other file is first renamed to NAME-1.h5. Nothing that goes wrong while recording ends the
    training: it is said once as a warning. Statistics are those of forward passes with gradients enabled.
    """

    def __init__(self, model, path, *, every=50, optimizer=None, scaler=None, scheduler=None, modules=("*",),
                 inputs=False, bins=8, exponents=True, updates=True, step=0, name=""):
        if int(every) < 1 or int(step) < 0:
            raise ValueError(f"every={every}, step={step}: expected every of 1 or more and step of 0 or more")
        self.model, self.path, self.every = names.unwrap(model), os.fspath(path), int(every)
        self.modules = names.named_modules(model, [modules] if isinstance(modules, str) else modules)
        if not self.modules:
            raise ValueError(f"modules={modules!r} matches no module of {type(self.model).__name__}")
        self.ports = ["input", "output"] if inputs else ["output"]
        self.edges, self.scheduler, self.scaler = noise.bin_edges(bins), scheduler, scaler
        self.exponents = bool(exponents)
        self.parameters = names.named_parameters(model)
        self.updates = Updates(list(self.parameters.values()), updates)
        self.now, self.name, self.optimizer = int(step), name, optimizer
        self._file, self._layout, self._sites, self._order = None, None, {}, {}
        self._hooks, self._armed, self._closed, self._said = [], False, False, set()
        self._forget()
        self._open()
        self._arm()

    # What a training calls.

    def batch(self, loss=None, sigma=None, timestep=None, scheduler=None):
        """Tells the noise levels and losses of the forward passes since the last call; for gradient accumulation,
        once for each of a step's batches, and then step() without them.

        loss is [samples] or a mean, sigma or timestep [samples] or one for all.
        """
        if self._armed and not self._closed:
            self._guarded(self._end_batch, loss, sigma, timestep, scheduler or self.scheduler)

    def step(self, loss=None, sigma=None, timestep=None, scheduler=None, step=None):
        """Ends a training step, after the optimiser's. step: its number, if it is not one more than the last."""
        if self._closed:
            return
        if step is not None:
            self.now = int(step)
        if self._armed:
            if self._records or loss is not None:
                self.batch(loss, sigma, timestep, scheduler)
            self._guarded(self._end_step)
            self._disarm()
        self.now += 1
        self._arm()

    def close(self, complete=True):
        """Removes all hooks and completes the file. Called at the end of `with`, too."""
        if self._closed:
            return
        self._closed = True
        self._disarm()
        if self._file:
            self._guarded(self._file.close, complete)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(complete=kind is None)

    def __del__(self):
        if not getattr(self, "_closed", True):
            self.close(complete=False)

    # Hooks are there in recorded steps alone.

    def _arm(self):
        if self.now % self.every:
            return
        self._armed = True
        self._forget()
        self.updates.begin()
        me = weakref.proxy(self)
        count = self.exponents and (self.every >= EVERY_EXPONENTS or self.now % EVERY_EXPONENTS < self.every)
        add = self._hooks.append
        add(self.model.register_forward_pre_hook(lambda *seen: me._enter(seen[1:]), **WITH_KWARGS))
        for name, module in self.modules.items():
            def entered(module, args, kwargs=None, name=name):
                me._entered(name, args, kwargs, count)

            def left(module, args, output, name=name):
                me._left(name, output, count)
            if "input" in self.ports or not self._sites:
                add(module.register_forward_pre_hook(entered, **WITH_KWARGS))
            add(module.register_forward_hook(left))
        add(self.model.register_forward_hook(lambda *_: me._leave()))
        self._hook_optimizer(me)

    def _hook_optimizer(self, me):
        def before(optimizer, *_):
            me._guarded(me.updates.before, optimizer)

        def after(optimizer, *_):
            me._guarded(me.updates.after, optimizer)

        own, add = self.optimizer, self._hooks.append
        if hasattr(own, "register_step_pre_hook"):
            add(own.register_step_pre_hook(before))
            add(own.register_step_post_hook(after))
        elif own is not None:
            add(_Wrapped(own, before, after))
        elif every_optimizer:
            add(every_optimizer.register_optimizer_step_pre_hook(before))
            add(every_optimizer.register_optimizer_step_post_hook(after))
        else:
            self._say("gradients and updates are not recorded: this PyTorch needs optimizer=")

    def _disarm(self):
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._armed = [], False

    def _forget(self):
        self._active, self._last, self._records, self._sums = False, (None, None, None), [], None

    def _enter(self, arguments):
        self._active = torch.is_grad_enabled()
        x = names.first_tensor(arguments)
        self._samples = x.shape[0] if x is not None and x.dim() else None  # PyTorch 1 hides keywords
        self._last = (None, None, None)
        if self._active and not self._layout:
            self._describe()

    def _leave(self):
        self._active, self._last = False, (None, None, None)

    def _entered(self, name, args, kwargs, count):
        if not self._active:
            return
        if not self._sites:
            self._order.setdefault(name, len(self._order))
        if "input" in self.ports:
            self._see(name, 0, (args, kwargs), count)

    def _left(self, name, output, count):
        if self._active:
            self._see(name, len(self.ports) - 1, output, count)

    @torch.no_grad()
    def _see(self, name, port, value, count):
        x = names.first_tensor(value)
        if x is None:
            return
        last, version, measured = self._last
        if last is None or last() is not x or version != x._version:  # else a container returns what a part returned
            try:
                measured = measure(x, count)
            except RuntimeError as why:
                return self._say(f"{name} is not recorded: {why}")
            self._last = (weakref.ref(x), x._version, measured)
        self._records.append((name, port, measured))

    # From records to a column.

    def _describe(self):
        """What is known in a forward pass alone: the precision."""
        short = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64"}
        kinds = {p.dtype for p in self.parameters.values() if p.is_floating_point()}
        self._precision = " and ".join(sorted(short.get(k, str(k)) for k in kinds))
        dtype = _autocast(self._device().type)
        if dtype:
            self._precision = "autocast " + short.get(dtype, str(dtype))

    def _device(self):
        return next((p.device for p in self.parameters.values()), torch.device("cpu"))

    def _end_batch(self, loss, sigma, timestep, scheduler):
        records, self._records = self._records, []
        device = records[0][2].high.device if records else self._device()
        if sigma is None and timestep is not None:
            sigma = noise.sigma_of(timestep, scheduler)
        self._agree(sigma is not None)
        sigma = torch.as_tensor(float("nan") if sigma is None else sigma).detach().reshape(-1).float().to(device)
        if len(sigma) == 1:  # of all samples
            usual = collections.Counter(m.rows() for _, _, m in records).most_common(1)
            sigma = sigma.expand(self._samples or (usual[0][0] if usual else 1))
        if self._sums is None:
            self._sums = sums.Sums(self._sites, self._layout.n_bins, self._layout.exponents, device)
        if loss is not None:
            loss = torch.as_tensor(loss).detach().reshape(-1).float().to(device)
        bins = noise.bin_of(sigma, self._layout.edges)
        self._sums.add_levels(sigma, bins, loss)
        self._sums.add(records, bins)

    def _agree(self, has_sigma):
        """Lays the file out once, after the first forward pass, on all ranks as on the first."""
        if self._sites:
            return
        if not self._layout:
            order = sorted(self.modules, key=lambda n: self._order.get(n, len(self._order)))
            self._layout = self._new_layout(order, self.edges if has_sigma else [])
        order, self._layout.edges = distributed.of_first((self._layout.modules, self._layout.edges))
        self._layout.kinds = [type(self.modules[n]).__name__ for n in order]
        self._layout.modules = order
        self._layout.sizes = np.array([p.numel() for p in self.parameters.values()], "f8")
        self._sites = {(n, k): i * len(self.ports) + k for i, n in enumerate(order) for k in range(len(self.ports))}
        self._means = np.full(self._layout.n_bins, np.nan)

    def _new_layout(self, order, edges):
        attributes = {
            "tool": "sigmascope-python " + VERSION, "command": shlex.join(sys.argv), "model_path": self.name,
            "family": type(self.model).__name__, "device": str(self._device()), "precision": self._precision,
            "created": run_file.created(), "role": "denoiser", "threads": np.int32(torch.get_num_threads())}
        return run_file.Layout(order, [], self.ports, list(self.parameters), edges, self.exponents,
                               weights(self.parameters.values()), attributes)

    def _end_step(self):
        if self._sums is None:
            return self._say("no forward pass of the model was seen in a recorded step: call the model itself, "
                             "or give watch() the module that is called")
        packed = self._sums.pack(distributed.reduce, self.updates.sums, self._scale())
        if not distributed.first():
            return
        column = sums.column(packed, self._layout, self._means)
        column["/training/rate"] = self.updates.rate
        if not self._file:
            self._set_aside_if_there("it appeared meanwhile")
            self._file = run_file.RunFile(self.path, self._layout)
        self._file.append(self.now, column)

    def _scale(self):
        """The loss scale, as a tensor that lies where it lies."""
        scale = getattr(self.scaler, "_scale", None)
        return torch.full((), float("nan")) if scale is None else scale.detach()

    # The file that is there.

    def _open(self):
        """Goes on with it, if it is of the same training."""
        if not distributed.first() or not os.path.exists(self.path):
            return
        try:
            there = run_file.read_layout(self.path)
            file = run_file.RunFile.resume(self.path)
        except (OSError, KeyError, ValueError) as why:
            return self._set_aside_if_there(f"it is no file of this recorder ({why})")
        mine = run_file.Layout(sorted(self.modules), [], self.ports, list(self.parameters),
                               self.edges if there.edges else [], self.exponents)
        theirs = run_file.Layout(sorted(there.modules), [], there.ports, there.parameters, there.edges, there.exponents)
        if mine.same(theirs):
            return self._set_aside_if_there(f"it has other {mine.same(theirs)}")
        if self.now == 0 and file.n:
            return self._set_aside_if_there("this training begins at step 0; to go on with a file, give step=")
        dropped = file.drop_from(self.now)
        if dropped:
            self._say(f"{self.path}: {dropped} recorded steps are forgotten, as the training goes on from step {self.now}")
        self._file, self._layout = file, there

    def _set_aside_if_there(self, why):
        if os.path.exists(self.path):
            self._say(f"{self.path} is renamed to {run_file.set_aside(self.path)}: {why}")

    # A training does not end because its recorder fails.

    def _guarded(self, function, *args):
        try:
            return function(*args)
        except noise.UsageError:
            raise
        except Exception as why:  # whatever it is
            self._say(f"step {self.now} is not recorded, nor are others while this lasts: {type(why).__name__}: {why}",
                      type(why).__name__ + str(getattr(why, "errno", "")))

    def _say(self, text, key=None):
        """Once for each key, which is the text itself if it is left out."""
        if (key or text) not in self._said:
            self._said.add(key or text)
            depth, frame = 1, sys._getframe()
            while frame.f_back and frame.f_globals.get("__package__") == __package__:
                depth, frame = depth + 1, frame.f_back
            warnings.warn("sigmascope: " + text, stacklevel=depth)


def _autocast(device):
    """The dtype of autocast where it is on, else None."""
    if hasattr(torch, "get_autocast_dtype"):
        return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    if device == "cuda":
        return torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else None
    return torch.get_autocast_cpu_dtype() if device == "cpu" and torch.is_autocast_cpu_enabled() else None


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
