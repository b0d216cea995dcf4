#!/usr/bin/env python3
"""Writes down what transformers 5.24.0 takes for special tokens and chat templates of small directories.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install transformers==5.24.0 tokenizers==0.23.3
    /tmp/venv/bin/python make_special.py

special.json has for each case the family whose config.json stands in the directory, members that replace its own, the
other files, and what AutoTokenizer makes of them: texts by name, ids of those that tokenizer.json knows, the ids of "ab",
and the chat template.
"""
import copy
import json
import os
import pathlib
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_OFFLINE"] = "1"
import transformers  # noqa: E402

assert transformers.__version__ == "5.24.0"
HERE = pathlib.Path(__file__).parent
FAMILIES = HERE.parent.parent.parent / "testdata" / "families"

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<bos>", "<eos>", "<|padding|>"]
VOCAB = SPECIAL + ["a", "b", "▁", "Ġ", "<in_vocab>"]
ADDED = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)


def template(before=(), after=()):
    special = lambda t: {"SpecialToken": {"id": t, "type_id": 0}}
    single = [*map(special, before), {"Sequence": {"id": "A", "type_id": 0}}, *map(special, after)]
    tokens = {t: {"id": t, "ids": [VOCAB.index(t)], "tokens": [t]} for t in [*before, *after]}
    return {"type": "TemplateProcessing", "single": single, "pair": single + [{"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": tokens}


def tokenizer(post=None, byte_level=True, padding=None):
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0", "truncation": None, "padding": padding,
        "added_tokens": [{"id": i, "content": t, **ADDED} for i, t in enumerate(SPECIAL)], "normalizer": None,
        "pre_tokenizer": level if byte_level else None, "post_processor": post, "decoder": level if byte_level else None,
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "vocab": {t: i for i, t in enumerate(VOCAB)}, "merges": []}}


def added(text):
    return {"__type": "AddedToken", "content": text, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}


NONE = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)
JINJA = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"


def case(name, family="mistral", config=NONE, settings=None, tok=None, **files):
    files = {k.replace("__", ".").replace("_slash_", "/"): v for k, v in files.items()}
    files["tokenizer.json"] = tok or tokenizer()
    if settings is not None:
        files["tokenizer_config.json"] = settings
    return dict(name=name, family=family, config=config, files=files)


