/* pickle_machine.c - the stack machine of pickles, protocols 0 to 5
 *
 * A pickle is a row of opcodes of one byte, most followed by an argument. They push values,
 * gather those since the last mark into a container, and keep values in a memo from which they are
 * pushed again, so that one value may be in many places. Lengths are those of the argument that
 * follows in the file, so that memory is bounded by the file's length; a table has the form of
 * each opcode's argument, and a function its meaning.
 *
 * Source: Python's Lib/pickletools.py and Lib/pickle.py.
 */
#include "models/file/pickle_machine.h"

#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    ss_pickle_store *s;
    const unsigned char *data;
    size_t n, at;
    ss_pickle_value **stack; /* NULL is a mark */
    size_t depth, cap_stack;
    ss_pickle_value **memo; /* NULL where nothing was kept */
    size_t n_memo, cap_memo;
    size_t n_kept; /* how often something was kept, which is what the next key is */
    ss_err *e;
} machine;

static ss_code damaged(machine *m, const char *why)
{
    return ss_fail(m->e, SS_FORMAT, "%s: pickle, byte %zu: %s", m->s->path, m->at, why);
}

static ss_code push(machine *m, ss_pickle_value *v)
{
    ss_pickle_value **grown;

    if (m->depth >= SS_PICKLE_MAX_VALUES)
        return damaged(m, "the stack is too deep");
    grown = ss_grow(m->stack, &m->cap_stack, m->depth + 1, sizeof(ss_pickle_value *));
    if (!grown)
        return ss_no_memory(m->e, m->s->path);
    m->stack = grown;
    m->stack[m->depth++] = v;
    return SS_OK;
}

/* Pushes a new value of a kind, *v. */
static ss_code push_new(machine *m, ss_pickle_kind kind, ss_pickle_value **v)
{
    *v = ss_pickle_new(m->s, kind, m->e);
    return *v ? push(m, *v) : m->e->code;
}

/* The uppermost value, which is not a mark; NULL after an error. */
static ss_pickle_value *top(machine *m)
{
    if (m->depth && m->stack[m->depth - 1])
        return m->stack[m->depth - 1];
    damaged(m, "there is no value on the stack");
    return NULL;
}

static ss_pickle_value *pop(machine *m)
{
    ss_pickle_value *v = top(m);

    if (v)
        m->depth--;
    return v;
}

/* Index of the first value after the last mark. */
static ss_code find_mark(machine *m, size_t *first)
{
    for (size_t i = m->depth; i-- > 0;) {
        if (!m->stack[i]) {
            *first = i + 1;
            return SS_OK;
        }
    }
    return damaged(m, "there is no mark on the stack");
}

/* Moves the values from first on into a container, and drops them from the stack. */
static ss_code gather(machine *m, size_t first, ss_pickle_value *into)
{
    ss_code rc = SS_OK;

    if (into->kind == SS_PICKLE_DICT && (m->depth - first) % 2)
        return damaged(m, "a key of a dict has no value");
    for (size_t i = first; i < m->depth && rc == SS_OK; i++)
        rc = m->stack[i] ? ss_pickle_append(m->s, into, m->stack[i], m->e)
                         : damaged(m, "a mark where a value is expected");
    m->depth = first;
    return rc;
}

/* A new container of the values since the mark. */
static ss_code gather_new(machine *m, ss_pickle_kind kind)
{
    size_t first = 0;
    ss_code rc = find_mark(m, &first);
    ss_pickle_value *v = rc == SS_OK ? ss_pickle_new(m->s, kind, m->e) : NULL;

    if (!v)
        return m->e->code;
    rc = gather(m, first, v);
    if (rc != SS_OK)
        return rc;
    m->depth--; /* the mark */
    return push(m, v);
}

static ss_code push_tuple(machine *m, size_t n)
{
    ss_pickle_value *v = ss_pickle_new(m->s, SS_PICKLE_TUPLE, m->e);

    if (!v)
        return m->e->code;
    if (m->depth < n)
        return damaged(m, "there are too few values on the stack");
    const ss_code rc = gather(m, m->depth - n, v);
    return rc == SS_OK ? push(m, v) : rc;
}

