#!/usr/bin/env python3
"""Trains a small tokenizer.json of each kind and writes down what tokenizers 0.22.2 does with it.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers==0.22.2
    /tmp/venv/bin/python make_goldens.py

Writes families/*.json, the tokenizers; goldens.json, their ids for awkward strings and the texts
of ids; parts.json, what single normalizers, pre-tokenizers and decoders make of such strings.
Everything follows from text.txt, this script and the version of tokenizers.
"""
import copy
import hashlib
import json
import math
import pathlib
import random
import struct

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

assert tokenizers.__version__ == "0.22.2"
HERE = pathlib.Path(__file__).parent
TINY = HERE.parent.parent.parent / "testdata" / "tiny" / "tokenizer.json"
TEXT = (HERE / "text.txt").read_text()

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
POSSESSIVE = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
              r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

# Each is a string, or a string and how often it is repeated.
AWKWARD = [
    "", " ", "  ", "\n", "\r\n", "a", " a", "a ", "Hello, world!", "Hello  world", " leading", "trailing  ",
    "  two  spaces\n\nnew para\t tab", "I'll say it's 12345 o'clock; DON'T! we'Ve 'twas 'LL 'ſ x'ſ",
    "naïve café — “quoted” 日本語 🙂", "Это проверка.  Ещё?", "مرحبا بالعالم ١٢٣", "हिन्दी में क्षत्रिय १२३", "ภาษาไทยไม่มีช่องว่าง",
    "中文没有空格，也可以。", "かなカナ漢字ﾊﾝｶｸ", "한국어 텍스트 \u1112\u1161\u11ab", "Ελληνικά ΟΔΟΣ ς", "עברית עם ניקוד שָׁלוֹם", "ქართული ჰა Ꭰ ꭰ",
    "👨‍👩‍👧‍👦 family 👩🏽‍🚀 🇩🇪🇫🇷 ❤️ ☎︎ 1️⃣", "e\u0301 \u00e9 A\u030a \u00c5 \u212b ﬁ ① ½ ² ㎏ \u1e9b\u0323", "o\u0308\u0323 o\u0323\u0308 \u0344 \u0958 \uac00\u11a8",
    ("a" + "\u0301\u0316" * 20, 1), "runs      of   spaces", "dots.... ...... . . ..", "!!!???---===***", "tab\t\ttab \t \t",
    "line\nline\r\nline\rline\n\n\n  \n x", "trailing newline\n", "trailing spaces and newline   \n   ", "\n\n\n", " \n \n ", "\u00a0nbsp\u00a0\u2003em\u3000ideo\u2028ls\u2029ps\u0085nel",
    "\u0000\u0001\u0007\u0008\u000b\u000c\u001b\u007f\u0080\u009f", "\u200b\u200c\u200d\u2060\ufeffzero\u00adwidth", "\ufffd\ufffe\uffff\U0010ffff\ue000",
    "1 12 123 1234 12345 1234567890 3.14159 1,000,000 ٣٤٥ Ⅷ ¾ 1e10", "CamelCaseHTTPServerID snake_case kebab-case x2y3", "http://example.com/a/b?c=d&e=f#g",
    "def f(x):\n    return x**2  # ok\n\n\tif not y: pass\n", "<|endoftext|>", "a<|endoftext|>b", "  <|endoftext|>  b", "<|endoftext|><|endoftext|>",
    "<s>x</s> <unk> <0x41> <0xC3>", "x <tag> y<tag>z  <tag>\n<tag>", " <left> a <right> b <word> cwordd <word>", "word wordy word. aword word", "NORM norm Norm Nörm",
    "▁ ▁▁x ▁ y▁", "Ġ Ċ ĠĠ", "\u10d50 garay \U00010d50\U00010d70 \U0002ebf0 \u1c89", "ABCdefGHIjkl ABC's Abc'S ÀÉÎ'LL", "a/b//c///\nd /\n", "İstanbul ISTANBUL ß ẞ ŉ ǆ ǅ",
    ("ab", 700), ("a", 2500), ("é", 400), ("🙂", 200), ("\u0e01\u0e33", 200), (" ", 300), ("\n", 200), ("0123456789", 60), ("the ", 200), (".", 400), ("<tag>", 50), ("Abc", 200),
]


def expand(case):
    return case if isinstance(case, str) else case[0] * case[1]


def digest(ids):
    return hashlib.sha256(struct.pack("<%di" % len(ids), *ids)).hexdigest()


MIXED = [expand(c) for c in AWKWARD[:60]] * 3
SPECIAL = dict(special=True, normalized=False)