BOTH = dict(tokenizer_class="PreTrainedTokenizerFast", bos_token="<s>", eos_token="<|im_end|>")
DECODER = {str(i): {"content": t, **ADDED} for i, t in enumerate(SPECIAL)}
CASES = [
    case("texts", settings=BOTH),
    case("objects", settings=dict(BOTH, bos_token=added("<bos>"), pad_token=added("<pad>"))),
    case("in the vocabulary only", settings=dict(BOTH, eos_token="<in_vocab>")),
    case("nowhere", settings=dict(BOTH, eos_token="<not_there>", unk_token="<unk>")),
    case("null", settings=dict(BOTH, bos_token=None)),
    case("ids of the configuration", config=dict(bos_token_id=4, eos_token_id=5, pad_token_id=6), settings=dict(BOTH, pad_token="<pad>")),
    case("no settings", config=dict(bos_token_id=4, eos_token_id=5, pad_token_id=6)),
    case("qwen2 without settings", family="qwen2"),
    case("qwen2 without bos", family="qwen2", config=dict(NONE, bos_token_id=4, eos_token_id=6), settings=dict(
        tokenizer_class="Qwen2Tokenizer", add_bos_token=False, bos_token=None, eos_token="<|im_end|>", pad_token="<|endoftext|>")),
    case("qwen2 with a wrong class", family="qwen2", settings=dict(tokenizer_class="LlamaTokenizerFast", bos_token="<s>")),
    case("gpt2 without settings", family="gpt2"),
    case("gpt2 with little", family="gpt2", settings=dict(model_max_length=1024)),
    case("gpt_neox without settings", family="gpt_neox"),
    case("gemma2 without settings", family="gemma2", tok=tokenizer(byte_level=False)),
    case("llama's class", family="llama", settings=dict(tokenizer_class="LlamaTokenizer"), tok=tokenizer(byte_level=False)),
    case("llama's class, bytes", family="llama", settings=dict(tokenizer_class="LlamaTokenizer")),
    case("a class for mistral", settings=dict(tokenizer_class="LlamaTokenizer", bos_token="<s>"), tok=tokenizer(byte_level=False)),
    case("gpt2's class for llama", family="llama", settings=dict(tokenizer_class="GPT2Tokenizer", eos_token="</s>")),
    case("class of config.json", family="llama", config=dict(NONE, tokenizer_class="GPT2Tokenizer")),
    case("map", settings=dict(tokenizer_class="PreTrainedTokenizerFast"), special_tokens_map__json=dict(bos_token="<s>", eos_token=dict(
        content="</s>", lstrip=False, normalized=True, rstrip=False, single_word=False))),
    case("map over settings", settings=BOTH, special_tokens_map__json=dict(eos_token="</s>", image_token="<|im_start|>")),
    case("map and decoder", settings=dict(BOTH, added_tokens_decoder=DECODER), special_tokens_map__json=dict(eos_token="</s>")),
    case("map alone", special_tokens_map__json=dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")),
    case("tokens of its own", settings=dict(BOTH, image_token="<|im_start|>", boi_token=added("<bos>"), additional_special_tokens=["<|im_start|>"])),
    case("extra by name", settings=dict(BOTH, extra_special_tokens={"image_token": "<|im_start|>", "eot": "<|im_end|>"})),
    case("extra as a list", settings=dict(BOTH, extra_special_tokens=["<|im_start|>"])),
    case("specific", settings=dict(BOTH, model_specific_special_tokens={"image_token": "<|im_start|>"})),
    case("padding", settings=BOTH, tok=tokenizer(padding=dict(
        strategy="BatchLongest", direction="Right", pad_to_multiple_of=None, pad_id=0, pad_type_id=0, pad_token="<pad>"))),
    case("template adds bos", settings=dict(BOTH, add_bos_token=False), tok=tokenizer(template(["<s>"]))),
    case("template adds both", settings=BOTH, tok=tokenizer(template(["<s>"], ["</s>"]))),
    case("template adds none", settings=dict(BOTH, add_bos_token=True, add_eos_token=True), tok=tokenizer(template())),
    case("asked for, but no template", settings=dict(BOTH, add_bos_token=True)),
    case("template as text", settings=dict(BOTH, chat_template=JINJA)),
    case("template in a file", settings=dict(BOTH, chat_template="x"), chat_template__jinja=JINJA),
    case("templates in a list", settings=dict(BOTH, chat_template=[dict(name="tool_use", template="t"), dict(name="default", template=JINJA)])),
    case("templates in an object", settings=dict(BOTH, chat_template={"rag": "r", "default": JINJA})),
    case("templates in files", settings=BOTH, chat_template__jinja=JINJA, additional_chat_templates_slash_rag__jinja="r"),
    case("templates in files over settings", settings=dict(BOTH, chat_template="x"), chat_template__jinja=JINJA, additional_chat_templates_slash_rag__jinja="r"),
]


def run(c):
    with tempfile.TemporaryDirectory() as d:
        config = json.loads((FAMILIES / c["family"] / "config.json").read_text())
        config.update(c["config"])
        for name, content in {**c["files"], "config.json": config}.items():
            path = pathlib.Path(d, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False))
        tok = transformers.AutoTokenizer.from_pretrained(d)
        known = lambda i: i if i is not None and i < len(VOCAB) else None
        template = tok.chat_template
        c["want"] = dict(
            special=tok.special_tokens_map, bos=known(tok.bos_token_id), eos=known(tok.eos_token_id), pad=known(tok.pad_token_id),
            ids=tok("ab")["input_ids"], template=tok.get_chat_template() if template else "")
    return c


def main():
    out = [run(copy.deepcopy(c)) for c in CASES]
    base = json.dumps(tokenizer(), ensure_ascii=False)
    for c in out:  # the most frequent file stands once
        if json.dumps(c["files"]["tokenizer.json"], ensure_ascii=False) == base:
            del c["files"]["tokenizer.json"]
    lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in out)
    (HERE / "special.json").write_text('{"tokenizer": %s,\n"cases": [\n%s\n]}\n' % (base, lines))


if __name__ == "__main__":
    main()
