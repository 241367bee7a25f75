"""The run file of a live training: HDF5 that opens at any moment, also after kill -9.

The layout is that of a training run (runfile/run_file.h of the program, docs/run-file.md): the axis
`step`, one input, and on the axis `sample` the bins of noise level. HDF5 lays out a file with room for
some steps, in memory; from then on columns are written in place through memory maps, and a step
counts once its flag in /axes/done is set, last of all. HDF5's own structures are never touched while
the training runs, so no reader finds them half written. When the room is used up, a file with twice
the room is made beside it and renamed over it.

HDF5 never writes to the disk itself: some of its versions end the process where that is full.
"""
import errno
import io
import os
import tempfile
import time

import h5py
import numpy as np

VERSION = "1.6"
STATISTICS = ("min", "max", "absmax", "mean", "std", "rms", "l2")
TRAINING = ("loss", "penalty", "norm", "rate", "scale", "skipped", "skips")
UPDATES = ("gradient_rms", "update_rms", "weight_rms", "staleness")
ROOM = 32  # steps, at first
EXPONENTS = 256


class Layout:
    """What a file is about, fixed from its first step on."""

    def __init__(self, modules, kinds, ports, parameters, edges, exponents, weights=None, attributes=None):
        self.modules, self.kinds, self.ports = list(modules), list(kinds), list(ports)
        self.parameters, self.edges, self.exponents = list(parameters), list(edges), exponents
        self.weights = weights or {}  # name of a data set: [parameter]
        self.attributes = attributes or {}

    @property
    def n_bins(self):
        return len(self.edges) + 1

    def centers(self):
        """The geometric middle of each bin; the open ones at both ends are as wide as their neighbours."""
        e = self.edges
        if not e:
            return [float("nan")]
        if len(e) == 1:
            return [e[0] / 2, e[0] * 2]
        low, high = e[0] * (e[0] / e[1]) ** 0.5, e[-1] * (e[-1] / e[-2]) ** 0.5
        return [low] + [(a * b) ** 0.5 for a, b in zip(e, e[1:])] + [high]

    def axes(self, room):
        n = {"module": self.modules, "port": self.ports, "input": ["training"], "parameter": self.parameters,
             "sample": np.arange(self.n_bins, dtype="i4"), "bin": np.array(self.centers(), "f8"),
             "step": np.arange(room, dtype="i8")}
        if self.exponents:
            n["exponent"] = np.arange(-127, 129, dtype="i4")
        return {k: v for k, v in n.items() if len(v)}

    def sets(self):
        """path: (axes, dtype, fill) of all that has a column for each step."""
        site = ("module", "port", "input", "step", "sample")
        sets = {"/stats/" + name: (site, "f4", np.nan) for name in STATISTICS}
        sets["/stats/nonfinite"] = (site, "u8", 0)
        if self.exponents:
            sets["/hist/exponent"] = (site[:4] + ("exponent",), "u8", 0)
        sets.update({"/training/" + name: (("step",), "f4", np.nan) for name in TRAINING})
        for name in ("sigma", "sample_loss", "samples"):
            sets["/training/" + name] = (("step", "sample"), "f4", np.nan)
        sets["/training/loss_by_sigma"] = (("bin", "step"), "f4", np.nan)
        if self.parameters:
            sets.update({"/updates/" + name: (("parameter", "step"), "f4", np.nan) for name in UPDATES})
        return sets

    def same(self, other):
        """What differs from another layout, or None."""
        for what in ("modules", "ports", "parameters", "edges", "exponents"):
            if getattr(self, what) != getattr(other, what):
                return what
        return None


