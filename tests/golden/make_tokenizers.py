#!/usr/bin/env python3
"""Writes tests/golden/tokenizers/: small vocabularies trained for the purpose, and what the original
tokenizers make of 10,000 strings and of every code point. tests/test_tokenizer.c makes the same
strings from fragments.json.

    python3 tests/golden/make_tokenizers.py [--keep CASE...]     with --keep the vocabularies stay

                                                transformers 5.24, tokenizers 0.23.3,
                                                sentencepiece 0.2.3; seeds: the strings' numbers

  fragments.json            {"texts": [...], "separators": [...]} that strings are put together of
                            (U+2400 is a zero byte),
                            "charsmap": [offset, length] of the normaliser in spiece.model
  vocab.json, merges.txt    CLIP-like: 256 bytes, 256 bytes with </w>, merges, two special tokens
  spiece.model              T5-like unigram model, normaliser nmt_nfkc
  bytes.model               unigram model with byte fallback, normaliser identity
  pieces.json               the pieces of spiece.model as tokenizer.json has them
  CASE/...                  what else the folder of a tokenizer has. In a tokenizer.json,
                            "@VOCAB@", "@MERGES@", "@PIECES@" and "@CHARSMAP@" stand for what is in
                            the files above (the last one for the normaliser of spiece.model)
  CASE.bin                  little-endian: u16 hash[10000] of the strings, u16 points[17 * 256] of
                            blocks of 256 code points, then 100 times: i32 n, i32 ids[n]

A hash is FNV-1a (32 bits, folded to 16) over the ids as int32: first of the whole text, then of the
text cut off and padded to CASE's length, then its mask. It is 0 where two segmentations of a text are
as good: which of them sentencepiece takes is up to rounding, and differs from version to version.
"""
import base64
import io
import json
import os
import shutil
import struct
import sys
import tempfile
import warnings

import regex
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers  # noqa: E402

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizers")
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
STRINGS, FULL = 10000, 100
ONLY = [x for x in sys.argv[1:] if not x.startswith("-")]  # these cases alone

TEXTS = """
a photo of an astronaut riding horse on mars|masterpiece, best quality|oil painting in the style of|
highly detailed|8k uhd|f/1.8|35mm|Tokyo|NASA's|it's|I'LL|we've|don't|he'd|you're|'s|'S|'ll|'x|o'clock|1girl|
<lora:add:0.7>|((glowing))|(red:1.3)|[cat|dog]|{a}|https://example.org/?q=1&r=2|e-mail@host.net|--ar 16:9|
$5.00|50%|C++|#tag|@you|a_b_c|\\path|`code`|~|^|...|?!|!!!|!|"quoted"|’s|“curly”|—|–|…|•|
Äpfel|straße|ẞ|İstanbul|ıspanak|ǅ|ﬁne|ŉ|Åse|Å|naïve|café|cafe\u0301|Ångström|smørrebrød|Ελλάδα|ΣΊΣΥΦΟΣ|ὈΔΥΣΣΕΎΣ|
ά|ώ|Москва|Ёлка|и\u0306|Київ|Հայաստան|საქართველო|ᲡᲐᲥ|שלום|שָׁלוֹם|مرحبا|العربية|بِسْمِ|ﷺ|ﻼ|فارسی|پاکستان|नमस्ते|
हिन्दी|क्षत्रिय|क़|বাংলা|ਪੰਜਾਬੀ|ગુજરાતી|தமிழ்|తెలుగు|ಕನ್ನಡ|മലയാളം|සිංහල|ภาษาไทย|น้ำ|ລາວ|བོད་ཡིག|မြန်မာ|ខ្មែរ|አማርኛ|
中文|一只猫|漢字|日本語|ひらがな|カタカナ|ｶﾀｶﾅ|が|か\u3099|ガ|ｶﾞ|한국어|고양이|\u1112\u1161\u11ab|ㄅㄆㄇ|ＡＢＣ１２３|ａ|①②③|Ⅷ|½|²|x²|
№|℃|㎏|㍿|ﬀ|Ⅳ|١٢٣|१२३|๑๒|𝔄𝔅|𝟘𝟙|𐐀𐐨|𞤀𞤢|𓀀|𠀀𠀁|𪘀|Ꭰꭰ|Ⲁⲁ|ꙁ|ℵ|Ω|K|ſ|ª|µ|
😀|😀😃|👍🏽|👩‍👩‍👧‍👦|👩🏾‍🚀|🏳️‍🌈|🇩🇪|🇯🇵🇺🇸|🇩|❤️|☺|™|©|1️⃣|✨|🪿|→|∑|≠|∞|√2|α+β|░▒▓|♞|
e\u0301\u0323|o\u0308\u0304|a\u0328\u0301|q\u0307\u0323|\u0301|\u0345|ab\u200dc|co\u00adop|zero\u200bwidth|\ufeffbom|\u2060|left\u200eright\u202eoverride|
\ufffd|\ufffe|\uffff|\ue000|\U000e0041|\U0010ffff|\u0378|\u1e9b\u0323|\u0f73\u0f71|\u0958|\ufb1d|\ufb01\u0301|\u2126|\u212b|\u2329|\u0374|
<|startoftext|>|<|endoftext|>|<|STARTOFTEXT|>|<|EndOfText|>|<|endoftext|>'s|</s>|<pad>|<unk>|<s>|<extra_id_0>|<extra_id_99>|<extra_id_100>|<0x41>|<mask>|▁|▁▁a|a▁b|</w>|cat</w>|
a|b|I|x|0|7|42|1234567890|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|
Donaudampfschifffahrtsgesellschaftskapitän|supercalifragilisticexpialidocious|
␀|\x01|\x1b[31m|\x7f|\x80|\x85|\x9f|tab\there|line↵break|cr\r↵lf|\x0b|\x0c|\x1c|\u2028|\u2029|nb\xa0sp|\u1680|\u180e|\u2003|\u202f|\u3000|\u205f
"""
SEPARATORS = [" ", " ", " ", " ", " ", "", "", "  ", "\t", ", ", ",", "-", ".", "\n", "\u3000", "\u00a0 "]


