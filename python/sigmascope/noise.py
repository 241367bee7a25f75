"""Noise levels: what a training knows them by, as sigma of x = x0 + sigma n (EDM's convention)."""
import math

import torch

class UsageError(ValueError):
    """What the caller has to change; it ends the training, as it would be wrong at every step."""


FIRST, LAST = 0.01, 100.0  # the range that bins cover, as of the program's own trainings


def bin_edges(bins):
    """Inner edges, rising: of `bins` equal ones in log sigma, or the edges themselves."""
    if isinstance(bins, int):
        if not 1 <= bins <= 64:
            raise UsageError(f"bins={bins}: expected 1 to 64, or a list of edges")
        step = math.log(LAST / FIRST) / bins
        return [FIRST * math.exp(step * i) for i in range(1, bins)]
    edges = [float(e) for e in bins]
    if any(not 0 < a < math.inf for a in edges) or any(a >= b for a, b in zip(edges, edges[1:])):
        raise UsageError(f"bins={bins}: edges of noise levels must be positive and rise")
    return edges


def bin_of(sigma, edges):
    """The bin of each sigma, on its device; -1 where sigma is NaN."""
    if not edges:
        return torch.zeros_like(sigma, dtype=torch.long)
    at = torch.bucketize(sigma.contiguous(), torch.tensor(edges, dtype=sigma.dtype, device=sigma.device), right=True)
    return torch.where(torch.isnan(sigma), torch.full_like(at, -1), at)


def sigma_of(timestep, scheduler):
    """Sigma of timesteps by a scheduler of diffusers, or anything with `alphas_cumprod`, or `timesteps` and `sigmas`.

    With alphas_cumprod, sigma = sqrt((1 - a) / a), between two whole timesteps on a line in log sigma. With
    sigmas alone (flow matching: x = (1 - s) x0 + s n) it is s / (1 - s), or s itself of an EDM scheduler.
    """
    t = torch.as_tensor(timestep).detach()
    alphas = getattr(scheduler, "alphas_cumprod", None)
    if alphas is not None:
        a = torch.as_tensor(alphas).to("cpu", torch.float64)
        table = (((1 - a) / a).sqrt().log()).to(t.device, torch.float32)
        t = t.float().clamp(0, len(table) - 1)
        low = t.floor().long()
        high = (low + 1).clamp(max=len(table) - 1)
        between = torch.where(t > low, (t - low) * (table[high] - table[low]), torch.zeros_like(t))
        return (table[low] + between).exp()
    sigmas, steps = getattr(scheduler, "sigmas", None), getattr(scheduler, "timesteps", None)
    if sigmas is None or steps is None:
        raise UsageError(f"{type(scheduler).__name__} has neither alphas_cumprod nor timesteps and sigmas: give sigma=")
    steps, sigmas = (torch.as_tensor(x).to(t.device, torch.float32) for x in (steps, sigmas))
    t = t.float()
    nearest = (t.reshape(-1, 1) - steps.reshape(1, -1)).abs().argmin(1)
    s = sigmas.reshape(-1)[nearest].reshape(t.shape)
    return s / (1 - s) if "flow" in type(scheduler).__name__.lower() else s
