#!/usr/bin/env python3
"""Writes models/text/unicode_data.inc: the properties of code points by which tokenizers split and
change text, read out of the `tokenizers` package itself, as its parts know different versions of
Unicode (its NFC that of 2016, its patterns and its lower case those of later years).

    python3 tests/golden/make_unicode.py        tokenizers 0.23.3, regex 2026.11.19

NFC, lower case and the classes of patterns are asked for each code point. Grapheme clusters are
those of the package `regex`; that a code point joins the letter before it is asked of tokenizers
again, and has to agree but for code points that one of them does not know.
"""
import os
import struct
import unicodedata

import regex
from tokenizers import Regex, normalizers, pre_tokenizers

OUT = os.path.join(os.path.dirname(__file__), "../../models/text/unicode_data.inc")
CHARS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
nfc = normalizers.NFC().normalize_str
nfd = normalizers.NFD().normalize_str
lower = normalizers.Lowercase().normalize_str


def members(pattern):
    """Code points that the pattern matches."""
    split = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
    found = set()
    for i in range(0, len(CHARS), 1000):
        for text, _ in split.pre_tokenize_str("".join(CHARS[i : i + 1000])):
            found.update(text)
    return found


def ranges(values):
    """values: {code point: value} -> [first, last, value] of runs with one value."""
    out = []
    for c in sorted(values):
        if out and out[-1][1] == c - 1 and out[-1][2] == values[c]:
            out[-1][1] = c
        else:
            out.append([c, c, values[c]])
    return out


def combining_classes():
    """Those that NFC knows: a mark is known if it changes places with another one."""
    out = {}
    for c in CHARS:
        if nfd(c) == c and (nfd("\u0345" + c) != "\u0345" + c or nfd(c + "\u0334") != c + "\u0334"):
            assert unicodedata.combining(c), hex(ord(c))
            out[ord(c)] = unicodedata.combining(c)
    for c in CHARS:  # of those that decompose into marks: none is left as it is
        if nfd(c) != c and unicodedata.combining(c):
            assert nfc(c) != c
    return out


def decompositions():
    """(composed, first, second or 0, composes again)"""
    out = []
    for c in CHARS:
        if nfd(c) == c or 0xAC00 <= ord(c) <= 0xD7A3:
            continue
        parts = [chr(int(x, 16)) for x in unicodedata.decomposition(c).split()]
        assert 1 <= len(parts) <= 2 and nfd("".join(parts)) == nfd(c), hex(ord(c))
        again = len(parts) == 2 and nfc("".join(parts)) == c
        out.append((ord(c), ord(parts[0]), ord(parts[1]) if len(parts) == 2 else 0, again))
    return out


def lower_runs():
    """[first, last, step, distance]; U+0130, which becomes two, is left out."""
    runs = []
    for c in CHARS:
        low = lower(c)
        if low == c:
            continue
        if len(low) != 1:
            assert c == "\u0130" and low == "i\u0307"
            continue
        c, by = ord(c), ord(low) - ord(c)
        last = runs[-1] if runs else None
        if last and last[3] == by and (last[0] == last[1] and c - last[1] in (1, 2)):
            last[1], last[2] = c, c - last[1]
        elif last and last[3] == by and last[2] == c - last[1]:
            last[1] = c
        else:
            runs.append([c, c, 1, by])
    return runs


def graphemes():
    """1 control, 2 extend, 3 spacing mark, 4 prepended, 5 pictographic, 6 zero-width joiner"""
    kinds = {}
    for value, pattern in [
        (5, r"\p{Extended_Pictographic}"),
        (1, r"\p{GCB=Control}|\p{GCB=CR}|\p{GCB=LF}"),
        (2, r"\p{GCB=Extend}"),
        (3, r"\p{GCB=SpacingMark}"),
        (4, r"\p{GCB=Prepend}"),
        (6, r"\p{GCB=ZWJ}"),
    ]:
        matches = regex.compile(pattern).match
        for c in CHARS:
            if matches(c):
                kinds[ord(c)] = value
    joins = joins_letter()
    for c in map(ord, CHARS):
        if len(chr(c).encode()) <= 4 and (c in joins) != (kinds.get(c) in (2, 3, 6)):
            print("grapheme of U+%04X: tokenizers %s, regex %s" % (c, c in joins, kinds.get(c)))
            if c in joins:
                kinds[c] = 2
            else:
                del kinds[c]
    return kinds


def joins_letter():
    """Code points that are in one cluster with an `a` before them. A map that makes `a` an `X`
    makes one of the whole cluster, as long as it has less than six bytes."""
    # units of the double array: the root (offset 256), then `a` with a leaf at offset 512
    units = [0] * 768
    units[0] = 256 << 10
    units[256 ^ ord("a")] = (((256 ^ ord("a")) ^ 512) << 10) | 1 << 8 | ord("a")
    units[512] = 1 << 31
    blob = struct.pack("<I", 4 * len(units)) + struct.pack("<%dI" % len(units), *units) + b"X\0"
    normalize = normalizers.Precompiled(blob).normalize_str
    assert normalize("bab") == "bXb"
    return {ord(c) for c in CHARS if normalize("a" + c) == "X"}


def table(f, kind, name, comment, rows, width=100):
    f.write("\n/* %s */\nstatic const %s %s[] = {\n" % (comment, kind, name))
    line = "   "
    for row in rows:
        text = " %s," % row
        if len(line) + len(text) > width:
            f.write(line + "\n")
            line = "   "
        line += text
    f.write(line + "\n};\n")


def hexes(*numbers):
    return "{" + ",".join(("-0x%x" if n < 0 else "0x%x") % abs(n) for n in numbers) + "}"


def main():
    letters, digits, spaces = members(r"\p{L}"), members(r"\p{N}"), members(r"\s")
    kinds = {ord(c): 1 for c in letters} | {ord(c): 2 for c in digits} | {ord(c): 3 for c in spaces}
    parts = decompositions()
    order = sorted((i for i, p in enumerate(parts) if p[3]), key=lambda i: parts[i][1:3])
    with open(OUT, "w") as f:
        f.write("/* unicode_data.inc - written by tests/golden/make_unicode.py */\n")
        f.write("/* clang-format off */\n")
        table(f, "range", "categories", "1 letters, 2 numbers, 3 white space",
              [hexes(*r) for r in ranges(kinds)])
        table(f, "range", "combining", "canonical combining classes",
              [hexes(*r) for r in ranges(combining_classes())])
        table(f, "range", "graphemes", "parts of grapheme clusters, see unicode.h",
              [hexes(*r) for r in ranges(graphemes())])
        table(f, "lower_run", "lower_runs", "first, last, step, distance to the lower case",
              [hexes(*r) for r in lower_runs()])
        table(f, "parts", "decomposed", "canonical decompositions into one or two",
              [hexes(*p[:3]) for p in parts])
        table(f, "uint16_t", "composed", "indices of those that compose again, by their parts",
              ["%d" % i for i in order])
    print(os.path.getsize(OUT), "bytes")


if __name__ == "__main__":
    main()
