"""Blocks of a network, whose outputs the activation penalty watches and precision policies round: ss_module.block of
the program (kernels/hooks.h), found here by the names and classes of diffusers and transformers."""
import re

from . import modules as names

# Parts of the lists of UNets and autoencoders, and what has a name of its own in them.
LISTS = re.compile(r"(.*\.)?(resnets|attentions|motion_modules|temp_convs|temp_attentions|downsamplers|upsamplers)\.\d+")
SINGLE = re.compile(r"(.*\.)?(spatial_res_block|temporal_res_block|resnet_down|resnet_up)"
                    "|transformer_in|quant_conv|post_quant_conv")
ENDS = re.compile(r"((encoder|decoder)\.)?conv_(in|out)")  # blocks only of a network that has others
TRANSFORMERS = re.compile(r"((single_|temporal_)?transformer_blocks|((double|single)_)?blocks)\.\d+")  # of DiT and later
TEXT = {"CLIPEncoderLayer", "T5Block", "UMT5Block"}
NEVER = {"FirDownsample2D", "FirUpsample2D"}  # filters without weights, beside the network's stream


def blocks(model):
    """name: module of all blocks, in order of definition; empty where none is known."""
    modules = names.named_modules(model)
    found = {n for n, m in modules.items() if type(m).__name__ not in NEVER and
             (LISTS.fullmatch(n) or SINGLE.fullmatch(n) or type(m).__name__ in TEXT)}
    if found:
        found |= {n for n in modules if ENDS.fullmatch(n)}
    else:
        found = {n for n in modules if TRANSFORMERS.fullmatch(n)}
    return {n: m for n, m in modules.items() if n in found}
