#!/usr/bin/env python3
"""Makes small vocabularies of each kind and writes down what transformers 5.24.0 makes of them.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install transformers==5.24.0 tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2 tiktoken==0.14.0
    /tmp/venv/bin/python make_vocab.py

Writes *.model, the vocabularies of SentencePiece and tiktoken; vocab.json and merges.txt; tekken.json; and goldens.json: for each
case the files of a checkpoint, the tokenizer.json that AutoTokenizer has, but for its vocabulary and merges, of which it has a
hash, and the ids of awkward texts. mistral-common must not be installed: with it, transformers reads tekken.json by other means.
"""
import base64
import hashlib
import io
import json
import os
import pathlib
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import sentencepiece
import tokenizers
import transformers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

assert transformers.__version__ == "5.24.0" and tokenizers.__version__ == "0.23.3"
transformers.logging.set_verbosity_error()
HERE = pathlib.Path(__file__).parent
TEXT = (HERE.parent.parent.parent / "testdata" / "text" / "calibration.txt").read_text()[:60000]
LINES = TEXT.splitlines() + ["naïve café — “quoted” Это проверка. 日本語のテキスト", "x = f(a, b)[0] + 1234 # ok", "ﬁne ＡＢＣ①"] * 3
RULES = {"ﬁ": "fi", "①": "1", "Ａ": "A", "Ｂ": "B", "　": " ", "\u00a0": " ", "\t": " ", "\n": " ", "\r": " ", "\u200b": "", "é": "e", "…": "..."}

TEXTS = [
    "", " ", "  ", "Hello, world!", "Hello  world", " leading", "trailing  ", "  two  spaces\n\nnew\t tab\r\n", "I'll say it's 12345 o'clock; DON'T!", "naïve café — “quoted” 日本語 🙂",
    "Это проверка.", "中文没有空格", "ﬁne ＡＢ① …\u200b", "<s>x</s> <unk> <0x41>", "of the of the  of the<|im_start|>user<|im_end|>", "x <|tag|> y<|tag|>  z", "▁ ▁▁x▁", "a▁b", "▁a",
    "<ctl>a<ctl>", "<pad> <bos><eos>", "[INST] x [/INST]", "<extra_id_0> and <extra_id_99>", "▁<PRE> a ▁<SUF>b ▁<MID>", "1 12 123 1234 ٣٤٥ Ⅷ", "CamelCaseHTTP snake_case", "e\u0301 \u00e9", "\x00\x07\x7f",
    "<|endoftext|>", "a<|endoftext|> b", "the end", "renamed <new> word", "    indented\n        more", "……", "\u2028x\ufeff",
]


def train(name, **options):
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as tmp:
        if options.pop("rules", False):
            rules = pathlib.Path(tmp) / "rules.tsv"
            rules.write_text("".join("%s\t%s\n" % tuple(" ".join("%X" % ord(c) for c in s) for s in kv) for kv in RULES.items()))
            options["normalization_rule_tsv"] = str(rules)
        else:
            options["normalization_rule_name"] = "identity"
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(LINES), model_writer=out, minloglevel=2, num_threads=1, character_coverage=0.9995, **options)
    m = sentencepiece_model_pb2.ModelProto.FromString(out.getvalue())
    m.normalizer_spec.normalization_rule_tsv = ""  # a path
    (HERE / name).write_bytes(m.SerializeToString())


train("bpe.model", model_type="bpe", vocab_size=520, byte_fallback=True, remove_extra_whitespaces=False, split_digits=True, user_defined_symbols=["<|im_start|>", "of the", "of"])
train("bpe_plain.model", model_type="bpe", vocab_size=300, rules=True, add_dummy_prefix=False, control_symbols=["<ctl>"], pad_id=3)
train("gemma.model", model_type="bpe", vocab_size=520, byte_fallback=True, remove_extra_whitespaces=False, add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
      user_defined_symbols=["<mask>", "\n", "\n\n", "▁▁", "▁▁▁▁", "<start_of_turn>", "<end_of_turn>"], eos_piece="<eos>", bos_piece="<bos>")
