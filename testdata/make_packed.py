"""Makes checkpoints of testdata/quantized whose weights are 4-bit floats, codes of bitsandbytes, or
words of other widths, each as its tool stores it, and what the libraries make of them.

  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install transformers==5.24.0 torch==2.15.0 safetensors==0.8.0 compressed-tensors==0.20.0 peft==0.21.2 accelerate bitsandbytes==0.50.2 mlx==0.32.4 mlx-cpu==0.32.4
  /tmp/venv/bin/python testdata/make_packed.py [NAME...]

The files are those of make_quantized.py. Zeros in the goldens are positive.

  bnb_nf4 bnb_fp4 bnb_int8
               transformers quantizes and saves with bitsandbytes, with double quantization, in bfloat16
               storage, and to 8 bits; bitsandbytes dequantizes
  ct_nvfp4 ct_mxfp4 ct_mxfp8
               compressed-tensors compresses and decompresses
  mo_nvfp4     as NVIDIA's Model Optimizer stores NVFP4, with factors for the columns of one matrix and
               hf_quant_config.json; dequantized by the published formula: E2M1 · (E4M3 · global scale)
  mo_fp8       the same tool's FP8, with its method in config.json and a scale for a KV cache
  mlx mlx_mixed mlx_floats
               mlx quantizes and dequantizes, embedding included: 4 bits, 2 to 8 bits, and mxfp4, nvfp4 and mxfp8
  gptq3 ct_int3
               3 bits packed across words: dequantized bit by bit, and by compressed-tensors
"""

import copy
import json
import sys
import tempfile

import bitsandbytes
import mlx.core as mx
import numpy as np
import torch
import transformers
from bitsandbytes.backends.default import ops as default
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams

import make_quantized as base

assert bitsandbytes.__version__ == "0.50.2", bitsandbytes.__version__
assert mx.__version__ == "0.32.4", mx.__version__

TINY = dict(hidden_size=64, intermediate_size=96, **base.COMMON)


class Made(base.Made):
    def dequantized(self, module, values, half=None):
        super().dequantized(module, values + 0.0, None if half is None else half + 0.0)


def make_bnb(name, seed):
    options = {
        "bnb_nf4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
        "bnb_fp4": dict(load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_quant_storage=torch.bfloat16),
        "bnb_int8": dict(load_in_8bit=True),
    }[name]
    m = Made(name, TINY, None, seed)
    with tempfile.TemporaryDirectory() as d:
        copy.deepcopy(m.model).half().save_pretrained(d)  # half() rounds RoPE's frequencies too
        config = transformers.BitsAndBytesConfig(**options)
        model = transformers.AutoModelForCausalLM.from_pretrained(d, dtype=torch.float16, quantization_config=config, device_map="cpu")
    m.tensors = {n: t for n, t in model.state_dict().items() if n != "lm_head.weight"}
    m.quantization = json.loads(json.dumps(model.config.quantization_config.to_dict(), default=str))
    for n, _ in m.linears():
        w = model.get_submodule(n).weight
        if "int8" in name:
            values = w.data * (w.SCB * torch.tensor(1 / 127))[:, None]
            theirs = torch.ops.bitsandbytes.int8_vectorwise_dequant(w.data, w.SCB)
            assert ((values - theirs).abs() <= theirs.abs() * 2**-23).all()  # one rounding more
        else:
            values = dequantized_bnb(w.data, w.quant_state)
        m.dequantized(n, values)
    m.save()


def dequantized_bnb(codes, state):
    """As the library does it on every device. Its CPU kernel differs, and is wrong, where blocks go on in the next row."""
    absmax = state.absmax
    if state.nested:
        absmax = bitsandbytes.functional.dequantize_blockwise(absmax, state.state2) + state.offset
    table = bitsandbytes.functional.get_4bit_type(state.quant_type, device="cpu")
    values = default._dequantize_4bit_compute(codes.view(torch.uint8).reshape(-1), absmax, table, state.blocksize, state.shape, torch.float32)
    if state.shape[1] % state.blocksize == 0:
        state.dtype = torch.float32
        assert torch.equal(values, bitsandbytes.functional.dequantize_4bit(codes, state))
    return values


