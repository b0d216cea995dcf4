#!/usr/bin/env python3
"""Usage: testdata/dither_gguf.py QUANTIZED.gguf OUT.gguf CHECKPOINT

Takes a quantized model off its grid. The weights of a GGUF file lie on the grid of its type, so that another
quantizer may find the very codes again, or meet a grid that no trained matrix has. Here each weight is moved by a
uniform random number within half a step of its own grid; what comes out is as far from the original as the file was, and lies
on no grid. It is written as GGUF with float16 matrices (OUT.gguf) and, by transformers, as a directory with
config.json, model.safetensors and tokenizer.json (CHECKPOINT). The same file gives the same bytes.

  pip install gguf==0.19.0 numpy torch==2.15.0 transformers==5.24.0 accelerate sentencepiece protobuf
"""

import pathlib
import sys

import gguf
import numpy as np

SEED = 20240229
T = gguf.GGMLQuantizationType


def half(b):
    """The float16 numbers of bytes [n][2k]."""
    return b.copy().view(np.float16).astype(np.float32)


def k_scales(b):
    """The eight scales of six bits in the 12 bytes of a Q4_K or Q5_K block: [n][8]."""
    b = b.astype(np.int32)
    low = b[:, :4] & 63
    high = (b[:, 8:12] & 15) | ((b[:, :4] >> 6) << 4)
    return np.concatenate([low, high], 1).astype(np.float32)


# The step of the grid that a weight lies on, from the blocks of its type, bytes [n][size]: [n][groups].
STEPS = {
    T.Q4_0: lambda b: abs(half(b[:, :2])),
    T.Q4_1: lambda b: abs(half(b[:, :2])),
    T.Q5_0: lambda b: abs(half(b[:, :2])),
    T.Q5_1: lambda b: abs(half(b[:, :2])),
    T.Q8_0: lambda b: abs(half(b[:, :2])),
    T.Q4_K: lambda b: abs(half(b[:, :2])) * k_scales(b[:, 4:16]),
    T.Q5_K: lambda b: abs(half(b[:, :2])) * k_scales(b[:, 4:16]),
    T.Q6_K: lambda b: abs(half(b[:, 208:210]) * b[:, 192:208].view(np.int8).astype(np.float32)),
}


def dithered(t, rng):
    """The weights of tensor t, off their grid, in float16: [rows][cols]."""
    if t.tensor_type not in STEPS:
        raise SystemExit(f"{t.name}: the steps of {t.tensor_type.name} are not known here")
    w = gguf.quants.dequantize(t.data, t.tensor_type)
    block, size = gguf.GGML_QUANT_SIZES[t.tensor_type]
    step = STEPS[t.tensor_type](t.data.reshape(-1, size))
    step = np.repeat(step, block // step.shape[1], axis=1).reshape(w.shape)
    return (w + step * (rng.random(w.shape, dtype=np.float32) - 0.5)).astype(np.float16)


def rewrite(source, out):
    """Writes the dithered model as GGUF."""
    r = gguf.GGUFReader(source)
    w = gguf.GGUFWriter(out, r.fields["general.architecture"].contents())
    for name, field in r.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = field.contents()
        if name == "general.file_type":
            value = int(gguf.LlamaFileType.MOSTLY_F16)
        kind = field.types[0]
        w.add_key_value(name, value, kind, field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    rng = np.random.default_rng(SEED)
    for t in r.tensors:
        plain = t.tensor_type in (T.F32, T.F16)
        w.add_tensor(t.name, np.array(t.data) if plain else dithered(t, rng))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def checkpoint(source, out):
    """Writes what transformers makes of a GGUF file as a checkpoint in float16."""
    import torch
    import transformers

    source = pathlib.Path(source)
    read = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    model = transformers.AutoModelForCausalLM.from_pretrained(**read, dtype=torch.float16)
    for config in (model.config, model.generation_config):
        config.__dict__.pop("quantization_config", None)
    config = type(model.config).from_dict(model.config.to_dict())
    plain = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float16)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(out)
    transformers.AutoTokenizer.from_pretrained(**read).save_pretrained(out)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    rewrite(*sys.argv[1:3])
    checkpoint(*sys.argv[2:])
