/* keep_paste.c - see keep_paste.h */
#include "analyze/precision/keep_paste.h"

#include "base/mem.h"
#include "base/str.h"
#include "runfile/run_file.h"

#include <string.h>

static const char imports[] = "import torch\n"
                              "from torch.utils._pytree import tree_map\n"
                              "\n";

/* Shared by both functions: casts the floating-point tensors of anything. */
static const char cast[] = "def cast(x, dtype):\n"
                           "    return tree_map(lambda t: t.to(dtype) if torch.is_tensor(t) and "
                           "t.is_floating_point() else t, x)\n"
                           "\n";

static const char under_autocast[] =
    "def keep_in_fp32(model, names):  # once, before the first step under torch.autocast\n"
    "    for module in map(model.get_submodule, names):\n"
    "        def forward(*args, run=module.forward, device=next(model.parameters()).device.type, "
    "**kwargs):\n"
    "            with torch.autocast(device, enabled=False):\n"
    "                return run(*cast(args, torch.float32), **cast(kwargs, torch.float32))\n"
    "        module.forward = forward\n"
    "\n";

static const char as_half[] =
    "def half_but(model, names, dtype=torch.%s):  # once, in place of model.half()\n"
    "    kept = [(m, {k: v.clone() for k, v in m.state_dict().items()}) for m in "
    "map(model.get_submodule, names)]\n"
    "    model.to(dtype)\n"
    "    for module, weights in kept:\n"
    "        module.float().load_state_dict(weights)\n"
    "        def forward(*args, run=module.forward, **kwargs):\n"
    "            return cast(run(*cast(args, torch.float32), **cast(kwargs, torch.float32)), "
    "dtype)\n"
    "        module.forward = forward\n"
    "\n";

/* Adds a name as Python reads it: quotes, backslashes, control characters and bytes that are not
 * UTF-8 escaped. */
static void add_literal(const char *name, ss_str *out)
{
    const bool whole = ss_utf8_valid(name, strlen(name));

    ss_str_add(out, "    \"");
    for (const char *p = name; *p; p++) {
        const unsigned char c = (unsigned char)*p;
        uint32_t code;
        const size_t control = whole ? ss_control_at(p, &code) : 0;

        if (control) {
            ss_str_addf(out, code < 0x100 ? "\\x%02x" : "\\u%04x", code);
            p += control - 1;
        } else if (c == '"' || c == '\\')
            ss_str_addf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !whole))
            ss_str_addf(out, "\\x%02x", c);
        else
            ss_str_addn(out, p, 1);
    }
    ss_str_add(out, "\",\n");
}

static void add_list(const ss_run *r, const ss_keep *k, ss_str *out)
{
    ss_str_add(out, "keep_fp32 = [\n");
    for (int m = 0; m < k->n_modules; m++) {
        if (ss_keep_listed(k, m))
            add_literal(ss_keep_path(r, m), out);
    }
    ss_str_add(out, "]\n\n");
}

static const char *dtype_of(const ss_keep *k)
{
    return strncmp(k->format.name, "bf16", 4) == 0 ? "bfloat16" : "float16";
}

char *ss_keep_paste_torch(const ss_run *r, const ss_keep *k)
{
    ss_str out = {0};

    ss_str_add(&out, imports);
    add_list(r, k, &out);
    ss_str_add(&out, cast);
    if (r->as == SS_ROUND_HALF)
        ss_str_addf(&out, as_half, dtype_of(k));
    else
        ss_str_add(&out, under_autocast);
    ss_str_add(&out, r->as == SS_ROUND_HALF ? "half_but(model, keep_fp32)\n"
                                            : "keep_in_fp32(model, keep_fp32)\n");
    return ss_str_detach(&out);
}

/* True for a class: a file of another program may hold any text there. */
static bool is_class(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

    return *name && strspn(name, "0123456789") == 0 && strspn(name, letters) > 0 &&
           name[strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")] ==
               '\0';
}

char *ss_keep_paste_diffusers(const ss_run *r, const ss_keep *k)
{
    const bool half = r->as == SS_ROUND_HALF, text = ss_run_is_text(r);
    const char *part = is_class(r->component) ? r->component : "unet";
    ss_str out = {0};

    ss_str_add(&out, "");
    if (is_class(r->family)) {
        ss_str_addf(&out, "from diffusers import DiffusionPipeline%s%s\n", text ? "" : ", ",
                    text ? "" : r->family);
        if (text)
            ss_str_addf(&out, "from transformers import %s\n", r->family);
        ss_str_addf(
            &out,
            "\n"
            "# _keep_in_fp32_modules would only store weights in fp32: forward stops at two "
            "dtypes\n"
            "net = %s.from_pretrained(CHECKPOINT, subfolder=\"%s\", "
            "torch_dtype=torch.float32)\n"
            "%s(net, keep_fp32)\n"
            "pipe = DiffusionPipeline.from_pretrained(CHECKPOINT, %s=net, "
            "torch_dtype=torch.%s)\n",
            r->family, part, half ? "half_but" : "keep_in_fp32", part,
            half ? dtype_of(k) : "float32");
    }
    return ss_str_detach(&out);
}

char *ss_keep_paste_map(const ss_run *r, const ss_keep *k)
{
    char **maps;
    int n;
    ss_str out = {0};
    const ss_code rc = ss_keep_maps(r, k, &maps, &n, NULL);

    if (rc != SS_OK)
        return NULL;
    ss_str_addf(&out, "# stay in fp32 when the rest is %s: --precision %s --as %s --attention %s\n",
                k->format.name, k->format.name, ss_round_scope_name(r->as),
                ss_attention_code_name(r->attention));
    for (int i = 0; i < n; i++)
        ss_str_addf(&out, "%s\n", maps[i]);
    ss_keep_maps_free(maps, n);
    return ss_str_detach(&out);
}