def make_compressed(name, seed):
    form, group, strategy, scale_dtype, bits = {
        "ct_nvfp4": ("nvfp4-pack-quantized", 16, "tensor_group", None, 4),
        "ct_mxfp4": ("mxfp4-pack-quantized", 32, "group", torch.uint8, 4),
        "ct_mxfp8": ("mxfp8-quantized", 32, "group", torch.uint8, 8),
    }[name]
    weights = QuantizationArgs(num_bits=bits, type="float", strategy=strategy, group_size=group, symmetric=True, scale_dtype=scale_dtype)
    scheme = QuantizationScheme(targets=["Linear"], weights=weights, format=form)
    m = Made(name, TINY, dict(quant_method="compressed-tensors", format=form, quantization_status="compressed", ignore=["lm_head"],
                              version="0.20.0", kv_cache_scheme=None, config_groups=dict(group_0=json.loads(scheme.model_dump_json(exclude_none=True)))), seed)
    compressor = BaseCompressor.get_value_from_registry(form)
    for n, linear in m.linears():
        w = linear.weight.data
        groups = w.reshape(w.shape[0], -1, group)
        largest = w.abs().max()
        overall = torch.tensor([448 * 6 / largest.item()]) if bits == 4 and group == 16 else None
        scale, _ = calculate_qparams(groups.amin(-1), groups.amax(-1), weights, global_scale=overall)
        state = dict(weight=w, weight_scale=scale.float()) | ({} if overall is None else dict(weight_global_scale=overall))
        packed = {k: v for k, v in compressor.compress(state, scheme).items() if v is not None}
        m.put(n, packed)
        m.dequantized(n, decompressed(packed, scheme, compressor))
    m.save()


def decompressed(packed, scheme, compressor):
    """What the library decompresses to, in float32 where it would take bfloat16."""
    from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
    from compressed_tensors.quantization.lifecycle.forward import dequantize

    scale = packed["weight_scale"]
    scale = (scale.int() - 127).float().exp2() if scale.dtype == torch.uint8 else scale.float()
    if "weight" in packed:
        codes = packed["weight"].float()
    else:
        rows, half = packed["weight_packed"].shape
        codes = unpack_fp4_from_uint8(packed["weight_packed"], rows, 2 * half, torch.float32)
    values = dequantize(codes, scale, args=scheme.weights, global_scale=packed.get("weight_global_scale"), dtype=torch.float32)
    theirs = compressor.decompress(packed, scheme)["weight"].float()
    assert (values - theirs).abs().max() <= theirs.abs().max() / 128
    return values


E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])


