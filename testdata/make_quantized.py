"""Makes testdata/quantized: tiny checkpoints that are quantized as common tools store them, LoRA
adapters for testdata/families, and what the libraries make of both.

  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install transformers==5.24.0 torch==2.15.0 safetensors==0.8.0 compressed-tensors==0.20.0 peft==0.21.2 accelerate
  /tmp/venv/bin/python testdata/make_quantized.py [NAME...]

Each directory is a checkpoint or an adapter, and golden.safetensors with input_ids [tokens] and logits
[tokens][vocab], computed in float32. Of a checkpoint, golden.json has the SHA-256 of every dequantized
matrix as little-endian float32 and, where the library computes in float16, as float16. Of an adapter,
merged.safetensors has the matrices that it changes. lora_tiny, for testdata/tiny, has neither; those that
are more than pairs of matrices have logits only.

  fp8_block    finegrained_fp8 of transformers: E4M3, weight_scale_inv per 128×128; transformers dequantizes
  fp8_tensor   the same method with one scale per tensor, E5M2, and input scales; torch dequantizes
  ct_fp8 ct_int4 ct_int8 ct_whole
               compressed-tensors compresses and decompresses
  gptq gptq_act awq
               packed here as AutoGPTQ, GPTQModel (gptq_v2) and AutoAWQ (gemm) pack; dequantized as their
               PyTorch fallbacks do, with broadcast shifts
"""

import hashlib
import json
import pathlib
import shutil
import sys

import compressed_tensors
import numpy as np
import peft
import safetensors.torch
import torch
import transformers
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams

import weights

assert transformers.__version__ == "5.24.0", transformers.__version__
assert torch.__version__.startswith("2.15.0"), torch.__version__
assert compressed_tensors.__version__ == "0.20.0", compressed_tensors.__version__
assert peft.__version__ == "0.21.2", peft.__version__

HERE = pathlib.Path(__file__).parent
OUT = HERE / "quantized"
TOKENS = 16
COMMON = dict(vocab_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
              bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=True, rope_theta=10000.0)
SMALL = dict(hidden_size=64, intermediate_size=160, **COMMON)
MEDIUM = dict(hidden_size=128, intermediate_size=192, **COMMON)
WIDE = dict(hidden_size=128, intermediate_size=256, head_dim=64, **COMMON) | dict(num_attention_heads=2, num_key_value_heads=2)


def ids(vocab):
    return torch.randint(3, vocab, (TOKENS,), generator=torch.Generator().manual_seed(7))


def logits(model, tokens):
    with torch.no_grad():
        return model.eval()(tokens[None], use_cache=False).logits[0].float().contiguous()


def digest(t):
    return hashlib.sha256(t.contiguous().numpy().tobytes()).hexdigest()


