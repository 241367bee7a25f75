/* convert_files.c - see convert_files.h */
#include "models/convert_files.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

ss_code ss_convert_write_json(const char *dir, const char *name, const json_t *value, ss_err *e)
{
    char *path = ss_path_join(dir, name);
    ss_code rc = path ? ss_json_write(path, value,
                                      JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15), e)
                      : ss_no_memory(e, name);

    ss_free(path);
    return rc;
}

ss_code ss_convert_make_folder(const char *dir, const char *name, char **folder, ss_err *e)
{
    *folder = ss_path_join(dir, name);
    if (!*folder)
        return ss_no_memory(e, name);
    if (mkdir(*folder, 0777) == 0 || errno == EEXIST)
        return SS_OK;
    const ss_code rc = ss_fail(e, SS_IO, "%s: %s", *folder, strerror(errno));
    ss_free(*folder);
    *folder = NULL;
    return rc;
}

/* ---- model_index.json ---- */

/* The class of the pipeline that a denoiser is of. */
static const char *pipeline_class(const json_t *unet)
{
    const json_int_t in = json_integer_value(json_object_get(unet, "in_channels"));
    const json_int_t text = json_integer_value(json_object_get(unet, "cross_attention_dim"));

    if (text == 1280)
        return "StableDiffusionXLImg2ImgPipeline"; /* the refiner */
    if (text == 2048)
        return in == 9   ? "StableDiffusionXLInpaintPipeline"
               : in == 8 ? "StableDiffusionXLInstructPix2PixPipeline"
                         : "StableDiffusionXLPipeline";
    return in == 9   ? "StableDiffusionInpaintPipeline"
           : in == 8 ? "StableDiffusionInstructPix2PixPipeline"
           : in == 7 ? "StableDiffusionUpscalePipeline"
                     : "StableDiffusionPipeline";
}

/* Sets the parts that such a pipeline asks for and that are not in the file. */
static int set_absent(json_t *index, const char *class_name)
{
    static const char *const plain[] = {"feature_extractor", "safety_checker", "text_encoder",
                                        "tokenizer", NULL};
    static const char *const xl[] = {"text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2",
                                     NULL};
    int failed = 0;

    for (const char *const *name = strstr(class_name, "XL") ? xl : plain; *name; name++) {
        if (!json_object_get(index, *name))
            failed |= json_object_set_new(index, *name, json_pack("[n, n]"));
    }
    if (strstr(class_name, "XL"))
        failed |= json_object_set_new(
            index, "force_zeros_for_empty_prompt",
            json_boolean(strcmp(class_name, "StableDiffusionXLImg2ImgPipeline") != 0));
    if (strcmp(class_name, "StableDiffusionXLImg2ImgPipeline") == 0)
        failed |= json_object_set_new(index, "requires_aesthetics_score", json_true());
    if (!strstr(class_name, "XL"))
        failed |= json_object_set_new(index, "requires_safety_checker", json_false());
    return failed;
}

ss_code ss_convert_index_add(json_t *index, const json_t *config, const char *name,
                             const json_t *scheduler, ss_err *e)
{
    const char *own = json_string_value(json_object_get(config, "_class_name"));
    const char *theirs =
        json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    int failed = json_object_set_new(
        index, name, json_pack("[s, s]", own ? "diffusers" : "transformers", own ? own : theirs));

    if (scheduler)
        failed |= json_object_set_new(
            index, "scheduler",
            json_pack("[s, O]", "diffusers", json_object_get(scheduler, "_class_name")));
    if (strcmp(name, "unet") == 0) {
        const char *class_name = pipeline_class(config);

        failed |= json_object_set_new(index, "_class_name", json_string(class_name));
        failed |= set_absent(index, class_name);
    }
    return failed ? ss_no_memory(e, "model_index.json") : SS_OK;
}

/* ---- copies ---- */

static ss_code copy_file(const char *from, const char *to, ss_err *e)
{
    ss_outfile o = {0};
    ss_map map = {0};
    ss_code rc = ss_map_open(from, &map, e);

    if (rc == SS_OK)
        rc = ss_outfile_open(&o, to, e);
    if (rc == SS_OK) {
        fwrite(map.size ? map.data : (const unsigned char *)"", 1, map.size, o.f);
        rc = ss_outfile_commit(&o, e);
    }
    ss_map_close(&map);
    return rc;
}

