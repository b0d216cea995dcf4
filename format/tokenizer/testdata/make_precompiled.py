#!/usr/bin/env python3
"""Has SentencePiece compile a small table of a normalizer, and writes down what tokenizers does with it.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3
    /tmp/venv/bin/python make_precompiled.py

Writes precompiled.json.
"""
import base64
import io
import json
import pathlib
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import normalizers

HERE = pathlib.Path(__file__).parent

# What is replaced, and what takes its place.
RULES = {
    "ﬁ": "fi", "ﬀ": "ff", "①": "1", "Ａ": "A", "ａ": "a", "　": " ", "\u00a0": " ", "\r": " ", "\n": " ", "\t": " ", "\u200b": "", "\u0007": "",
    "e\u0301": "é", "か\u3099": "が", "ｶ\uff9e": "ガ", "ｶ": "カ", "㍿": "株式会社", "™": "TM", "©": "(c)", "\u0e33": "\u0e4d\u0e32",
    "İ": "i̇", "ß": "ss", "…": "...", "𝐀": "A", "🙂": ":)", "\u00ad": "", "ab": "X", "\u0600": "#", "ſ": "s",
}
TEXTS = [
    "", "plain", "ﬁn ﬀ①Ａａ　x\u00a0y", "a\r\nb\rc\nd\te\r\r\n\n", "e\u0301 é e\u0301\u0316 e\u0316\u0301", "ﬁ\u0301x ﬁ\u0301\u0301x", "Ａ\u0301 Ａ\u0301\u0302 Ａ\u0e33",
    "か\u3099か\u309aｶ\uff9eｶ\uff9fｶ", "㍿™©\u200d©\u0301", "\u0e01\u0e33 \u0e33 ①\u0e33", "ab aab ba", "İSTANBUL ß…", "𝐀𝐁 🙂 🙂\u200d🙂 🙂🏽 ①🏽 ß🏽",
    "\u0600①\u0301 \u0600Ａ \u0600\n \u0600\u0601ß", "\u200b\u200b①\u200b \u0007\u0301", "\u00adx\u00ad\u0301", "①\u200d ①\u200c ①\u2060 ①\u200d\u200d", "Ａ\u0903 Ａ\u102b Ａ\u0bbe Ａ\uff9e",
    "ſ\u0307 ß\u20dd ß\ufe0f ß\u0483 ß\u0e31", "\x00①\x00", "ｶ\u3099\u309a", "ß\U0001d165 ß\U000e0100 ß\U000e0041 ß\U000e0001", "\u0d4e① \U000111c2①", "가\u11a8 한ﬁ",
]


def charsmap():
    with tempfile.TemporaryDirectory() as tmp:
        rules = pathlib.Path(tmp) / "rules.tsv"
        rules.write_text("".join("%s\t%s\n" % tuple(" ".join("%X" % ord(c) for c in s) for s in kv) for kv in RULES.items()))
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["some text of a few words"] * 9), model_writer=out, vocab_size=24, model_type="char",
                                                 normalization_rule_tsv=str(rules), minloglevel=2)
        m = sentencepiece_model_pb2.ModelProto()
        m.ParseFromString(out.getvalue())
        return m.normalizer_spec.precompiled_charsmap


table = charsmap()
n = normalizers.Precompiled(table)
cases = [{"in": t, "out": n.normalize_str(t)} for t in TEXTS]
(HERE / "precompiled.json").write_text(json.dumps({"charsmap": base64.b64encode(table).decode(), "cases": cases}, ensure_ascii=True, indent=1) + "\n")
