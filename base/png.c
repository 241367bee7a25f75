/* png.c - see png.h
 *
 * libpng reports errors by longjmp. What must survive the jump lives in a struct
 * outside the function that sets it, so that no local variable can be clobbered.
 */
#include "base/png.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <png.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* Deflate cannot pack more than 1032 bytes into one, so a file's size bounds its picture. */
enum { DEFLATE_MAX_RATIO = 1032 };

typedef struct {
    const char *path;
    FILE *f;
    ss_err *e;
    ss_code rc;   /* of the failure that jumped */
    bool starved; /* an allocation failed; libpng does not distinguish that from other failures */
    png_structp png;
    png_infop info;
    png_bytepp rows; /* into the picture */
} codec;

static void on_error(png_structp png, png_const_charp text)
{
    codec *k = png_get_error_ptr(png);

    k->rc = ss_fail(k->e, k->starved ? SS_NOMEM : SS_FORMAT, "%s: %s", k->path, text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png, (void)text; /* odd colour profiles and the like: they change no pixel */
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t n)
{
    codec *k = png_get_mem_ptr(png);
    void *p = ss_alloc(n, 1);

    k->starved |= !p;
    return p;
}

static void on_free(png_structp png, png_voidp p)
{
    (void)png;
    ss_free(p);
}

static ss_code no_memory(codec *k)
{
    return ss_no_memory(k->e, k->path);
}

/* Points rows at the picture's lines. */
static ss_code make_rows(codec *k, const ss_image *im)
{
    k->rows = ss_alloc((size_t)im->h, sizeof *k->rows);
    if (!k->rows)
        return no_memory(k);
    for (int y = 0; y < im->h; y++)
        k->rows[y] = im->data + (size_t)y * (size_t)im->w * (size_t)im->c;
    return SS_OK;
}

/* Refuses a picture that the file is too short to hold, before memory is asked for it. */
static ss_code check_size(codec *k, png_uint_32 w, png_uint_32 h)
{
    struct stat st;
    uint64_t raw = (uint64_t)h * png_get_rowbytes(k->png, k->info);

    if (fstat(fileno(k->f), &st) == 0 && S_ISREG(st.st_mode) &&
        raw / DEFLATE_MAX_RATIO > (uint64_t)st.st_size)
        return ss_fail(k->e, SS_FORMAT, "%s: claims %u x %u pixels, which %lld bytes cannot hold",
                       k->path, (unsigned)w, (unsigned)h, (long long)st.st_size);
    return SS_OK;
}

static ss_code read_picture(codec *k, ss_image *im)
{
    if (setjmp(png_jmpbuf(k->png)))
        return k->rc;
    png_init_io(k->png, k->f);
    png_set_user_limits(k->png, SS_IMAGE_MAX_SIDE, SS_IMAGE_MAX_SIDE);
    /* Texts, colour profiles and all else that changes no pixel here are skipped unread: libpng
     * asks for as much memory as they claim to need, and clears it, before it looks whether the
     * file has as much. */
    png_set_keep_unknown_chunks(k->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(k->png, k->info);

    png_uint_32 w = png_get_image_width(k->png, k->info);
    png_uint_32 h = png_get_image_height(k->png, k->info);
    ss_code rc = check_size(k, w, h);

    if (rc != SS_OK)
        return rc;
    png_set_palette_to_rgb(k->png);
    if (png_get_color_type(k->png, k->info) == PNG_COLOR_TYPE_GRAY)
        png_set_expand_gray_1_2_4_to_8(k->png);
    png_set_scale_16(k->png);
    png_set_strip_alpha(k->png);
    png_set_interlace_handling(k->png);
    png_read_update_info(k->png, k->info);
    im->w = (int)w;
    im->h = (int)h;
    im->c = png_get_channels(k->png, k->info);
    im->data = ss_alloc((size_t)w * h, (size_t)im->c);
    if (!im->data)
        return no_memory(k);
    rc = make_rows(k, im);
    if (rc != SS_OK)
        return rc;
    png_read_image(k->png, k->rows);
    png_read_end(k->png, NULL);
    return SS_OK;
}

ss_code ss_image_read_png(const char *path, ss_image *im, ss_err *e)
{
    codec k = {.path = path, .e = e};
    ss_image got = {0};
    ss_code rc = SS_OK;
    unsigned char head[8];

    k.f = fopen(path, "rbe");
    if (!k.f)
        return ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    if (fread(head, 1, sizeof head, k.f) != sizeof head || png_sig_cmp(head, 0, sizeof head) != 0) {
        rc = ferror(k.f) ? ss_fail(e, SS_IO, "%s: %s", path, strerror(errno))
                         : ss_fail(e, SS_FORMAT, "%s: not a PNG file", path);
        goto out;
    }
    rewind(k.f);
    k.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &k, on_error, on_warning, &k, on_malloc,
                                     on_free);
    k.info = k.png ? png_create_info_struct(k.png) : NULL;
    rc = k.info ? read_picture(&k, &got) : no_memory(&k);
    if (rc == SS_OK) {
        *im = got;
        got.data = NULL; /* now the caller's */
    }
out:
    png_destroy_read_struct(&k.png, &k.info, NULL);
    ss_free(k.rows);
    ss_image_release(&got);
    fclose(k.f);
    return rc;
}

static ss_code write_picture(codec *k, const ss_image *im)
{
    if (setjmp(png_jmpbuf(k->png)))
        return k->rc;
    png_init_io(k->png, k->f);
    png_set_IHDR(k->png, k->info, (png_uint_32)im->w, (png_uint_32)im->h, 8,
                 im->c == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(k->png, k->info);
    png_write_image(k->png, k->rows);
    png_write_end(k->png, NULL);
    return SS_OK;
}

ss_code ss_image_write_png(const char *path, const ss_image *im, ss_err *e)
{
    codec k = {.path = path, .e = e};
    ss_outfile o = {0};
    ss_code rc;

    if (im->w < 1 || im->h < 1 || im->w > SS_IMAGE_MAX_SIDE || im->h > SS_IMAGE_MAX_SIDE ||
        (im->c != 1 && im->c != 3))
        return ss_fail(e, SS_SHAPE,
                       "%s: a picture of %d x %d pixels and %d channels cannot be written: sides "
                       "are 1 to %d, channels 1 or 3",
                       path, im->w, im->h, im->c, SS_IMAGE_MAX_SIDE);
    rc = make_rows(&k, im);
    if (rc != SS_OK)
        return rc;
    rc = ss_outfile_open(&o, path, e);
    if (rc != SS_OK)
        goto out;
    k.f = o.f;
    k.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &k, on_error, on_warning, &k,
                                      on_malloc, on_free);
    k.info = k.png ? png_create_info_struct(k.png) : NULL;
    rc = k.info ? write_picture(&k, im) : no_memory(&k);
    if (rc != SS_OK && ferror(o.f)) /* libpng says no more than that writing failed */
        rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    if (rc == SS_OK)
        rc = ss_outfile_commit(&o, e);
out:
    png_destroy_write_struct(&k.png, &k.info);
    ss_outfile_discard(&o);
    ss_free(k.rows);
    return rc;
}

void ss_image_release(ss_image *im)
{
    ss_free(im->data);
    *im = (ss_image){0};
}
