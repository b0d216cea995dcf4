#!/usr/bin/env python3
"""Usage: testdata/quality_real.py PROGRAM CHECKPOINT GGUF LIBRARIES TEXT WINDOWS OUT

Prints how far the bundles that PROGRAM makes of CHECKPOINT drift from it, beside llama.cpp's types, which its libraries in
LIBRARIES make of the same weights in GGUF. All of them are dequantized and run by transformers in float32, over the second
halves of WINDOWS windows of 512 tokens of TEXT, so that nothing but the weights differs; on a GPU, if PyTorch has one. Files go to
OUT. From the environment:

  ROWS                 a regular expression: rows whose names it matches
  CALIBRATED           anything: the rows that are calibrated, too; that takes long without a GPU
  CALIBRATION          the text that these and llama.cpp's importance matrix are made with, in place of the one that
                       PROGRAM calibrates with
  CALIBRATION_WINDOWS  at most so many windows of it (128)

  pip install gguf==0.19.0 numpy torch==2.15.0 transformers==5.24.0 safetensors==0.8.0 tokenizers
"""

import glob
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

import gguf
import numpy as np
import safetensors.torch
import tokenizers
import torch
import transformers

import llama_cpp

transformers.logging.set_verbosity_error()
WINDOW = 512
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
GENERAL = pathlib.Path(__file__).parent.parent / "quant/auto/general.txt"

# Our rows: name, and what quantize is told. The first is what it does when it is told nothing.
OURS = {
    "int4": ["--format", "int4"],
    "int4, rtn": ["--format", "int4", "--method", "rtn"],
    "int4/32": ["--format", "int4", "--block-size", "32"],
    "int4/64": ["--format", "int4", "--block-size", "64"],
    "int4/128, embedding int4": ["--format", "int4", "--block-size", "128", "--embed-format", "int4"],
    "int4/128, embedding int4, rtn": ["--format", "int4", "--block-size", "128", "--embed-format", "int4", "--method", "rtn"],
    "int8": ["--format", "int8"],
    "int8, rtn": ["--format", "int8", "--method", "rtn"],
    "int2": ["--format", "int2"],
    "int2, rtn": ["--format", "int2", "--method", "rtn"],
}
CALIBRATED = {
    "int4, calibrated": ["--format", "int4"],
    "4.8 bits, calibrated": ["--bits", "4.8"],
    "4.3 bits, calibrated": ["--bits", "4.3"],
    "2.95 bits, calibrated": ["--bits", "2.95"],
    "int4/128, calibrated": ["--format", "int4", "--block-size", "128"],
    "int2, calibrated": ["--format", "int2"],
}


