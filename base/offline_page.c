/* offline_page.c - see offline_page.h */
#include "base/offline_page.h"

#include "base/asset.h"
#include "base/file.h"

#include <stdio.h>

SS_ASSET(ss_offline_css, "base/offline_page.css");

static int write_data(const char *text, size_t n, void *file)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '<')
            fputs("\\u003c", file);
        else
            fputc(text[i], file);
    }
    return 0;
}

ss_code ss_offline_page_write(const char *path, const ss_offline_page *p, const json_t *data,
                              ss_err *e)
{
    ss_outfile o;
    ss_code rc = data ? ss_outfile_open(&o, path, e) : ss_no_memory(e, path);

    if (rc != SS_OK)
        return rc;
    fprintf(o.f,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            "<title>%s</title>\n<style>\n%s</style>\n</head>\n<body>\n%s"
            "<script type=\"application/json\" id=\"data\">",
            p->title, p->css, p->body);
    if (json_dump_callback(data, write_data, o.f, JSON_COMPACT | JSON_ENSURE_ASCII) != 0) {
        ss_outfile_discard(&o);
        return ss_no_memory(e, path);
    }
    fputs("</script>\n", o.f);
    for (int i = 0; p->scripts[i]; i++)
        fprintf(o.f, "<script>\n%s</script>\n", p->scripts[i]);
    fputs("</body>\n</html>\n", o.f);
    return ss_outfile_commit(&o, e);
}