class Made:
    """A checkpoint in the making."""

    def __init__(self, name, config, quantization, seed):
        self.dir, self.quantization = OUT / name, quantization
        self.config = transformers.LlamaConfig(**config)
        self.model = transformers.LlamaForCausalLM(self.config).float()
        g = torch.Generator().manual_seed(seed)
        for n, p in self.model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            p.data = (1 + 0.3 * noise if p.dim() == 1 else 0.1 * noise).half().float()
        self.tensors = {n: p.data.half().contiguous() for n, p in self.model.named_parameters()}
        self.golden = {}

    def linears(self):
        return [(n, m) for n, m in self.model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"]

    def put(self, module, tensors):
        """Replaces the weight of a module by the tensors of its quantization."""
        del self.tensors[module + ".weight"]
        for suffix, t in tensors.items():
            self.tensors[f"{module}.{suffix}"] = t.contiguous()

    def dequantized(self, module, values, half=None):
        assert values.dtype == torch.float32
        self.golden[module + ".weight"] = dict(f32=digest(values)) | ({} if half is None else dict(f16=digest(half)))
        self.model.get_submodule(module).weight.data = values.clone()

    def save(self, extra_files=None):
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        config = json.loads(self.config.to_json_string(use_diff=False)) | dict(architectures=["LlamaForCausalLM"], dtype="float16")
        if self.quantization:
            config["quantization_config"] = self.quantization
        (self.dir / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
        for name, value in (extra_files or {}).items():
            (self.dir / name).write_text(json.dumps(value, indent=1) + "\n")
        safetensors.torch.save_file(self.tensors, self.dir / "model.safetensors", metadata=dict(format="pt"))
        tokens = ids(self.config.vocab_size)
        self.finish(self.model, tokens)

    def finish(self, model, tokens):
        (self.dir / "golden.json").write_text(json.dumps(self.golden, indent=1, sort_keys=True) + "\n")
        out = logits(model, tokens)
        safetensors.torch.save_file(dict(input_ids=tokens, logits=out), self.dir / "golden.safetensors")
        for f in self.dir.iterdir():
            f.chmod(0o644)
        size = sum(f.stat().st_size for f in self.dir.iterdir())
        assert size < 200_000, size
        print(f"{self.dir.name:12} {size // 1000:4} KB  largest logit {out.abs().max():.2f}", flush=True)


def make_fp8_block(name, seed):
    m = Made(name, WIDE, dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic", weight_block_size=[128, 128],
                              modules_to_not_convert=["lm_head"]), seed)
    for n, linear in m.linears():
        w = linear.weight.data
        rows, cols = w.shape
        blocks = w.reshape(rows // 128, 128, cols // 128, 128)
        scale = blocks.abs().amax(dim=(1, 3)) / 448
        q = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn).reshape(rows, cols)
        m.put(n, dict(weight=q, weight_scale_inv=scale))
    m.save()
    config = transformers.FineGrainedFP8Config(dequantize=True, weight_block_size=(128, 128))
    model = transformers.AutoModelForCausalLM.from_pretrained(m.dir, dtype=torch.float32, quantization_config=config, attn_implementation="eager")
    for n, _ in m.linears():
        w = model.get_submodule(n).weight.data
        assert w.dtype == torch.float32
        m.golden[n + ".weight"] = dict(f32=digest(w))
    m.finish(model, ids(m.config.vocab_size))


def make_fp8_tensor(name, seed):
    m = Made(name, SMALL, dict(quant_method="fp8", activation_scheme="static"), seed)
    for n, linear in m.linears():
        w = linear.weight.data
        scale = w.abs().max() / 57344
        q = (w / scale).to(torch.float8_e5m2)
        m.put(n, dict(weight=q, weight_scale=scale, input_scale=torch.tensor(0.5)))
        m.dequantized(n, q.to(torch.float32) * scale)
    m.save()


def make_compressed(name, seed):
    """Quantizes with observers' formula, min and max, and compresses with the library."""
    kinds = {
        "ct_fp8": ("float-quantized", SMALL, dict(num_bits=8, type="float", strategy="channel", symmetric=True)),
        "ct_int8": ("int-quantized", SMALL, dict(num_bits=8, type="int", strategy="channel", symmetric=True)),
        "ct_int3": ("pack-quantized", SMALL, dict(num_bits=3, type="int", strategy="group", group_size=32, symmetric=False)),
        "ct_int4": ("pack-quantized", SMALL, dict(num_bits=4, type="int", strategy="group", group_size=32, symmetric=False)),
        "ct_whole": ("pack-quantized", SMALL, dict(num_bits=4, type="int", strategy="tensor", symmetric=False)),
    }
    form, config, args = kinds[name]
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**args), format=form)
    group = json.loads(scheme.model_dump_json(exclude_none=True))
    m = Made(name, config, dict(quant_method="compressed-tensors", format=form, quantization_status="compressed", ignore=["lm_head"],
                                version=compressed_tensors.__version__, kv_cache_scheme=None, config_groups=dict(group_0=group)), seed)
    compressor = BaseCompressor.get_value_from_registry(form)
    for n, linear in m.linears():
        w = linear.weight.data
        rows, cols = w.shape
        size = args.get("group_size", cols)
        groups = w.reshape(rows, cols // size, size)
        if args["strategy"] == "tensor":
            w[:, 0] += w.max() / 2  # so that zero is not in the middle
            scale, zero = calculate_qparams(w.min()[None], w.max()[None], scheme.weights)
        else:
            scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), scheme.weights)
        scale = scale.half()
        state = dict(weight=w, weight_scale=scale.float()) | ({} if args["symmetric"] else dict(weight_zero_point=zero))
        packed = compressor.compress(state, scheme)
        values = {d: compressor.decompress(packed | dict(weight_scale=scale.to(d)), scheme)["weight"] for d in (torch.float32, torch.float16)}
        m.put(n, {k: v for k, v in packed.items() if v is not None} | dict(weight_scale=scale))
        m.dequantized(n, values[torch.float32], values[torch.float16] if args["type"] == "int" else None)
    m.save()


def integers(w, g_idx, groups, bits, symmetric):
    """Min-max codes [cols][rows], scales float16 and zero-points [groups][rows]."""
    rows, top = w.shape[0], 2**bits - 1
    scales, zeros = torch.zeros(groups, rows, dtype=torch.float16), torch.zeros(groups, rows, dtype=torch.int32)
    codes = torch.zeros(w.shape[1], rows, dtype=torch.int64)
    for g in range(groups):
        columns = torch.nonzero(g_idx == g)[:, 0]
        part = w[:, columns]
        lo, hi = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
        if symmetric:
            hi = torch.maximum(-lo, hi)
            lo = -hi
        scales[g] = ((hi - lo) / top).half()
        zeros[g] = (top + 1) // 2 if symmetric else torch.round(-lo / scales[g].float()).clamp(0, top)
        codes[columns] = (torch.round(part / scales[g].float()[:, None]) + zeros[g][:, None]).clamp(0, top).long().t()
    return codes, scales, zeros


