#!/usr/bin/env python3
"""Usage: testdata/quality_real.py PROGRAM CHECKPOINT GGUF LIBRARIES TEXT WINDOWS OUT

Prints how far the bundles that PROGRAM makes of CHECKPOINT drift from it, beside llama.cpp's types, which its
libraries in LIBRARIES make of the same weights in GGUF. All of them are dequantized and run by transformers in float32, over the second
halves of WINDOWS windows of 512 tokens of TEXT, so that nothing but the weights differs. Files go to OUT. ROWS chooses
rows whose names match a regular expression; CALIBRATION names a text for the rows that want one, and a GPU.

  pip install gguf==0.19.0 numpy torch==2.15.0 transformers==5.24.0 safetensors==0.8.0 tokenizers
"""

import ctypes
import glob
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

import gguf
import safetensors.torch
import tokenizers
import torch
import transformers

transformers.logging.set_verbosity_error()
WINDOW = 512

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
    "int4, gptq": ["--format", "int4"],
    "int4/128, gptq": ["--format", "int4", "--block-size", "128"],
    "int2, gptq": ["--format", "int2"],
    "2.93 bits, gptq": ["--bits", "2.93"],
}
# llama.cpp's types, by their numbers in llama.h.
PEERS = {"Q8_0": 7, "Q4_K_M": 15, "Q4_K_S": 14, "IQ4_NL": 25, "Q4_0": 2, "IQ4_XS": 30, "Q2_K": 10}

# The matrices of a layer, as GGUF and as transformers call them.
NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


class Llama:
    """llama.cpp's quantizer."""

    class Params(ctypes.Structure):
        # The first members of llama_model_quantize_params; the rest keeps what the library puts there.
        _fields_ = [("threads", ctypes.c_int32), ("ftype", ctypes.c_int32), ("rest", ctypes.c_char * 1024)]

    def __init__(self, directory):
        load = lambda name: ctypes.CDLL(sorted(glob.glob(f"{directory}/{name}"))[0], mode=ctypes.RTLD_GLOBAL)
        for name in ("libggml-base.so*", "libggml.*so*"):
            load(name)
        self.lib = load("libllama.*so*")
        self.lib.llama_model_quantize_default_params.restype = self.Params
        self.lib.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(self.Params)]
        self.log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        self.lib.llama_log_set(self.log, None)

    def quantize(self, source, out, ftype):
        p = self.lib.llama_model_quantize_default_params()
        p.ftype = ftype
        if self.lib.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(p)) != 0:
            raise SystemExit(f"llama_model_quantize: {source} to type {ftype}")


class Model:
    """The checkpoint, whose matrices are replaced for each measurement."""

    def __init__(self, directory, text, windows):
        self.model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
        tokenizer = tokenizers.Tokenizer.from_file(f"{directory}/tokenizer.json")
        text = pathlib.Path(text).read_text(encoding="utf-8")
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        windows = min(windows, len(ids) // WINDOW)
        self.ids = torch.tensor(ids[: windows * WINDOW]).view(windows, WINDOW).clone()
        start = tokenizer.encode("a").ids  # with BOS where this tokenizer adds one
        if start[0] == self.model.config.bos_token_id:
            self.ids[:, 0] = start[0]
        self.weights = dict(self.model.named_parameters())
        self.original = {n: w.detach().clone() for n, w in self.weights.items()}
        self.base = [self.log_probs(w) for w in self.ids]

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
            q = self.log_probs(w)
            klds.append((p.exp() * (p - q)).sum(-1))
            same.append((p.argmax(-1) == q.argmax(-1)).double())
            nll.append(-q.gather(-1, w[WINDOW // 2 + 1 :, None]))
        klds = torch.cat(klds).double()
        return klds.mean().item(), klds.std().item() / math.sqrt(len(klds)), torch.cat(same).mean().item(), math.exp(torch.cat(nll).mean().item())


def peer(path, config):
    """The matrices of a GGUF file, by the names that transformers has for them, and bits a weight in layers and of all."""
    out, bits, weights, all_bits, all_weights = {}, 0, 0, 0, 0
    for t in gguf.GGUFReader(path).tensors:
        part = t.name.split(".")
        all_bits, all_weights = all_bits + 8 * t.data.nbytes, all_weights + int(t.n_elements)
        if part[0] == "blk" and part[2] in NAMES:
            w = torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).copy())
            if config.model_type == "llama" and part[2] in ("attn_q", "attn_k"):  # pairs of RoPE lie side by side there
                heads = config.num_attention_heads if part[2] == "attn_q" else config.num_key_value_heads
                w = w.view(heads, w.shape[0] // heads // 2, 2, w.shape[1]).transpose(1, 2).reshape(w.shape)
            out[f"model.layers.{part[1]}.{NAMES[part[2]]}.weight"] = w
            bits, weights = bits + 8 * t.data.nbytes, weights + w.numel()
        elif t.name in ("token_embd.weight", "output.weight"):
            name = "model.embed_tokens.weight" if part[0] == "token_embd" else "lm_head.weight"
            out[name] = torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).copy())
    return out, bits / weights, all_bits / all_weights


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


def main(program, checkpoint, source, libraries, text, windows, out):
    os.makedirs(out, exist_ok=True)
    rows = re.compile(os.environ.get("ROWS", "."))
    model, llama = Model(checkpoint, text, int(windows)), Llama(libraries)

    def row(name, tensors, layers, everything):
        model.put(tensors)
        kld, error, same, ppl = model.measure()
        print(f"| {name} | {layers:.2f} | {everything:.2f} | {kld:.4f} ± {error:.4f} | {100 * same:.1f} % | {ppl:.2f} |", flush=True)

    print(f"| {pathlib.Path(checkpoint).name}, {len(model.ids)} windows | bits/weight in layers | of all | mean KLD | same top token | perplexity |")
    print("|---|---|---|---|---|---|")
    model.put({})
    print(f"| as it was | 16.00 | 16.00 | 0 | 100 % | {model.measure()[3]:.2f} |", flush=True)
    ours = dict(OURS)
    if text := os.environ.get("CALIBRATION"):
        ours |= {n: [*o, "--method", "gptq", "--calibration", text] for n, o in CALIBRATED.items()}
    for name, options in ours.items():
        if rows.search(name):
            row(name, *bundle(program, checkpoint, out, options))
    for name, ftype in PEERS.items():
        if rows.search(name):
            path = f"{out}/{name}.gguf"
            if not os.path.exists(path):
                llama.quantize(source, f"{path}.part", ftype)
                os.rename(f"{path}.part", path)
            row(f"llama.cpp {name}", *peer(path, model.model.config))


if __name__ == "__main__":
    if len(sys.argv) != 8:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
