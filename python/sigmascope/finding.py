"""What the NaN guard found, as data and as one sentence."""
import inspect
import json
import math
import platform
import time

import torch

from . import bundle, noise
from . import modules as names
from .parameters import local
from .replay import Place, Visit, wrong
from .version import VERSION

SHORT = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64"}


def line(found):
    """A finding as a line of JSON: numbers that JSON lacks are null or text."""
    return json.dumps(strict(found))


def strict(value):
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {k: strict(v) for k, v in value.items()}
    return [strict(v) for v in value] if isinstance(value, (list, tuple)) else value


def largest(value):
    """The largest finite |x| in the tensors of a value; None without any."""
    found = [float(torch.where(x.isfinite(), x, torch.zeros_like(x)).abs().max())
             for x in (t.detach() for t in names.tensors(value)) if bool(x.isfinite().any())]
    return max(found, default=None)


def describe(x):
    """Counts of a tensor."""
    finite = x.isfinite()
    first = torch.nonzero(~finite)[0].tolist() if x.dim() and not bool(finite.all()) else []
    return {"shape": list(x.shape), "dtype": str(x.dtype)[6:], "values": x.numel(),
            "nonfinite": int((~finite).sum()), "nan": int(x.isnan().sum()), "largest": largest(x), "first": first}