/* Where values that are added to v go: itself, or the items of an object. */
static ss_code container(machine *m, ss_pickle_value *v, ss_pickle_kind kind,
                         ss_pickle_value **into)
{
    *into = v;
    if (v->kind == SS_PICKLE_OBJECT) {
        if (!v->object.items)
            v->object.items = ss_pickle_new(m->s, kind, m->e);
        *into = v->object.items;
        if (!*into)
            return m->e->code;
    }
    if ((*into)->kind == kind || (kind == SS_PICKLE_LIST && (*into)->kind == SS_PICKLE_SET))
        return SS_OK;
    return damaged(m, kind == SS_PICKLE_DICT ? "entries are added to what is no dict"
                                             : "items are added to what is no list");
}

/* Adds the values from first on to the container below them (and below the mark, if there is one).
 */
static ss_code add_to(machine *m, size_t first, size_t marks, ss_pickle_kind kind)
{
    ss_pickle_value *into = NULL;

    if (first < marks + 1 || !m->stack[first - marks - 1])
        return damaged(m, "there is no container on the stack");
    ss_code rc = container(m, m->stack[first - marks - 1], kind, &into);
    if (rc == SS_OK)
        rc = gather(m, first, into);
    m->depth = first - marks;
    return rc;
}

static ss_code add_since_mark(machine *m, ss_pickle_kind kind)
{
    size_t first = 0;
    const ss_code rc = find_mark(m, &first);

    return rc == SS_OK ? add_to(m, first, 1, kind) : rc;
}

static ss_code add_last(machine *m, size_t n, ss_pickle_kind kind)
{
    if (m->depth < n)
        return damaged(m, "there are too few values on the stack");
    return add_to(m, m->depth - n, 0, kind);
}

static ss_code keep(machine *m, uint64_t key)
{
    ss_pickle_value *v = top(m);

    if (!v)
        return m->e->code;
    /* picklers count keys up from 0 or 1, so that a large one is an attack on our memory */
    if (key > m->n_kept + 1)
        return damaged(m, "a key of the memo is larger than their number");
    if (key >= m->n_memo) {
        ss_pickle_value **grown =
            ss_grow(m->memo, &m->cap_memo, (size_t)key + 1, sizeof(ss_pickle_value *));

        if (!grown)
            return ss_no_memory(m->e, m->s->path);
        m->memo = grown;
        while (m->n_memo <= key)
            m->memo[m->n_memo++] = NULL;
    }
    m->memo[key] = v;
    m->n_kept++;
    return SS_OK;
}

static ss_code push_kept(machine *m, uint64_t key)
{
    if (key >= m->n_memo || !m->memo[key])
        return damaged(m, "the memo has no such key");
    return push(m, m->memo[key]);
}

static ss_code push_global(machine *m, const char *module, size_t n_module, const char *name,
                           size_t n_name)
{
    ss_pickle_value *v;
    const ss_code rc = push_new(m, SS_PICKLE_GLOBAL, &v);

    if (rc == SS_OK) {
        v->global.module = module;
        v->global.n_module = n_module;
        v->global.name = name;
        v->global.n_name = n_name;
    }
    return rc;
}

static ss_code push_stack_global(machine *m)
{
    const ss_pickle_value *name = pop(m), *module = name ? pop(m) : NULL;

    if (!module)
        return m->e->code;
    if (name->kind != SS_PICKLE_TEXT || module->kind != SS_PICKLE_TEXT)
        return damaged(m, "the name of a class is no text");
    return push_global(m, module->text.s, module->text.n, name->text.s, name->text.n);
}

static ss_code call(machine *m, ss_pickle_value *callee, ss_pickle_value *args)
{
    ss_pickle_value *made = NULL;
    ss_code rc = ss_pickle_call(m->s, callee, args, &made, m->e);

    return rc == SS_OK ? push(m, made) : rc;
}

