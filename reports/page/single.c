/* single.c - see single.h
 *
 * Two walks over the tags of each page: the first gathers pages and files that are named, the
 * second writes. Between them is decided what has no room.
 */
#include "reports/page/single.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "reports/page/html.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_PAGE = 512 << 20, MAX_FILE = 64 << 20, LONGEST_NAME = 160 };

/* A file that pages name. */
typedef struct {
    char name[LONGEST_NAME];
    int64_t bytes; /* as a data: URI, of all its uses */
    int n_used;
    bool shown, dark, left_out;
} asset;

typedef struct {
    char name[LONGEST_NAME]; /* "run-1.html" */
    char slug[LONGEST_NAME]; /* "run-1" */
    char *text;
    const char *body, *end; /* what is shown, in text */
} page;

typedef struct {
    const char *folder;
    page *pages;
    asset *assets;
    int n_pages, n_assets;
    size_t page_room, asset_room;
    FILE *f; /* NULL in the first walk */
    ss_code rc;
    ss_err *e;
} single;

/* A piece of a page's text. */
typedef struct {
    const char *s;
    size_t n;
} span;

static bool is(span a, const char *text)
{
    return strlen(text) == a.n && memcmp(a.s, text, a.n) == 0;
}

static void put(single *s, const char *from, size_t n)
{
    if (s->f)
        fwrite(from, 1, n, s->f);
}

static void put_text(single *s, const char *text)
{
    put(s, text, strlen(text));
}

static void fail(single *s, ss_code rc)
{
    if (s->rc == SS_OK)
        s->rc = rc;
}

/* A name that a page of ours gives to a file beside it. */
static bool is_plain(span name)
{
    bool dot = false;

    if (name.n == 0 || name.n >= LONGEST_NAME || *name.s == '.')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        const char c = name.s[i];

        if (!isalnum((unsigned char)c) && c != '.' && c != '-' && c != '_')
            return false;
        dot |= c == '.';
    }
    return dot;
}

static page *find_page(const single *s, span name)
{
    for (int i = 0; i < s->n_pages; i++) {
        if (is(name, s->pages[i].name))
            return &s->pages[i];
    }
    return NULL;
}

static asset *find_asset(const single *s, span name)
{
    for (int i = 0; i < s->n_assets; i++) {
        if (is(name, s->assets[i].name))
            return &s->assets[i];
    }
    return NULL;
}

static const char *type_of(const char *name)
{
    static const char *const types[][2] = {{".png", "image/png"},         {".svg", "image/svg+xml"},
                                           {".json", "application/json"}, {".csv", "text/csv"},
                                           {".txt", "text/plain"},        {".mp4", "video/mp4"}};
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (dot && strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    }
    return "application/octet-stream";
}

static char *path_of(single *s, const char *name)
{
    char *path = ss_path_join(s->folder, name);

    if (!path)
        fail(s, ss_no_memory(s->e, name));
    return path;
}

/* Counts a use of a file, if there is one of that name. */
static void use(single *s, span name, bool shown)
{
    asset *a = find_asset(s, name);
    struct stat st;
    char *path;

    if (!is_plain(name) || find_page(s, name))
        return;
    if (!a) {
        asset new = {0};

        memcpy(new.name, name.s, name.n);
        if (!(path = path_of(s, new.name)))
            return;
        const bool there = stat(path, &st) == 0 && S_ISREG(st.st_mode);
        ss_free(path);
        if (!there)
            return;
        asset *more = ss_grow(s->assets, &s->asset_room, (size_t)s->n_assets + 1, sizeof *more);
        if (!more) {
            fail(s, ss_no_memory(s->e, new.name));
            return;
        }
        s->assets = more;
        new.bytes = (st.st_size + 2) / 3 * 4;
        new.dark = strstr(new.name, "-dark.") != NULL;
        a = &s->assets[s->n_assets++];
        *a = new;
    }
    a->n_used++;
    a->shown |= shown;
}

static void put_base64(single *s, const unsigned char *x, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        const unsigned v = (unsigned)x[i] << 16 | (i + 1 < n ? (unsigned)x[i + 1] << 8 : 0) |
                           (i + 2 < n ? x[i + 2] : 0);
        const char four[] = {digits[v >> 18], digits[v >> 12 & 63],
                             i + 1 < n ? digits[v >> 6 & 63] : '=',
                             i + 2 < n ? digits[v & 63] : '='};

        put(s, four, sizeof four);
    }
}

