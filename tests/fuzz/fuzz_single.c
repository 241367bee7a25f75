/* fuzz_single.c - components of single files, from hostile names and shapes
 *
 * Each line of the input is a tensor: its name, and its dimensions after blanks, "conv_in.weight 32
 * 4 3 3".
 */
#include "models/file/safetensors_write.h"
#include "models/file/single.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TENSORS = 512, MAX_DIM = 4096, MAX_VALUES = 1 << 16 };

/* Reads one line as a tensor; false where it is none. */
static bool read_line(char *line, ss_st_item *t)
{
    static const float values[MAX_VALUES] = {1, 2, 3};
    size_t n = 1;
    char *at = strchr(line, ' ');

    *t = (ss_st_item){.name = line, .dtype = SS_F16, .values = values};
    while (at && t->rank < 5) {
        *at++ = '\0';
        const long d = strtol(at, NULL, 10);

        if (d < 0 || d > MAX_DIM || (n *= (size_t)d) > MAX_VALUES)
            return false;
        t->dim[t->rank++] = d;
        at = strchr(at, ' ');
    }
    return *line != '\0';
}

/* Writes the lines of a text as a file of tensors; false where it is none. */
static bool write_tensors(const char *path, char *text)
{
    static ss_st_item items[MAX_TENSORS];
    char *rest = NULL;
    size_t n = 0;

    for (char *line = strtok_r(text, "\n", &rest); line && n < MAX_TENSORS;
         line = strtok_r(NULL, "\n", &rest))
        n += read_line(line, &items[n]);
    return ss_safetensors_write(path, items, n, NULL, 0, NULL) == SS_OK;
}

/* Takes one component and reads all its values. */
static void take(const char *path, const char *component, bool ema)
{
    const ss_single_options o = {.component = component, .ema = ema};
    ss_checkpoint *k = NULL;
    ss_single s;
    ss_err e = {0};

    if (ss_checkpoint_open(path, NULL, &k, &e) != SS_OK)
        abort();
    ss_single_is_translated(k);
    const ss_code rc = ss_single_take(k, &o, &s, &e);
    fuzz_check(rc, &e);
    for (size_t i = 0; rc == SS_OK && i < ss_checkpoint_count(k); i++) {
        const ss_stored_tensor *t = ss_checkpoint_at(k, i);
        char *values = malloc(t->bytes ? t->bytes : 1);
        const ss_code read = values ? ss_stored_read(t, values, &e) : SS_OK;

        fuzz_check(read, &e);
        free(values);
    }
    if (rc == SS_OK) {
        if (!json_is_object(s.config))
            abort();
        ss_single_release(&s);
    }
    ss_checkpoint_close(k);
}

void fuzz_single(const uint8_t *data, size_t size)
{
    static const char *const components[] = {NULL, "unet", "vae", "text_encoder", "text_encoder_2"};
    const char *path = fuzz_path("single.safetensors");
    char *text = fuzz_text(data, size);
    const bool fine = text && write_tensors(path, text);

    for (size_t i = 0; fine && i < sizeof components / sizeof *components; i++)
        take(path, components[i], false);
    if (fine)
        take(path, "unet", true);
    free(text);
}