/* Callee and arguments are the uppermost values, and before them keywords, which are not kept. */
static ss_code call_upper(machine *m, bool keywords)
{
    if (keywords && !pop(m))
        return m->e->code;
    ss_pickle_value *args = pop(m), *callee = args ? pop(m) : NULL;

    return callee ? call(m, callee, args) : m->e->code;
}

/* The oldest form: a mark, a class where there is none by name, the arguments. */
static ss_code call_since_mark(machine *m, const ss_pickle_argument *name)
{
    ss_pickle_value *callee = NULL;
    ss_code rc = SS_OK;

    if (name) {
        const char *second = memchr(name->text, '\n', name->n);
        const size_t n = (size_t)(second - name->text);

        rc = push_global(m, name->text, n, second + 1, name->n - n - 1);
        callee = rc == SS_OK ? pop(m) : NULL;
    }
    if (rc == SS_OK)
        rc = gather_new(m, SS_PICKLE_TUPLE);
    ss_pickle_value *args = rc == SS_OK ? pop(m) : NULL;
    if (rc != SS_OK || !args)
        return m->e->code;
    if (!callee) {
        if (!args->items.n)
            return damaged(m, "an object has no class");
        callee = args->items.at[0];
        args->items.n--;
        memmove(args->items.at, args->items.at + 1, args->items.n * sizeof(ss_pickle_value *));
    }
    return call(m, callee, args);
}

/* Gives an object its state. That of anything else, such as notes on a dict, says nothing here. */
static ss_code build(machine *m)
{
    const ss_pickle_value *state = pop(m);
    ss_pickle_value *object = state ? top(m) : NULL;

    if (!object)
        return m->e->code;
    if (object->kind == SS_PICKLE_OBJECT)
        object->object.state = state;
    return SS_OK;
}

static ss_code push_persistent(machine *m, const ss_pickle_value *id)
{
    ss_pickle_value *made = NULL;
    ss_code rc = id ? ss_pickle_persistent(m->s, id, &made, m->e) : m->e->code;

    return rc == SS_OK ? push(m, made) : rc;
}

static ss_code pop_any(machine *m)
{
    if (!m->depth)
        return damaged(m, "the stack is empty");
    m->depth--;
    return SS_OK;
}

static ss_code pop_mark(machine *m)
{
    size_t first = 0;
    const ss_code rc = find_mark(m, &first);

    if (rc == SS_OK)
        m->depth = first - 1;
    return rc;
}

/* Forms of arguments: bytes of a number; bytes of the length of what follows; lines. */
typedef enum {
    UNKNOWN,
    NOTHING,
    U1,
    U2,
    U4,
    U8,
    FIXED8,
    LENGTH1,
    LENGTH4,
    LENGTH8,
    LINE,
    LINES
} form;

/* By opcode, as pickletools.py lists them. */
static const unsigned char forms[256] = {
    ['('] = NOTHING,  ['.'] = NOTHING,  ['0'] = NOTHING,  ['1'] = NOTHING,  ['2'] = NOTHING,
    ['F'] = LINE,     ['I'] = LINE,     ['J'] = U4,       ['K'] = U1,       ['L'] = LINE,
    ['M'] = U2,       ['N'] = NOTHING,  ['P'] = LINE,     ['Q'] = NOTHING,  ['R'] = NOTHING,
    ['S'] = LINE,     ['T'] = LENGTH4,  ['U'] = LENGTH1,  ['V'] = LINE,     ['X'] = LENGTH4,
    ['a'] = NOTHING,  ['b'] = NOTHING,  ['c'] = LINES,    ['d'] = NOTHING,  ['}'] = NOTHING,
    ['e'] = NOTHING,  ['g'] = LINE,     ['h'] = U1,       ['i'] = LINES,    ['j'] = U4,
    ['l'] = NOTHING,  [']'] = NOTHING,  ['o'] = NOTHING,  ['p'] = LINE,     ['q'] = U1,
    ['r'] = U4,       ['s'] = NOTHING,  ['t'] = NOTHING,  [')'] = NOTHING,  ['u'] = NOTHING,
    ['G'] = FIXED8,   ['B'] = LENGTH4,  ['C'] = LENGTH1,  [0x80] = U1,      [0x81] = NOTHING,
    [0x85] = NOTHING, [0x86] = NOTHING, [0x87] = NOTHING, [0x88] = NOTHING, [0x89] = NOTHING,
    [0x8a] = LENGTH1, [0x8b] = LENGTH4, [0x8c] = LENGTH1, [0x8d] = LENGTH8, [0x8e] = LENGTH8,
    [0x8f] = NOTHING, [0x90] = NOTHING, [0x91] = NOTHING, [0x92] = NOTHING, [0x93] = NOTHING,
    [0x94] = NOTHING, [0x95] = U8,      [0x96] = LENGTH8,
};

