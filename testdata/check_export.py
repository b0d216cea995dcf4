"""Checks that transformers computes with an exported checkpoint what our CPU reference computes with it
and with the bundle that it was exported from. For each checkpoint and format: quantize, export as f32
and as f16, let transformers open the result and compute logits, and compare.

  make build
  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install transformers==5.17.0 torch==2.15.0 safetensors==0.8.0
  /tmp/venv/bin/python testdata/check_export.py [CHECKPOINT...]

Without arguments: testdata/tiny and all of testdata/families. The tokens are those of the
checkpoint's golden.safetensors. Weights of f32 are exactly the bundle's, and the reference can open
what was exported: there the logits may differ by the rounding of float32 arithmetic only, and the bound
is 2e-3, relative RMS 1e-4. Weights of f16 are rounded once more, by at most 2^-11 of themselves; how
far that takes the logits from those of the bundle is printed and has no bound: where two experts are
nearly as good, it may choose the other one.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import safetensors.torch
import torch
import transformers

import weights

transformers.logging.set_verbosity_error()
ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("LLAMA_WEBGPU", str(ROOT / "build" / "llama-webgpu"))
FORMATS = {"int8": [], "int4": ["--block-size", "32", "--override", r"\.0\.=int8:64"], "f16": ["--max-shard-size", "9MB"]}


def run(*args):
    subprocess.run([PROGRAM, *map(str, args)], check=True)


def logits(directory, ids):
    """What transformers computes, in float32 arithmetic."""
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    with torch.no_grad():
        return model.eval()(ids[None]).logits[0].float()


def check(source, work):
    ids = safetensors.torch.load_file(source / "golden.safetensors")["input_ids"].long()
    if (source / "tokenizer.json").exists():
        whole = transformers.AutoTokenizer.from_pretrained(source)
    for name, flags in FORMATS.items():
        bundle = work / name
        run("quantize", "-i", source, "-o", bundle, "--format", name, "--quiet", *flags)
        for kind in ("f32", "f16"):
            out = work / f"{name}-{kind}"
            run("export", "-m", bundle, "-o", out, "--type", kind, "--max-shard-size", "3MB", "--quiet")
            case = work / "cases" / f"{source.name} {name} {kind}"
            case.mkdir(parents=True)
            safetensors.torch.save_file(
                {"input_ids": ids, "logits": logits(out, ids).contiguous()}, case / "golden.safetensors")
            (case / "case.json").write_text(json.dumps({"bundle": str(bundle), "checkpoint": str(out), "type": kind}))
            if (source / "tokenizer.json").exists():
                text = "It was a cold morning of the early spring."
                assert transformers.AutoTokenizer.from_pretrained(out)(text).input_ids == whole(text).input_ids


def main():
    sources = [pathlib.Path(p).resolve() for p in sys.argv[1:]]
    if not sources:
        sources = [ROOT / "testdata" / "tiny", *map(weights.directory, weights.names())]
    with tempfile.TemporaryDirectory() as work:
        for source in sources:
            one = pathlib.Path(work) / source.name
            one.mkdir()
            check(source, one)
        sys.stdout.flush()
        env = {**os.environ, "EXPORTED": work}
        subprocess.run(["go", "test", "-count=1", "-v", "-run", "TestExportedLogits", "./cmd/llama-webgpu"], cwd=ROOT, env=env, check=True)


if __name__ == "__main__":
    main()