def trained(model, trainer, special=(), normalizer=None, pre=None, decoder=None, post=None, added=(), texts=None):
    tok = Tokenizer(model)
    if normalizer is not None:
        tok.normalizer = normalizer
    if pre is not None:
        tok.pre_tokenizer = pre
    tok.train_from_iterator(texts or [TEXT[:30000]] + MIXED, trainer)
    if decoder is not None:
        tok.decoder = decoder
    tok.add_special_tokens([AddedToken(s, **SPECIAL) for s in special])
    tok.add_tokens(list(added))
    if post is not None:
        tok.post_processor = post(tok)
    return tok


def byte_level(pre, vocab=560, **more):
    trainer = trainers.BpeTrainer(vocab_size=vocab, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return trained(models.BPE(ignore_merges=more.pop("ignore_merges", False)), trainer, pre=pre, decoder=decoders.ByteLevel(), **more)


def split_then_bytes(regex):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


BYTES = ["<0x%02X>" % b for b in range(256)]


def sentencepiece(normalizer, pre=None, vocab=760, **more):
    # Most characters of AWKWARD stay out of the vocabulary, so that they become bytes.
    more.setdefault("texts", [TEXT[:30000], "naïve café Это проверка 日本語"])
    trainer = trainers.BpeTrainer(vocab_size=vocab, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"] + BYTES)
    train_pre = pre or pre_tokenizers.Split("▁", "merged_with_next")
    tok = trained(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True), trainer, normalizer=normalizer, pre=train_pre, **more)
    if pre is None:
        tok = patched(tok, {"pre_tokenizer": None})
    return patched(tok, {"added_tokens": [t for t in json.loads(tok.to_str())["added_tokens"] if t["content"] not in BYTES]})


def patched(tok, changes):
    whole = json.loads(tok.to_str())
    for key, value in changes.items():
        whole[key] = value
    return Tokenizer.from_str(json.dumps(whole))


def begin(token):
    return lambda tok: processors.TemplateProcessing(single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, tok.token_to_id(token))])


def tags(**more):
    return [AddedToken("<tag>", normalized=False, **more)]