static ss_code take_number(machine *m, int bytes, uint64_t *v)
{
    *v = 0;
    if (m->n - m->at < (size_t)bytes)
        return damaged(m, "it ends in the middle of a value");
    for (int i = bytes; i-- > 0;)
        *v = *v << 8 | m->data[m->at + (size_t)i];
    m->at += (size_t)bytes;
    return SS_OK;
}

static ss_code take_bytes(machine *m, uint64_t n, ss_pickle_argument *a)
{
    if (n > m->n - m->at)
        return damaged(m, "a value is said to be longer than the file");
    a->text = (const char *)m->data + m->at;
    a->n = (size_t)n;
    m->at += (size_t)n;
    return SS_OK;
}

/* Takes lines, with the newline between them but not the last. */
static ss_code take_lines(machine *m, int lines, ss_pickle_argument *a)
{
    const size_t from = m->at;

    while (lines--) {
        const unsigned char *end =
            m->n > m->at ? memchr(m->data + m->at, '\n', m->n - m->at) : NULL;

        if (!end)
            return damaged(m, "it ends in the middle of a line");
        m->at = (size_t)(end - m->data) + 1;
    }
    a->text = (const char *)m->data + from;
    a->n = m->at - from - 1;
    return SS_OK;
}

static ss_code take_argument(machine *m, form f, ss_pickle_argument *a)
{
    static const int number_bytes[] = {
        [U1] = 1, [U2] = 2, [U4] = 4, [U8] = 8, [LENGTH1] = 1, [LENGTH4] = 4, [LENGTH8] = 8};
    const bool is_length = f == LENGTH1 || f == LENGTH4 || f == LENGTH8;

    if (f == LINE || f == LINES)
        return take_lines(m, f == LINE ? 1 : 2, a);
    if (f == FIXED8)
        return take_bytes(m, 8, a);
    if (f == UNKNOWN || f == NOTHING)
        return SS_OK;
    const ss_code rc = take_number(m, number_bytes[f], &a->number);
    return rc == SS_OK && is_length ? take_bytes(m, a->number, a) : rc;
}

/* The key of the memo in a line. */
static ss_code with_key(machine *m, const ss_pickle_argument *a,
                        ss_code f(machine *m, uint64_t key))
{
    uint64_t key = 0;

    for (size_t i = 0; i < a->n && key <= SS_PICKLE_MAX_OPS; i++) {
        if (a->text[i] < '0' || a->text[i] > '9')
            return damaged(m, "a key of the memo cannot be read");
        key = key * 10 + (uint64_t)(a->text[i] - '0');
    }
    return f(m, key);
}

static ss_code push_container(machine *m, ss_pickle_kind kind)
{
    ss_pickle_value *v;

    return push_new(m, kind, &v);
}

/* Constants, and values in the argument itself. */
static ss_code do_literal(machine *m, unsigned char op, const ss_pickle_argument *a)
{
    ss_pickle_value *v = ss_pickle_literal(m->s, op, a, m->e);

    return v ? push(m, v) : m->e->code;
}

static ss_code push_line_persistent(machine *m, const ss_pickle_argument *a)
{
    const ss_code rc = do_literal(m, 'X', a);

    return rc == SS_OK ? push_persistent(m, pop(m)) : rc;
}