def texts():
    lines = TEXTS.strip("\n").replace("\n", "")
    # a | inside of brackets or of <|...|> is itself
    out, item = [], ""
    for i, c in enumerate(lines):
        inside = item.count("[") > item.count("]") and item != "\x1b["
        special = (item == "<" or (item.startswith("<|") and lines[i + 1 : i + 2] == ">"))
        if c == "|" and not special and not (inside and item.startswith("[cat")):
            out.append(item)
            item = ""
        else:
            item += c
    return [x.replace("↵", "\n") for x in out + [item] if x]


class Random:
    """splitmix64"""

    def __init__(self, seed):
        self.state = seed

    def __call__(self, n):
        m = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & m
        z = self.state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & m
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & m
        return (z ^ z >> 31) % n


def utf8(c):
    return chr(c if c < 0xD800 or 0xE000 <= c < 0x110000 else 0xFFFD).encode()


def string(i, frags, seps):
    """String number i, as bytes: most are well-formed UTF-8."""
    if i == 0:
        return b""
    r = Random(i)
    out = bytearray()
    if i % 500 == 1:
        while len(out) < 10000:
            out += frags[r(len(frags))]
            out += seps[r(len(seps))]
        return bytes(out)
    kind = r(10)
    if kind == 6:
        base = r(0x3400 if r(2) else 0x110000)
        for _ in range(1 + r(8)):
            out += utf8(base + r(64))
    elif kind == 7:
        for _ in range(1 + r(8)):
            out += utf8(r(0x110000))
    elif kind == 8:
        for _ in range(1 + r(4)):
            out += frags[r(len(frags))]
            for _ in range(1 + r(3)):
                out += utf8(0x300 + r(112))
            out += seps[r(len(seps))]
    else:
        for _ in range(1 + r(12)):
            out += frags[r(len(frags))]
            out += seps[r(len(seps))]
        if kind == 9:
            for _ in range(1 + r(4)):
                at = r(len(out))
                out[at] = r(256)
    return bytes(out)


def points(block):
    """All code points of a block of 256, in one text."""
    return b" ".join(b"a" + utf8(c) + b"B" + utf8(c) + utf8(c) for c in range(block * 256, block * 256 + 256))


