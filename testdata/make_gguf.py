"""Makes gguf.json: what llama.cpp's converter makes of the checkpoints of FAMILIES. For each, the
metadata, and of each tensor its type, its shape and the beginning of the SHA-256 of its bytes; of factors of RoPE
and decays the values too.

  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install transformers==5.24.0 torch==2.15.0 numpy==2.4.6 safetensors==0.8.0 sentencepiece==0.2.3 protobuf==7.36.2 pyyaml tqdm requests
  /tmp/venv/bin/python testdata/make_gguf.py [DIRECTORY OF LLAMA.CPP]

Without an argument, the converter is that of the sources of llama-cpp-python 0.3.36, which pip fetches.
It gets the keys that transformers leaves out of a configuration, and no tokenizer.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import weights

HERE = pathlib.Path(__file__).parent
# what the converter reads and the configurations do not have
EXTRA = {
    "deepseek_v2": dict(n_group=1, topk_group=1),  # llama.cpp chooses other groups
    "granitemoehybrid_mamba": dict(layer_types=["mamba", "attention", "mamba"]),  # as its files have them
    "gpt2": dict(n_ctx=128), "gpt_neox": dict(rotary_pct=0.5), "gpt_neox_serial": dict(rotary_pct=1.0),
}
# Not all fixtures of an architecture are here: llama.cpp has no place for dense layers among such with experts, or for
# RoPE that depends on the length.
FAMILIES = [
    "afmoe", "arcee", "cohere", "deepseek_v2", "deepseek_v3", "dots1", "ernie4_5", "ernie4_5_moe", "exaone4",
    "exaone_moe", "gemma", "gemma2", "gemma3", "glm4", "glm4_moe", "gpt2", "gpt_neox", "gpt_neox_serial", "gpt_oss",
    "granite", "granitemoe", "granitemoehybrid_mamba", "granitemoeshared", "lfm2_moe", "lfm2_plain", "llama", "llama4",
    "llama_bias", "llama_linear", "llama_yarn", "minimax_m2", "mistral", "mixtral", "nemotron", "olmo2", "olmoe",
    "phi3", "phi3_longrope", "phi3_longrope_short", "qwen2", "qwen2_5_vl", "qwen3", "qwen3_5", "qwen3_5_moe",
    "qwen3_next_plain", "seed_oss", "smollm3", "starcoder2",
]


def sources(scratch):
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", scratch,
                    "llama-cpp-python==0.3.36"], check=True)
    with tarfile.open(next(scratch.glob("*.tar.gz"))) as tar:
        tar.extractall(scratch, filter="data")
    return next(scratch.glob("*/vendor/llama.cpp"))


def convert(converter, source, out):
    base, gguf, model_class, architecture = converter
    hparams = base.ModelBase.load_hparams(source, False)
    cls = model_class(architecture(hparams, base.ModelType.TEXT))
    cls.no_mtp = hasattr(cls, "opt_num_mtp_layers")  # which the fixtures do not have
    cls.set_vocab = lambda self: self.gguf_writer.add_tokenizer_model("no_vocab")
    cls(source, gguf.LlamaFileType.MOSTLY_F16, out).write()


def describe(gguf, path):
    reader = gguf.GGUFReader(path)
    metadata = {k: [":".join(t.name for t in f.types), f.contents()] for k, f in reader.fields.items()
                if not k.startswith(("GGUF.", "general.name", "general.size_label", "tokenizer."))}
    tensors = {}
    for t in reader.tensors:
        what = [t.tensor_type.name, [int(d) for d in reversed(t.shape)], hashlib.sha256(t.data.tobytes()).hexdigest()[:16]]
        tensors[t.name] = what + [t.data.flatten().tolist()] * (t.name.startswith("rope_") or t.name.endswith("ssm_a"))
    return dict(metadata=metadata, tensors=tensors)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        llama = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else sources(scratch)
        sys.path[:0] = [str(llama / "gguf-py"), str(llama)]
        import torch
        import gguf
        from conversion import base, get_model_class
        from convert_hf_to_gguf import get_model_architecture

        # Some parts of the converter read the file, others what transformers makes of it.
        load = base.ModelBase.load_hparams
        base.ModelBase.load_hparams = staticmethod(lambda d, *a, **k: load(d, *a, **k) | EXTRA.get(d.name, {}))
        made = {}
        for name in FAMILIES:
            copy = weights.directory(name)
            config = json.loads((copy / "config.json").read_text()) | EXTRA.get(name, {})
            (copy / "config.json").write_text(json.dumps(config))
            vocabulary = {str(i): i for i in range(96)}  # Gemma's part of the converter counts it
            (copy / "tokenizer.json").write_text(json.dumps(dict(added_tokens=[], model=dict(vocab=vocabulary))))
            out = scratch / (name + ".gguf")
            with torch.inference_mode():
                convert((base, gguf, get_model_class, get_model_architecture), copy, out)
            made[name] = describe(gguf, out)
        lines = [json.dumps(name) + ": " + json.dumps(what, separators=(",", ":")) for name, what in made.items()]
        (HERE / "gguf.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
