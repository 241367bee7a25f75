"""The forward passes of the model in one step: which count, and what was measured in each.

Those count that run with gradients enabled and end. One that runs a second time in the backward pass, for
checkpointing, does not; nor does one that ended in an exception (out of memory, and the batch is tried again), in
its forward or in its backward pass.
"""
import collections
import weakref

import torch

from . import hooks
from . import modules as names
from .statistics import measure


class Pass:
    """`records` are (module, port, Measured) in order; noise is (what, value) that the model was told, or None."""

    def __init__(self, noise, samples):
        self.records, self.noise, self.loss, self.broken, self._samples = [], noise, None, False, samples

    def count(self):
        """How many samples it was of: by what the model took, or what most modules gave."""
        if self._samples or not self.records:
            return self._samples or 1
        return collections.Counter(m.rows() for _, _, m in self.records).most_common(1)[0][0]

    def follow(self, output):
        """Notes whether a backward pass that begins at the output also ends."""
        y = next((t for t in names.tensors(output) if t.requires_grad), None)
        if y is None:
            return
        me = weakref.ref(self)

        def ended():
            if me():
                me().broken = False

        def began(_):
            if me():
                me().broken = True
                torch.autograd.Variable._execution_engine.queue_callback(ended)
        try:
            y.register_hook(began)
        except RuntimeError:  # not on a tensor that torch.func has wrapped
            pass


class Passes:
    def __init__(self):
        self.active = False  # in a pass that counts
        self.any = False  # there was one
        self.seen, self.outside = set(), []  # modules that ran in such a pass, and outside any
        self._done, self._now, self._last = [], None, (None, None, None)

    def __bool__(self):
        return any(not p.broken for p in self._done)

    def enter(self, noise, samples):
        self.active = torch.is_grad_enabled() and not hooks.recomputing()
        self._now, self._last = Pass(noise, samples) if self.active else None, (None, None, None)

    def leave(self, output):
        if self.active:
            self.any = True
            self._now.loss = names.loss_of(output)
            self._now.follow(output)
            self._done.append(self._now)
        self.active, self._now, self._last = False, None, (None, None, None)

    def see(self, name, port, value, count):
        """Measures what a module takes or gives; RuntimeError where that cannot be."""
        x = names.first_tensor(value)
        if x is None:
            return
        with names.outside_func():
            x = names.plain(x)
            last, version, measured = self._last
            if last is None or last() is not x or version != x._version:  # else a container returns what a part did
                measured = measure(x, count)
                self._last = (weakref.ref(x), x._version, measured)
        self._now.records.append((name, port, measured))

    def take(self):
        """The passes since the last call."""
        taken, self._done = [p for p in self._done if not p.broken], []
        return taken
