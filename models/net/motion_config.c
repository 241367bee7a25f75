/* motion_config.c - see motion_config.h */
#include "models/net/motion_config.h"

#include "models/net/config_values.h"

#include <stdio.h>
#include <string.h>

enum { MAX_KERNEL = 31, MAX_BLOCK = 64, MAX_HEADS = 1024 };

/* Both lists end in NULL and are indexed by their enumerations. */
static const char *const layer_names[] = {"conv", "attention", NULL};
static const char *const place_names[] = {"resnet", "attention", "block", NULL};
static const char *const position_names[] = {"absolute", "rotary", "none", NULL};

static void read_layers(ss_json *j, ss_motion_config *m)
{
    static const char key[] = "layers";
    const json_t *v = ss_json_get(j, key);
    const size_t n = json_array_size(v);

    m->n_layers = 1;
    m->layers[0] = SS_MOTION_CONV;
    if (!v)
        return;
    bool fits = n >= 1 && n <= SS_MOTION_LAYERS;
    for (size_t i = 0; fits && i < n; i++) {
        const char *name = json_string_value(json_array_get(v, i));
        int k = 0;

        while (name && layer_names[k] && strcmp(name, layer_names[k]) != 0)
            k++;
        fits = name && layer_names[k];
        m->layers[i] = fits ? (ss_motion_layer_kind)k : SS_MOTION_CONV;
    }
    m->n_layers = fits ? (int)n : 1;
    if (!fits)
        ss_json_complain(j, SS_FORMAT, key, "expected a list of 1 to %d of \"conv\", \"attention\"",
                         SS_MOTION_LAYERS);
}

static ss_motion_norm read_norm(ss_json *j)
{
    static const char key[] = "norm";
    const json_t *v = ss_json_get(j, key);

    if (!v || json_is_false(v))
        return SS_MOTION_BARE;
    if (json_is_true(v))
        return SS_MOTION_NORM;
    if (!json_is_string(v) || strcmp(json_string_value(v), "joint") != 0)
        ss_json_complain(j, SS_FORMAT, key, "expected false, true or \"joint\"");
    return SS_MOTION_JOINT_NORM;
}

static void read_all(ss_json *j, ss_motion_config *m)
{
    m->frames = ss_config_int(j, "frames", 8, 1, SS_MOTION_FRAMES);
    read_layers(j, m);
    m->after = (ss_motion_after)ss_json_choice(j, "after", place_names, SS_AFTER_BLOCK);
    m->norm = read_norm(j);
    m->kernel = ss_config_int(j, "kernel", 3, 1, MAX_KERNEL);
    if (m->kernel % 2 == 0)
        ss_json_complain(j, SS_FORMAT, "kernel", "expected an odd number");
    m->position =
        (ss_position_kind)ss_json_choice(j, "position", position_names, SS_POSITION_ABSOLUTE);
    m->max_frames = ss_config_int(j, "max_frames", 32, 1, SS_MOTION_FRAMES);
    m->heads = ss_config_int(j, "heads", 0, 1, MAX_HEADS);
    m->tokens = ss_config_int(j, "tokens", 1, 1, MAX_BLOCK);
    m->reference = ss_json_bool(j, "reference", false);
    m->freeze = ss_json_bool(j, "freeze", false);
    m->own_remedies = ss_json_has(j, "remedies");
    ss_remedies_read(j, &m->remedies);
    if (m->remedies.magnitude)
        ss_json_complain(j, SS_UNSUPPORTED, "remedies",
                         "motion blocks do not have magnitude_preserving");
    if (m->position == SS_POSITION_ABSOLUTE && m->frames > m->max_frames &&
        ss_motion_has(m, SS_MOTION_ATTENTION))
        ss_json_complain(j, SS_FORMAT, "frames",
                         "absolute positions have a table of %d frames (\"max_frames\")",
                         m->max_frames);

    const char *unread = ss_json_unread(j);
    if (unread)
        ss_json_complain(j, SS_UNSUPPORTED, unread,
                         "known: frames, layers, after, norm, kernel, position, max_frames, heads, "
                         "tokens, reference, freeze, remedies");
}

static void read_object(ss_json *inner, void *into)
{
    read_all(inner, into);
}

void ss_motion_read(ss_json *j, ss_motion_config *m)
{
    *m = (ss_motion_config){0};
    ss_config_object(j, "motion", read_object, m);
}

bool ss_motion_has(const ss_motion_config *m, ss_motion_layer_kind kind)
{
    for (int i = 0; i < m->n_layers; i++) {
        if (m->layers[i] == kind)
            return true;
    }
    return false;
}

static void add(char *out, size_t n, const char *text)
{
    const size_t at = strlen(out);

    snprintf(out + at, n - at, "%s", text);
}

const char *ss_motion_text(const ss_motion_config *m, char *out, size_t n)
{
    static const char *const norms[] = {", no norm", ", a norm of each frame",
                                        ", a norm of all frames"};
    char part[160], remedies[120];

    *out = '\0';
    if (!m->frames)
        return out;
    snprintf(out, n, "%d frames, ", m->frames);
    for (int i = 0; i < m->n_layers; i++) {
        add(out, n, i ? " and " : "");
        add(out, n, layer_names[m->layers[i]]);
    }
    snprintf(part, sizeof part, " after each %s", place_names[m->after]);
    add(out, n, part);
    add(out, n, norms[m->norm]);
    if (ss_motion_has(m, SS_MOTION_CONV) && m->kernel != 3) {
        snprintf(part, sizeof part, ", kernel %d", m->kernel);
        add(out, n, part);
    }
    if (ss_motion_has(m, SS_MOTION_ATTENTION)) {
        snprintf(part, sizeof part, ", %s positions",
                 m->position == SS_POSITION_NONE ? "no" : position_names[m->position]);
        add(out, n, part);
        if (m->position == SS_POSITION_ABSOLUTE) {
            snprintf(part, sizeof part, " up to %d", m->max_frames);
            add(out, n, part);
        }
        if (m->tokens > 1) {
            snprintf(part, sizeof part, ", blocks of %dx%d positions", m->tokens, m->tokens);
            add(out, n, part);
        }
    }
    if (m->reference)
        add(out, n, ", reference frames");
    if (m->freeze)
        add(out, n, ", the rest frozen");
    if (*ss_remedies_text(&m->remedies, remedies, sizeof remedies)) {
        snprintf(part, sizeof part, ", remedies %s", remedies);
        add(out, n, part);
    }
    return out;
}

bool ss_is_motion_weight(const char *name)
{
    return strstr(name, ".motion.") != NULL;
}