static ss_code push_dup(machine *m)
{
    ss_pickle_value *v = top(m);

    return v ? push(m, v) : m->e->code;
}

static ss_code push_global_lines(machine *m, const ss_pickle_argument *a)
{
    const char *second = memchr(a->text, '\n', a->n);
    const size_t n = (size_t)(second - a->text);

    return push_global(m, a->text, n, second + 1, a->n - n - 1);
}

static ss_code do_container(machine *m, unsigned char op, const ss_pickle_argument *a)
{
    switch (op) {
    case ')': return push_container(m, SS_PICKLE_TUPLE);
    case ']': return push_container(m, SS_PICKLE_LIST);
    case '}': return push_container(m, SS_PICKLE_DICT);
    case 0x8f: return push_container(m, SS_PICKLE_SET);
    case 't': return gather_new(m, SS_PICKLE_TUPLE);
    case 'l': return gather_new(m, SS_PICKLE_LIST);
    case 'd': return gather_new(m, SS_PICKLE_DICT);
    case 0x91: return gather_new(m, SS_PICKLE_SET);
    case 0x85:
    case 0x86:
    case 0x87: return push_tuple(m, op - 0x84U);
    case 'a': return add_last(m, 1, SS_PICKLE_LIST);
    case 's': return add_last(m, 2, SS_PICKLE_DICT);
    case 'e':
    case 0x90: return add_since_mark(m, SS_PICKLE_LIST);
    case 'u': return add_since_mark(m, SS_PICKLE_DICT);
    default: return do_literal(m, op, a);
    }
}

static ss_code do_op(machine *m, unsigned char op, const ss_pickle_argument *a)
{
    switch (op) {
    case '(': return push(m, NULL);
    case '0': return pop_any(m);
    case '1': return pop_mark(m);
    case '2': return push_dup(m);
    case 'p': return with_key(m, a, keep);
    case 'q':
    case 'r': return keep(m, a->number);
    case 0x94: return keep(m, m->n_memo);
    case 'g': return with_key(m, a, push_kept);
    case 'h':
    case 'j': return push_kept(m, a->number);
    case 'c': return push_global_lines(m, a);
    case 0x93: return push_stack_global(m);
    case 'P': return push_line_persistent(m, a);
    case 'Q': return push_persistent(m, pop(m));
    case 'R':
    case 0x81: return call_upper(m, false);
    case 0x92: return call_upper(m, true);
    case 'i': return call_since_mark(m, a);
    case 'o': return call_since_mark(m, NULL);
    case 'b': return build(m);
    case 0x80: return a->number <= 5 ? SS_OK : damaged(m, "its protocol is newer than 5");
    case 0x95: return SS_OK; /* the length of a frame, which readers in pieces need */
    default: return do_container(m, op, a);
    }
}

/* Runs to the end of the pickle. */
static ss_code run(machine *m, ss_pickle_value **root)
{
    for (size_t n = 0; n < SS_PICKLE_MAX_OPS; n++) {
        ss_pickle_argument a = {0};

        if (m->at >= m->n)
            return damaged(m, "it ends without an end mark");
        const unsigned char op = m->data[m->at++];
        if (op == '.') {
            *root = pop(m);
            return *root ? SS_OK : m->e->code;
        }
        if (forms[op] == UNKNOWN) {
            m->at--;
            return damaged(m, "an unknown opcode");
        }
        ss_code rc = take_argument(m, (form)forms[op], &a);
        if (rc == SS_OK)
            rc = do_op(m, op, &a);
        if (rc != SS_OK)
            return rc;
    }
    return damaged(m, "it has too many opcodes");
}

ss_code ss_pickle_run(ss_pickle_store *s, const unsigned char *data, size_t n, size_t *at,
                      ss_pickle_value **root, ss_err *e)
{
    ss_err own = {0};
    machine m = {.s = s, .data = data, .n = n, .at = *at, .e = e ? e : &own};
    const ss_code rc = run(&m, root);

    ss_free(m.stack);
    ss_free(m.memo);
    *at = m.at;
    return rc;
}
