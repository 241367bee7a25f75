/* lora_alpha.c - see lora_alpha.h */
#include "models/file/lora_alpha.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/file/safetensors.h"

#include <math.h>
#include <string.h>

enum { MAX_CONFIG = 1 << 20 };

/* Reads adapter_config.json in the folder of an adapter_model file. */
static ss_code read_config(const char *file, ss_lora_config *c, ss_err *e)
{
    static const char usual[] = "adapter_model";
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    ss_str path = {0};
    json_error_t why;
    char *text = NULL;
    ss_code rc = SS_OK;

    if (strncmp(name, usual, sizeof usual - 1) != 0)
        return SS_OK;
    ss_str_addn(&path, file, (size_t)(name - file));
    ss_str_add(&path, "adapter_config.json");
    if (!(c->path = ss_str_detach(&path)))
        return ss_no_memory(e, file);
    if (!ss_file_exists(c->path)) {
        ss_free(c->path);
        c->path = NULL;
        return SS_OK;
    }
    rc = ss_file_read(c->path, MAX_CONFIG, &text, NULL, e);
    if (rc == SS_OK && !(c->root = json_loads(text, 0, &why)))
        rc = ss_fail(e, SS_FORMAT, "%s: line %d: %s", c->path, why.line, SS_SHOW(why.text));
    ss_free(text);
    return rc;
}

static ss_code read_metadata(const char *file, ss_lora_config *c, ss_err *e)
{
    static const char ending[] = ".safetensors";
    const size_t n = strlen(file), m = sizeof ending - 1;
    ss_safetensors *f = NULL;
    json_error_t why;

    if (n < m || strcmp(file + n - m, ending) != 0)
        return SS_OK;
    ss_code rc = ss_safetensors_open(file, &f, e);
    const char *text = rc == SS_OK ? ss_safetensors_metadata(f, "lora_adapter_metadata") : NULL;
    c->metadata = text;
    if (text && !(c->root = json_loads(text, 0, &why)))
        rc = ss_fail(e, SS_FORMAT, "%s: lora_adapter_metadata: %s", file, SS_SHOW(why.text));
    ss_safetensors_close(f);
    return rc;
}

ss_code ss_lora_config_read(const char *file, ss_lora_config *c, ss_err *e)
{
    *c = (ss_lora_config){0};
    ss_code rc = read_config(file, c, e);
    if (rc == SS_OK && !c->root)
        rc = read_metadata(file, c, e);
    if (rc != SS_OK)
        ss_lora_config_release(c);
    return rc;
}

void ss_lora_config_release(ss_lora_config *c)
{
    json_decref(c->root);
    ss_free(c->path);
    *c = (ss_lora_config){0};
}

/* Finds a key, in metadata that of a component. */
static json_t *value_of(const ss_lora_config *c, const char *component, const char *key)
{
    static const char *const denoisers[] = {"unet", "transformer"};
    json_t *value = NULL;
    ss_str s = {0};

    if (!c->metadata)
        return json_object_get(c->root, key);
    const bool denoiser = strcmp(component, "denoiser") == 0 || !*component;
    for (size_t i = 0; i < (denoiser ? 2 : 1) && !value; i++) {
        s.len = 0;
        ss_str_addf(&s, "%s.%s", denoiser ? denoisers[i] : component, key);
        value = s.failed ? NULL : json_object_get(c->root, s.s);
    }
    ss_str_release(&s);
    return value;
}

/* True where the pattern is the module's name or an end of it, as PEFT matches (.*\.)?(pattern)$.
 */
static bool is_end(const char *module, const char *pattern)
{
    const size_t n = strlen(module), m = strlen(pattern);

    return n >= m && strcmp(module + n - m, pattern) == 0 && (n == m || module[n - m - 1] == '.');
}

/* Sets *number to the value of the first pattern that matches, else to that of the key. */
static ss_code number_of(const ss_lora_config *c, const char *component, const char *module,
                         const char *patterns, const char *key, double *number, ss_err *e)
{
    json_t *list = value_of(c, component, patterns), *plain = value_of(c, component, key), *value;
    const char *pattern;

    *number = json_is_number(plain) ? json_number_value(plain) : NAN;
    json_object_foreach(list, pattern, value)
    {
        if (strpbrk(pattern, "\\^$*+?()[]{}|"))
            return ss_fail(e, SS_UNSUPPORTED, "%s: %s: only ends of names are read, not '%s'",
                           c->path ? c->path : "lora_adapter_metadata", patterns, SS_SHOW(pattern));
        if (is_end(module, pattern)) {
            *number = json_is_number(value) ? json_number_value(value) : NAN;
            break;
        }
    }
    return SS_OK;
}

ss_code ss_lora_config_numbers(const ss_lora_config *c, const char *component, const char *module,
                               double *alpha, double *rank, bool *by_root, ss_err *e)
{
    ss_code rc = SS_OK;

    *alpha = *rank = NAN;
    *by_root = json_is_true(value_of(c, component, "use_rslora"));
    if (!c->root)
        return SS_OK;
    if (json_is_true(value_of(c, component, "fan_in_fan_out")))
        return ss_fail(e, SS_UNSUPPORTED, "fan_in_fan_out: transposed layers cannot be merged");
    rc = number_of(c, component, module, "alpha_pattern",
                   value_of(c, component, "lora_alpha") ? "lora_alpha" : "alpha", alpha, e);
    return rc == SS_OK ? number_of(c, component, module, "rank_pattern", "r", rank, e) : rc;
}