def _new_set(group, name, shape, dtype):
    """A contiguous data set, allocated at once, without values: its place in the file never changes."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.CONTIGUOUS)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plist.set_obj_track_times(False)
    kind = h5py.h5t.py_create(np.dtype(dtype), logical=True)
    return h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple(shape), plist))


class _Sketch(io.RawIOBase):
    """A file in memory of which only what was written takes room: HDF5's structures, not the data sets."""
    PAGE = 1 << 16

    def __init__(self):
        super().__init__()
        self.pages, self.size, self.at = {}, 0, 0

    def readable(self):
        return True

    def writable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def tell(self):
        return self.at

    def truncate(self, size=None):
        self.size = self.at if size is None else size
        return self.size

    def _parts(self, n):
        """(page, offset in it, offset in the buffer, how many) of the next n bytes."""
        done = 0
        while done < n:
            page, offset = divmod(self.at + done, self.PAGE)
            part = min(self.PAGE - offset, n - done)
            yield page, offset, done, part
            done += part

    def readinto(self, buffer):
        view = memoryview(buffer).cast("B")
        for page, offset, at, n in self._parts(len(view)):
            view[at:at + n] = self.pages[page][offset:offset + n] if page in self.pages else bytes(n)
        self.at += len(view)
        return len(view)

    def write(self, data):
        view = memoryview(data).cast("B")
        for page, offset, at, n in self._parts(len(view)):
            self.pages.setdefault(page, bytearray(self.PAGE))[offset:offset + n] = view[at:at + n]
        self.at += len(view)
        self.size = max(self.size, self.at)
        return len(view)

    def save(self, path):
        """Writes the file, all of it allocated: a hole in a mapped file ends the process on a full disk."""
        with open(path, "wb") as f:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(f.fileno(), 0, self.size)
            f.truncate(self.size)
            for page, data in self.pages.items():
                f.seek(page * self.PAGE)
                f.write(data[:self.size - page * self.PAGE])


def _make(path, layout, room, complete):
    """Writes a file without a step that is done, with the room."""
    axes = layout.axes(room)
    sketch = _Sketch()
    with h5py.File(sketch, "w", libver="earliest") as f:
        for name, value in {"format": "sigmascope-run", "version": VERSION, "samples": "bins",
                            **layout.attributes}.items():
            f.attrs[name] = value
        f.attrs["complete"] = np.int32(complete)
        group = f.create_group("axes")
        for name, values in axes.items():
            if isinstance(values, list):
                scale = group.create_dataset(name, data=np.array(values, object), dtype=h5py.string_dtype())
            else:
                scale = _new_set(group, name, values.shape, values.dtype)
                scale[...] = values
            scale.make_scale(name)
        _attach(f, _new_set(group, "done", (room,), "u1"), group, ("step",))
        kinds = group.create_dataset("module_kind", data=np.array(layout.kinds, object), dtype=h5py.string_dtype())
        _attach(f, kinds, group, ("module",))
        for name, values in layout.weights.items():
            group = f.require_group("weights")
            _attach(f, group.create_dataset(name, data=values), group, ("parameter",))
        for name, (labels, dtype, _) in layout.sets().items():
            where, _, last = name.rpartition("/")
            group = f.require_group(where)
            shape = tuple(len(axes[a]) for a in labels)
            _attach(f, _new_set(group, last, shape, dtype), group, labels)
        if layout.edges:
            f.create_dataset("training/bin_edges", data=np.array(layout.edges, "f8"))
    sketch.save(path)


def _attach(f, data, group, labels):
    """Labels the dimensions, and links the axes to where readers of netCDF look for them."""
    for i, name in enumerate(labels):
        data.dims[i].attach_scale(f["axes/" + name])
        data.dims[i].label = name
        place = f if name == "exponent" else group
        if group.name != "/axes" and name not in place:
            place[name] = f["axes/" + name]


def read_layout(path):
    """The layout of a file that this module wrote; OSError or KeyError for another's."""
    def texts(x):
        return [t.decode() if isinstance(t, bytes) else t for t in x[()]]

    with h5py.File(path, "r") as f:
        if f.attrs.get("samples") != "bins" or "axes/done" not in f or "axes/step" not in f:
            raise KeyError(f"{path} is not the file of a recorder")
        edges = list(map(float, f["training/bin_edges"][()])) if "training/bin_edges" in f else []
        weights = {k: f["weights"][k][()] for k in ("absmax", "rms", "nonfinite")} if "weights" in f else {}
        own = ("format", "version", "samples", "complete")
        return Layout(texts(f["axes/module"]), texts(f["axes/module_kind"]), texts(f["axes/port"]),
                      texts(f["axes/parameter"]) if "axes/parameter" in f else [], edges,
                      "hist/exponent" in f, weights, {k: v for k, v in f.attrs.items() if k not in own})