def fnv(numbers, h=0x811C9DC5):
    for b in struct.pack("<%di" % len(numbers), *numbers):
        h = ((h ^ b) * 0x01000193) & 0xFFFFFFFF
    return h


def corpus(frags, seps):
    for i in range(STRINGS, STRINGS + 30000):
        r = Random(i)
        yield " ".join(frags[r(len(frags))].decode() for _ in range(8))
    for name in ("README.md", "CONTRIBUTING.md"):
        with open(os.path.join(ROOT, name)) as f:
            for line in f:
                yield line.strip()


def put(path, data):
    path = os.path.join(OUT, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else (json.dumps(data, ensure_ascii=False) + "\n").encode())


CLIP_PATTERN = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


def train_clip(lines):
    t = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(CLIP_PATTERN), behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet(), key=lambda c: (ord(c) >= 256, ord(c)))
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False)
    t.train_from_iterator(lines, trainer)
    merges = [tuple(m) for m in json.loads(t.to_str())["model"]["merges"]]
    tokens = alphabet + [c + "</w>" for c in alphabet]
    for a, b in merges:
        if a + b not in tokens:
            tokens.append(a + b)
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    put("vocab.json", {x: i for i, x in enumerate(tokens)})
    put("merges.txt", ("#version: 0.2\n" + "".join("%s %s\n" % m for m in merges)).encode())
    return tokens, merges


def train_spiece(lines, name, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="unigram", num_threads=1,
        minloglevel=2, max_sentence_length=8192, **options)
    put(name, model.getvalue())


def proto(name):
    from sentencepiece import sentencepiece_model_pb2

    m = sentencepiece_model_pb2.ModelProto()
    with open(os.path.join(OUT, name), "rb") as f:
        m.ParseFromString(f.read())
    return m


def added(content, **options):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False,
            "single_word": False, "special": True} | options


