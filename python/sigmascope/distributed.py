"""Several processes that train together: which one writes, and sums over all.

Before the processes add up a step they meet, by counters in the store that torch.distributed keeps for all: a
collective operation that one of them does not call would hang, and the training with it. A process that does not
come is waited for and named; then each goes on alone.
"""
import collections
import json
import os
import time

import numpy as np
import torch

from .parameters import local

AVAILABLE = torch.distributed.is_available()
WORDS, PATIENCE = 20.0, 600.0  # seconds until it is said that a process is waited for, and until it is no more
AT_FIRST = 60.0  # the latter for watch() itself, which some call in one process alone
UNDECIDED, ALL, ALONE = range(3)
_times = collections.Counter()


def together():
    return AVAILABLE and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


class Processes:
    """Those that watch one model. say(text) warns. All methods but close() are called by all processes alike."""

    def __init__(self, path, say):
        self.say, self.joined, self.group, self._store, self._met = say, False, None, None, 0
        self.rank, self.world = 0, 1
        if not together():
            return
        self.rank, self.world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        name = os.path.basename(path)
        _times[name] += 1
        self._key = f"sigmascope/{name}/{_times[name]}"
        self._store = torch.distributed.distributed_c10d._get_default_store()
        self.joined = True
        self.joined = self.meet("call watch()", AT_FIRST)

    @property
    def first(self):
        """True in the one process that writes."""
        return self.rank == 0

    @property
    def suffix(self):
        """What names of files of this process alone have: "" in the first, else ".rank3"."""
        return f".rank{self.rank}" if self.rank else ""

    def meet(self, what, patience=None):
        """Waits for all processes to come to `what`; False, from then on, if one does not."""
        if not self.joined:
            return False
        self._met += 1
        key = f"{self._key}/{self._met}"
        self._store.add(f"{key}/{self.rank}", 1)
        if self._store.add(key + "/here", 1) == self.world:
            self._decide(key, ALL)
            self._forget(self._met - 2)
        decided = self._wait(lambda: self._store.add(key + "/decision", 0), key, what, patience or PATIENCE)
        if decided == ALL:
            return True
        if decided == UNDECIDED:
            decided = self._decide(key, ALONE)
        if decided == ALL:
            return True
        self.joined = False
        self.say(f"{_named(self._missing(key))} did not {what}; "
                 + ("the recording goes on with this process alone" if self.first else
                    "nothing of this process is recorded any more"))
        return False

    def _wait(self, known, key, what, patience):
        """What known() returns once it is not 0, or 0 if a process left or did not come."""
        began, pause, said = time.monotonic(), 0.0002, False
        while True:
            found = known()
            if found:
                return found
            if self._store.add(self._key + "/left", 0):
                return known()  # it may have been decided before the other left
            waited = time.monotonic() - began
            if waited > patience:
                return 0
            if waited > WORDS and not said:
                said = True
                self.say(f"this process waits for {_named(self._missing(key))} to {what}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)

    def _decide(self, key, decision):
        """The first to decide decides for all."""
        if self._store.add(key + "/deciders", 1) == 1:
            self._store.add(key + "/decision", decision)
        while True:
            decided = self._store.add(key + "/decision", 0)
            if decided:
                return decided
            time.sleep(0.001)

    def _missing(self, key):
        return [r for r in range(self.world) if not self._store.add(f"{key}/{r}", 0)]

    def _forget(self, met):
        """Removes the counters of a meeting that all have left; not all stores can."""
        keys = ["here", "deciders", "decision", *range(self.world)]
        try:
            for k in keys if met > 0 else ():
                self._store.delete_key(f"{self._key}/{met}/{k}")
        except (RuntimeError, NotImplementedError):
            pass

    def close(self):
        """Tells the others not to wait for this process."""
        if self.joined:
            self.joined = False
            try:
                self._store.add(self._key + "/left", 1)
            except RuntimeError:  # the process that keeps the store has ended
                pass

    def own_group(self):
        """From here on sums are apart from those of the training, whose processes may end it one by one."""
        if self.meet("call joinable()"):
            self.group = torch.distributed.new_group()

    def of_first(self, value):
        """What the first process gave, as JSON keeps it. It does not wait for the others."""
        if not self.joined:
            return value
        key = self._key + "/given"
        if self.first:
            self._store.set(key, json.dumps(value))
            self._store.add(key + "/there", 1)
            return value
        if self._wait(lambda: self._store.add(key + "/there", 0), key, "describe the model", PATIENCE):
            return json.loads(self._store.get(key))
        return value

    def reduce(self, tensor, how):
        """The "max" or "sum" over all processes, in place, after meet()."""
        if self.joined:
            how = {"max": torch.distributed.ReduceOp.MAX, "sum": torch.distributed.ReduceOp.SUM}[how]
            torch.distributed.all_reduce(tensor, how, group=self.group)

    def updates(self, sums, parameters, shards):
        """The sums of parameters.Updates over all processes, and [parameter] how many numbers each has as a whole.

        Each process has the whole parameter or one shard of it. Sums over what all have, divided by how much that
        is, are means over the parameter either way. NaN in one shard is NaN in all.
        """
        if not self.joined:
            return sums, np.array([p.numel() for p in parameters], "f8")
        device = sums.device if sums is not None else _device(parameters)
        mine = torch.tensor([float(local(p).numel()) for p in parameters], device=device)
        if sums is None:
            sums = torch.full((4, len(mine)), float("nan"), device=device)
        real = torch.float32 if device.type == "mps" else torch.float64
        both = torch.cat([torch.where(mine > 0, sums.to(real), torch.zeros((), dtype=real, device=device)),
                          mine[None].to(real)])
        self.reduce(both, "sum")
        ranks = torch.tensor([shards.get(id(p), 1) / self.world for p in parameters], dtype=real, device=device)
        return both[:4] * ranks, (both[4] * ranks).cpu().numpy()

    def weights(self, found, parameters, shards):
        """What parameters.weights() gave in each process, of the whole parameters."""
        if not self.joined or not found:
            return found
        device = _device(parameters)
        n = np.array([float(local(p).numel()) for p in parameters]) - found["nonfinite"]
        sums = torch.tensor(np.stack([np.nan_to_num(found["rms"].astype("f8")) ** 2 * n, n,
                                      found["nonfinite"].astype("f8")]), dtype=torch.float32, device=device)
        high = torch.tensor(np.nan_to_num(found["absmax"], nan=-np.inf), device=device)
        self.reduce(sums, "sum")
        self.reduce(high, "max")
        squares, n, bad = sums.cpu().numpy().astype("f8")
        ranks = np.array([shards.get(id(p), 1) / self.world for p in parameters])
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"absmax": np.where(n > 0, high.cpu().numpy(), np.nan).astype("f4"),
                    "rms": np.sqrt(squares / n).astype("f4"), "nonfinite": np.rint(bad * ranks).astype("u8")}