train("unigram.model", model_type="unigram", vocab_size=300, rules=True, control_symbols=["<ctl>"], user_defined_symbols=["<|im_start|>"])
train("unigram_bytes.model", model_type="unigram", vocab_size=500, byte_fallback=True, remove_extra_whitespaces=False, add_dummy_prefix=False, bos_id=-1)
train("t5.model", model_type="unigram", vocab_size=300, rules=True, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
train("char.model", model_type="char", vocab_size=100)


def byte_level():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.train_from_iterator(LINES, trainers.BpeTrainer(vocab_size=480, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(tok.to_str())["model"]
    return model["vocab"], model["merges"]


VOCAB, MERGES = byte_level()
BYTE = {c: b for b, c in transformers.convert_slow_tokenizer.bytes_to_unicode().items()}
RANKED = [bytes(BYTE[c] for c in t) for t in sorted(VOCAB, key=VOCAB.get)]
(HERE / "ranks.model").write_text("".join("%s %d\n" % (base64.b64encode(t).decode(), i) for i, t in enumerate(RANKED)))
GPT2 = {**VOCAB, "<|endoftext|>": len(VOCAB)}
(HERE / "vocab.json").write_text(json.dumps(GPT2))
(HERE / "merges.txt").write_text("#version: 0.2\n" + "".join("%s %s\n" % tuple(m) for m in MERGES))
PATTERN = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = {
    "config": {"pattern": PATTERN, "num_vocab_tokens": len(RANKED), "default_vocab_size": len(RANKED) - 9, "default_num_special_tokens": 8, "version": "v3"},
    "vocab": [{"rank": i, "token_bytes": base64.b64encode(t).decode(), "token_str": None} for i, t in enumerate(RANKED)],
    "special_tokens": [{"rank": i, "token_str": t, "is_control": True} for i, t in enumerate(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])],
}
(HERE / "tekken.json").write_text(json.dumps(TEKKEN))


def tok(content, special=True, **more):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": special, **more}


def marked(content, **more):
    return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, **more}


CHATML = {"0": tok("<unk>"), "1": tok("<s>"), "2": tok("</s>"), "520": tok("<|im_end|>"), "521": tok("<|tag|>", special=False, rstrip=True), "600": tok("<new>")}
LLAMA2 = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": False, "bos_token": marked("<s>"), "eos_token": marked("</s>"), "unk_token": marked("<unk>"), "pad_token": None}


def cases():
    def spm(model, config=None, kind="llama", name="tokenizer.model", **files):
        files = {k + ".json": v for k, v in files.items()}
        if config is not None:
            files["tokenizer_config.json"] = config
        return {"model_type": kind, "take": {name: model}, "files": files}

    for m in ("bpe", "bpe_plain", "gemma", "unigram", "unigram_bytes", "char"):
        yield m + ": alone", spm(m + ".model")
        yield m + ": with its own beginning", spm(m + ".model", {"add_bos_token": True, "add_eos_token": True})
        yield m + ": not legacy", spm(m + ".model", {"legacy": False, "tokenizer_class": "PreTrainedTokenizerFast"})
    yield "llama", spm("bpe.model", LLAMA2)
    yield "llama, legacy", spm("bpe.model", {**LLAMA2, "legacy": True})
    yield "llama, legacy null", spm("bpe.model", {**LLAMA2, "legacy": None, "add_prefix_space": None})
    yield "llama, no prefix", spm("bpe.model", {**LLAMA2, "add_prefix_space": False, "add_eos_token": True})
    yield "llama, fast, no settings", spm("bpe.model", {"tokenizer_class": "LlamaTokenizerFast"})
    yield "llama, decoder", spm("bpe.model", {**LLAMA2, "added_tokens_decoder": CHATML, "eos_token": "<|im_end|>"})
    yield "llama, added_tokens.json", spm("bpe.model", LLAMA2, added_tokens={"<|im_end|>": 520, "<|tag|>": 521}, special_tokens_map={"eos_token": "<|im_end|>", "pad_token": {"content": "<pad>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}})
    yield "llama, extra tokens", spm("bpe.model", {**LLAMA2, "additional_special_tokens": ["<|tag|>", "<new>"], "image_token": "<image>"})
    yield "llama, map with extra", spm("bpe.model", {"tokenizer_class": "LlamaTokenizer"}, special_tokens_map={"additional_special_tokens": ["<|tag|>"], "bos_token": "<s>", "extra": 1})
    yield "llama, class of config.json", {**spm("bpe.model"), "class": "LlamaTokenizer"}
    yield "mistral", spm("bpe.model", LLAMA2, "mistral")
    yield "phi3", spm("bpe.model", {**LLAMA2, "added_tokens_decoder": CHATML}, "phi3")
    yield "generic, renamed", spm("bpe.model", {"added_tokens_decoder": {**CHATML, "300": tok("<new>"), "301": tok("ab", special=False)}}, "mistral")
    yield "generic, foreign class", spm("bpe.model", {"tokenizer_class": "FooTokenizer", "add_bos_token": True}, "llama")
    yield "unigram, renamed", spm("unigram.model", {"added_tokens_decoder": {"0": tok("<unk>"), "301": tok("<new>")}, "bos_token": None}, "mistral")
    yield "code llama", spm("bpe.model", {"tokenizer_class": "CodeLlamaTokenizer"}, "code_llama")
    yield "code llama, no prefix", spm("bpe.model", {"tokenizer_class": "CodeLlamaTokenizer", "add_prefix_space": False, "add_bos_token": False}, "llama")
    yield "gemma", spm("gemma.model", {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}, "gemma")
    yield "gemma2, no settings", spm("gemma.model", None, "gemma2")
    yield "gemma, decoder", spm("gemma.model", {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "added_tokens_decoder": {"0": tok("<pad>"), "4": tok("<mask>", special=False), "9": tok("<start_of_turn>")},
                                               "additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"]}, "gemma3_text")
    yield "t5", spm("t5.model", {"tokenizer_class": "T5Tokenizer"}, "gpt2", name="spiece.model")
    yield "t5, sentinels", spm("t5.model", {"tokenizer_class": "T5Tokenizer", "extra_ids": 3, "bos_token": "<s>"}, "llama", name="tokenizer.model")
    yield "gpt-sw3", spm("bpe.model", {"tokenizer_class": "GPTSw3Tokenizer"}, "gpt2", name="spiece.model")
    yield "two kinds", {"model_type": "llama", "take": {"tokenizer.model": "bpe.model", "vocab.json": "vocab.json", "merges.txt": "merges.txt"}, "files": {"tokenizer_config.json": LLAMA2}}

    yield "ranks", spm("ranks.model")
    yield "ranks, tokens", spm("ranks.model", {"added_tokens_decoder": {"481": tok("<|endoftext|>"), "484": tok("<|tag|>")}, "bos_token": "<|endoftext|>", "extra_special_tokens": ["<new>", "<|tag|>"]})
    yield "ranks, tokens, beginning", spm("ranks.model", {"added_tokens_decoder": {"480": tok("<|endoftext|>")}, "bos_token": "<|endoftext|>", "add_bos_token": True}, name="tiktoken.model")

    def tekken(config=None, kind="mistral"):
        return {"model_type": kind, "take": {"tekken.json": "tekken.json"}, "files": {} if config is None else {"tokenizer_config.json": config}}

    yield "tekken", tekken()
    yield "tekken, beginning", tekken({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "extra_special_tokens": ["<|tag|>"]})

    def gpt(kind, config=None, **files):
        files = {k + ".json": v for k, v in files.items()}
        if config is not None:
            files["tokenizer_config.json"] = config
        return {"model_type": kind, "take": {"vocab.json": "vocab.json", "merges.txt": "merges.txt"}, "files": files}

    yield "gpt2", gpt("gpt2")
    yield "gpt2, beginning", gpt("gpt2", {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "add_prefix_space": True, "bos_token": marked("<|endoftext|>"), "pad_token": "<pad>"})
    yield "gpt_neox", gpt("gpt_neox", {"tokenizer_class": "GPTNeoXTokenizer", "add_prefix_space": False})
    yield "qwen2", gpt("qwen2", {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": {"480": tok("<|endoftext|>"), "481": tok("<|im_start|>"), "482": tok("<|tag|>", special=False)},
                                 "additional_special_tokens": ["<|im_start|>"], "bos_token": None, "eos_token": "<|im_start|>", "unk_token": None, "pad_token": "<|endoftext|>"})
    yield "qwen3, no settings", gpt("qwen3")
    yield "qwen3.5", gpt("qwen3_5", {"tokenizer_class": "Qwen2Tokenizer"})
    yield "cohere", gpt("cohere", {"tokenizer_class": "CohereTokenizer", "add_bos_token": True})
    yield "starcoder2, map", gpt("starcoder2", None, special_tokens_map={"bos_token": "<|endoftext|>", "additional_special_tokens": ["<|tag|>", "<new>"]}, added_tokens={"<new>": 481})
    yield "phi", gpt("phi", {"tokenizer_class": "CodeGenTokenizer"})


def canonical(part):
    """Sequences of one step are the step, of none are nothing; so is a template without tokens. Pairs of texts are left out."""
    if not isinstance(part, dict):
        return part
    for key in ("normalizers", "pretokenizers", "decoders", "processors"):
        if part.get("type") == "Sequence" and key in part:
            steps = [canonical(p) for p in part[key]]
            return {**part, key: steps} if len(steps) > 1 else steps[0] if steps else None
    if part.get("type") == "TemplateProcessing" and not part["special_tokens"]:
        return None
    return {k: v for k, v in part.items() if k != "pair"}


def digest(value):
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def whole(t):
    j = json.loads(t.backend_tokenizer.to_str())
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        j[part] = canonical(j[part])
    model = j["model"]
    vocab = model["vocab"]
    model["vocab"] = digest(sorted(vocab, key=vocab.get) if isinstance(vocab, dict) else [v[0] for v in vocab])
    if "merges" in model:
        model["merges"] = digest(model["merges"])
        for fix in ("continuing_subword_prefix", "end_of_word_suffix"):
            model[fix] = model[fix] or None
    return j


# By other names, so that the tables of a charsmap are there but once.
golden = {"texts": TEXTS, "cases": []}
for name, case in cases():
    with tempfile.TemporaryDirectory() as tmp:
        for file, source in case["take"].items():
            shutil.copy(HERE / source, pathlib.Path(tmp) / file)
        for file, value in case["files"].items():
            (pathlib.Path(tmp) / file).write_text(json.dumps(value))
        config = {"model_type": case["model_type"], **({"tokenizer_class": case["class"]} if "class" in case else {})}
        (pathlib.Path(tmp) / "config.json").write_text(json.dumps(config))
        if name == "qwen3.5":  # AutoTokenizer loses the vocabulary
            t = transformers.Qwen3_5Tokenizer(vocab=str(HERE / "vocab.json"), merges=str(HERE / "merges.txt"))
        else:
            t = AutoTokenizer.from_pretrained(tmp)
        if name == "tekken":  # so it is with mistral-common, which transformers prefers
            backend = t.backend_tokenizer
            backend.post_processor = processors.Sequence([backend.post_processor, processors.TemplateProcessing(single="<s> $A", pair="$A $B", special_tokens=[("<s>", 1)])])
        j = whole(t) if t.is_fast else {"normalizer": None}
        n = j["normalizer"]
        for part in [n, *(n or {}).get("normalizers", [])]:
            if part and part["type"] == "Precompiled":
                part["precompiled_charsmap"] = digest(part["precompiled_charsmap"])
        golden["cases"].append({"name": name, **case, "want": j, "ids": [t.encode(x) for x in TEXTS]})
(HERE / "goldens.json").write_text("{\n\"texts\": %s,\n\"cases\": [\n%s\n]}\n" % (json.dumps(TEXTS), ",\n".join(json.dumps(c) for c in golden["cases"])))
