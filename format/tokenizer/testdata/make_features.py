#!/usr/bin/env python3
"""Writes down what tokenizers 0.23.3 does with parts that few decoder-only models have.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers==0.23.3
    /tmp/venv/bin/python make_features.py

features.json: single normalizers, pre-tokenizers and decoders with their results for the inputs, as in parts.json, and
small models, with the ids of texts with and without special tokens and the texts of these ids.
"""
import json
import pathlib

import tokenizers
from tokenizers import Tokenizer

assert tokenizers.__version__ == "0.23.3"
HERE = pathlib.Path(__file__).parent

TEXTS = [
    "", " ", "a", "Hello, World! Don't  STOP.", "naïve CAFÉ — “quoted” ½ x²", "日本語とカタカナー、漢字abc 한국어", "e\u0301a\u0308\u0323\u093f", "tab\there\r\nnew\n\nline\u00a0nb\u2028ls",
    "\x00\x07a\u200bb\ufeff\ufffdc\u00ad\ue000d", "你好，世界abc𠀀𪜀", "👨‍👩‍👧‍👦👩🏽‍🚀🇩🇪🇫🇷🇩 ❤️ 1️⃣ ©\u200d®", "각ᄒ\u1161\u11abᄀ가\u11a8 \u0600a\u0903 ก\u0e33", "a_b-c;d|e a|b", "١٢٣ १२३ Ⅷ",
    "Привет мир, ΑΒΓ שלום", "  lead and trail  ", "x^2 + $5 = 7 ~ `q` <tag>", "abcdefghijklmnopqrstuvwxyz" * 2, "۔،।… ،.!?", "İSTANBUL ß ǅ", "A\u0300\u0345\u1171e b\U0001e900\U0001e943", "1 2  3\u3000４",
]
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
KIMI = "|".join([
    r"[\p{Han}]+", r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
EXPRESSIONS = [
    BLOOM, KIMI, r"\X", r"\X{2}", r"(?>\X)a?", r"\R", r"\R+|\O", r"\N+", r"[[:alpha:]]+", r"[[:^alpha:]]+", r"[^[:space:][:punct:]]+", r"[[:punct:]\p{Nd}]+", r"[a-z&&[^aeiou]]+",
    r"[\w&&[^\d_]]+", r"[^a-m&&\p{L}]+", r"[a-z&&[^b]&&c-x]+", r"[[a-c][x-z]]+", r"[a[^\p{L}]]+", r"\p{Letter}+", r"\p{lowercase letter}+", r"\p{Alpha}+|\p{^Alnum}", r"\p{Punct}+",
    r"\p{Upper}\p{Lower}+", r"\p{Word}+", r"[\p{Cn}\p{C}]+", r"\p{Graph}+", r"[^\p{Print}]+", r"\p{LC}+", r"\p{han}|\p{HIRAGANA}+|\p{Hang}", r"(?<word>\p{L}+)\s", r"(?#comment)a|b(?#end)",
    r"\h+|\H", r"[\h&&[a-f]]+", r"[-&&[a-z-]]", r"[a-c-]+", r"(?i:[b-y]+)z?", r"[[:xdigit:]]{2}", r"\p{Blank}|\p{ASCII}{5}", r"\p{Any}{7}", r"\P{Assigned}",
]


def split(expression):
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


PRE = [split(e) for e in EXPRESSIONS] + [
    {"type": "BertPreTokenizer"}, {"type": "CharDelimiterSplit", "delimiter": "|"}, {"type": "CharDelimiterSplit", "delimiter": " "}, {"type": "UnicodeScripts"},
    {"type": "FixedLength", "length": 5}, {"type": "FixedLength", "length": 1},
]
NORMALIZERS = [{"type": "ByteLevel"}] + [
    {"type": "BertNormalizer", "clean_text": a, "handle_chinese_chars": b, "strip_accents": c, "lowercase": d}
    for a, b, c, d in [(True, True, None, True), (True, True, None, False), (False, False, True, False), (True, False, False, True), (False, True, False, False), (False, False, None, True)]]
TOKENS = [
    [], ["a"], ["hello", "##ing", "!", "##", "w"], ["do", " not", "n't", "##'s", ",", "."], ["a</w>", "b", "c</w>", "</w>"], ["<pad>", "h", "h", "<pad>", "h", "|", "|", "e", " n't", "<pad>"],
    ["##a", "b##c", "'m", "do", "n't", " ' "], ["x", "x</w>", "x</w>", "y"],
]
DECODERS = [
    {"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "WordPiece", "prefix": "##", "cleanup": False}, {"type": "BPEDecoder", "suffix": "</w>"},
    {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}, {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": False},
    {"type": "Sequence", "decoders": [{"type": "BPEDecoder", "suffix": "</w>"}, {"type": "Fuse"}, {"type": "Strip", "content": "x", "start": 1, "stop": 0}]},
]


def vocab(*tokens):
    return {t: i for i, t in enumerate(tokens)}


LETTERS = list("abcdehlorw ")
BPE = dict(dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False, byte_fallback=False)
PIECES = vocab("[UNK]", "[CLS]", "[SEP]", "hello", "world", "##s", "##ld", "wor", "h", "##e", "##llo", "a", "##b", "!", "é", "##日")
WORDS = {"type": "Whitespace"}
BPE_WORDS = vocab("<unk>", "a", "b", "c", "a</w>", "b</w>", "c</w>", "ab", "abc</w>", "bc</w>", "ab</w>")
BPE_PARTS = vocab("<unk>", "a", "b", "c", "##a", "##b", "##c", "ab", "##bc", "abc", "##cc")
UNIGRAM = [["<unk>", 0.0], ["▁", -2.0], ["a", -3.0], ["b", -3.5], ["ab", -4.0], ["▁a", -3.2], ["▁hello", -5.0], ["h", -6.0]]


def model(m, pre=WORDS, post=None, decoder=None, normalizer=None, added=()):
    return {
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 512, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 4}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "x"},
        "added_tokens": list(added), "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": post, "decoder": decoder, "model": m}


def special(i, t):
    return {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


WORDPIECE = dict(unk_token="[UNK]", continuing_subword_prefix="##", max_input_chars_per_word=9, vocab=PIECES)
BERT = dict(sep=["[SEP]", 2], cls=["[CLS]", 1])
MODELS = [
    model(dict(WORDPIECE, type="WordPiece"), post=dict(BERT, type="BertProcessing"), decoder=DECODERS[0], normalizer=NORMALIZERS[1], added=[special(1, "[CLS]"), special(2, "[SEP]")]),
    model(WORDPIECE, pre={"type": "BertPreTokenizer"}),
    model(dict(type="WordLevel", unk_token="[UNK]", vocab=PIECES), post=dict(BERT, type="RobertaProcessing", trim_offsets=True, add_prefix_space=False), added=[special(1, "[CLS]"), special(2, "[SEP]")]),
    model(dict(unk_token="[UNK]", vocab=PIECES)),
    model(dict(BPE, type="BPE", unk_token="<unk>", end_of_word_suffix="</w>", vocab=BPE_WORDS, merges=["a b", "ab c</w>", "b c</w>", "a b</w>"]), decoder=DECODERS[2]),
    model(dict(BPE, type="BPE", unk_token="<unk>", continuing_subword_prefix="##", vocab=BPE_PARTS, merges=["a ##b", "ab ##c", "##b ##c", "##c ##c"]), decoder=DECODERS[0]),
    model(dict(BPE, unk_token="<unk>", fuse_unk=True, vocab=vocab("<unk>", *LETTERS, "he", "ll"), merges=["h e", "l l"]), pre=None),
    model(dict(vocab=vocab(*LETTERS, "he", "ll"), merges=[["h", "e"], ["l", "l"]]), pre=None),
    model(dict(unk_id=0, vocab=UNIGRAM), pre={"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}, decoder={"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}),
    model(dict(unk_token="[UNK]", vocab=PIECES), pre={"type": "Sequence", "pretokenizers": [WORDS, {"type": "FixedLength", "length": 5}]},
          post={"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, dict(BERT, type="BertProcessing")]}),
    model(dict(vocab=vocab(*LETTERS, "he", "ll"), merges=[["h", "e"], ["l", "l"]]), pre=None,
          added=[dict(special(13, "  "), lstrip=True, rstrip=True, special=False), dict(special(14, "lo"), lstrip=True, single_word=True, normalized=True)]),
]
MODEL_TEXTS = ["", "hello world", "hellollo worlds!", "a ab abc abcabc cab acc", "hello! wor日 é xyz abcdefghijkl", "[CLS] a [SEP]", "aXXb  c", "hold hello", "é", "a▁b", "    a     b  ", "he  lo   lo lohe"]


def main():
    parts = []
    for n in NORMALIZERS:
        tok = Tokenizer.from_str(json.dumps(model(dict(unk_token="[UNK]", vocab=PIECES), normalizer=n)))
        parts.append({"normalizer": n, "want": [tok.normalizer.normalize_str(t) for t in TEXTS]})
    for p in PRE:
        tok = Tokenizer.from_str(json.dumps(model(dict(unk_token="[UNK]", vocab=PIECES), pre=p)))
        parts.append({"pre_tokenizer": p, "want": [[w for w, _ in tok.pre_tokenizer.pre_tokenize_str(t)] for t in TEXTS]})
    for d in DECODERS:
        tok = Tokenizer.from_str(json.dumps(model(dict(unk_token="[UNK]", vocab=PIECES), decoder=d)))
        parts.append({"decoder": d, "want": [tok.decoder.decode(t) for t in TOKENS]})
    models = []
    for m in MODELS:
        tok = Tokenizer.from_str(json.dumps(m))
        tok.no_padding()
        cases = []
        for t in MODEL_TEXTS:
            ids = tok.encode(t).ids
            cases.append([t, ids, tok.encode(t, add_special_tokens=False).ids, tok.decode(ids, skip_special_tokens=False), tok.decode(ids)])
        models.append({"tokenizer": m, "cases": cases})
    lines = lambda rows: ",\n".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in rows)
    inputs = json.dumps({"normalizer": TEXTS, "pre_tokenizer": TEXTS, "decoder": TOKENS}, ensure_ascii=False)
    (HERE / "features.json").write_text('{"inputs": %s,\n"parts": [\n%s\n],\n"models": [\n%s\n]}\n' % (inputs, lines(parts), lines(models)))


if __name__ == "__main__":
    main()