static void put_data(single *s, const asset *a)
{
    char *path = path_of(s, a->name), *bytes = NULL;
    size_t n;
    ss_code rc = path ? ss_file_read(path, MAX_FILE, &bytes, &n, s->e) : SS_NOMEM;

    if (rc == SS_OK) {
        put_text(s, "data:");
        put_text(s, type_of(a->name));
        put_text(s, ";base64,");
        put_base64(s, (const unsigned char *)bytes, n);
    } else {
        fail(s, rc);
    }
    ss_free(bytes);
    ss_free(path);
}

/* Reads a page and finds what is shown of it. */
static void add_page(single *s, span name)
{
    page p = {0}, *more;
    char *path;

    memcpy(p.name, name.s, name.n);
    memcpy(p.slug, name.s, name.n - strlen(".html"));
    if (!(path = path_of(s, p.name)))
        return;
    const ss_code rc = ss_file_read(path, MAX_PAGE, &p.text, NULL, s->e);
    ss_free(path);
    if (rc != SS_OK) {
        fail(s, rc);
        return;
    }
    p.body = strstr(p.text, "<body>\n");
    for (const char *at = p.text; (at = strstr(at, "</main>\n")); at++)
        p.end = at + strlen("</main>\n");
    if (!p.body || !p.end || p.end < p.body) {
        fail(s, ss_fail(s->e, SS_FORMAT, "%s/%s has no <main>: not a page of a report", s->folder,
                        p.name));
        ss_free(p.text);
        return;
    }
    p.body += strlen("<body>\n");
    if (!(more = ss_grow(s->pages, &s->page_room, (size_t)s->n_pages + 1, sizeof *more))) {
        fail(s, ss_no_memory(s->e, p.name));
        ss_free(p.text);
        return;
    }
    s->pages = more;
    s->pages[s->n_pages++] = p;
}

/* Adds the page that a link leads to, unless it is known or none of ours. */
static void meet_page(single *s, span name)
{
    struct stat st;
    char text[LONGEST_NAME] = "", *path;

    if (!is_plain(name) || name.n <= 5 || memcmp(name.s + name.n - 5, ".html", 5) != 0 ||
        find_page(s, name))
        return;
    memcpy(text, name.s, name.n);
    if (!(path = path_of(s, text)))
        return;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        add_page(s, name);
    ss_free(path);
}

static const char *prefix_of(const page *p)
{
    return strcmp(p->slug, "index") == 0 ? "" : p->slug;
}

/* An id of page p as it is in the one file. */
static void put_id(single *s, const page *p, span id)
{
    put_text(s, prefix_of(p));
    put_text(s, *prefix_of(p) ? "--" : "");
    put(s, id.s, id.n);
}

/* Several ids, with blanks between them. */
static void put_ids(single *s, const page *p, span ids)
{
    while (ids.n) {
        size_t n = 0;

        while (n < ids.n && ids.s[n] != ' ')
            n++;
        if (n)
            put_id(s, p, (span){ids.s, n});
        for (; n < ids.n && ids.s[n] == ' '; n++)
            put_text(s, " ");
        ids = (span){ids.s + n, ids.n - n};
    }
}

/* A value that may have url(#id) in it, as attributes of SVG do. */
static void put_value(single *s, const page *p, span v)
{
    static const char start[] = "url(#";

    while (v.n) {
        const char *at = memmem(v.s, v.n, start, strlen(start));
        const size_t n = at ? (size_t)(at - v.s) + strlen(start) : v.n;

        put(s, v.s, n);
        if (at)
            put_id(s, p, (span){"", 0});
        v = (span){v.s + n, v.n - n};
    }
}

static void put_link(single *s, const page *p, span v, bool is_link)
{
    const char *hash = memchr(v.s, '#', v.n);
    const span file = {v.s, hash ? (size_t)(hash - v.s) : v.n};
    const span id = hash ? (span){hash + 1, v.n - file.n - 1} : (span){"", 0};
    const page *to;
    const asset *a;

    if (!s->f) {
        meet_page(s, file);
        use(s, file, !is_link);
        return;
    }
    to = file.n ? find_page(s, file) : p;
    if (to && (id.n || !file.n)) {
        put_text(s, "#");
        put_id(s, to, id);
    } else if (to) {
        put_text(s, "#");
        put_text(s, to->slug);
    } else if ((a = find_asset(s, file))) {
        put_data(s, a);
        if (is_link) {
            put_text(s, "\" download=\"");
            put_text(s, a->name);
        }
    } else {
        put(s, v.s, v.n);
    }
}

/* An attribute of a tag: its name, its value, and where it ends with its quote. */
typedef struct {
    span name, value;
    const char *end;
} attribute;

