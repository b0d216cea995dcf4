"""Checks that transformers sees the same drift as we do: it evaluates a checkpoint, and the checkpoint that a
bundle of it is exported to, over the windows of a text, and compares mean KL divergence and perplexity
with those of "llama-webgpu compare".

  make build
  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install transformers==5.17.0 torch==2.15.0 safetensors==0.8.0 tokenizers
  /tmp/venv/bin/python testdata/check_drift.py CHECKPOINT BUNDLE TEXT [WINDOWS]
"""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import tokenizers
import torch
import transformers

transformers.logging.set_verbosity_error()
ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("LLAMA_WEBGPU", str(ROOT / "build" / "llama-webgpu"))
WINDOW = 512


def run(*args):
    return subprocess.run([PROGRAM, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True).stdout


def windows(checkpoint, text, n):
    """Token ids [n][WINDOW], the first of each window replaced by BOS."""
    tokenizer = tokenizers.Tokenizer.from_file(f"{checkpoint}/tokenizer.json")
    ids = tokenizer.encode(pathlib.Path(text).read_text(encoding="utf-8"), add_special_tokens=False).ids
    config = json.loads(pathlib.Path(checkpoint, "config.json").read_text())
    w = torch.tensor(ids[: n * WINDOW]).view(n, WINDOW).clone()
    w[:, 0] = config["bos_token_id"]
    return w


@torch.no_grad()
def log_probs(directory, ids):
    """Of the second halves, in float32 arithmetic: [n][WINDOW/2-1][vocab]."""
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    return torch.cat([model(w[None]).logits[:, WINDOW // 2 : -1].log_softmax(-1) for w in ids])


def main(checkpoint, bundle, text, n=8):
    ids = windows(checkpoint, text, int(n))
    with tempfile.TemporaryDirectory() as tmp:
        run("export", "--model", bundle, "--output-dir", f"{tmp}/exported", "--type", "f32")
        p, q = log_probs(checkpoint, ids), log_probs(f"{tmp}/exported", ids)
    kld = (p.exp() * (p - q)).sum(-1).mean().item()
    ppl = math.exp(-q.gather(-1, ids[:, WINDOW // 2 + 1 :, None]).mean().item())
    ours = json.loads(run("compare", bundle, "--reference", checkpoint, "--text", text, "--windows", n, "--device", "cpu", "--json"))
    drift = ours["bundles"][0]["drift"]
    print(f"mean KLD    transformers {kld:.6f}   llama-webgpu {drift['mean_kld']:.6f}")
    print(f"perplexity  transformers {ppl:.4f}   llama-webgpu {drift['ppl']:.4f}")
    if abs(kld - drift["mean_kld"]) > 0.005 * kld + 1e-6 or abs(ppl - drift["ppl"]) > 0.002 * ppl:
        sys.exit("they differ")


main(*sys.argv[1:])