/* Copies FROM/NAME to TO/NAME if it is a file, and TO has none. */
static ss_code copy_into(const char *from, const char *to, const char *name, ss_err *e)
{
    char *a = ss_path_join(from, name), *b = ss_path_join(to, name);
    ss_code rc = a && b ? SS_OK : ss_no_memory(e, name);

    if (rc == SS_OK && ss_file_exists(a) && !ss_is_dir(a) && !ss_file_exists(b))
        rc = copy_file(a, b, e);
    ss_free(a);
    ss_free(b);
    return rc;
}

/* Copies the files of a folder; links are followed, folders in it are not. */
static ss_code copy_files(const char *from, const char *to, ss_err *e)
{
    DIR *d = opendir(from);
    struct dirent *entry;
    ss_code rc = d ? SS_OK : ss_fail(e, SS_IO, "%s: %s", from, strerror(errno));

    while (rc == SS_OK && (entry = readdir(d))) {
        if (entry->d_name[0] != '.')
            rc = copy_into(from, to, entry->d_name, e);
    }
    if (d)
        closedir(d);
    return rc;
}

/* Copies FROM/NAME, a folder, as TO/NEW. With `fresh`, not into one that is there already. */
static ss_code copy_folder(const char *from, const char *name, const char *to, bool fresh,
                           ss_err *e)
{
    char *a = ss_path_join(from, name), *b = ss_path_join(to, name);
    ss_code rc = a && b ? SS_OK : ss_no_memory(e, name);

    if (rc == SS_OK && ss_is_dir(a) && !(fresh && ss_is_dir(b))) {
        ss_free(b);
        rc = ss_convert_make_folder(to, name, &b, e);
        if (rc == SS_OK)
            rc = copy_files(a, b, e);
    }
    ss_free(a);
    ss_free(b);
    return rc;
}

ss_code ss_convert_copy_rest(const char *from, const char *to, ss_err *e)
{
    char *path = ss_path_join(from, "model_index.json");
    ss_json j = {0};
    const char *name;
    json_t *value;
    ss_code rc = path ? SS_OK : ss_no_memory(e, from);

    if (rc == SS_OK && ss_file_exists(path))
        rc = ss_json_load(&j, path, e);
    if (rc == SS_OK)
        rc = copy_into(from, to, "model_index.json", e);
    if (rc == SS_OK)
        rc = copy_into(from, to, "class_embeddings.safetensors", e);
    json_object_foreach(j.root, name, value)
    {
        const bool plain = !strchr(name, '/') && name[0] != '.';

        if (rc == SS_OK && plain && json_is_string(json_array_get(value, 1)))
            rc = copy_folder(from, name, to, true, e);
    }
    ss_json_release(&j);
    ss_free(path);
    return rc;
}

/* The pair of a text encoder and its tokenizer. */
static const char *const pairs[][2] = {{"text_encoder", "tokenizer"},
                                       {"text_encoder_2", "tokenizer_2"}};

/* True where the index, which may be NULL, has the text encoder. */
static bool has_encoder(const json_t *index, const char *name)
{
    return !index || json_is_string(json_array_get(json_object_get(index, name), 1));
}

/* Makes the files of a folder the tokenizer TO/NAME. */
static ss_code take_tokenizer(const char *from, const char *name, const char *to, json_t *index,
                              ss_err *e)
{
    char *folder = NULL;
    ss_code rc = ss_convert_make_folder(to, name, &folder, e);

    if (rc == SS_OK)
        rc = copy_files(from, folder, e);
    if (rc == SS_OK && index &&
        json_object_set_new(index, name, json_pack("[s, s]", "transformers", "CLIPTokenizer")))
        rc = ss_no_memory(e, name);
    ss_free(folder);
    return rc;
}

ss_code ss_convert_copy_tokenizers(const char *from, const char *to, json_t *index, ss_err *e)
{
    bool found = false;
    ss_code rc = SS_OK;

    for (int i = 0; i < 2 && rc == SS_OK; i++) {
        char *path = ss_path_join(from, pairs[i][1]);

        rc = path ? SS_OK : ss_no_memory(e, from);
        if (rc == SS_OK && ss_is_dir(path)) {
            found = true;
            if (has_encoder(index, pairs[i][0]))
                rc = take_tokenizer(path, pairs[i][1], to, index, e);
        }
        ss_free(path);
    }
    if (rc == SS_OK && !found)
        rc = take_tokenizer(from, pairs[has_encoder(index, pairs[0][0]) ? 0 : 1][1], to, index, e);
    return rc;
}
