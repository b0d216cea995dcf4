#!/usr/bin/env python3
"""Writes down what tokenizers 0.23.3 does with real tokenizer.json files, and how fast on one thread.

    scripts/tokenizers                          # gets the files and runs this and internal/tools/bench-tokenizers

Usage: real.py OUT NAME=TOKENIZER.JSON… TEXT… . OUT/mixed.txt becomes a megabyte of code, prose, scripts, emoji, white space
and oddities, made of a seed and the given texts; OUT/NAME.json says for it, for short texts cut from it, and for
lists of ids what the library gives, as SHA-256 of little-endian ids or of UTF-8, and its speed in MB per second of processor time.
"""
import hashlib
import json
import os
import pathlib
import random
import struct
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402

SCRIPTS = [  # ranges of letters; a script's words are made of one range
    (0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x531, 0x587), (0x5D0, 0x5EA), (0x620, 0x64A),
    (0x905, 0x939), (0x985, 0x9B9), (0xB85, 0xBB9), (0xE01, 0xE3A), (0x10D0, 0x10FF), (0x1200, 0x137C), (0x13A0, 0x13F5),
    (0x1780, 0x17B3), (0x1E00, 0x1EFF), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFF21, 0xFF5A),
    (0x1D400, 0x1D7FF), (0x20000, 0x2A6DF), (0x10400, 0x1044F), (0x1E900, 0x1E943)]
MARKS = [*range(0x300, 0x36F), *range(0x591, 0x5BD), *range(0x64B, 0x65F), *range(0x93A, 0x94D), 0x3099, 0x309A, 0x20E3]
EMOJI = ["🙂", "👨‍👩‍👧‍👦", "👩🏽‍🚀", "🇩🇪🇫🇷", "❤️", "☎︎", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🫠", "👍🏿"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", " \n ", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\u000b", "\u200b",
          " " * 17, "\n" * 9, "\t\t\t", " \t \n\t ", "\ufeff", "\u2060", "\u1680"]
LOOKALIKES = ["<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "<|endoftext|>", "<|im_start|>user\n", "<|im_end|>", "<0x0A>", "<0xE2>", "[INST]",
              "[/INST]", "<|begin_of_text|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "<|start|>assistant<|channel|>", "<think>", "</think>", "<EOT>",
              "<｜begin▁of▁sentence｜>", "<|im_end", "|im_end|>", "< s >", "<<s>>", "▁", "▁▁▁", "Ġ", "Ċ", "##ing", "</w>", "<|fim_prefix|>"]
ODD = ["\x00", "\x07", "\x1b[31m", "\x7f", "\x9f", "\ufffd", "\ufffe", "\U0010ffff", "\ue000", "ﬁ", "ß", "ẞ", "ſ", "İ", "ŉ", "ǆ", "²", "½", "Ⅷ", "٣٤٥", "१२३", "①", "㎏",
       "e\u0301", "A\u030a", "\u1112\u1161\u11ab", "\u0344", "\u0958", "'s", "'LL", "'Ve", "’s", "don't", "I'D", "x²+y³", "…", "——", "!!!???", "***", "/**/", "://", "a_b", "$1.50", "1,234,567.89", "0x1F", "1e-10"]


def word(r):
    low, high = r.choice(SCRIPTS)
    return "".join(chr(r.randint(low, high)) for _ in range(min(1 + int(r.expovariate(0.25)), 40)))


def odd(r):
    kind = r.random()
    if kind < .45:
        return word(r)
    if kind < .55:
        return "".join(c + "".join(chr(r.choice(MARKS)) for _ in range(r.randint(0, 3))) for c in word(r))
    if kind < .63:
        return r.choice(EMOJI)
    if kind < .75:
        return r.choice(SPACES)
    if kind < .83:
        return r.choice(LOOKALIKES)
    if kind < .93:
        return r.choice(ODD)
    if kind < .97:
        return str(r.randint(0, 10 ** r.randint(1, 18)))
    c = r.randint(1, 0x10FFFF)
    return chr(c) if not 0xD800 <= c <= 0xDFFF else "?"


def mixed(texts, size=1 << 20):
    r, parts, n = random.Random(13), [], 0
    while n < size:
        if r.random() < .5:
            t = r.choice(texts)
            at = r.randrange(max(1, len(t) - 400))
            part = t[at:at + r.randint(20, 400)]
        else:
            part = "".join(odd(r) + r.choice(["", " ", " ", " "]) for _ in range(r.randint(1, 12)))
        parts.append(part)
        n += len(part.encode())
    return "".join(parts)


def short(text):
    r, out, at = random.Random(14), [], 0
    while at < len(text):
        n = r.choice([1, 2, 5, 20, 80, 200, 500, 1000])
        out.append(text[at:at + n])
        at += n
    return out


def digest(ids):
    return hashlib.sha256(struct.pack("<%di" % len(ids), *ids)).hexdigest()


def speed(size, f):
    best = min(timed(f) for _ in range(3))
    return size / best / 1e6


def timed(f):
    begun = time.process_time()
    f()
    return time.process_time() - begun


def record(path, text, prose, parts):
    tok = Tokenizer.from_file(str(path))
    tok.no_truncation()
    tok.no_padding()
    n, r = tok.get_vocab_size(True), random.Random(15)
    lists = [[r.randrange(n) for _ in range(r.choice([1, 2, 3, 8, 40]))] for _ in range(4000)]
    ids = [tok.encode(p, add_special_tokens=False).ids for p in parts]
    flat = tok.encode(text).ids
    encode = tok.encode
    return {
        "path": str(path),
        "whole": digest(flat), "tokens": len(flat),
        "parts": [digest(tok.encode(p).ids)[:16] for p in parts],
        "plain": [digest(i)[:16] for i in ids],
        "decoded": [hashlib.sha256(tok.decode(i, skip_special_tokens=False).encode()).hexdigest()[:16] for i in ids],
        "skipped": [hashlib.sha256(tok.decode(i, skip_special_tokens=True).encode()).hexdigest()[:16] for i in ids],
        "single": hashlib.sha256("\0".join(tok.decode([i], skip_special_tokens=False) for i in range(n)).encode()).hexdigest(), "vocab": n,
        "lists": lists, "texts": [tok.decode(i, skip_special_tokens=False) for i in lists],
        "speed": {
            "prose": speed(len(prose.encode()), lambda: encode(prose)),
            "mixed": speed(len(text.encode()), lambda: encode(text)),
            "short": speed(len(text.encode()), lambda: [encode(p) for p in parts]),
            "decode": speed(len(text.encode()), lambda: tok.decode(flat)),
        },
    }


def main():
    out = pathlib.Path(sys.argv[1])
    texts = [pathlib.Path(a).read_text() for a in sys.argv[2:] if "=" not in a]
    text, prose = mixed(texts), texts[0]
    parts = short(text)
    (out / "mixed.txt").write_text(text, newline="")
    (out / "prose.txt").write_text(prose, newline="")
    (out / "parts.json").write_text(json.dumps(parts))
    for arg in sys.argv[2:]:
        if "=" in arg:
            name, path = arg.split("=", 1)
            (out / (name + ".json")).write_text(json.dumps(record(path, text, prose, parts)))
            print(name, file=sys.stderr)


if __name__ == "__main__":
    main()