def _named(ranks):
    return ("processes " if len(ranks) > 1 else "process ") + ", ".join(map(str, ranks)) if ranks else "a process"


def _device(parameters):
    return next((p.device for p in parameters), torch.device("cpu"))


def shards_of(model, parameters):
    """id of a parameter: over how many processes it is spread, where it is by FSDP."""
    found = {}
    if not together():
        return found
    for p in parameters:
        if hasattr(p, "placements"):
            n = 1
            for k, placement in enumerate(p.placements):
                n *= p.device_mesh.size(k) if placement.is_shard() else 1
            found[id(p)] = n
    for module in model.modules():  # FSDP of PyTorch 1; the inner modules come later
        group = getattr(module, "process_group", None)
        if getattr(module, "_fsdp_wrapped_module", None) is not None and group is not None and "NO_SHARD" not in str(
                getattr(module, "sharding_strategy", "")):
            found.update((id(p), group.size()) for p in module.parameters())
    return found


def joinable(watch):
    """For torch.distributed.algorithms.Join, beside the model: see Watch.joinable."""
    from torch.distributed.algorithms.join import Joinable, JoinHook

    class Hook(JoinHook):
        def main_hook(self):
            watch.step()

    class Joined(Joinable):
        def __init__(self):
            super().__init__()

        def join_hook(self, **_):
            return Hook()

        @property
        def join_device(self):
            return _device(list(watch.parameters.values()))

        @property
        def join_process_group(self):
            return torch.distributed.group.WORLD
    return Joined()
