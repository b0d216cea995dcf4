"""Makes testdata/forms: checkpoints of testdata/families in other forms in which people have them, and
what transformers makes of those that contradict themselves.

  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install transformers==5.24.0 torch==2.15.0 safetensors==0.8.0
  /tmp/venv/bin/python testdata/make_forms.py

  mixtral_stacked qwen3_moe_stacked
               save_pretrained(save_original_format=False): the experts of a layer in two tensors
  tied_head    safetensors.torch.save_model of a tied model: the embedding is stored as lm_head.weight only
  untied       tie_word_embeddings, but embedding and head differ; logits [tokens][vocab] of input_ids
"""

import pathlib
import shutil

import safetensors.torch
import torch
import transformers

import weights

assert transformers.__version__ == "5.24.0", transformers.__version__
assert torch.__version__.startswith("2.15.0"), torch.__version__

HERE = pathlib.Path(__file__).parent
OUT = HERE / "forms"
FILES = ("config.json", "generation_config.json")


def load(path, dtype=torch.float16):
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager")


def directory(name):
    out = OUT / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return out


def make_stacked(family):
    load(weights.directory(family)).save_pretrained(directory(family + "_stacked"), save_original_format=False)


def make_tied_head():
    out = directory("tied_head")
    family = weights.directory("qwen2")
    model = load(family)
    for name in FILES:
        shutil.copy(family / name, out)
    safetensors.torch.save_model(model, str(out / "model.safetensors"))
    stored = safetensors.torch.load_file(out / "model.safetensors")
    assert "lm_head.weight" in stored and "model.embed_tokens.weight" not in stored
    again = load(out)
    assert torch.equal(again.get_input_embeddings().weight, model.get_input_embeddings().weight)


def make_untied():
    out = directory("untied")
    family = weights.directory("qwen2")
    for name in FILES:
        shutil.copy(family / name, out)
    tensors = safetensors.torch.load_file(family / "model.safetensors")
    g = torch.Generator().manual_seed(3)
    tensors["lm_head.weight"] = (0.3 * torch.randn(tensors["model.embed_tokens.weight"].shape, generator=g)).half()
    safetensors.torch.save_file(tensors, out / "model.safetensors", metadata=dict(format="pt"))
    model = load(out, torch.float32)
    assert torch.equal(model.lm_head.weight, tensors["lm_head.weight"].float())
    ids = torch.randint(3, model.config.vocab_size, (16,), generator=g)
    with torch.no_grad():
        logits = model.eval()(ids[None], use_cache=False).logits[0].float().contiguous()
    safetensors.torch.save_file(dict(input_ids=ids, logits=logits), out / "golden.safetensors")


if __name__ == "__main__":
    make_stacked("mixtral")
    make_stacked("qwen3_moe")
    make_tied_head()
    make_untied()
    for path in sorted(OUT.glob("*/*")):
        path.chmod(0o644)
        print(path, path.stat().st_size)
