"""Statistics of a step by module, port and bin of noise level, summed on the device."""
import numpy as np
import torch

# Rows of `totals`.
SUM, SQUARES, VALUES, NONFINITE = range(4)
# Rows of `levels`: samples, sum of log sigma, samples with a loss of their own, sum of these losses.
SAMPLES, LOG_SIGMA, LOSSES, LOSS = range(4)
DECAY = 0.9  # of the running mean of the loss at a noise level, a recorded step


class Sums:
    """Sums of all forward passes of one step: largest and smallest by MAX, the rest by SUM, over batches and ranks."""

    def __init__(self, sites, n_bins, exponents, device):
        self.sites, self.n_bins, self.device = sites, n_bins, device  # sites: (module, port): index
        self.real = torch.float32 if device.type == "mps" else torch.float64
        self.zero = torch.zeros((), dtype=self.real, device=device)
        n = len(sites)
        self.least = torch.full((), -float("inf"), device=device)
        self.extremes = self.least.repeat(2, n, n_bins)  # largest x, largest -x
        self.totals = torch.zeros(4, n, n_bins, dtype=self.real, device=device)
        self.levels = torch.zeros(4, n_bins, dtype=self.real, device=device)
        # losses: how many, their sum; activation penalties: likewise
        self.mean = torch.zeros(2, 2, dtype=self.real, device=device)
        self.counts = torch.zeros(n, 256, dtype=torch.int64, device=device) if exponents else None
        self.counted = False

    def add_levels(self, sigma, bins, loss):
        """sigma and bins [samples]; loss [samples], [1], or None."""
        known = [torch.ones_like(sigma), torch.nan_to_num(sigma, 1.0).clamp_min(1e-30).log()]
        if loss is not None:
            self.mean[0] += torch.stack([torch.ones_like(loss), loss]).sum(1).to(self.real)
            if len(loss) == len(sigma):
                known += [torch.ones_like(loss), loss]
        known = torch.stack(known).to(self.real)
        inside = self._inside(bins, len(bins))
        self.levels[:len(known)] += torch.where(inside, known[:, None], self.zero).sum(2)

    def _inside(self, bins, rows):
        """[bin, row] whether it is of the bin."""
        inside = bins == torch.arange(self.n_bins, device=self.device)[:, None]
        if rows % len(bins) == 0:  # frames and heads of a sample follow each other
            return inside.repeat_interleave(rows // len(bins), 1) if rows != len(bins) else inside
        return inside.any(1, keepdim=True).expand(-1, rows)  # one for all samples

    def add(self, records, bins):
        """records: (module, port, Measured) in the order of a forward pass; bins [samples]."""
        rounds = {}  # (rows, how many times the site came before): records, whose sites are distinct
        times = {}
        for name, port, m in records:
            site = self.sites.get((name, port))
            if site is None:
                continue
            times[site] = times.get(site, 0) + 1
            rounds.setdefault((m.rows(), times[site]), []).append((site, m))
        for (rows, _), found in rounds.items():
            self._add_round(rows, found, bins)

    def _add_round(self, rows, found, bins):
        """Adds records with as many rows each."""
        at = torch.tensor([site for site, _ in found], device=self.device)
        ms = [m for _, m in found]
        extremes = torch.stack([torch.stack([m.high for m in ms]).float(), -torch.stack([m.low for m in ms]).float()])
        values = torch.tensor([m.values for m in ms], dtype=self.real, device=self.device)[:, None].expand(-1, rows)
        totals = torch.stack([
            torch.stack([m.sum for m in ms]).to(self.real), torch.stack([m.norm for m in ms]).to(self.real).square(),
            values, self._nonfinite(ms, rows)])
        inside = self._inside(bins, rows)
        high = torch.where(inside, extremes[:, :, None], self.least).amax(3)
        self.extremes[:, at] = torch.maximum(self.extremes[:, at], high)
        self.totals[:, at] += torch.where(inside, totals[:, :, None], self.zero).sum(3)
        if self.counts is not None and ms[0].exponents is not None:
            self.counts.index_add_(0, at, torch.stack([m.exponents for m in ms]))
            self.counted = True

    def _nonfinite(self, ms, rows):
        if all(m.nonfinite is None for m in ms):
            return self.zero.expand(len(ms), rows)
        none = torch.zeros(rows, dtype=torch.int64, device=self.device)
        return torch.stack([none if m.nonfinite is None else m.nonfinite for m in ms]).to(self.real)

    def add_penalty(self, p):
        """p: of a step, or None."""
        if p is not None:
            self.mean[1] += torch.stack([torch.ones_like(p), p]).to(self.device, self.real)

    def pack(self, reduce, updates, scale):
        """Everything as one vector of f64 on the host: one copy. reduce(tensor, "max" or "sum") is over ranks."""
        summed = [self.totals.flatten(), self.levels.flatten(), self.mean.flatten()]
        if self.counted:
            summed.append(self.counts.flatten().to(self.real))
        summed = torch.cat(summed)
        reduce(self.extremes, "max")
        reduce(summed, "sum")
        parts = [self.extremes.flatten().to(self.real), summed, scale.reshape(1).to(self.device, self.real)]
        if updates is not None:
            parts.append(updates.flatten().to(self.device, self.real))
        packed = torch.cat(parts).cpu().numpy().astype("f8")
        shapes = [self.extremes.shape, self.totals.shape, self.levels.shape, self.mean.shape]
        shapes += [self.counts.shape] if self.counted else []
        shapes += [(1,)] + ([tuple(updates.shape)] if updates is not None else [])
        out, at = [], 0
        for shape in shapes:
            n = int(np.prod(shape))
            out.append(packed[at:at + n].reshape(tuple(shape)))
            at += n
        if not self.counted:
            out.insert(4, None)
        return out if updates is not None else out + [None]


def statistics(extremes, totals):
    """name: [site, bin] of base/stats.h's statistics, from the sums of a step."""
    n = totals[VALUES] - totals[NONFINITE]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        known = n > 0
        mean, square = totals[SUM] / n, totals[SQUARES] / n
        found = {"max": extremes[0], "min": -extremes[1], "absmax": np.maximum(extremes[0], extremes[1]), "mean": mean,
                 "rms": np.sqrt(square), "l2": np.sqrt(totals[SQUARES]),
                 "std": np.sqrt(np.maximum(square - mean ** 2, 0))}
        # The square of a value over 1.8e19 is more than f32 holds.
        found = {k: np.where(known & np.isfinite(v), v, np.nan).astype("f4") for k, v in found.items()}
    found["nonfinite"] = totals[NONFINITE].astype("u8")
    return found


def column(packed, layout, means):
    """path in the run file: values of the step. means [bin] is brought forward: the running mean of the loss."""
    extremes, totals, levels, mean, counts, scale, updates = packed
    shape = (len(layout.modules), len(layout.ports), 1, layout.n_bins)
    out = {"/stats/" + k: v.reshape(shape) for k, v in statistics(extremes, totals).items()}
    if counts is not None:
        out["/hist/exponent"] = counts.reshape(shape[:3] + (256,)).astype("u8")
    with np.errstate(invalid="ignore", divide="ignore"):
        loss, penalty = mean[:, 1] / mean[:, 0]
        of_bin = levels[LOSS] / levels[LOSSES]
        sigma = np.exp(levels[LOG_SIGMA] / levels[SAMPLES])
    for b in np.flatnonzero(np.isfinite(of_bin)):
        means[b] = of_bin[b] if np.isnan(means[b]) else DECAY * means[b] + (1 - DECAY) * of_bin[b]
    # A loss that is not finite is inf; NaN is one that is not known.
    out["/training/loss"] = np.inf if mean[0, 0] and not np.isfinite(loss) else loss
    out["/training/penalty"] = penalty
    out["/training/sample_loss"] = np.where((levels[LOSSES] > 0) & ~np.isfinite(of_bin), np.inf, of_bin)
    out["/training/sigma"] = sigma if layout.edges else np.full(layout.n_bins, np.nan)
    out["/training/samples"] = levels[SAMPLES]
    out["/training/loss_by_sigma"] = means
    out["/training/scale"] = scale[0]
    if updates is not None:
        counts = layout.sizes
        with np.errstate(invalid="ignore", divide="ignore"):
            for row, name in enumerate(("gradient_rms", "update_rms", "weight_rms", "staleness")):
                out["/updates/" + name] = np.sqrt(updates[row] / counts)
        out["/training/norm"] = np.sqrt(np.nansum(updates[0])) if np.any(~np.isnan(updates[0])) else np.nan
    return out
