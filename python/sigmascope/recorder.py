"""watch(): the recorder of a live training."""
import atexit
import functools
import os
import shlex
import sys
import warnings
import weakref

import numpy as np
import torch

from . import distributed, eager, hooks, noise, run_file, sums
from . import modules as names
from .guard import Guard
from .optimizers import hook_steps
from .parameters import Updates, weights
from .passes import Passes
from .penalty import penalty_of
from .replay import autocast
from .version import VERSION

SELDOM = 8  # steps, of which one at most has what takes longest: exponents, updates and staleness
# What networks call their arguments for the timestep; given to a scheduler they say the noise level.
TIMESTEPS = ("timestep", "timesteps", "t")


_open = weakref.WeakSet()


@atexit.register
def _close_all():
    """While the modules are still there that closing needs."""
    for w in list(_open):
        w.close(complete=False)


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
    scheduler     turns timesteps into sigma (noise.sigma_of): those given to step(), or else those that the model takes
    timestep_argument   the name of the model's argument for the timestep; left out: timestep, timesteps or t
    sigma_argument      the same of a model that takes sigma itself
    modules       globs of module names, as "up_blocks.*"
    adapters      a module beside the model whose parts run within it, as the LoRA network of kohya's scripts
    inputs        records what modules take, too, not only what they return
    bins          bins of noise level: how many between sigma 0.01 and 100, or their inner edges
    exponents     counts of exponents, which tell what a format would flush to zero; of every 8th step at most
    updates       what a step of the optimiser does to each weight, of every 8th step at most; needs memory for a copy
                  of the weights while such a step lasts
    step          the number of the first step: that of the checkpoint that the training resumes from
    name          what to call the model; the step in it, if any, is not used
    guard         looks for the first value that is not finite, in every step (guard.py): a warning says where, and so
                  do NAME.guard.jsonl beside the file, and `found`, a list of dictionaries
    bundle        the folder that the first of them is saved in (default: NAME.bundle beside the file); False: none
    on_nonfinite  "raise", or a function that is called with what was found

    A file that is there is gone on with if it is of the same model and options; steps from `step` on are
    forgotten. Any other file is first renamed to NAME-1.h5. Nothing that goes wrong while recording ends the
    training: it is said once as a warning. Statistics are those of forward passes with gradients enabled.
    """

    def __init__(self, model, path, *, every=50, optimizer=None, scaler=None, scheduler=None,
                 timestep_argument=None, sigma_argument=None, modules=("*",), adapters=None, inputs=False,
                 bins=8, exponents=True, updates=True, step=0, name="", guard=True, bundle=None, on_nonfinite=None):
        if int(every) < 1 or int(step) < 0:
            raise ValueError(f"every={every}, step={step}: expected every of 1 or more and step of 0 or more")
        self.model, self.path, self.every = names.unwrap(model), os.fspath(path), int(every)
        self.globs, self._given = [modules] if isinstance(modules, str) else list(modules), model
        self.adapters = adapters
        self.modules = self._find_modules()
        if not self.modules:
            raise ValueError(f"modules={modules!r} matches no module of {type(self.model).__name__}")
        self.ports = ["input", "output"] if inputs else ["output"]
        self.edges, self.scheduler, self.scaler = noise.bin_edges(bins), scheduler, scaler
        self._noise_argument = self._find_argument(timestep_argument, sigma_argument)
        self.exponents = bool(exponents)
        self.parameters = self._find_parameters()
        self.updates = Updates(list(self.parameters.values()), updates)
        self.now, self.name, self.optimizer = int(step), name, optimizer
        self._file, self._layout, self._sites, self._order = None, None, {}, {}
        self._precision, self._hooks, self._armed, self._closed, self._said = "", [], False, False, set()
        self._weighed, self._complete = False, None
        _open.add(self)
        self._forget()
        self.processes = distributed.Processes(self.path, functools.partial(Watch._say, weakref.proxy(self)))
        self._open()
        if bundle is None:
            bundle = os.path.splitext(self.path)[0] + self.processes.suffix + ".bundle"
        self.guard = Guard(self, model, bundle or None, on_nonfinite) if guard else None
        self._arm()

    # What a training calls.

    @property
    def found(self):
        """What the guard has found, the first first."""
        return self.guard.found if self.guard else []

    def batch(self, loss=None, sigma=None, timestep=None, scheduler=None):
        """Tells the noise levels and losses of the forward passes since the last call; for gradient accumulation,
        once for each of a step's batches, and then step() without them.

        loss is [samples] or a mean, sigma or timestep [samples] or one for all.
        """
        if self._closed:
            return
        if self.guard:
            self.guard.told(loss, sigma, timestep, scheduler or self.scheduler)
        if self._armed:
            self._guarded(self._end_batch, loss, sigma, timestep, scheduler or self.scheduler)

    def step(self, loss=None, sigma=None, timestep=None, scheduler=None, step=None):
        """Ends a training step, after the optimiser's. step: its number, if it is not one more than the last."""
        if self._closed:
            return
        if step is not None:
            self.now = int(step)
        if not self._armed or self.pending or loss is not None:
            self.batch(loss, sigma, timestep, scheduler)
        if self.guard:
            self.guard.step_ended()
        was = self._armed
        if was:
            self._guarded(self._end_step)
        self.now += 1
        if was and self.now % self.every == 0 and self._sites and self._looks() == self._looked:
            self._begin()  # with the hooks that are there
        else:
            self._disarm()
            self._arm()

    @property
    def pending(self):
        """Whether there was a forward pass to record since the last batch() or step()."""
        return bool(self._passes)

    def forget(self):
        """Drops the forward passes since the last batch() or step(), as when their batch is tried once more. Those
        that ended in an exception, forward or backward, are dropped without it."""
        self._passes.take()

    def joinable(self):
        """What stands for this recorder in torch.distributed.algorithms.Join([model, watch.joinable()]): a process
        that has run out of batches takes part in the steps that the others record. All processes have to call it;
        a step is one forward pass then."""
        self.processes.own_group()
        return distributed.joinable(self)

    def close(self, complete=True):
        """Removes all hooks and completes the file. Called at the end of `with`, too."""
        if self._closed:
            return
        self._closed = True
        self._disarm()
        self.processes.close()
        if self._file:
            self._guarded(self._file.close, complete)
        if self.guard:
            self.guard.remove(self)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(complete=kind is None)

    def __deepcopy__(self, _):
        return self  # a copy of an object that has a recorder, not of the recorder

    def __del__(self):
        if not getattr(self, "_closed", True):
            self.close(complete=False)

    # Hooks are there in recorded steps alone.

    def _arm(self):
        if self.now % self.every:
            return
        self._armed = True
        self._look_again()
        self._looked = self._looks()
        self._run_eagerly()
        self._begin()
        me = weakref.proxy(self)
        self._hooks.append(hooks.before(self.model, lambda _, args, kwargs: me._enter(args, kwargs)))
        self._hook_modules(me)
        self._hook_optimizer(me)

    def _begin(self):
        """Begins a recorded step."""
        self._forget()
        whole = self.every >= SELDOM or self.now % SELDOM < self.every
        self.updates.begin(whole)
        self._count = self.exponents and whole

    def _looks(self):
        """What the hooks depend on: modules and parameters, and whether they are compiled."""
        modules = list(self.model.modules()) + list(self.adapters.modules() if self.adapters is not None else ())
        return [id(x) for m in modules for x in (m, m.__dict__.get("_compiled_call_impl"), *m._parameters.values())]

    def _hook_modules(self, me):
        for name, module in self.modules.items():
            def entered(_, args, kwargs, name=name):
                me._entered(name, args, kwargs)

            def left(_, args, output, name=name):
                me._left(name, output)
            if "input" in self.ports or not self._sites:
                self._hooks.append(hooks.before(module, entered))
            self._hooks.append(hooks.after(module, left))
        self._hooks.append(hooks.after(self.model, lambda _, args, output: me._passes.leave(output)))

    def _find_modules(self):
        found = names.named_modules(self._given, self.globs)
        if self.adapters is not None:
            beside = names.named_modules(self.adapters, self.globs)
            beside.pop(names.ROOT, None)
            found = {**beside, **found}
        return found

    def _find_parameters(self):
        beside = {} if self.adapters is None else names.named_parameters(self.adapters)
        return {**beside, **names.named_parameters(self._given)}

    def _look_again(self):
        """Finds modules and parameters by their names, as they may have been replaced, added or taken away."""
        modules, parameters = self._find_modules(), self._find_parameters()
        if not self._layout:
            self.modules, self.parameters = modules, parameters
        else:
            there = set(self._layout.modules)
            new = [n for n in modules if n not in there]
            gone = [n for n in self._layout.modules if n not in modules]
            if new:
                self._say(f"{_some(new)} came after the first recorded step and is not recorded: watch() the model "
                          "into another file once it is whole")
            if gone:
                self._say(f"{_some(gone)} is no part of the model any more")
            self.modules = {n: modules[n] for n in self._layout.modules if n in modules}
            # FSDP takes parameters away for a while.
            self.parameters = {n: parameters.get(n, p) for n, p in self.parameters.items()}
        self.updates.index = {id(p): i for i, p in enumerate(self.parameters.values())}
        self.updates.n = len(self.parameters)

    def _run_eagerly(self):
        if eager.available():
            eager.begin()
            self._hooks.append(_Eager())
        if eager.compiled(self._given):
            self._say("recorded steps run without torch.compile: they take longer, and their last bits are those of "
                      "the model as it is written" if eager.available() else
                      "this PyTorch cannot run a compiled model without torch.compile for a step, which needs "
                      "torch.compiler.set_stance of 2.6: what is compiled may not be recorded")

    def _hook_optimizer(self, me):
        def before(optimizer, *_):
            me._guarded(me.updates.before, optimizer)

        def after(optimizer, *_):
            me._guarded(me.updates.after, optimizer)

        found = hook_steps(self.optimizer, before, after)
        self._optimizer_hooked = bool(found)
        self._hooks += found
        if not found:
            self._say("gradients and updates are not recorded: this PyTorch needs optimizer=")

    def _disarm(self):
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._armed = [], False

    def _forget(self):
        self._passes, self._sums, self._count = Passes(), None, False

    def _enter(self, args, kwargs):
        if not self._layout and len(self._find_modules()) != len(self.modules):
            self._disarm()  # modules were added since
            self._arm()
        what, argument = self._noise_argument
        value = argument.of(args, kwargs) if argument else None
        x = names.first_tensor((args, kwargs))
        samples = x.shape[0] if x is not None and x.dim() else None  # PyTorch 1 hides what is given by name
        self._passes.enter(None if value is None else (what, value), samples)
        if self._passes.active and not self._layout:
            self._describe()

    def _entered(self, name, args, kwargs):
        if not self._passes.active:
            return
        if not self._sites:
            self._order.setdefault(name, len(self._order))
        if "input" in self.ports:
            self._see(name, 0, (args, kwargs))

    def _left(self, name, output):
        if self._passes.active:
            if not self._layout and not self._precision.startswith("autocast"):
                self._describe()  # accelerate turns autocast on within the model
            self._passes.seen.add(name)
            self._see(name, len(self.ports) - 1, output)
        elif torch.is_grad_enabled():
            self._passes.outside.append(name)

    def _see(self, name, port, value):
        try:
            self._passes.see(name, port, value, self._count)
        except RuntimeError as why:
            self._say(f"{name} is not recorded: {why}")

    # From records to a column.

    def _find_argument(self, timestep, sigma):
        """("timestep" or "sigma", the argument of the model that tells it), or (None, None)."""
        for what, name in (("sigma", sigma), ("timestep", timestep)):
            if name is not None:
                argument = names.Argument(self.model, [name])
                if argument.name is None:
                    raise ValueError(f"{what}_argument={name!r}: {type(self.model).__name__}.forward() has none")
                if what == "timestep" and self.scheduler is None:
                    raise ValueError("timestep_argument needs scheduler=, which turns timesteps into sigma")
                return what, argument
        return ("timestep", names.Argument(self.model, TIMESTEPS)) if self.scheduler is not None else (None, None)

    def _describe(self):
        """What is known in a forward pass alone: the precision."""
        short = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64"}
        kinds = {p.dtype for p in self.parameters.values() if p.is_floating_point()}
        self._precision = " and ".join(sorted(short.get(k, str(k)) for k in kinds))
        dtype = autocast(self._device().type)
        if dtype:
            self._precision = "autocast " + short.get(dtype, str(dtype))

    def _device(self):
        return next((p.device for p in self.parameters.values()), torch.device("cpu"))

    def _end_batch(self, loss, sigma, timestep, scheduler):
        passes = self._passes.take()
        if sigma is None and timestep is not None:
            sigma = noise.sigma_of(timestep, scheduler)
        known = sigma is not None or any(p.noise for p in passes)
        self._agree(known)
        if self._sums is None:
            self._sums = self._new_sums(next((p.records[0][2].high.device for p in passes if p.records), self._device()))
        if loss is None:
            losses = [p.loss for p in passes if p.loss is not None]
            loss = torch.stack([x.reshape(()) for x in losses]) if losses else None
        if loss is not None:
            loss = torch.as_tensor(loss).detach().reshape(-1).float().to(self._sums.device)
        if sigma is None and known:
            for p in passes:  # each with the levels that the model was told, and its part of the losses
                n = p.count()
                own, loss = (loss[:n], loss[n:]) if loss is not None and len(loss) > 1 else (loss, None)
                self._add(p.records, self._told(p, scheduler), own, n)
        else:
            self._add([r for p in passes for r in p.records], sigma, loss, passes[-1].count() if passes else 1)

    def _told(self, one_pass, scheduler):
        what, value = one_pass.noise or (None, None)
        return noise.sigma_of(value, scheduler) if what == "timestep" else value

    def _add(self, records, sigma, loss, samples):
        sigma = torch.as_tensor(float("nan") if sigma is None else sigma).detach().reshape(-1).float()
        sigma = sigma.to(self._sums.device)
        if len(sigma) == 1:  # of all samples
            sigma = sigma.expand(samples)
        bins = noise.bin_of(sigma, self._layout.edges)
        self._sums.add_levels(sigma, bins, loss)
        self._sums.add(records, bins)

    def _new_sums(self, device):
        new = sums.Sums(self._sites, self._layout.n_bins, self._layout.exponents, device)
        new.counted = self._layout.exponents and self._count  # in all processes alike, whatever ran in each
        return new

    def _agree(self, has_sigma):
        """Lays the file out once, after the first forward pass, in all processes as in the first."""
        if self._sites:
            return
        if not self._layout:
            order = sorted(self.modules, key=lambda n: self._order.get(n, len(self._order)))
            self._layout = self._new_layout(order, self.edges if has_sigma else [])
        mine = [self._layout.modules, self._layout.parameters, self._layout.edges]
        order, parameters, self._layout.edges = self.processes.of_first(mine)
        if parameters != self._layout.parameters:
            raise noise.UsageError(f"{self.path}: the model has other parameters in process 0")
        self._layout.kinds = [names.kind(self.modules[n]) if n in self.modules else "" for n in order]
        self._layout.modules = order
        self._sites = {(n, k): i * len(self.ports) + k for i, n in enumerate(order) for k in range(len(self.ports))}
        self._means = np.full(self._layout.n_bins, np.nan)

    def _new_layout(self, order, edges):
        attributes = {
            "tool": "sigmascope-python " + VERSION, "command": shlex.join(sys.argv), "model_path": self.name,
            "family": names.kind(self.model), "device": str(self._device()), "precision": self._precision,
            "created": run_file.created(), "role": "denoiser", "threads": np.int32(torch.get_num_threads())}
        return run_file.Layout(order, [], self.ports, list(self.parameters), edges, self.exponents, None, attributes)

    def _end_step(self):
        if not self.processes.joined and distributed.together():
            self._alone()
        if not self._passes.any and not self.processes.joined:
            return self._say(self._nothing_seen())
        self._agree(False)
        if not self.processes.meet(f"end step {self.now}") and (self._sums is None or not self.processes.first):
            return
        if self._sums is None:
            self._sums = self._new_sums(self._device())
        parameters = list(self.parameters.values())
        shards = distributed.shards_of(self._given, parameters)
        if not self._weighed:  # in all processes at once, with a file or without
            self._weighed = True
            found = self.processes.weights(weights(parameters), parameters, shards)
            self._layout.weights = self._layout.weights if self._file else found
        updates, self._layout.sizes = self.processes.updates(self.updates.sums, parameters, shards)
        penalty = penalty_of(self.model)
        self._sums.add_penalty(penalty and penalty.tensor())
        packed = self._sums.pack(self.processes.reduce, updates, self._scale())
        if not self.processes.first:
            return
        column = sums.column(packed, self._layout, self._means)
        column["/training/rate"] = self.updates.rate
        if self.guard:
            column["/training/skipped"], column["/training/skips"] = self.guard.skipped, self.guard.skips
        elif self.scaler is not None and self._optimizer_hooked:
            # An optimiser that takes the scale off itself is called all the same, and sees the same gradients.
            column["/training/skipped"] = float(updates is None or not np.isfinite(column["/training/norm"]))
        if not self._file:
            self._set_aside_if_there("it appeared meanwhile")
            self._file = run_file.RunFile(self.path, self._layout)
        self._file.append(self.now, column)
        self._say_what_was_missed(packed[-1], packed[1])

    def _nothing_seen(self):
        text = "no forward pass of the model with gradients was seen in a recorded step: call the model itself, " \
            "or give watch() the module that is called"
        outside = [n for n in dict.fromkeys(self._passes.outside) if n != names.ROOT]
        return text + (f" ({_some(outside)} ran)" if outside else "")

    def _say_what_was_missed(self, updates, totals):
        """Modules that ran where no hook saw it."""
        if self._passes.seen == self._complete and not self._passes.outside:
            return  # as in a step before
        self._complete = self._passes.seen
        seen = self._passes.seen | {n for (n, _), at in self._sites.items() if totals[sums.VALUES, at].any()}
        outside = [n for n in dict.fromkeys(self._passes.outside) if n not in seen]
        if outside:
            self._say(f"{_some(outside)} ran outside the model's own forward() and is not recorded")
        if updates is not None:
            trained = {id(p) for p, square in zip(self.parameters.values(), updates[0]) if square > 0}
            fused = names.fused(self.modules, seen, trained)
            fused = [n for n in fused if n not in outside]
            if fused:
                self._say(f"{_some(fused)} ran without its hooks (fused) and is not recorded")

    def _alone(self):
        """Several processes of which this recorder knows only its own."""
        if self.processes.world == 1:
            self.processes.world = 0
            self._say("watch() was called before torch.distributed.init_process_group(): only process 0 is recorded")
            self.processes.rank = torch.distributed.get_rank()

    def _scale(self):
        """The loss scale, as a tensor that lies where it lies."""
        scale = getattr(self.scaler, "_scale", None)
        return torch.full((), float("nan")) if scale is None else scale.detach()

    # The file that is there.

    def _open(self):
        """Goes on with it, if it is of the same training."""
        if not self.processes.first or not os.path.exists(self.path):
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


def _some(found):
    """Names for a sentence: all of a few, and how many more there are."""
    return ", ".join(found[:8]) + (f" (and {len(found) - 8} more)" if len(found) > 8 else "")


class _Eager:
    def remove(self):
        eager.end()
