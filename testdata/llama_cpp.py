"""llama.cpp's quantizer, as a library: testdata/quality_real.py compares bundles with what it makes.

An importance matrix says for each column of a matrix how large its inputs are: the mean of their squares over some
text, which is what llama-imatrix writes and llama-quantize takes. Here transformers computes it.
"""

import ctypes
import glob
import math

import gguf
import numpy as np
import torch

# llama.cpp's types, by their numbers in llama.h.
TYPES = {"Q8_0": 7, "Q4_K_M": 15, "Q4_K_S": 14, "IQ4_NL": 25, "Q4_0": 2, "IQ4_XS": 30, "Q2_K": 10}

# The matrices of a layer, as GGUF and as transformers call them.
NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


# What llama-quantize takes for the matrices of a layer as Q2_K, where blocks of 256 fit the rows. Values are Q3_K if fewer than four
# query heads read them.
Q2_K = {"attn_v": "Q4_K", "attn_output": "Q3_K", "ffn_down": "Q3_K"}


class Importance(ctypes.Structure):
    """llama_model_imatrix_data"""

    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)), ("size", ctypes.c_size_t)]


class Params(ctypes.Structure):
    """llama_model_quantize_params"""

    _fields_ = (
        [(n, ctypes.c_int32) for n in ("threads", "ftype", "output_type", "embedding_type")]
        + [(n, ctypes.c_bool) for n in ("requantize", "quantize_output", "only_copy", "pure", "keep_split", "dry_run")]
        + [("imatrix", ctypes.POINTER(Importance))]
        + [(n, ctypes.c_void_p) for n in ("kv_overrides", "type_overrides", "prune_layers")]
    )


class Llama:
    """The libraries of node-llama-cpp in a directory."""

    def __init__(self, directory):
        load = lambda name: ctypes.CDLL(sorted(glob.glob(f"{directory}/{name}"))[0], mode=ctypes.RTLD_GLOBAL)
        self.base, _ = [load(name) for name in ("libggml-base.so*", "libggml.*so*")]
        self.base.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.lib = load("libllama.*so*")
        self.lib.llama_model_quantize_default_params.restype = Params
        self.lib.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Params)]
        self.log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        self.lib.llama_log_set(self.log, None)

    def quantize(self, source, out, type, importance=None):
        """Writes the GGUF file source as out. importance: name of a tensor → a number for each of its columns."""
        p = self.lib.llama_model_quantize_default_params()
        p.ftype = TYPES[type]
        if importance:
            rows = {n: np.ascontiguousarray(v, dtype=np.float32) for n, v in importance.items()}
            pointer = ctypes.POINTER(ctypes.c_float)
            list = [Importance(n.encode(), v.ctypes.data_as(pointer), v.size) for n, v in rows.items()]
            p.imatrix = (Importance * (len(list) + 1))(*list)  # the last has no name
        if self.lib.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(p)) != 0:
            raise SystemExit(f"llama_model_quantize: {source} to {type}")


    def end_to_end(self, w, type, importance):
        """w [rows][cols] as a type of GGUF and back, and its bits. Rows whose columns do not divide into blocks of 256 are laid end to
        end, as many as make whole blocks, so that they get the type that other rows have."""
        rows, cols = w.shape
        type, together = gguf.GGMLQuantizationType[type], 256 // math.gcd(cols, 256)
        block, size = gguf.GGML_QUANT_SIZES[type]
        flat = np.ascontiguousarray(w, dtype=np.float32).reshape(-1, cols * together)
        weights = np.tile(np.asarray(importance, dtype=np.float32), together)
        out = np.zeros((flat.shape[0], flat.shape[1] // block * size), dtype=np.uint8)
        pointer = lambda a: a.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        long = ctypes.c_int64
        n = self.base.ggml_quantize_chunk(
            ctypes.c_int(type), pointer(flat), ctypes.c_void_p(out.ctypes.data), long(0), long(flat.shape[0]), long(flat.shape[1]), pointer(weights)
        )
        if n != out.nbytes:
            raise SystemExit(f"ggml_quantize_chunk: {n} bytes of {type.name}, want {out.nbytes}")
        return gguf.quants.dequantize(out, type).reshape(rows, cols), 8 * n


@torch.no_grad()
def importance(model, windows):
    """The importance matrix of a model of transformers, over windows of tokens [n][size], by the names of GGUF."""
    sums, tokens = {}, windows.numel()

    def hook(name):
        sums[name] = 0

        def add(_, inputs):
            sums[name] += inputs[0].square().sum((0, 1)).double()

        return add

    ours = {v: k for k, v in NAMES.items()}
    hooks = []
    for name, module in model.named_modules():
        layer, _, kind = name.removeprefix("model.layers.").partition(".")
        if kind in ours:
            hooks.append(module.register_forward_pre_hook(hook(f"blk.{layer}.{ours[kind]}.weight")))
    for w in windows:
        model.model(w[None])
    for h in hooks:
        h.remove()
    return {n: (s / tokens).cpu().numpy() for n, s in sums.items()}


def read(path, config):
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