def pack(values, bits, axis, order=None):
    """Packs codes along an axis into int32, the lowest first or in the given order."""
    v = np.moveaxis(values.numpy().astype(np.uint32), axis, 0)
    per = 32 // bits
    out = np.zeros((v.shape[0] // per, v.shape[1]), np.uint32)
    for k in range(out.shape[0]):
        for i, j in enumerate(order or range(per)):
            out[k] |= v[k * per + j] << np.uint32(bits * i)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(out.view(np.int32), 0, axis)))


def dequantize_gptq(t, bits, offset, half):
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    qzeros = t["qzeros"] + offset * 0x11111111
    zeros = torch.bitwise_right_shift(qzeros.unsqueeze(2).expand(-1, -1, 32 // bits), shifts).to(torch.int16)
    zeros = torch.bitwise_and(zeros, 2**bits - 1).reshape(t["scales"].shape)
    weight = torch.bitwise_right_shift(t["qweight"].unsqueeze(1).expand(-1, 32 // bits, -1), shifts.unsqueeze(-1)).to(torch.int16)
    weight = torch.bitwise_and(weight, 2**bits - 1).reshape(-1, weight.shape[2])
    scales = t["scales"] if half else t["scales"].float()
    g = t["g_idx"].long()
    return (scales[g] * (weight - zeros[g])).t().contiguous()


def make_gptq(name, seed):
    act = name == "gptq_act"
    group, symmetric = (32, False) if act else (64, True)
    what = dict(quant_method="gptq", bits=4, group_size=group, desc_act=act, sym=symmetric, checkpoint_format="gptq_v2" if act else "gptq",
                damp_percent=0.01, true_sequential=True, static_groups=False, model_name_or_path=None, lm_head=False)
    m = Made(name, MEDIUM, what if act else None, seed)
    g = torch.Generator().manual_seed(seed)
    for n, linear in m.linears():
        w = linear.weight.data
        rows, cols = w.shape
        g_idx = torch.arange(cols, dtype=torch.int32) // group
        if act:
            g_idx = g_idx[torch.randperm(cols, generator=g)]
        codes, scales, zeros = integers(w, g_idx, cols // group, 4, symmetric)
        offset = 0 if act else 1
        t = dict(qweight=pack(codes, 4, 0), qzeros=pack(zeros, 4, 1) - offset * 0x11111111, scales=scales, g_idx=g_idx)
        m.put(n, t | ({} if act else dict(bias=torch.zeros(rows, dtype=torch.float16))))
        m.dequantized(n, dequantize_gptq(t, 4, offset, False), dequantize_gptq(t, 4, offset, True))
    old = {k: v for k, v in what.items() if k not in ("quant_method", "checkpoint_format", "lm_head")}
    m.save({} if act else {"quantize_config.json": old})


AWQ_ORDER, AWQ_REVERSE = [0, 2, 4, 6, 1, 3, 5, 7], [0, 4, 1, 5, 2, 6, 3, 7]


def dequantize_awq(t, group, half):
    def unpack(q):
        v = torch.bitwise_right_shift(q[:, :, None], torch.arange(0, 32, 4)[None, None, :]).to(torch.int8)
        v = v.view(v.shape[0], -1)
        order = torch.arange(v.shape[-1]).view(-1, 8)[:, AWQ_REVERSE].view(-1)
        return torch.bitwise_and(v[:, order], 15)
    scales = t["scales"] if half else t["scales"].float()
    zeros = unpack(t["qzeros"]).repeat_interleave(group, dim=0)
    return ((unpack(t["qweight"]) - zeros) * scales.repeat_interleave(group, dim=0)).t().contiguous()


def make_awq(name, seed):
    group = 64
    m = Made(name, MEDIUM, dict(quant_method="awq", bits=4, group_size=group, zero_point=True, version="gemm", modules_to_not_convert=None), seed)
    for n, linear in m.linears():
        w = linear.weight.data
        cols = w.shape[1]
        codes, scales, zeros = integers(w, torch.arange(cols) // group, cols // group, 4, False)
        t = dict(qweight=pack(codes, 4, 1, AWQ_ORDER), qzeros=pack(zeros, 4, 1, AWQ_ORDER), scales=scales)
        m.put(n, t)
        m.dequantized(n, dequantize_awq(t, group, False), dequantize_awq(t, group, True))
    m.save()


ADAPTERS = {
    "lora_llama": dict(r=4, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "v_proj", "gate_proj", "down_proj"],
                       rank_pattern={"down_proj": 7, r"layers\.1\.self_attn\.q_proj": 2}, alpha_pattern={"v_proj": 3}),
    "lora_phi3": dict(r=3, lora_alpha=5, target_modules=["qkv_proj", "gate_up_proj", "o_proj"]),
    "lora_gpt2": dict(r=4, lora_alpha=2, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True),
    "lora_tiny": dict(r=2, lora_alpha=1, target_modules=["o_proj"]),
}

# What is more than W + γ·B·A, by family. The logits are those of the model with the adapter beside it: a
# merged one has other logits if its head is the embedding and only one of them has an adapter.
MORE = {
    "lora_dora": ("gpt2", dict(r=4, lora_alpha=6, use_dora=True, target_modules=["c_attn", "c_fc", "wte"])),
    "lora_tied": ("llama", dict(r=3, lora_alpha=6, target_modules=["lm_head", "o_proj"])),
    "lora_head": ("mistral", dict(r=4, lora_alpha=6, use_rslora=True, target_modules=["lm_head", "embed_tokens", "q_proj"])),
    "lora_whole": ("qwen2", dict(r=2, lora_alpha=6, target_modules=["q_proj", "k_proj"], bias="lora_only",
                                 modules_to_save=["embed_tokens", "lm_head", "layers.1.input_layernorm"])),
    "lora_tokens": ("qwen3", dict(r=2, lora_alpha=6, lora_bias=True, target_modules=["v_proj"], trainable_token_indices=[3, 90, 7])),
    "lora_experts": ("qwen3_moe", dict(r=2, lora_alpha=6, target_modules=["k_proj"],
                                       target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"])),
    "lora_expert": ("mixtral", dict(r=2, lora_alpha=3, target_modules=["q_proj"], target_parameters=["experts.down_proj"])),
    "lora_transposed": ("llama4", dict(r=2, lora_alpha=3, target_modules=["q_proj"], target_parameters=["experts.gate_up_proj"])),
    "lora_in_out": ("gpt_oss", dict(r=1, lora_alpha=2, target_modules=["k_proj"],
                                    target_parameters=["experts.gate_up_proj", "experts.down_proj"])),
    "lora_tied_tokens": ("llama", dict(r=2, lora_alpha=6, target_modules=["lm_head", "o_proj"], trainable_token_indices=[3, 90, 7])),
}


def make_adapter(name, seed):
    family, options = MORE.get(name) or (name.removeprefix("lora_"), ADAPTERS[name])
    base = HERE / "tiny" if name == "lora_tiny" else weights.directory(family)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **options))
    g = torch.Generator().manual_seed(seed)
    for n, p in model.named_parameters():
        if "lora_magnitude" in n or name in MORE and p.requires_grad and "lora_" not in n:
            p.data = p.data * (1 + 0.3 * torch.randn(p.shape, generator=g))
        elif "lora_" in n:
            p.data = 0.3 * torch.randn(p.shape, generator=g)
    out = OUT / name
    shutil.rmtree(out, ignore_errors=True)
    model.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    config = json.loads((out / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "testdata/tiny" if name == "lora_tiny" else f"testdata/families/{family}"
    for key in ("target_modules", "target_parameters", "modules_to_save"):
        config[key] = config[key] and sorted(config[key])
    (out / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    if name in MORE:
        tokens = ids(model.config.vocab_size)
        safetensors.torch.save_file(dict(input_ids=tokens, logits=logits(model, tokens)), out / "golden.safetensors")
    elif name != "lora_tiny":
        record(model, out)
    for f in out.iterdir():
        f.chmod(0o644)
    size = sum(f.stat().st_size for f in out.iterdir())
    assert size < 200_000, size
    print(f"{name:12} {size // 1000:4} KB", flush=True)


def record(model, out):
    targets = {n.removeprefix("base_model.model.") for n, x in model.named_modules() if isinstance(x, peft.tuners.lora.LoraLayer)}
    merged = model.merge_and_unload()
    safetensors.torch.save_file({n + ".weight": merged.get_submodule(n).weight.data.clone().contiguous() for n in sorted(targets)},
                                out / "merged.safetensors")
    tokens = ids(merged.config.vocab_size)
    safetensors.torch.save_file(dict(input_ids=tokens, logits=logits(merged, tokens)), out / "golden.safetensors")


MAKERS = {
    "fp8_block": make_fp8_block, "fp8_tensor": make_fp8_tensor,
    "ct_fp8": make_compressed, "ct_int8": make_compressed, "ct_int4": make_compressed,
    "gptq": make_gptq, "gptq_act": make_gptq, "awq": make_awq,
} | {name: make_adapter for name in [*ADAPTERS, *MORE]} | {"ct_whole": make_compressed}


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for index, fixture in enumerate(MAKERS):
        if len(sys.argv) == 1 or fixture in sys.argv[1:]:
            MAKERS[fixture](fixture, 100 + index)
