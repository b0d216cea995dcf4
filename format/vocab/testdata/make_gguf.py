"""Makes gguf.json: small vocabularies as GGUF files have them, texts, and their tokens by the tokenizers and
sentencepiece libraries, for names that tokenizer.ggml.pre may have. The expressions are those of the models'
tokenizer.json.

  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2
  /tmp/venv/bin/python format/vocab/testdata/make_gguf.py
"""

import io
import json
import pathlib

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
          r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
            " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
# name: normalizer, steps before the bytes, whether words that are tokens are not taken apart
PRES = {
    "gpt-2": (None, [pre_tokenizers.ByteLevel(add_prefix_space=False)], False),
    "smollm": (None, [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)], False),
    "command-r": (normalizers.NFC(), [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)], False),
    "llama-bpe": (None, [LLAMA3], True), "dbrx": (None, [LLAMA3], False), "qwen2": (normalizers.NFC(), [QWEN2], False),
    "gpt-4o": (None, [GPT4O], False), "tekken": (None, [TEKKEN], True),
    "deepseek-v3": (None, [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK], False),
}
SPECIAL, USER = ["<|begin|>", "<|end|>"], ["<think>"]
TEXTS = [
    "It's 1234567 o'clock,  isn't it?\n\n  We'LL see\tthen ...", "<|begin|>user\nHello <think> there<|end|>", " leading and trailing ",
    "naïve cafe\u0301 größer", "HTTPServer iPhone CamelCase/path/to//file", "東京は夜の7時 and 한국어", "a\r\n\r\nb   \n c", "x+=1; /* y */ foo(bar)[0]{}", "",
]
CORPUS = (TEXTS + ["the quick brown fox jumps over the lazy dog and then the other one 1234 2024 100"] * 3) * 2


def steps(list_):
    parts = [pre_tokenizers.Split(Regex(s), "isolated") if isinstance(s, str) else s for s in list_]
    if isinstance(list_[-1], str):
        parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    return pre_tokenizers.Sequence(parts)


def byte_level():
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)  # merges across words, so that cuts matter
    base.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=420, show_progress=False,
                                                         initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(base.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get) + SPECIAL + USER
    types = [1] * len(model["vocab"]) + [3] * len(SPECIAL) + [4] * len(USER)
    vocab = {t: i for i, t in enumerate(tokens)}
    merges = [tuple(m) for m in model["merges"]]
    ids = {}
    for name, (normalizer, cut, ignore) in PRES.items():
        t = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore))
        if normalizer:
            t.normalizer = normalizer
        t.pre_tokenizer, t.decoder = steps(cut), decoders.ByteLevel()
        t.add_special_tokens(SPECIAL)
        t.add_tokens([AddedToken(u, normalized=False) for u in USER])
        ids[name] = [t.encode(text, add_special_tokens=False).ids for text in TEXTS]
    return dict(tokens=tokens, types=types, merges=[" ".join(m) for m in merges], ids=ids)


def sentence_piece(prefix):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=out, model_type="bpe", vocab_size=440, byte_fallback=True, character_coverage=0.98,
        add_dummy_prefix=prefix, remove_extra_whitespaces=False, normalization_rule_name="identity", minloglevel=2)
    proto = sentencepiece_model_pb2.ModelProto.FromString(out.getvalue())
    sp = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
    pieces = proto.pieces
    return dict(tokens=[p.piece for p in pieces], scores=[p.score for p in pieces], types=[p.type for p in pieces], ids=[sp.encode(t) for t in TEXTS])


made = dict(texts=TEXTS, bytes=byte_level(), prefix=sentence_piece(True), bare=sentence_piece(False))
lines = [json.dumps(k) + ": " + json.dumps(v, separators=(",", ":"), ensure_ascii=False) for k, v in made.items()]
(HERE / "gguf.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