/* The next attribute with a value at or after p, before end; false where there is none. */
static bool next_attribute(const char *p, const char *end, attribute *a)
{
    const char *equal = memchr(p, '=', (size_t)(end - p)), *close;

    if (!equal || equal + 1 >= end || (equal[1] != '"' && equal[1] != '\''))
        return false;
    a->name.s = equal;
    while (a->name.s > p && !isspace((unsigned char)a->name.s[-1]))
        a->name.s--;
    a->name.n = (size_t)(equal - a->name.s);
    close = memchr(equal + 2, equal[1], (size_t)(end - equal - 2));
    if (!close)
        return false;
    a->value = (span){equal + 2, (size_t)(close - equal - 2)};
    a->end = close + 1;
    return true;
}

/* The end of the tag that starts at p, after its ">". */
static const char *tag_end(const char *p, const char *end)
{
    char quote = '\0';

    for (; p < end; p++) {
        if (quote)
            quote = *p == quote ? '\0' : quote;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else if (*p == '>')
            return p + 1;
    }
    return end;
}

static bool names_file(const attribute *a)
{
    return is(a->name, "src") || is(a->name, "srcset") || is(a->name, "poster") ||
           is(a->name, "href") || is(a->name, "xlink:href");
}

/* The file that the tag shows or leads to and that has no room, or NULL. */
static const asset *left_out(const single *s, const char *p, const char *end)
{
    attribute a;

    for (; next_attribute(p, end, &a); p = a.end) {
        const asset *x = names_file(&a) ? find_asset(s, a.value) : NULL;

        if (x && x->left_out)
            return x;
    }
    return NULL;
}

/* Instead of a tag whose file has no room. */
static void put_left_out(single *s, span tag, const asset *a)
{
    if (is(tag, "a")) {
        put_text(s, "<a>"); /* its text stays */
    } else if (is(tag, "img")) {
        html_element(s->f, "span", "missing", "Left out to keep this file small: %s", a->name);
    }
}

static void put_attributes(single *s, const page *p, const char *from, const char *end, bool link)
{
    attribute a;

    for (; next_attribute(from, end, &a); from = a.end) {
        put(s, from, (size_t)(a.value.s - from));
        if (is(a.name, "id"))
            put_id(s, p, a.value);
        else if (is(a.name, "for") || is(a.name, "aria-labelledby") ||
                 is(a.name, "aria-describedby") || is(a.name, "aria-controls"))
            put_ids(s, p, a.value);
        else if (names_file(&a))
            put_link(s, p, a.value, link);
        else
            put_value(s, p, a.value);
        put(s, a.end - 1, 1);
    }
    put(s, from, (size_t)(end - from));
}

/* Names of files in a script's data are those of the player's pictures. */
static void put_json(single *s, const char *from, const char *end)
{
    while (from < end) {
        const char *open = memchr(from, '"', (size_t)(end - from)), *close;
        const asset *a;

        if (!open)
            break;
        for (close = open + 1; close < end && *close != '"'; close++)
            close += *close == '\\' && close + 1 < end;
        const span text = {open + 1, (size_t)(close - open - 1)};
        if (!s->f)
            use(s, text, true);
        put(s, from, (size_t)(open + 1 - from));
        if ((a = find_asset(s, text)) && s->f) {
            if (!a->left_out)
                put_data(s, a);
        } else {
            put(s, text.s, text.n);
        }
        from = close;
        if (from < end) {
            put(s, from, 1);
            from++;
        }
    }
    put(s, from, (size_t)(end - from));
}

/* The tag at p, and the text of a script or style; returns what follows. */
static const char *put_tag(single *s, const page *p, const char *at, const char *limit)
{
    const char *end = tag_end(at, limit), *name = at + 1 + (at[1] == '/');
    const asset *missing = s->f ? left_out(s, at, end) : NULL;
    span tag = {name, 0};

    while (name + tag.n < end && isalnum((unsigned char)name[tag.n]))
        tag.n++;
    if (missing) {
        put_left_out(s, tag, missing);
        return end;
    }
    if (is(tag, "main") && *prefix_of(p)) { /* a document has one */
        put_text(s, at[1] == '/' ? "</div" : "<div class=\"main\"");
        put_attributes(s, p, name + tag.n, end, false);
        return end;
    }
    put_attributes(s, p, at, end, is(tag, "a"));
    if (at[1] == '/' || (!is(tag, "script") && !is(tag, "style")))
        return end;
    const char *close = strstr(end, is(tag, "script") ? "</script>" : "</style>");
    if (!close || close > limit)
        close = limit;
    if (is(tag, "script") && memmem(at, (size_t)(end - at), "json", 4))
        put_json(s, end, close);
    else
        put(s, end, (size_t)(close - end));
    return close;
}