def families():
    n, d, p = normalizers, decoders, pre_tokenizers
    space = n.Replace(" ", "▁")
    fallback = [d.Replace("▁", " "), d.ByteFallback(), d.Fuse()]
    yield "gpt2", byte_level(p.ByteLevel(add_prefix_space=False), special=["<|endoftext|>"], post=lambda _: processors.ByteLevel(trim_offsets=False))
    yield "gpt_neox", byte_level(p.ByteLevel(add_prefix_space=False), normalizer=n.NFC(), special=["<|endoftext|>", "<|padding|>"],
                                 added=[AddedToken(" " * k, normalized=True) for k in (24, 12, 6, 4, 3, 2)])
    yield "llama3", byte_level(split_then_bytes(LLAMA3), special=["<|begin|>", "<|endoftext|>"], ignore_merges=True,
                               post=lambda t: processors.Sequence([processors.ByteLevel(trim_offsets=False), begin("<|begin|>")(t)]))
    yield "qwen2", byte_level(split_then_bytes(QWEN2), normalizer=n.NFC(), special=["<|endoftext|>", "<|im_start|>"],
                              added=[AddedToken("<tag>", normalized=False), AddedToken("Nörm", normalized=True)])
    yield "o200k", byte_level(split_then_bytes(O200K), special=["<|endoftext|>"], added=tags(),
                              post=lambda t: processors.TemplateProcessing(single="$A <|endoftext|>", pair="$A $B", special_tokens=[("<|endoftext|>", t.token_to_id("<|endoftext|>"))]))
    yield "cl100k", byte_level(split_then_bytes(POSSESSIVE), special=["<|endoftext|>"])
    yield "starcoder2", byte_level(p.Sequence([p.Digits(individual_digits=True), p.ByteLevel(add_prefix_space=False)]), special=["<|endoftext|>"])
    yield "deepseek", byte_level(p.Sequence([p.Split(Regex(r"\p{N}{1,3}"), "isolated"), p.Split(Regex(r"[一-龥\u3040-ゟ゠-ヿ]+"), "isolated"),
                                             p.Split(Regex(DEEPSEEK), "isolated"), p.ByteLevel(add_prefix_space=False, use_regex=False)]), special=["<|endoftext|>"])
    yield "roberta", byte_level(p.ByteLevel(add_prefix_space=True), special=["<|endoftext|>"], added=[
        AddedToken("<tag>", lstrip=True, normalized=False), AddedToken("<left>", lstrip=True, normalized=True), AddedToken("<right>", rstrip=True, normalized=True),
        AddedToken("word", single_word=True, normalized=True), AddedToken("<word>", single_word=True, lstrip=True, rstrip=True, normalized=False)])
    yield "gemma", sentencepiece(space, pre=p.Split(" ", "merged_with_previous"), decoder=d.Sequence(fallback), post=begin("<s>"), added=tags())
    yield "mistral", sentencepiece(None, pre=p.Metaspace(prepend_scheme="first", split=False), post=begin("<s>"), added=tags(),
                                   decoder=d.Sequence(fallback + [d.Strip(" ", 1, 0)]))
    yield "llama2", sentencepiece(n.Sequence([n.Prepend("▁"), space]), decoder=d.Sequence(fallback + [d.Strip(" ", 1, 0)]), post=begin("<s>"))
    yield "phi3", sentencepiece(n.Sequence([n.Prepend("▁"), space]), decoder=d.Sequence(fallback + [d.Strip(" ", 1, 0)]), special=["<|endoftext|>"],
                                added=tags(rstrip=True) + [AddedToken("word", normalized=True), AddedToken("<right>", rstrip=True, normalized=False)])
    # The library's trainer of Unigram models gives something else each time. So the pieces are
    # those of a BPE model, with the logarithms of how often they stand in the text.
    bpe = json.loads(sentencepiece(space, pre=p.Split("▁", "merged_with_next")).to_str())["model"]["vocab"]
    marked = TEXT.replace(" ", "▁")
    score = lambda t: round(math.log((marked.count(t) + 0.5) / len(TEXT)), 4)
    tok = Tokenizer(models.Unigram([(t, score(t)) for t in sorted(bpe, key=bpe.get)], unk_id=bpe["<unk>"], byte_fallback=True))
    tok.normalizer = n.Sequence([n.Nmt(), n.NFKC(), n.Replace(Regex(" {2,}"), " ")])
    tok.pre_tokenizer = p.Metaspace()
    tok.decoder = d.Sequence([d.ByteFallback(), d.Metaspace()])
    tok.add_special_tokens([AddedToken(t, **SPECIAL) for t in ("<unk>", "<s>", "</s>")])
    tok.add_tokens(tags())
    tok.post_processor = begin("<s>")(tok)
    whole = json.loads(tok.to_str())
    yield "unigram", Tokenizer.from_str(json.dumps(whole))
    whole["model"]["byte_fallback"] = False
    whole["decoder"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    yield "unigram_unk", Tokenizer.from_str(json.dumps(whole))


def encodings(tok, name):
    rnd = random.Random(name)
    cases = []
    for case in AWKWARD:
        text = expand(case)
        c = {"text": case if isinstance(case, str) else case[0]}
        if not isinstance(case, str):
            c["times"] = case[1]
        plain = tok.encode(text, add_special_tokens=False).ids
        full = tok.encode(text, add_special_tokens=True).ids
        tok.encode_special_tokens = True
        ordinary = tok.encode(text, add_special_tokens=False).ids
        tok.encode_special_tokens = False
        for key, ids in [("ids", plain), ("ordinary", ordinary)]:
            if key == "ordinary" and ids == plain:
                continue
            c[key] = ids if len(ids) <= 120 else digest(ids)
        if full != plain and len(full) <= 12:
            c["full"] = full
        back = tok.decode(plain, skip_special_tokens=False)
        skipped = tok.decode(full, skip_special_tokens=True)
        if back != text:
            c["decoded"] = back
        if skipped != back:
            c["skipped"] = skipped
        cases.append(c)
    ids = []
    size = tok.get_vocab_size()
    for _ in range(25):
        some = [rnd.randrange(size) for _ in range(rnd.randrange(1, 12))]
        ids.append({"ids": some, "decoded": tok.decode(some, skip_special_tokens=False), "skipped": tok.decode(some, skip_special_tokens=True)})
    special = {t["content"] for t in json.loads(tok.to_str())["added_tokens"] if t["special"]}
    out = {"size": size, "special": sorted(special), "text": digest(tok.encode(TEXT).ids), "cases": cases, "decode": ids}
    return out


def parts():
    """Yields (part, its JSON, outputs for AWKWARD or token lists)."""
    n, p = [], []
    n += [{"type": t} for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt")]
    n += [{"type": "Strip", "strip_left": l, "strip_right": r} for l in (True, False) for r in (True, False)]
    n += [{"type": "Prepend", "prepend": "▁x"}]
    n += [{"type": "Replace", "pattern": {"Regex": r}, "content": c} for r, c in
          [(r"\s+", " "), (r"(?<=\d)(?=(\d{3})+\b)", ","), (r"^", ">"), (r"$", "<"), (r"a*", "-"), (r"\b", "|"), (r"(?m:a.)", "_"), (r"\bw\w{2,}\B", "W")]]
    n += [{"type": "Replace", "pattern": {"String": s}, "content": c} for s, c in [(" ", "▁"), ("ab", ""), ("", "·"), ("..", ".")]]
    n += [{"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Sequence", "normalizers": [{"type": "StripAccents"}, {"type": "Lowercase"}]}]}]
    for pattern in ({"Regex": r"\s+"}, {"String": "a"}, {"Regex": r"[aeiou]\s?"}, {"Regex": r"\d*"}):
        p += [{"type": "Split", "pattern": pattern, "behavior": b, "invert": i}
              for b in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous") for i in (False, True)]
    p += [{"type": "Split", "pattern": {"Regex": r}, "behavior": "Isolated", "invert": False} for r in
          (GPT2, LLAMA3, QWEN2, O200K, POSSESSIVE, DEEPSEEK, r"\w+|\W", r"\p{Han}+|\p{Hiragana}+|\p{^Latin}", r"\h{2}+", r"(?:ab){2,3}?|[^\w\s]+",
           r"(?i)straße|ſ|k", r"\P{L}+", r"[^\P{L}]+", r"[\P{L}a]+", r"[\p{^N}]+", r"[\W\d]+", r"(\w)\1", r"\x{1F642}|\u0E01|\x41", r"(?>a+)b|.+?\s", r"^\s*|\s*$",
           r"\A.|.\z", r"[\]\-\[^a-c]+", r"x{|a{,3}|b{2}?|c{1,2}?", r"\p{Lu}\p{Ll}*|\p{M}+|\p{S}|\p{P}|\p{Nd}|\p{Zs}", r"[一-龥\u3040-ゟ゠-ヿ]+", r"\D|\S\h")]
    p += [{"type": "ByteLevel", "add_prefix_space": a, "trim_offsets": True, "use_regex": u} for a in (True, False) for u in (True, False)]
    p += [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": s, "split": c} for s in ("always", "first", "never") for c in (True, False)]
    p += [{"type": "Metaspace", "replacement": "_", "add_prefix_space": True}]
    p += [{"type": "Digits", "individual_digits": i} for i in (True, False)]
    p += [{"type": "Whitespace"}, {"type": "WhitespaceSplit"}]
    p += [{"type": "Punctuation", "behavior": b} for b in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")]
    p += [{"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Sequence", "pretokenizers": [
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}, {"type": "Punctuation"}]}]}]
    texts = [expand(c) for c in AWKWARD if isinstance(c, str) or c[1] == 1]
    base = json.loads(Tokenizer(models.BPE()).to_str())
    for part in n:
        tok = Tokenizer.from_str(json.dumps({**base, "normalizer": part}))
        yield "normalizer", part, [tok.normalizer.normalize_str(t) for t in texts], texts
    for part in p:
        tok = Tokenizer.from_str(json.dumps({**base, "pre_tokenizer": part}))
        yield "pre_tokenizer", part, [[s for s, _ in tok.pre_tokenizer.pre_tokenize_str(t)] for t in texts], texts
    tokens = [[], ["a"], ["▁Hello", "▁world", "!"], ["▁▁", "▁a▁", "b"], [" ", "  x  ", "  ", "y "], ["<0xE6>", "<0x97>", "<0xA5>", "a", "<0xE6>", "b", "<0x41>", "<0xFF>"],
              ["Ġa", "Ċ", "Ã", "©", "Ã", "x", "日", "æĹ", "¥"], ["ðŁ", "ĻĤ", "ð", "Ł"], ["<0x41>", "<0x42>"], ["..", "...", "▁"], ["", "a", "", "b", ""], ["<0xzz>", "<0x4>", "<0xE9>"]]
    d = [None, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, {"type": "ByteFallback"}, {"type": "Fuse"},
         {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "Replace", "pattern": {"Regex": r"\.{2}"}, "content": "_"},
         {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
         {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}]
    d += [{"type": "Strip", "content": " ", "start": s, "stop": 0} for s in (0, 1, 2)]
    d += [{"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Sequence", "decoders": [x]}]} for x in d[2:9]]
    d += [{"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": "▁", "start": 2, "stop": 0}]},
          {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                                            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}]
    vocab = {t: i for i, t in enumerate(sorted({t for ts in tokens for t in ts}))}
    for part in d:
        tok = Tokenizer.from_str(json.dumps({**base, "decoder": part, "model": {**base["model"], "vocab": vocab, "merges": []}}))
        yield "decoder", part, [tok.decode([vocab[t] for t in ts]) for ts in tokens], tokens


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=False) + "\n")


def main():
    (HERE / "families").mkdir(exist_ok=True)
    goldens = {}
    for name, tok in families():
        write(HERE / "families" / f"{name}.json", json.loads(tok.to_str()))
        goldens[name] = encodings(tok, name)
    tiny = Tokenizer.from_file(str(TINY))
    goldens["tiny"] = {"text": digest(tiny.encode(TEXT).ids)}
    write(HERE / "goldens.json", goldens)
    out = {"inputs": {}, "parts": []}
    for kind, part, outputs, inputs in parts():
        out["inputs"].setdefault(kind, copy.deepcopy(inputs))
        out["parts"].append({kind: part, "want": outputs})
    write(HERE / "parts.json", out)


if __name__ == "__main__":
    main()