def samples_of(x, batch):
    """The samples with a value that is not finite; [] where rows of x do not belong to samples."""
    if not x.dim() or not batch or x.shape[0] % batch:
        return []
    rows = (~x.isfinite()).reshape(x.shape[0], -1).any(1)
    return sorted({r * batch // x.shape[0] for r in torch.nonzero(rows).reshape(-1).tolist()})


def settings(module):
    """What the constructor of one of PyTorch's own modules was given, as far as the module keeps it; else None."""
    if not type(module).__module__.startswith("torch.nn.modules"):
        return None
    known = {}
    for name, parameter in inspect.signature(type(module).__init__).parameters.items():
        value = getattr(module, name, inspect)
        if name in ("self", "device", "dtype") or value is inspect or parameter.kind in (
                parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name == "bias" and not isinstance(value, bool):
            value = value is not None
        if isinstance(value, torch.Size):
            value = tuple(value)
        if isinstance(value, (int, float, str, bool, tuple, list, type(None))):
            known[name] = value
    return known


class Finding:
    """One finding, whose noise level may not be known yet."""

    def __init__(self, guard, phase, say, call=None, place=None, why=None, **more):
        """say(fields): the sentence after "step N: "."""
        watch = guard.watch
        visit = place.visit if place else None
        self.say, self.call, self.tensors, self.arguments = say, call, None, None
        self.fields = {
            "format": "sigmascope-finding", "version": 1, "text": "", "step": watch.now, "phase": phase,
            "module": visit.name if visit else None,
            "class": type(visit.module).__name__ if visit and visit.module is not None else None,
            "port": place.port if place else None, "beside": place.beside.name if place and place.beside else None,
            "parameter": place.parameter if place else None, "sigma": None, "timestep": None, "samples": [],
            "batch": call.batch() if call else None, "tensor": None, "largest_input": None, "largest_output": None,
            "weights": None, "why": why, "autocast": SHORT.get(call.autocast, str(call.autocast))
            if call and call.autocast else None, "scale": list(guard.history), "skips": guard.skips,
            "given": call and given(call), "rank": watch.processes.rank, "processes": watch.processes.world,
            "settings": settings(visit.module) if visit and visit.module is not None else None,
            "device": str(watch._device()), "torch": torch.__version__, "python": platform.python_version(),
            "tool": "sigmascope-python " + VERSION, "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        if place:
            x = local(place.tensor.detach())
            self.fields["tensor"] = describe(x)
            if place.parameter is None:
                self.fields["samples"] = samples_of(x, call.batch())
            if visit.args is not None and place.port != "input":
                self.fields["largest_input"] = largest((visit.args, visit.kwargs))
            if visit.output is not None:
                self.fields["largest_output"] = largest(visit.output)
            if visit.module is not None:
                self.fields["weights"] = not_finite_weights(visit.module)
        self.fields.update(more)

    def key(self):
        return tuple(self.fields[k] for k in ("phase", "module", "port", "parameter"))

    def hold(self, call, place, with_bundle):
        """Copies what a bundle needs, as the training goes on."""
        self.call = call
        elsewhere = place is None and self.fields["phase"] == "backward" and self.fields["processes"] > 1
        if with_bundle and call is not None and not elsewhere:
            self.tensors, self.arguments, said = bundle.gather(call, place, self.fields["samples"])
            self.fields["left_out"] = said

    def finish(self):
        told = self.call.told if self.call else {}
        sigma, timestep = told.get("sigma"), told.get("timestep")
        if sigma is None and timestep is not None:
            sigma = noise.sigma_of(timestep, told["scheduler"])
        for name, value in (("sigma", sigma), ("timestep", timestep)):
            if value is not None:
                every = torch.as_tensor(value).detach().reshape(-1).float().cpu()
                of = self.fields["samples"] or list(range(len(every)))
                self.fields[name] = [float(every[s if len(every) > 1 else 0]) for s in of if s < len(every) or
                                     len(every) == 1]
                if self.tensors is not None:
                    self.tensors[name] = every
        if self.tensors is not None and told.get("loss") is not None:
            self.tensors["loss"] = told["loss"].reshape(-1).float().cpu()
        f = self.fields
        f["text"] = f"step {f['step']}: " + self.say(f) + (
            f" (rank {f['rank']} of {f['processes']})" if f["processes"] > 1 else "")
        return f

    def write(self, folder):
        if self.tensors is not None:
            self.fields["bundle"] = bundle.write(folder, dict(self.fields), self.tensors, self.arguments)
            self.fields["text"] += f"; saved in {self.fields['bundle']}"


def given(call):
    """The numbers of each sample, or of all, that a call has beside its first tensor: timesteps, as a rule."""
    flat, found = bundle.flat(call.args, "args") + bundle.flat(call.kwargs, "kwargs"), {}
    for name, x in flat[1:]:
        if isinstance(x, torch.Tensor) and x.dim() < 2 and 0 < x.numel() <= 64:
            found[name] = x.detach().reshape(-1).tolist()
        elif isinstance(x, (int, float)) and not isinstance(x, bool):
            found[name] = x
    return found


def not_finite_weights(module):
    """Names of its parameters and buffers that are not finite."""
    both = list(module.named_parameters()) + list(module.named_buffers())
    return [n for n, p in both if p.is_floating_point() and not bool(local(p.detach()).isfinite().all())]


# Sentences.

def number(x):
    return f"{x:.4g}"


def module_of(f):
    return f["module"] if f["class"] is None or f["module"] == names.ROOT else f"{f['module']} ({f['class']})"


def where(f):
    """"12 of 64 values of sample 3 at sigma 14"."""
    x, s = f["tensor"], f["samples"]
    text = f"{x['nonfinite']} of {x['values']} values"
    if s:
        text += (" of sample " if len(s) == 1 else " of samples ") + ", ".join(map(str, s[:4]))
        text += f" and {len(s) - 4} more" if len(s) > 4 else ""
    if f["sigma"]:
        low, high = min(f["sigma"]), max(f["sigma"])
        text += f" at sigma {low:.4g}" + (f" to {high:.4g}" if high > low else "")
    return text


def format_of(f):
    return {"float16": " in fp16", "bfloat16": " in bf16"}.get(f["tensor"]["dtype"], "")


def weights_text(f):
    bad = f["weights"]
    more = " and more" if len(bad) > 3 else ""
    return f"; its {', '.join(bad[:3])}{more} {'is' if len(bad) == 1 else 'are'} not finite" if bad else ""


def history(f):
    steps = f["scale"][-4:]
    return "; loss scale " + ", ".join(f"{v:g} since step {n}" for n, v in steps) if steps else ""


def of_forward(guard, call, place, why):
    def say(f):
        if f["port"] == "input":
            return f"the batch is not finite: {where(f)} that the model takes"
        if f["port"] == "inner value":
            return (f"{module_of(f)} computes the first value that is not finite, before {f['beside']} takes it: "
                    f"{where(f)}{format_of(f)}" + weights_text(f))
        text = f"{module_of(f)} returns the first value that is not finite: {where(f)}{format_of(f)}"
        if f["tensor"]["largest"] is not None:
            text += f", the largest finite one is {number(f['tensor']['largest'])}"
        if f["largest_input"] is not None:
            text += f"; what it takes is finite, up to {number(f['largest_input'])}"
        return text + weights_text(f) + (f"; which module is not known: {f['why']}" if f["why"] else "")
    if place is None:
        # The model itself is known; it cannot be played once more.
        visit = Visit(names.ROOT, guard.model, call.args, call.kwargs, call.random)
        bad_input = wrong((call.args, call.kwargs), True)
        if bad_input is not None:
            place, why = Place(visit, "input", bad_input), None
        else:
            return Finding(guard, "forward", lambda f: "what the model returns is not finite; which module is not "
                           f"known: {why}", call, None, why, module=names.ROOT, port="output")
    else:
        why = None
    return Finding(guard, "forward", say, call, place, why)


def of_loss_gradient(guard, call):
    visit = Visit(names.ROOT, guard.model, call.args, call.kwargs, call.random)
    bad = next(g for g in call.gradients.values() if not bool(g.isfinite().all()))
    visit.gradients = call.gradients
    return Place(visit, "gradient of output", bad)


def of_backward(guard, call, place, why):
    def say(f):
        if place is None and f["processes"] > 1:
            return "gradients are not finite, but those of this process are: they come from another one" + history(f)
        if place is None:
            return f"gradients are not finite; which module is not known: {why}" + history(f)
        if f["module"] == names.ROOT and f["port"] == "gradient of output":
            return f"the gradient of the loss that reaches the model is not finite: {where(f)}" + history(f)
        text = {"gradient of input": f"{module_of(f)} gives the first gradient that is not finite, that of its input",
                "gradient of weight": f"{module_of(f)} gives the first gradient that is not finite, that of its "
                                      f"{f['parameter']}"}.get(
            f["port"], f"{module_of(f)} computes the first gradient that is not finite, after {f['beside']}")
        text += f": {where(f)}{format_of(f)}"
        if f["largest_input"] is not None:
            text += f"; what it takes is finite, up to {number(f['largest_input'])}"
        return text + history(f)
    return Finding(guard, "backward", say, call, place, why)


def of_loss(guard, call, loss):
    bad = (~loss.reshape(-1).isfinite()).nonzero().reshape(-1).tolist()

    def say(f):
        which = f" of sample {bad[0]}" if len(bad) == 1 and loss.numel() > 1 else ""
        return f"the loss{which} is not finite, but what the model returns is"
    return Finding(guard, "loss", say, call, None, None, samples=bad if loss.numel() > 1 else [])


def of_optimizer(guard, optimizer, step):
    """The first weight that an optimiser's step made inf or NaN, and what of its state explains it; or None."""
    known = {id(p): n for n, p in guard.watch.parameters.items()}
    for group in optimizer.param_groups:
        for p in group["params"]:
            w = local(p.detach())
            if id(p) in known and not bool(w.isfinite().all()):
                return _of_weight(guard, optimizer, group, known[id(p)], p, w, step)
    return None


def _of_weight(guard, optimizer, group, name, p, w, step):
    g = None if p.grad is None else local(p.grad.detach())
    lr, eps = float(group.get("lr", math.nan)), group.get("eps")
    state = {k: local(v) for k, v in optimizer.state.get(p, {}).items() if isinstance(v, torch.Tensor) and v.numel()}
    v = state.get("exp_avg_sq")
    bad_state = [k for k, x in state.items() if x.is_floating_point() and not bool(x.isfinite().all())]
    bad = ~w.isfinite()
    zero = v is not None and v.shape == w.shape and bool((v[bad] == 0).any())
    if not math.isfinite(lr):
        cause = f"its learning rate is {lr:g}"
    elif g is not None and not bool(g.isfinite().all()):
        cause = "its gradient is not finite"
    elif zero and not eps:
        cause = "its second moment is 0 there, and eps is 0"
    elif bad_state:
        cause = f"its {bad_state[0]} is not finite"
    else:
        cause = f"its learning rate is {lr:g}"
    more = {"step": step, "module": name.rpartition(".")[0] or names.ROOT, "port": "weight", "parameter": name,
            "tensor": describe(w), "cause": cause, "lr": lr, "eps": eps,
            "gradient": None if g is None else describe(g), "state": bad_state}

    def say(f):
        text = f"{type(optimizer).__name__} makes the weight {name} not finite: " + \
            f"{f['tensor']['nonfinite']} of {f['tensor']['values']} values; {cause}"
        return text if g is None or f["gradient"]["largest"] is None else text + f"; the largest finite gradient is {number(f['gradient']['largest'])}"
    return Finding(guard, "optimizer", say, **more)