static void walk(single *s, const page *p, const char *from, const char *to)
{
    while (from < to && s->rc == SS_OK) {
        const char *tag = memchr(from, '<', (size_t)(to - from));

        put(s, from, (size_t)((tag ? tag : to) - from));
        if (!tag)
            return;
        if (tag + 1 < to && (isalpha((unsigned char)tag[1]) || tag[1] == '/')) {
            from = put_tag(s, p, tag, to);
        } else {
            put(s, tag, 1);
            from = tag + 1;
        }
    }
}

/* First what is for dark ground, then what is not shown, then the largest. */
static int by_need(const void *left, const void *right)
{
    const asset *a = *(asset *const *)left, *b = *(asset *const *)right;

    if (a->dark != b->dark)
        return b->dark - a->dark;
    if (a->shown != b->shown)
        return a->shown - b->shown;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return strcmp(a->name, b->name);
}

static ss_code make_room(single *s, int64_t limit, ss_single_summary *sum, ss_err *e)
{
    asset **order = ss_calloc((size_t)s->n_assets + 1, sizeof *order);
    int64_t bytes = 4096; /* what is written between the pages */

    if (!order)
        return ss_no_memory(e, s->folder);
    for (int i = 0; i < s->n_pages; i++)
        bytes += (int64_t)strlen(s->pages[i].text);
    for (int i = 0; i < s->n_assets; i++) {
        order[i] = &s->assets[i];
        s->assets[i].bytes *= s->assets[i].n_used;
        bytes += s->assets[i].bytes;
    }
    qsort(order, (size_t)s->n_assets, sizeof *order, by_need);
    for (int i = 0; i < s->n_assets && bytes > limit; i++) {
        order[i]->left_out = true;
        bytes -= order[i]->bytes;
        sum->n_left_out++;
    }
    sum->n_files = s->n_assets;
    ss_free(order);
    return SS_OK;
}

static span title_of(const page *p)
{
    const char *from = strstr(p->text, "<title>"), *to = from ? strstr(from, "</title>") : NULL;

    return to ? (span){from + 7, (size_t)(to - from - 7)} : (span){p->slug, strlen(p->slug)};
}

static void put_navigation(single *s)
{
    put_text(s, "<nav class=\"pages\" aria-label=\"pages\">");
    for (int i = 0; i < s->n_pages; i++) {
        const span title = title_of(&s->pages[i]);

        put_text(s, "<a href=\"#");
        put_text(s, s->pages[i].slug);
        put_text(s, "\">");
        put(s, i ? title.s : "All runs", i ? title.n : strlen("All runs"));
        put_text(s, "</a>\n");
    }
    put_text(s, "</nav>\n");
}

static void put_note(single *s, int64_t limit, const ss_single_summary *sum)
{
    if (!sum->n_left_out)
        return;
    html_element(s->f, "p", "missing",
                 "%d of %d pictures are left out, so that this file stays below %.0f MB: first "
                 "those for dark ground, then the largest. The report as a folder (-o DIR, "
                 "without --single-file) has them all.",
                 sum->n_left_out, sum->n_files, (double)limit / 1e6);
}

static void put_pages(single *s, int64_t limit, const ss_single_summary *sum)
{
    const page *first = s->pages;

    walk(s, first, first->text, first->body);
    if (s->n_pages > 1)
        put_navigation(s);
    put_note(s, limit, sum);
    for (int i = 0; i < s->n_pages; i++) {
        const page *p = &s->pages[i];

        put_text(s, "<section class=\"page\" id=\"");
        put_text(s, p->slug);
        put_text(s, "\">\n");
        walk(s, p, p->body, p->end);
        put_text(s, "</section>\n");
    }
    walk(s, first, first->end, first->text + strlen(first->text));
}

ss_code ss_single_write(const char *folder, FILE *f, int64_t limit, ss_single_summary *sum,
                        ss_err *e)
{
    single s = {.folder = folder, .e = e};

    *sum = (ss_single_summary){0};
    add_page(&s, (span){"index.html", strlen("index.html")});
    for (int i = 0; i < s.n_pages && s.rc == SS_OK; i++) {
        const page p = s.pages[i]; /* the list may move while it grows */

        walk(&s, &p, p.text, p.text + strlen(p.text));
    }
    if (s.rc == SS_OK)
        s.rc = make_room(&s, limit, sum, e);
    if (s.rc == SS_OK) {
        s.f = f;
        put_pages(&s, limit, sum);
        sum->bytes = ftell(f);
    }
    for (int i = 0; i < s.n_pages; i++)
        ss_free(s.pages[i].text);
    ss_free(s.pages);
    ss_free(s.assets);
    return s.rc;
}