def nvfp4(w):
    """Quantizes to E2M1 in groups of 16: codes [rows][cols/2], scales, global scale, and the values."""
    rows, cols = w.shape
    groups = w.reshape(rows, cols // 16, 16)
    overall = w.abs().max() / (448 * 6)
    scale = (groups.abs().amax(-1) / 6 / overall).to(torch.float8_e4m3fn)
    step = scale.float() * overall
    x = groups / step[..., None]
    index = (x.abs()[..., None] - E2M1).abs().argmin(-1)
    codes = (index + 8 * (x < 0)).reshape(rows, cols).to(torch.uint8)
    values = (E2M1[index] * torch.where(x < 0, -1.0, 1.0) * step[..., None]).reshape(rows, cols)
    return codes[:, 0::2] | codes[:, 1::2] << 4, scale, overall, values


def make_modelopt(name, seed):
    fp8 = name == "mo_fp8"
    producer = dict(name="modelopt", version="0.47.0")
    inside = dict(config_groups=dict(group_0=dict(weights=dict(dynamic=False, num_bits=8, type="float"), targets=["Linear"])), ignore=["lm_head"],
                  quant_algo="FP8", kv_cache_scheme=dict(dynamic=False, num_bits=8, type="float"), producer=producer, quant_method="modelopt")
    m = Made(name, TINY, inside if fp8 else None, seed)
    for n, linear in m.linears():
        w = linear.weight.data
        if fp8:
            scale = w.abs().max() / 448
            q = (w / scale).to(torch.float8_e4m3fn)
            m.put(n, dict(weight=q, weight_scale=scale, input_scale=torch.tensor(0.5)) | (dict(k_scale=torch.tensor(1.0)) if "k_proj" in n else {}))
            m.dequantized(n, q.float() * scale)
            continue
        factors = torch.ones(w.shape[1])
        if n.endswith("o_proj"):
            factors = (1 + 0.5 * torch.rand(w.shape[1], generator=torch.Generator().manual_seed(seed))).bfloat16().float()
        codes, scale, overall, values = nvfp4(w / factors)
        m.put(n, dict(weight=codes, weight_scale=scale, weight_scale_2=overall, input_scale=torch.tensor(0.01))
              | (dict(pre_quant_scale=factors.bfloat16()) if n.endswith("o_proj") else {}))
        m.dequantized(n, values * factors)
    m.save({} if fp8 else {"hf_quant_config.json": dict(producer=producer, quantization=dict(
        quant_algo="NVFP4_AWQ", kv_cache_quant_algo=None, group_size=16, has_zero_point=False, pre_quant_scale=True, exclude_modules=["lm_head"]))})


MLX_MODES = dict(mxfp4=(32, 4), nvfp4=(16, 4), mxfp8=(32, 8))


def make_mlx(name, seed):
    floats, mixed = name == "mlx_floats", name == "mlx_mixed"
    group, bits = (32, 4) if floats or mixed else (64, 4)
    widths = dict(q_proj=2, k_proj=3, v_proj=5, o_proj=6, up_proj=8) if mixed else {}
    modes = dict(q_proj="nvfp4", up_proj="mxfp8") if floats else {}
    m = Made(name, TINY, None, seed)
    quantization = dict(group_size=group, bits=bits) | (dict(mode="mxfp4") if floats else {})
    for n, module in [("model.embed_tokens", m.model.model.embed_tokens)] + m.linears():
        leaf = n.split(".")[-1]
        mode = modes.get(leaf, "mxfp4") if floats else "affine"
        size, width = MLX_MODES.get(mode, (32 if leaf == "down_proj" else group, widths.get(leaf, bits)))  # 96 columns are no groups of 64
        options = dict(group_size=size, bits=width) | (dict(mode=mode) if floats else {})
        if any(options[k] != quantization.get(k) for k in options):
            quantization[n] = options
        options = options | dict(mode=mode)
        w, scales, *biases = mx.quantize(mx.array(module.weight.data.numpy()).astype(mx.bfloat16), **options)
        t = {}
        for suffix, a in zip(("weight", "scales", "biases"), (w, scales, *biases)):
            t[suffix] = torch.from_numpy(np.array(a.astype(mx.float32))).bfloat16() if a.dtype == mx.bfloat16 else torch.from_numpy(np.array(a))
        m.put(n, t)
        wide = [a.astype(mx.float32) if a.dtype == mx.bfloat16 else a for a in (scales, *biases)]
        values = mx.dequantize(w, *wide, **options, **({} if biases else dict(dtype=mx.float32)))
        m.dequantized(n, torch.from_numpy(np.array(values)))
    m.save()
    config = json.loads((m.dir / "config.json").read_text())
    config["quantization"] = config["quantization_config"] = quantization
    (m.dir / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def stream(values, bits):
    """Packs the last axis into int32, bit after bit."""
    v = values.numpy().astype(np.uint8)[..., None]
    flat = np.unpackbits(v, axis=-1, bitorder="little")[..., :bits].reshape(*values.shape[:-1], -1)
    return torch.from_numpy(np.packbits(flat, axis=-1, bitorder="little").view(np.int32))


def make_gptq3(name, seed):
    group = 32
    m = Made(name, TINY, dict(quant_method="gptq", bits=3, group_size=group, desc_act=False, sym=False, checkpoint_format="gptq",
                              provider="auto-round", autoround_version="0.16.1", iters=200), seed)
    for n, linear in m.linears():
        w = linear.weight.data
        g_idx = torch.arange(w.shape[1], dtype=torch.int32) // group
        codes, scales, zeros = base.integers(w, g_idx, w.shape[1] // group, 3, False)
        zeros = zeros.clamp(min=1)  # the format has no 0
        codes = (torch.round(w.t() / scales[g_idx.long()].float()) + zeros[g_idx.long()]).clamp(0, 7).long()
        m.put(n, dict(qweight=stream(codes.t(), 3).t(), qzeros=stream(zeros - 1, 3), scales=scales, g_idx=g_idx))
        m.dequantized(n, ((codes - zeros[g_idx.long()]) * scales[g_idx.long()].float()).t().contiguous())
    m.save()


MAKERS = {
    "bnb_nf4": make_bnb, "bnb_fp4": make_bnb, "bnb_int8": make_bnb,
    "ct_nvfp4": make_compressed, "ct_mxfp4": make_compressed, "ct_mxfp8": make_compressed,
    "mo_nvfp4": make_modelopt, "mo_fp8": make_modelopt,
    "mlx": make_mlx, "mlx_mixed": make_mlx, "mlx_floats": make_mlx,
    "gptq3": make_gptq3, "ct_int3": base.make_compressed,
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for index, fixture in enumerate(MAKERS):
        if len(sys.argv) == 1 or fixture in sys.argv[1:]:
            MAKERS[fixture](fixture, 200 + index)