def make_folders(tokens, merges):
    n = len(tokens)
    token = {"__type": "AddedToken"} | added("<|startoftext|>", normalized=True)
    del token["special"]
    end = token | {"content": "<|endoftext|>"}
    # as in Stable Diffusion 1.5
    put("clip/tokenizer_config.json", {
        "add_prefix_space": False, "bos_token": token, "do_lower_case": True, "eos_token": end,
        "errors": "replace", "model_max_length": 77, "pad_token": "<|endoftext|>",
        "tokenizer_class": "CLIPTokenizer", "unk_token": end})
    put("clip/special_tokens_map.json", {
        "bos_token": added("<|startoftext|>", normalized=True), "eos_token": added("<|endoftext|>", normalized=True),
        "pad_token": "<|endoftext|>", "unk_token": added("<|endoftext|>", normalized=True)})
    # as the second tokenizer of Stable Diffusion XL
    put("clip_pad0/tokenizer_config.json", {
        "added_tokens_decoder": {"0": added("!"), str(n - 2): added("<|startoftext|>", normalized=True),
                                 str(n - 1): added("<|endoftext|>", normalized=True)},
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "model_max_length": 77,
        "pad_token": "!", "tokenizer_class": "CLIPTokenizer", "unk_token": "<|endoftext|>"})
    put("clip_json/tokenizer_config.json", {"model_max_length": 77, "tokenizer_class": "CLIPTokenizerFast",
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"})
    clip = transformers.CLIPTokenizer(vocab={x: i for i, x in enumerate(tokens)}, merges=merges)
    text = json.loads(clip.backend_tokenizer.to_str())
    text["model"]["vocab"], text["model"]["merges"] = "@VOCAB@", "@MERGES@"
    put("clip_json/tokenizer.json", text)
    # the same file, read as it stands, with tokens of a user's; of one that the configuration names,
    # too, the file says how it is found
    text["added_tokens"][0]["normalized"] = True
    text["added_tokens"] += [
        {"id": n} | added("<sks>", special=False, normalized=True, lstrip=True),
        {"id": n + 1} | added("Äpfel", special=False, normalized=True, rstrip=True),
        {"id": n + 2} | added("[cat|dog]", special=True, lstrip=True, rstrip=True)]
    text["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = False
    put("bpe_file/tokenizer.json", text)
    put("bpe_file/tokenizer_config.json", {"model_max_length": 77, "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"})

    extra = ["<extra_id_%d>" % i for i in range(100)]
    t5 = {"additional_special_tokens": extra, "eos_token": "</s>", "extra_ids": 100, "model_max_length": 512,
          "pad_token": "<pad>", "tokenizer_class": "T5Tokenizer", "unk_token": "<unk>"}
    put("t5/tokenizer_config.json", t5)
    put("t5/special_tokens_map.json", {"additional_special_tokens": extra, "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"})
    put("t5_bytes/tokenizer_config.json", {"extra_ids": 0, "model_max_length": 512, "tokenizer_class": "T5Tokenizer",
        "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "additional_special_tokens": []})
    pieces = [(p.piece, p.score) for p in proto("spiece.model").pieces]
    put("pieces.json", [list(p) for p in pieces + [("<extra_id_%d>" % i, 0.0) for i in range(99, -1, -1)]])
    t = Tokenizer(models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("a", -1.0)] + [(x, 0.0) for x in reversed(extra)], 2, False))
    t.add_special_tokens([AddedToken(x, normalized=False, special=True) for x in ["<pad>", "</s>", "<unk>"] + extra])
    t.normalizer = normalizers.Precompiled(proto("spiece.model").normalizer_spec.precompiled_charsmap)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    t.post_processor = processors.TemplateProcessing(single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)])
    text = json.loads(t.to_str())
    text["model"]["vocab"], text["normalizer"]["precompiled_charsmap"] = "@PIECES@", "@CHARSMAP@"
    for i, a in enumerate(text["added_tokens"][3:]):
        a["id"] = len(pieces) + 99 - i
    put("t5_json/tokenizer.json", text)
    put("t5_json/tokenizer_config.json", t5 | {"tokenizer_class": "T5TokenizerFast"})
    # a Unigram file as it stands, in the form that later converters write
    text["model"]["byte_fallback"] = True
    text["normalizer"] = {"type": "Sequence", "normalizers": [
        text["normalizer"], {"type": "Strip", "strip_left": False, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]}
    text["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
    put("unigram_file/tokenizer.json", text)
    put("unigram_file/tokenizer_config.json", {"model_max_length": 512, "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"})


class Spiece:
    """sentencepiece's own encoding of what is between special tokens, with </s>"""

    def __init__(self, model, length):
        self.sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(OUT, model))
        self.length = length
        extra = 100 if model == "spiece.model" else 0
        n = self.sp.get_piece_size()
        self.special = {self.sp.id_to_piece(i): i for i in range(n) if self.sp.is_control(i)}
        self.special["<unk>"] = self.sp.unk_id()
        for i in range(extra):
            self.special["<extra_id_%d>" % i] = n + extra - 1 - i

    def ids(self, text):
        pattern = "|".join(regex.escape(s) for s in sorted(self.special, key=len, reverse=True))
        out, at = [], 0
        for m in regex.finditer(pattern, text):
            out += self.sp.encode(text[at : m.start()]) + [self.special[m.group()]]
            at = m.end()
        return out + self.sp.encode(text[at:]) + [1]

    def undecided(self, text):
        for part in regex.split("|".join(regex.escape(s) for s in self.special), text):
            two = [sum(map(self.sp.get_score, x)) for x in self.sp.nbest_encode(part, nbest_size=2)] if part else []
            if len(two) == 2 and abs(two[0] - two[1]) < 1e-3:
                return True
        return False

    def __call__(self, text):
        whole = self.ids(text)
        cut = whole if len(whole) <= self.length else whole[: self.length - 1] + [1]
        return whole, cut + [0] * (self.length - len(cut)), [1] * len(cut) + [0] * (self.length - len(cut))


class Transformers:
    def __init__(self, cls, folder, length):
        self.t, self.length = cls.from_pretrained(folder), length

    def __call__(self, text):
        whole = self.t(text).input_ids
        cut = self.t(text, max_length=self.length, padding="max_length", truncation=True)
        return whole, cut.input_ids, cut.attention_mask


def whole_folder(name, where):
    """The folder of a case with the files that stand outside of it."""
    shutil.copytree(os.path.join(OUT, name), where)
    file = os.path.join(where, "tokenizer.json")
    if os.path.exists(file):
        with open(file) as f:
            text = f.read()
        with open(os.path.join(OUT, "vocab.json")) as f:
            text = text.replace('"@VOCAB@"', f.read())
        with open(os.path.join(OUT, "merges.txt")) as f:
            text = text.replace('"@MERGES@"', json.dumps(f.read().split("\n")[1:-1]))
        with open(os.path.join(OUT, "pieces.json")) as f:
            text = text.replace('"@PIECES@"', f.read())
        charsmap = base64.b64encode(proto("spiece.model").normalizer_spec.precompiled_charsmap).decode()
        with open(file, "w") as f:
            f.write(text.replace("@CHARSMAP@", charsmap))
    elif name.startswith("clip"):
        for f in ("vocab.json", "merges.txt"):
            shutil.copy(os.path.join(OUT, f), where)
    else:
        shutil.copy(os.path.join(OUT, "spiece.model"), where)
    return where


def main():
    frags, seps = [t.replace("␀", "\0").encode() for t in texts()], [s.encode() for s in SEPARATORS]
    os.makedirs(OUT, exist_ok=True)
    if "--keep" not in sys.argv:
        lines = [x for x in corpus(frags, seps) if x]
        tokens, merges = train_clip(lines)
        clean = [x.replace("\0", "") for x in lines]
        train_spiece(clean, "spiece.model", vocab_size=2000, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, character_coverage=0.995)
        train_spiece(clean, "bytes.model", vocab_size=1200, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, character_coverage=0.98,
                     byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
        make_folders(tokens, merges)
        with open(os.path.join(OUT, "spiece.model"), "rb") as f:
            model = f.read()
        charsmap = proto("spiece.model").normalizer_spec.precompiled_charsmap
        put("fragments.json", {"texts": texts(), "separators": SEPARATORS,
                               "charsmap": [model.index(charsmap), len(charsmap)]})
    with tempfile.TemporaryDirectory() as tmp:
        load = lambda cls, name, n: Transformers(cls, whole_folder(name, os.path.join(tmp, name)), n)  # noqa: E731
        cases = {
            "clip": load(transformers.CLIPTokenizer, "clip", 77),
            "clip_pad0": load(transformers.CLIPTokenizer, "clip_pad0", 77),
            "clip_json": load(transformers.CLIPTokenizer, "clip_json", 77),
            "bpe_file": load(transformers.PreTrainedTokenizerFast, "bpe_file", 77),
            "t5": Spiece("spiece.model", 128),
            "t5_bytes": Spiece("bytes.model", 128),
            "t5_json": load(transformers.T5Tokenizer, "t5_json", 128),
            "unigram_file": load(transformers.PreTrainedTokenizerFast, "unigram_file", 128),
        }
        strings = [string(i, frags, seps).decode("utf-8", "replace") for i in range(STRINGS)]
        for name, case in cases.items():
            if ONLY and name not in ONLY:
                continue
            def folded(text):
                if isinstance(case, Spiece) and case.undecided(text):
                    return 0
                whole, cut, mask = case(text)
                h = fnv(mask, fnv(cut, fnv(whole)))
                return max(1, (h >> 16) ^ (h & 0xFFFF))
            out = struct.pack("<%dH" % STRINGS, *map(folded, strings))
            out += struct.pack("<4352H", *(folded(points(b).decode()) for b in range(4352)))
            for text in strings[:FULL]:
                ids = case(text)[0]
                out += struct.pack("<i%di" % len(ids), len(ids), *ids)
            put(name + ".bin", out)
            print(name, len(out), "bytes")
        if ONLY:
            return
        new = load(transformers.T5Tokenizer, "t5", 128) if not os.path.exists(os.path.join(tmp, "t5")) else None
        if new:
            differ = [s for s in strings if new(s)[0] != cases["t5"](s)[0]]
            print("T5Tokenizer of transformers differs from sentencepiece in", len(differ), "strings:", [x[:60] for x in differ[:12]])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