class RunFile:
    """A file that is being written. Columns are steps in rising order.

    `RunFile(path, layout)` makes it; `RunFile.resume(path)` goes on with one. Errors are OSError, and leave
    what was done before as it is.
    """

    def __init__(self, path, layout, room=ROOM):
        self.path, self.layout, self.n = path, layout, 0
        self._replace(room, None)

    @classmethod
    def resume(cls, path):
        self = cls.__new__(cls)
        self.path, self.layout = path, read_layout(path)
        self._map()
        done = np.flatnonzero(self._done)
        self.n = int(done[-1]) + 1 if len(done) else 0
        with h5py.File(path, "r") as f:
            complete = f.attrs["complete"]
        if complete:  # a new file, as readers may have this one open, and HDF5 then locks it
            self._replace(max(ROOM, 2 * self.n), self)
        return self

    @property
    def steps(self):
        """The steps that are done."""
        return self._steps[:self.n][self._done[:self.n] != 0].tolist()

    def drop_from(self, step):
        """Forgets the steps from this one on, and says how many they were."""
        keep = int(np.searchsorted(self._steps[:self.n], step))
        dropped = int(np.count_nonzero(self._done[keep:self.n]))
        self._done[keep:self.n] = 0
        self._label(keep)
        self.n = keep
        return dropped

    def append(self, step, column):
        """Adds a step, larger than those before. column: path of a data set to its values without the step."""
        if self.n and step <= self._steps[self.n - 1]:
            raise ValueError(f"step {step} after step {self._steps[self.n - 1]}")
        if self.n == self._room:
            self._replace(2 * self._room, self)
        sets = self.layout.sets()
        for path, values in column.items():
            at = sets[path][0].index("step")
            self._sets[path][(slice(None),) * at + (self.n,)] = values
        self._steps[self.n] = step
        self.n += 1
        self._label(self.n)
        self._done[self.n - 1] = 1

    def _label(self, at):
        """Steps without a column have numbers all the same, since an axis rises."""
        last = self._steps[at - 1] if at else -1
        self._steps[at:] = last + 1 + np.arange(self._room - at)

    def close(self, complete=True):
        """Cuts off the room that is left, and marks the file as complete."""
        if self._sets is None:
            return
        if complete and self.n:
            self._replace(self.n, self, complete=True)
        self._sets = self._steps = self._done = None

    def _map(self):
        """Maps the data sets of the file as it is on disk."""
        place = {}
        with h5py.File(self.path, "r") as f:
            for name in [*self.layout.sets(), "/axes/step", "/axes/done"]:
                if f[name].id.get_offset() is None:
                    raise OSError(errno.EINVAL, f"{self.path}: {name} is not contiguous")
                place[name] = (f[name].dtype, f[name].id.get_offset(), f[name].shape)
        sets = {name: np.memmap(self.path, dtype, "r+", offset, shape) for name, (dtype, offset, shape) in place.items()}
        self._steps, self._done = sets.pop("/axes/step"), sets.pop("/axes/done")
        self._sets, self._room = sets, len(self._steps)

    def _replace(self, room, old, complete=False):
        """Puts a file with another room, and the columns that there are, into the place of the file."""
        folder, name = os.path.split(os.path.abspath(self.path))
        fd, beside = tempfile.mkstemp(prefix="." + name + ".", suffix=".partial", dir=folder)
        os.close(fd)
        try:
            _make(beside, self.layout, room, complete)
            target = RunFile.__new__(RunFile)
            target.path, target.layout, target.n = beside, self.layout, 0
            target._map()
            kept = self.n if old else 0
            for path, (labels, _, fill) in self.layout.sets().items():
                before = (slice(None),) * labels.index("step")
                if kept:
                    target._sets[path][before + (slice(0, kept),)] = old._sets[path][before + (slice(0, kept),)]
                if fill != 0:
                    target._sets[path][before + (slice(kept, None),)] = fill
            if old:
                target._steps[:self.n] = old._steps[:self.n]
                target._done[:self.n] = old._done[:self.n]
                target.n = self.n
            target._label(target.n)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(beside, 0o666 & ~mask)
            os.replace(beside, self.path)
        except BaseException:
            if os.path.exists(beside):
                os.unlink(beside)
            raise
        self._sets, self._steps, self._done = target._sets, target._steps, target._done
        self._room = room


def set_aside(path):
    """Renames a file to the first free of NAME-1.h5, NAME-2.h5 ... and returns that."""
    stem, ending = os.path.splitext(path)
    k = 1
    while os.path.exists(f"{stem}-{k}{ending}"):
        k += 1
    os.rename(path, f"{stem}-{k}{ending}")
    return f"{stem}-{k}{ending}"


def created():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
