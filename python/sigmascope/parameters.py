"""What an optimiser's step does to each parameter: gradient, update, weight and the staleness of Adam."""
import numpy as np
import torch


def norms(tensors):
    """The L2 norm of each, as one f32 tensor."""
    if not tensors:
        return torch.zeros(0)
    if all(t.dtype == torch.float32 for t in tensors):
        return torch.stack(torch._foreach_norm(tensors))
    return torch.stack([torch.linalg.vector_norm(t, dtype=torch.float32) for t in tensors])


def _clamp_min_(tensors, least):
    if hasattr(torch, "_foreach_clamp_min_"):
        return torch._foreach_clamp_min_(tensors, least[0] if len(set(least)) == 1 else least)
    for t, x in zip(tensors, least):
        t.clamp_(min=x)


def local(t):
    """The part of a sharded tensor (DTensor) that this process has."""
    return t.to_local() if hasattr(t, "to_local") else t


def weights(parameters):
    """name: [parameter] of what a run file has of the weights: absmax and rms of the finite values, and how many
    are not."""
    found = {"absmax": [], "rms": [], "nonfinite": []}
    for p in parameters:
        w = local(p.detach())
        finite = w[w.isfinite()].float()
        found["absmax"].append(float(finite.abs().max()) if finite.numel() else float("nan"))
        found["rms"].append(float(finite.square().mean().sqrt()) if finite.numel() else float("nan"))
        found["nonfinite"].append(w.numel() - finite.numel())
    kinds = {"absmax": "f4", "rms": "f4", "nonfinite": "u8"}
    return {k: np.array(v, kinds[k]) for k, v in found.items()} if found["absmax"] else {}


class Updates:
    """Sums over each parameter, [4, parameter] on the device: g^2, (w after - w before)^2, w^2 before, and
    g^2 / max(v / (1 - beta2^t), eps^2) of Adam (Wortsman et al. 2023). NaN of one that was not trained."""

    def __init__(self, parameters, deltas):
        self.index = {id(p): i for i, p in enumerate(parameters)}
        self.n, self.deltas = len(self.index), deltas
        self.begin()

    def begin(self, whole=True):
        """Call before the backward pass of a step that is recorded. whole: also what the step does to weights."""
        self.sums, self.rate, self._before, self._whole = None, float("nan"), [], whole

    @torch.no_grad()
    def before(self, optimizer):
        """Call before optimizer.step()."""
        mine = [(p, group) for group in optimizer.param_groups for p in group["params"]
                if p.grad is not None and not p.grad.is_sparse and id(p) in self.index]
        if not mine:
            return
        self.rate = float(optimizer.param_groups[0]["lr"])
        grads = [local(p.grad.detach()) for p, _ in mine]
        weights = [local(p.detach()) for p, _ in mine]
        before = [w.clone() for w in weights] if self.deltas and self._whole else None
        scale = getattr(optimizer, "grad_scale", None)  # of a GradScaler whose scale the optimiser takes off itself
        if scale is not None:
            grads = torch._foreach_div(grads, float(scale))
        self._put(0, mine, norms(grads))
        self._put(2, mine, norms(weights))
        if self._whole:
            self._before.append((optimizer, mine, grads, weights, before))

    @torch.no_grad()
    def after(self, optimizer):
        """Call after it."""
        for owner, mine, grads, weights, before in self._before:
            if owner is not optimizer:
                continue
            if before:
                torch._foreach_sub_(before, weights)
                self._put(1, mine, norms(before))
            stale = [(i, *found) for i, (p, group) in enumerate(mine) if (found := _second_moment(optimizer, p, group))]
            if stale:
                g = [grads[i] for i, _, _, _ in stale]
                hat = torch._foreach_div([v for _, v, _, _ in stale], [c for _, _, c, _ in stale])
                torch._foreach_sqrt_(hat)
                _clamp_min_(hat, [eps for _, _, _, eps in stale])
                if any(a.dtype != b.dtype for a, b in zip(g, hat)):
                    g = [a.to(b.dtype) for a, b in zip(g, hat)]
                self._put(3, [mine[i] for i, _, _, _ in stale], norms(torch._foreach_div(g, hat)))
        self._before = [b for b in self._before if b[0] is not optimizer]

    def _put(self, row, mine, norm):
        if self.sums is None:
            self.sums = torch.full((4, self.n), float("nan"), device=norm.device)
        at = torch.tensor([self.index[id(p)] for p, _ in mine], device=norm.device)
        self.sums[row, at] = norm.to(self.sums.device).square()


def _second_moment(optimizer, p, group):
    """(v, 1 - beta2^t, eps) of a parameter under an optimiser like Adam; None under another."""
    state = optimizer.state.get(p, {})
    v, t, betas = state.get("exp_avg_sq"), state.get("step"), group.get("betas")
    if v is None or t is None or betas is None or v.dtype == torch.uint8 or local(v).shape != local(p).shape:
        return None
    correction = 1 - betas[1] ** float(t) if float(t) > 0 else 1.0
    return local(v), correction, max(float(group.get("eps", 1e-8)), 1e-30)