def windows_of(text, tokenizer, bos, most):
    """Windows of tokens of a text [n][WINDOW], each begun by BOS where the tokenizer adds one."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    n = min(most, len(ids) // WINDOW)
    out = torch.tensor(ids[: n * WINDOW]).view(n, WINDOW).clone()
    start = tokenizer.encode("a").ids
    if start[0] == bos:
        out[:, 0] = start[0]
    return out


class Model:
    """The checkpoint, whose matrices are replaced for each measurement."""

    def __init__(self, directory, text, windows, out):
        self.model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval().to(DEVICE)
        self.tokenizer = tokenizers.Tokenizer.from_file(f"{directory}/tokenizer.json")
        self.ids = self.windows(text, windows)
        self.weights = dict(self.model.named_parameters())
        self.original = {n: w.detach().clone() for n, w in self.weights.items()}
        shape = (len(self.ids), WINDOW // 2 - 1, self.model.config.vocab_size)
        self.base = np.lib.format.open_memmap(f"{out}/base.npy", mode="w+", dtype=np.float32, shape=shape)
        os.unlink(f"{out}/base.npy")  # it goes with the process
        for i, w in enumerate(self.ids):
            self.base[i] = self.log_probs(w).cpu()

    def windows(self, text, most):
        """The first windows of the file text."""
        text = pathlib.Path(text).read_text(encoding="utf-8")
        return windows_of(text, self.tokenizer, self.model.config.bos_token_id, most).to(DEVICE)

    @torch.no_grad()
    def log_probs(self, w):
        return self.model(w[None], logits_to_keep=WINDOW // 2).logits[0, :-1].log_softmax(-1)

    def put(self, tensors):
        for n, w in self.weights.items():
            w.data.copy_(tensors.get(n, self.original[n]))

    def measure(self):
        """Returns mean KLD, its standard error, agreement and perplexity."""
        klds, same, nll = [], [], []
        for w, p in zip(self.ids, self.base):
            p, q = torch.from_numpy(p).to(DEVICE), self.log_probs(w)
            klds.append((p.exp() * (p - q)).sum(-1))
            same.append((p.argmax(-1) == q.argmax(-1)).double())
            nll.append(-q.gather(-1, w[WINDOW // 2 + 1 :, None]))
        klds = torch.cat(klds).double()
        return klds.mean().item(), klds.std().item() / math.sqrt(len(klds)), torch.cat(same).mean().item(), math.exp(torch.cat(nll).mean().item())


def bundle(program, checkpoint, out, options):
    """The same of a bundle, which is made first, verified to be whole by export, and removed."""
    made, back = f"{out}/bundle", f"{out}/exported"
    subprocess.run([program, "quantize", "--input-dir", checkpoint, "--output-dir", made, "--force", "--discard", "--quiet", *options], check=True)
    subprocess.run([program, "export", "--model", made, "--output-dir", back, "--type", "f32", "--force"], check=True, stdout=subprocess.DEVNULL)
    manifest = json.loads(pathlib.Path(made, "manifest.json").read_text())
    size = {False: [0, 0], True: [0, 0]}
    for t in manifest["tensors"]:
        n = math.prod(t["shape"])
        matrix_of_layer = t.get("layer", -1) >= 0 and len(t["shape"]) > 1
        size[matrix_of_layer][0] += 8 * t["length"]
        size[matrix_of_layer][1] += n
    tensors = {}
    for file in glob.glob(f"{back}/*.safetensors"):
        tensors |= safetensors.torch.load_file(file)
    for d in (made, back):
        shutil.rmtree(d)
    everything = [sum(x) for x in zip(*size.values())]
    return tensors, size[True][0] / size[True][1], everything[0] / everything[1]


def calibration():
    """The text, how many windows of it, and a name for both."""
    text, most = os.environ.get("CALIBRATION") or GENERAL, int(os.environ.get("CALIBRATION_WINDOWS") or 128)
    return text, most, f"{hashlib.sha256(pathlib.Path(text).read_bytes()).hexdigest()[:12]}.{most}"


def importance(model, out):
    """The importance matrix, which is kept in OUT, and its path."""
    text, most, name = calibration()
    path = f"{out}/importance.{name}.npz"
    if not os.path.exists(path):
        model.put({})
        np.savez(f"{path}.part.npz", **llama_cpp.importance(model.model, model.windows(text, most)))
        os.rename(f"{path}.part.npz", path)
    return path, dict(np.load(path))


def our_rows(out):
    """Name → options of quantize. What --bits has measured is kept in OUT."""
    rows = dict(OURS)
    if os.environ.get("CALIBRATED"):
        _, most, name = calibration()
        options = ["--method", "gptq", "--calibration-windows", str(most)]
        if text := os.environ.get("CALIBRATION"):
            options += ["--calibration", text]
        for row, o in CALIBRATED.items():
            rows[row] = [*o, *options, *(["--sensitivity", f"{out}/sensitivity.{name}.json"] if "--bits" in o else [])]
    return rows


END_TO_END = "llama.cpp Q2_K, rows end to end, importance matrix"


def end_to_end(llama, model, matrix):
    """Q2_K as it would be if its blocks fit the rows; the embedding as Q8_0."""
    q8 = lambda w: gguf.quants.dequantize(gguf.quants.quantize(w, gguf.GGMLQuantizationType.Q8_0), gguf.GGMLQuantizationType.Q8_0)
    config, tensors, bits, weights = model.model.config, {}, 0, 0
    types = dict(llama_cpp.Q2_K)
    if config.num_attention_heads < 4 * config.num_key_value_heads:
        types["attn_v"] = "Q3_K"
    for layer in range(config.num_hidden_layers):
        for kind, ours in llama_cpp.NAMES.items():
            name = f"model.layers.{layer}.{ours}.weight"
            w, n = llama.end_to_end(model.original[name].cpu().numpy(), types.get(kind, "Q2_K"), matrix[f"blk.{layer}.{kind}.weight"])
            tensors[name] = torch.from_numpy(w.copy())
            bits, weights = bits + n, weights + w.size
    embedding = model.original["model.embed_tokens.weight"]
    tensors["model.embed_tokens.weight"] = torch.from_numpy(q8(embedding.cpu().numpy()))
    return tensors, bits / weights, (bits + 8.5 * embedding.numel()) / (weights + embedding.numel())


def main(program, checkpoint, source, libraries, text, windows, out):
    os.makedirs(out, exist_ok=True)
    wanted = re.compile(os.environ.get("ROWS") or ".").search
    peers = {f"llama.cpp {n}{suffix}": (n, suffix) for suffix in ("", ", importance matrix") for n in llama_cpp.TYPES}
    if not any(map(wanted, [*our_rows(out), *peers, END_TO_END])):
        raise SystemExit(f"ROWS={os.environ['ROWS']}: matches no row (make wants $$ for $)")
    model, llama = Model(checkpoint, text, int(windows), out), llama_cpp.Llama(libraries)

    def row(name, tensors, layers, everything):
        model.put(tensors)
        kld, error, same, ppl = model.measure()
        print(f"| {name} | {layers:.2f} | {everything:.2f} | {kld:.4f} ± {error:.4f} | {100 * same:.1f} % | {ppl:.2f} |", flush=True)

    print(f"| {pathlib.Path(checkpoint).name}, {len(model.ids)} windows | bits/weight in layers | of all | mean KLD | same top token | perplexity |")
    print("|---|---|---|---|---|---|")
    model.put({})
    print(f"| as it was | 16.00 | 16.00 | 0 | 100 % | {model.measure()[3]:.2f} |", flush=True)
    for name, options in our_rows(out).items():
        if wanted(name):
            row(name, *bundle(program, checkpoint, out, options))
    for row_name, (name, suffix) in peers.items():
        if wanted(row_name):
            made, matrix = f"{out}/{name}.gguf", None
            if suffix:
                path, matrix = importance(model, out)
                made = f"{path}.{name}.gguf"
            if not os.path.exists(made):
                llama.quantize(source, f"{made}.part", name, matrix)
                os.rename(f"{made}.part", made)
            row(row_name, *llama_cpp.read(made, model.model.config))
    if wanted(END_TO_END):
        row(END_TO_END, *end_to_end(llama, model, importance(model, out)[1]))


if __name__ == "__main__":
    if len(sys.argv) != 8:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
