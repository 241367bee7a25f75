#!/usr/bin/env python3
"""Prints the rows of tests/run_mechanism.h from the statistics.h5 of a training:

    make_mechanism.py statistics.h5 [EVERY]

One row a measured step, of every EVERY-th, up to the first at which a module has inf or NaN: what
analyze/training/mechanism_points.h asks for, rounded to three digits. needs h5py and numpy.
"""
import sys
import warnings

import h5py
import numpy as np

warnings.filterwarnings("ignore")
np.seterr(all="ignore")
f = h5py.File(sys.argv[1], "r")
every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
text = lambda name: [x.decode() for x in f[name][:]]
modules, ports = text("axes/module"), text("axes/port")
block = f["axes/module_block"][:].astype(bool)
out, inp = ports.index("output"), ports.index("input")
absmax, rms, bad = f["stats/absmax"][:], f["stats/rms"][:], f["stats/nonfinite"][:]
names = ("upsamplers.", "downsamplers.", "conv_shortcut", "conv_in", "residual_sum")
stream = np.array([(b or any(n in m for n in names)) and m != "conv_out" for b, m in zip(block, modules)])
kinds = text("axes/module_kind")
inner = np.array([k in ("sum", "mixed sum", "product", "modulated", "logits", "unscaled logits",
                        "upcast logits", "probabilities") for k in kinds])
leaf = np.array([not any(o.startswith(m + ".") for o in modules) and m != "(model)" for m in modules])
encoder = np.array([m.startswith(("down_blocks", "conv_in")) for m in modules])
layers, keys = text("attention/layer"), f["attention/keys"][:]
parameters = text("axes/parameter")
weight = np.array([not p.endswith("bias") for p in parameters])
done = [i for i, d in enumerate(f["axes/done"][:]) if d]
first_bad = next((i for i in done if bad[:, :, :, i].sum()), None)
good = [i for i in done if first_bad is None or i < first_bad]
peak = lambda who, i: np.nanmax(absmax[who][:, out, :, i])


def logit(layer, i):
    site = modules.index(layer + ".logits")
    return max(np.nanmax(absmax[site, out, :, i]),
               np.nanmax(f["attention/max_logit"][layers.index(layer), :, :, i]))


lead = max(layers, key=lambda l: np.median([logit(l, i) for i in good[-max(1, len(good) // 3):]]))
q, k = modules.index(lead + ".to_q"), modules.index(lead + ".to_k")
n = layers.index(lead)
print("/* %s: step, stream, encoder, others, logit, q k, their input, entropy, loss, rate, "
      "staleness, share, update, weights */" % lead)
for i in ([good[0]] + good[1::every] if good else []) + ([first_bad] if first_bad is not None else []):
    entropy = np.nanmin(np.nanmean(f["attention/entropy"][n, :, :, i], axis=-1)) / np.log(keys[n])
    stale = f["updates/staleness"][:, i]
    update, w = f["updates/update_rms"][:, i], f["updates/weight_rms"][:, i]
    moved = weight & (w > 0) & (update > 0)
    start = f["weights/rms"][:]
    row = (peak(stream, i), peak(stream & encoder, i), peak(leaf & ~stream & ~inner, i), logit(lead, i),
           np.nanmax(rms[q, out, :, i] * rms[k, out, :, i]), np.nanmax(rms[q, inp, :, i] * rms[k, inp, :, i]),
           entropy, f["training/loss"][i], f["training/rate"][i],
           np.nanmax(stale) if np.isfinite(stale).any() else np.nan, np.nanmean(stale > 2.3),
           np.nanmedian((update / w)[moved]), np.nanmedian((w / start)[weight & (start > 0)]))
    print("    {%d, %s}," % (f["axes/step"][i], ", ".join("NAN" if np.isnan(v) else "%.3g" % v for v in row)))
