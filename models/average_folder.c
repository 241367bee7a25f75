/* average_folder.c - see average_folder.h */
#include "models/average_folder.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/families.h"

#include <string.h>

#define AVERAGE "_ema"

/* Returns FOLDER/NAME + end where there is such a folder, else NULL; sets *failed where memory is
 * out. */
static char *folder_in(const char *folder, const char *name, const char *end, bool *failed)
{
    ss_str s = {0};

    ss_str_addf(&s, "%s/%s%s", folder, name, end);
    char *path = ss_str_detach(&s);
    *failed |= !path;
    if (path && ss_is_dir(path))
        return path;
    ss_free(path);
    return NULL;
}

ss_code ss_average_folder_find(const char *model, const char *component, char **path, ss_err *e)
{
    bool failed = false;

    *path = NULL;
    for (int i = 0; ss_family_folder(i) && !*path && !failed; i++) {
        if (!component || strcmp(component, ss_family_folder(i)) == 0)
            *path = folder_in(model, ss_family_folder(i), AVERAGE, &failed);
    }
    return failed ? ss_no_memory(e, model) : SS_OK;
}

ss_code ss_average_folder_note(const char *model, const char *taken, char **note, ss_err *e)
{
    bool failed = false;
    ss_str s = {0};

    *note = NULL;
    for (int i = 0; ss_family_folder(i) && !s.len; i++) {
        const char *name = ss_family_folder(i);
        char *average = folder_in(model, name, AVERAGE, &failed);
        char *own = folder_in(model, name, "", &failed);

        if (average && own && strcmp(taken, own) == 0)
            ss_str_addf(&s, "%s/ is taken; --ema takes %s" AVERAGE "/ beside it", name, name);
        else if (average && own && strcmp(taken, average) == 0)
            ss_str_addf(&s, "%s" AVERAGE "/ is taken, not %s/ beside it", name, name);
        else if (average && strcmp(taken, average) == 0)
            ss_str_addf(&s, "%s" AVERAGE "/ is taken: there is no %s/", name, name);
        ss_free(average);
        ss_free(own);
    }
    failed |= s.failed;
    if (s.len && !failed)
        *note = ss_str_detach(&s);
    ss_str_release(&s);
    return failed ? ss_no_memory(e, model) : SS_OK;
}
