#!/usr/bin/env python3
"""Asks the tokenizers library what it takes each Unicode character for.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers==0.22.2
    /tmp/venv/bin/python dump_unicode.py unicode.json SCRIPT...
    go run gen_tables.go unicode.json tables.go      (in format/tokenizer)

Writes classes.json beside itself, too: hashes of the sets, for a test.

The library's parts carry tables of different Unicode versions, and Go carries one of its own.
gen_tables.go writes down the differences. SCRIPT... are names of Unicode scripts.
"""
import hashlib
import json
import pathlib
import sys

from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = ("L N M P S Z Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co").split()
CHARS = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
TEXT = "".join(CHARS)


def ranges(chars):
    out = []
    for c in sorted(map(ord, chars)):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def left_by(split):
    return ranges(c for piece, _ in split.pre_tokenize_str(TEXT) for c in piece)


def clustered(make):
    """The characters of which \\X takes what make makes of them for one."""
    cluster = pre_tokenizers.Split(Regex(r"\X"), "isolated").pre_tokenize_str
    out = []
    for i in range(0, len(CHARS), 20000):
        texts = [make(c) for c in CHARS[i:i + 20000]]
        starts, at = set(), 0
        for piece, _ in cluster("\x01".join(texts)):  # nothing joins a control character
            starts.add(at)
            at += len(piece)
        at = 0
        for c, text in zip(CHARS[i:i + 20000], texts):
            if not any(at + k in starts for k in range(1, len(text))):
                out.append(c)
            at += len(text) + 1
    return ranges(out)


def main(path, scripts):
    out = {"class": {}, "map": {}}
    for name in CATEGORIES + scripts:
        try:
            other = Regex(r"\P{%s}+" % name)
        except Exception as e:  # the expression engine does not know the script
            print(f"{name}: {e}", file=sys.stderr)
            continue
        out["class"][name] = left_by(pre_tokenizers.Split(other, "removed"))
    out["class"][r"\w"] = left_by(pre_tokenizers.Split(Regex(r"\W+"), "removed"))
    out["class"][r"[\w]"] = left_by(pre_tokenizers.Split(Regex(r"[^\w]+"), "removed"))  # yes, it differs
    out["class"][r"\s"] = left_by(pre_tokenizers.Split(Regex(r"\S+"), "removed"))
    out["class"][r"\d"] = left_by(pre_tokenizers.Split(Regex(r"\D+"), "removed"))
    for name in ["Alpha", "Lower", "Upper", "Alnum", "Graph", "Print", "Blank", "Cntrl", "XDigit", "Assigned", "C", "Cn", "LC", "Word", "Any", "ASCII"]:
        out["class"][name] = left_by(pre_tokenizers.Split(Regex(r"\P{%s}+" % name), "removed"))
    for name in ["[:punct:]", "[:word:]"]:
        out["class"][name] = left_by(pre_tokenizers.Split(Regex("[%s]+" % name.replace(":", ":^", 1)), "removed"))
    out["class"]["joins"] = clustered(lambda c: "a" + c)
    out["class"]["extends"] = clustered(lambda c: "👩" + c + "\u200d👩")
    out["class"]["prepends"] = clustered(lambda c: c + "a")
    out["class"]["open"] = clustered(lambda c: c + "\u0301")
    out["class"]["pictures"] = clustered(lambda c: "👩\u200d" + c)
    out["class"]["not space"] = left_by(pre_tokenizers.WhitespaceSplit())
    out["class"]["not punctuation"] = left_by(pre_tokenizers.Punctuation("removed"))
    out["class"]["not mark"] = ranges(set(normalizers.StripAccents().normalize_str(TEXT)))
    pieces = pre_tokenizers.Digits(True).pre_tokenize_str("a".join(CHARS))
    out["class"]["numeric"] = ranges(p for p, (a, b) in pieces if len(p) == 1 and a % 2 == 0)
    pieces = pre_tokenizers.Whitespace().pre_tokenize_str("".join(" a" + c for c in CHARS))
    out["class"]["word"] = ranges(p[1] for p, _ in pieces if len(p) == 2)
    nfd = normalizers.NFD().normalize_str  # marks that it orders: before U+0345 of the last class, behind U+0334 of the first
    out["class"]["ordered"] = ranges(c for c in CHARS if nfd(c + "\u0334") != c + "\u0334" or nfd("\u0345" + c) != "\u0345" + c)
    for name in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase"]:
        n = getattr(normalizers, name)()
        out["map"][name] = {ord(c): n.normalize_str(c) for c in CHARS if n.normalize_str(c) != c}
    with open(path, "w") as f:
        json.dump(out, f)
    hashes = {k: hashlib.sha256("".join("%d-%d," % tuple(r) for r in v).encode()).hexdigest()[:16] for k, v in out["class"].items()}
    (pathlib.Path(__file__).parent / "classes.json").write_text(json.dumps(hashes, indent=0) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
