"""The NaN guard: the first value that is not finite in any step of a training, and where it came from.

On a usual step there are no hooks on modules. One pair of hooks on the model keeps what it was given and looks at
what it returns; a hook on that keeps its gradient; after the backward pass one norm of all gradients is taken. Only
where one of these is not finite the step is played once more (replay.py) with all modules watched: the weights are
still those of the step. Weights that an optimiser's step spoils show in the next forward pass, and are looked at then;
those that do not reach the output, every 16th step.
"""
import math
import os
import weakref

import torch

from . import distributed, finding, hooks, replay
from . import modules as names
from .calls import see_calls
from .optimizers import hook_steps
from .parameters import local

LONGEST_SEARCH = 8  # steps in a row that a loss scale may skip while it is searched for
MOST = 8  # findings, after which nothing new is to be expected
WEIGHTS_EVERY = 16  # steps
HISTORY = 64  # changes of the loss scale that are kept


class _Wanted(Exception):
    """Carries what on_nonfinite raises through the guard."""


class NotFiniteError(RuntimeError):
    """What on_nonfinite="raise" ends a training with; `finding` says where."""

    def __init__(self, found):
        super().__init__(found["text"])
        self.finding = found


def outermost(model):
    """The module whose hooks run outside of compiled code, but inside of DistributedDataParallel."""
    while True:
        inner = getattr(model, "_fsdp_wrapped_module", None)
        if inner is None and isinstance(model, (torch.nn.parallel.DistributedDataParallel, torch.nn.DataParallel)):
            inner = model.module
        if inner is None:
            return model
        model = inner


def not_finite(tensors):
    """Whether any value is inf or NaN: True or False for those on the CPU, else a tensor on their device."""
    if not tensors:
        return False
    kinds = {(t.dtype, t.device) for t in tensors}
    if len(kinds) == 1 and tensors[0].dtype == torch.float32:
        sums = torch._foreach_norm(tensors)
    else:
        sums = [torch.linalg.vector_norm(t, dtype=torch.float32).to(tensors[0].device) for t in tensors]
    total = torch.stack(sums).sum()
    if total.device.type != "cpu":
        return ~total.isfinite()
    # A norm may overflow where no value does.
    return not math.isfinite(float(total)) and any(not bool(t.isfinite().all()) for t in tensors)


def gradients(parameters):
    return [local(p.grad) for p in parameters if p.grad is not None and not p.grad.is_sparse]


def output_not_finite(x):
    """The same of a tensor that a model returned, whose finite values may be large."""
    x = x.detach()
    try:
        low, high = torch.aminmax(x)
    except RuntimeError:  # not for this type
        low, high = torch.aminmax(x.float())
    if x.device.type == "cpu":
        return not (math.isfinite(float(low)) and math.isfinite(float(high)))
    return ~(low.isfinite() & high.isfinite())


class Guard:
    """Belongs to a Watch, which tells it about steps; its hooks are there until remove()."""

    def __init__(self, watch, model, bundle, on_nonfinite):
        if not (on_nonfinite in (None, "raise") or callable(on_nonfinite)):
            raise ValueError(f'on_nonfinite={on_nonfinite!r}: expected "raise" or a function of a finding')
        self.watch, self.model, self.on_nonfinite = weakref.proxy(watch), names.unwrap(model), on_nonfinite
        self.bundle, self.found, self.busy = bundle, [], False
        self.skips, self.skipped, self.run, self.history = 0, float("nan"), 0, []
        self._trained = [p for p in watch.parameters.values()]
        self._ours, self._said = {id(p) for p in self._trained}, set()
        self._pending, self._calls, self._call = None, [], None
        self._queued, self._blamed, self._last = False, -1, None
        self._spoiled = False  # an optimiser has stepped with what was found already
        self._forget()
        self._hooks = []
        me, root = weakref.proxy(self), outermost(model)
        self._hooks += [see_calls(root, lambda args, kwargs: me._do(me._enter, args, kwargs)),
                        hooks.after(root, lambda m, args, y: me._do(me._leave, y))]
        steps = hook_steps(watch.optimizer, lambda o, *_: me._do(me._before_step, o),
                           lambda o, *_: me._do(me._after_step, o))
        if not steps:
            watch._say("the NaN guard does not see the optimiser: this PyTorch needs optimizer=")
        self._hooks += steps

    def remove(self, watch):
        """Reports what is pending and takes all hooks away."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self.watch = [], watch  # a weak reference ends before the watch does
        self._do(self._flush)
        self._do(self._blame_last_step)
        self._do(self._flush)
        self.watch = None
        self._forget()

    def _forget(self):
        """Nothing of a step is kept beyond it."""
        self._calls, self._flags, self._bad_gradients = [], [], False
        self._backward, self._checked, self._stepped, self._overflow = False, False, False, None

    def _do(self, function, *args):
        """A training ends by its guard only if that is asked for."""
        if self.busy:
            return
        try:
            function(*args)
        except _Wanted as wanted:
            raise wanted.args[0] from None
        except Warning:  # somebody has asked for that
            raise
        except Exception as why:
            self.busy = False
            self.watch._say(f"the NaN guard missed step {self.watch.now}: {type(why).__name__}: {why}")

    # The model's own hooks.

    def _enter(self, args, kwargs):
        self._call, self._queued = None, False
        # Within torch.func no value can be asked for, and no gradient is seen.
        if not torch.is_grad_enabled() or names.inside_func() or len(self.found) >= MOST:
            return
        self._flush()
        self._settle(waits=any(c.alive() is None and not c.gradients for c in self._calls))
        # A batch whose loss was thrown away leaves neither a gradient nor a graph.
        self._calls = [c for c in self._calls if c.gradients or c.alive() is not None]
        self._call = replay.Call(self.model, args, kwargs, self.watch._device())

    def _leave(self, output):
        call, self._call = self._call, None
        if call is None:
            return
        token = _Token()
        call.alive = weakref.ref(token)
        me, kept = weakref.proxy(self), weakref.ref(call)
        flags = []
        for k, y in enumerate(names.tensors(output)):
            if y.requires_grad:
                y.register_hook(lambda g, k=k, token=token: me._do(me._gradient, kept(), k, g))
            flags.append(output_not_finite(y))
        self._calls.append(call)
        if any(f is True for f in flags):
            return self._blame_forward(call)
        self._flags += [("forward", call, f) for f in flags if f is not False]

    def _gradient(self, call, k, g):
        if call is None:
            return
        call.gradients[k], self._backward = g.detach(), True
        if not self._queued and not distributed.together():  # there they are not yet reduced when it ends
            self._queued, me = True, weakref.proxy(self)
            torch.autograd.Variable._execution_engine.queue_callback(lambda: me._do(me._backward_ended))

    # Gradients and weights.

    @torch.no_grad()
    def _backward_ended(self):
        self._queued, self._checked = False, True
        self._look("backward", gradients(self._trained))

    def _look(self, phase, tensors):
        bad = not_finite(tensors)
        if bad is True:
            self._bad_gradients = True
        elif bad is not False:
            self._flags.append((phase, None, bad))

    def _of(self, optimizer):
        return [p for g in optimizer.param_groups for p in g["params"] if id(p) in self._ours]

    @torch.no_grad()
    def _before_step(self, optimizer):
        mine = self._of(optimizer)
        if not mine or len(self.found) >= MOST:
            return
        overflow = getattr(optimizer, "found_inf", None)  # a fused optimiser skips a step by itself
        if overflow is not None:
            self._overflow = overflow
        self._stepped = True
        if not self._checked:
            self._look("backward", gradients(mine))
        self._checked = False
        self._settle(waits=True, certain=overflow is None)

    @torch.no_grad()
    def _after_step(self, optimizer):
        self._last, mine = None, self._of(optimizer)
        if len(self.found) >= MOST:
            return
        if self._blamed == self.watch.now:
            self._spoiled |= bool(mine)
            return
        if mine:
            self._last = (weakref.ref(optimizer), self.watch.now)
        if self.watch.now % WEIGHTS_EVERY:
            return
        bad = not_finite([local(p.detach()) for p in mine])
        if bad is True:
            self._blame_optimizer(optimizer)
        elif bad is not False:
            self._flags.append(("optimizer", weakref.ref(optimizer), bad))

    def _settle(self, waits, certain=False):
        """Reads the flags that lie on a device, in one copy, and finds out about what is not finite.

        certain: gradients that are not finite are no search for a loss scale
        """
        if waits and self._flags:
            flags, self._flags = self._flags, []
            for (phase, about, _), bad in zip(flags, torch.stack([f for _, _, f in flags]).tolist()):
                if bad and phase == "forward":
                    return self._blame_forward(about)
                if bad and phase == "optimizer" and about() is not None:
                    return self._blame_optimizer(about())
                self._bad_gradients |= bad
        if self._bad_gradients and (certain or not self._scaling()):
            self._bad_gradients = False
            self._blame_backward()

    def _scaling(self):
        """True where infinite gradients belong to the search for a loss scale."""
        scaler = self.watch.scaler
        if scaler is not None:
            return getattr(scaler, "_scale", None) is not None
        half = {c.autocast for c in self._calls} | {p.dtype for p in self._trained}
        return torch.float16 in half  # a scaler that nobody told of

    # What the watch tells.

    def told(self, loss, sigma, timestep, scheduler):
        """The noise levels and losses of the calls since the last time."""
        self._do(self._told, loss, sigma, timestep, scheduler)

    def _told(self, loss, sigma, timestep, scheduler):
        if loss is None and sigma is None and timestep is None:
            return
        told = {"loss": None if loss is None else torch.as_tensor(loss).detach(), "sigma": sigma,
                "timestep": timestep, "scheduler": scheduler}
        news = [c for c in self._calls if not c.told]
        if self._pending and self._pending.call and not self._pending.call.told:
            news.append(self._pending.call)
        for call in news:
            call.told = told
        loss = told["loss"]
        if news and loss is not None and loss.device.type == "cpu" and self._blamed != self.watch.now and \
                not bool(loss.isfinite().all()):
            self._blame_loss(news[-1], loss)
        self._flush()

    def step_ended(self):
        self._do(self._step_ended)

    def _step_ended(self):
        self._flush()
        if len(self.found) >= MOST:
            return
        self._count_skip()
        flags = [f for f in self._flags if f[0] == "optimizer"]
        self._forget()
        self._flags = flags

    def _count_skip(self):
        skipped = self._backward and not self._stepped
        if self._overflow is not None:
            skipped = bool(self._overflow)
        if self._backward or self._stepped:
            self.skipped = float(skipped)
        scale = self._scale(skipped)
        if not skipped:
            self.run = 0 if self._stepped else self.run
            return
        self.skips, self.run = self.skips + 1, self.run + 1
        if not self._checked:
            self._look("backward", gradients(self._trained))
        self._settle(waits=True, certain=self.run == LONGEST_SEARCH or scale is not None and scale < 1)
        self._flush()

    def _scale(self, skipped):
        """The loss scale where it costs no wait, and after a skip, when the scaler has waited already."""
        scale = getattr(self.watch.scaler, "_scale", None)
        if scale is None or not (scale.device.type == "cpu" or skipped):
            return None
        scale = float(scale)
        if not self.history or self.history[-1][1] != scale:
            self.history = self.history[1 - HISTORY:] + [[self.watch.now, scale]]
        return scale

    # Findings.

    def _blame_last_step(self):
        """Looks at the weights that the last step of an optimiser left; True where that is to blame."""
        last, self._last = self._last, None
        optimizer = last and last[0]()
        if optimizer is None or len(self.found) >= MOST or self._blamed == last[1]:
            return False
        found = finding.of_optimizer(self, optimizer, last[1])
        if found:
            self._find(found, None, None)
            self._spoiled = True
        return found is not None

    def _blame_forward(self, call):
        if self._blame_last_step():
            return
        place, why = self._replay(replay.find_forward, call)
        self._find(finding.of_forward(self, call, place, why), call, place)

    def _blame_backward(self):
        if self._blamed == self.watch.now:
            return
        why, calls = "no call of the model with gradients was seen", [c for c in self._calls if c.gradients]
        for call in calls:
            if any(not bool(g.isfinite().all()) for g in call.gradients.values()):
                place = finding.of_loss_gradient(self, call)
                return self._find(finding.of_backward(self, call, place, None), call, place)
        for call in calls:
            place, why = self._replay(replay.find_backward, call)
            if place:
                return self._find(finding.of_backward(self, call, place, None), call, place)
        if all(bool(g.isfinite().all()) for g in gradients(self._trained)):
            return  # their norm was not
        self._find(finding.of_backward(self, calls[-1] if calls else None, None, why), calls[-1] if calls else None, None)

    def _blame_optimizer(self, optimizer):
        self._last = (weakref.ref(optimizer), self.watch.now)
        self._blame_last_step()

    def _blame_loss(self, call, loss):
        self._find(finding.of_loss(self, call, loss), call, None)

    def _replay(self, find, call):
        """(Place or None, why there is none)."""
        why = replay.why_not(self.model)
        if why is None and call.changed():
            why = "its inputs were changed in place after it took them"
        if why is not None:
            return None, why
        self.busy = True
        try:
            with hooks.paused():
                return find(self.model, call), "played once more, all is finite"
        except Exception as error:
            return None, f"it could not be played once more: {type(error).__name__}: {error}"
        finally:
            self.busy = False

    def _find(self, found, call, place):
        """Keeps a finding until its noise level is told."""
        self._flush()
        self._blamed = self.watch.now
        if found.key() in self._said or self._spoiled and found.fields["weights"]:
            return
        self._said.add(found.key())
        found.hold(call, place, self.bundle is not None and not self.found)
        self._pending = found
        if self.on_nonfinite == "raise":
            self._flush()

    def _flush(self):
        """Reports what is pending."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        found = pending.finish()
        self.found.append(found)
        try:
            pending.write(self.bundle)
        except (OSError, ValueError) as why:
            found["text"] += f" (its bundle is not written: {why})"
        try:
            with open(self._lines(), "a", encoding="utf-8") as f:
                f.write(finding.line(found) + "\n")
        except OSError as why:
            self.watch._say(f"a finding is not written: {why}")
        self.watch._say(found["text"])
        try:
            if self.on_nonfinite == "raise":
                raise NotFiniteError(found)
            if self.on_nonfinite:
                self.on_nonfinite(found)
        except Exception as error:
            raise _Wanted(error) from None

    def _lines(self):
        return os.path.splitext(self.watch.path)[0] + self.watch.processes.suffix + ".guard.jsonl"


class _Token:
    """Lives as long as what holds it."""
