"""Makes config_models.json: small configurations as files have them, of old and new style and at odds with
themselves, and what transformers makes of each: sizes, rotations, and what each layer's queries see.

  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install transformers==5.24.0 torch==2.15.0
  /tmp/venv/bin/python format/hf/testdata/make_config_models.py
"""

import copy
import json
import math
import pathlib

import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

assert transformers.__version__ == "5.24.0", transformers.__version__
assert torch.__version__.startswith("2.15.0"), torch.__version__
transformers.logging.set_verbosity_error()

OUT = pathlib.Path(__file__).parent / "config_models.json"
TOKENS = 20
SIZES = dict(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=None,
)
GPT2 = dict(model_type="gpt2", vocab_size=64, n_embd=32, n_layer=4, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)
FULL, SLIDING = "full_attention", "sliding_attention"
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)
LATENT = dict(kv_lora_rank=12, qk_nope_head_dim=4, qk_rope_head_dim=8, v_head_dim=8)
FACTORS = dict(short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.0, 2.0, 3.0, 4.0])

# name: (model_type, changes to SIZES); a value of ... removes the key
CASES = {
    "llama": ("llama", {}),
    "old linear": ("llama", dict(rope_theta=500.0, rope_scaling=dict(type="linear", factor=2.0))),
    "scaling beside parameters": ("llama", dict(
        rope_theta=500.0, rope_scaling=dict(type="linear", factor=2.0), rope_parameters=dict(rope_type="default", rope_theta=99.0))),
    "empty scaling beside parameters": ("llama", dict(rope_scaling={}, rope_parameters=dict(rope_type="linear", factor=3.0, rope_theta=99.0))),
    "null parameters": ("llama", dict(rope_parameters=None, rope_scaling=None, rope_theta=700)),
    "theta outside": ("llama", dict(rope_theta=500.0, rope_parameters=dict(rope_type="linear", factor=3.0))),
    "two thetas": ("llama", dict(rope_theta=500.0, rope_parameters=dict(rope_type="default", rope_theta=300.0))),
    "two types": ("llama", dict(rope_scaling=dict(type="default", rope_type="linear", factor=3.0))),
    "factors of no type": ("llama", dict(rope_scaling=dict(factor=3.0, beta_fast=3))),
    "yarn": ("llama", dict(rope_parameters=dict(YARN, rope_theta=500.0))),
    "yarn, old": ("mistral", dict(rope_theta=500.0, sliding_window=None, rope_scaling=dict(
        type="yarn", factor=16.0, original_max_position_embeddings=8, finetuned=True))),
    "yarn, context outside": ("llama", dict(original_max_position_embeddings=32, rope_scaling=YARN)),
    "yarn, factor of the context": ("llama", dict(rope_scaling=dict(YARN, factor=None))),
    "yarn, scales": ("llama", dict(rope_scaling=dict(YARN, mscale=1.0, mscale_all_dim=0.5, beta_fast=20, beta_slow=2, truncate=False))),
    "yarn, its own scale": ("llama", dict(rope_scaling=dict(YARN, attention_factor=0.9))),
    "yarn without a context": ("llama", dict(rope_scaling=dict(rope_type="yarn", factor=2.0))),
    "llama3": ("llama", dict(rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16))),
    "dynamic": ("llama", dict(rope_scaling=dict(type="dynamic", factor=2.0))),
    "sections of mrope": ("qwen2", dict(rope_scaling=dict(type="default", mrope_section=[1, 1, 2]))),
    "null heads": ("llama", dict(num_key_value_heads=None, head_dim=None)),
    "size of heads": ("llama", dict(head_dim=16, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rms_norm_eps=1e-3)),
    "keys of nobody": ("llama", dict(
        is_llama_config=True, rope_interleaved=True, pretraining_tp=2, max_sequence_length=8, output_past=True, n_embd=64, n_layer=2)),
    "window that is none": ("llama", dict(sliding_window=4)),
    "full layers": ("llama", dict(layer_types=["attention", FULL, FULL, "attention"])),
    "mistral": ("mistral", dict(sliding_window=5, head_dim=16)),
    "mistral, defaults": ("mistral", dict(num_key_value_heads=..., num_attention_heads=8)),
    "mistral without a window": ("mistral", dict(sliding_window=None, layer_types=[FULL] * 4)),
    "mixtral": ("mixtral", dict(num_local_experts=3, num_experts_per_tok=1, sliding_window=6)),
    "mixtral, other name": ("mixtral", dict(num_local_experts=3, num_experts=4)),
    "qwen2": ("qwen2", dict(use_sliding_window=True, sliding_window=5, max_window_layers=3)),
    "qwen2, switched off": ("qwen2", dict(use_sliding_window=False, sliding_window=5, max_window_layers=0)),
    "qwen2, layers": ("qwen2", dict(use_sliding_window=True, sliding_window=5, max_window_layers=0, layer_types=["attention", SLIDING, FULL, SLIDING])),
    "qwen3": ("qwen3", dict(attention_bias=True, tie_word_embeddings=True)),
    "qwen3_moe": ("qwen3_moe", dict(
        head_dim=8, num_experts=3, num_experts_per_tok=2, moe_intermediate_size=20, norm_topk_prob=True, decoder_sparse_step=2, use_qk_norm=True)),
    "qwen3_moe, layers": ("qwen3_moe", dict(
        num_experts=3, num_local_experts=5, num_experts_per_tok=2, moe_intermediate_size=20, mlp_only_layers=[0, 3], use_sliding_window=True, sliding_window=7)),
    "qwen3_moe without experts": ("qwen3_moe", dict(num_experts=0, sliding_window=4)),
    "gemma2": ("gemma2", dict(head_dim=12, query_pre_attn_scalar=20, sliding_window=5, hidden_act="relu")),
    "gemma2, no caps": ("gemma2", dict(head_dim=8, attn_logit_softcapping=None, final_logit_softcapping=None, layer_types=[FULL, FULL, SLIDING, FULL], sliding_window=3)),
    "gemma3": ("gemma3_text", dict(sliding_window=5, sliding_window_pattern=2, rope_theta=900.0, rope_local_base_freq=90.0)),
    "gemma3, scaling": ("gemma3_text", dict(head_dim=8, sliding_window=5, _sliding_window_pattern=2, rope_scaling=dict(rope_type="linear", factor=8.0))),
    "gemma3, scaling beside parameters": ("gemma3_text", dict(head_dim=8, attn_logit_softcapping=9.0, rope_scaling=dict(factor=3.0), rope_parameters={
        FULL: dict(rope_type="linear", factor=8.0, rope_theta=700.0), SLIDING: dict(rope_type="default")})),
    "gemma3, one of two": ("gemma3_text", dict(head_dim=8, rope_theta=900.0, rope_parameters={FULL: dict(rope_type="linear", factor=8.0)}, final_logit_softcapping=4.0)),
    "phi3": ("phi3", dict(sliding_window=6, partial_rotary_factor=0.5)),
    "phi3, two parts": ("phi3", dict(partial_rotary_factor=0.25, rope_parameters=dict(rope_type="default", partial_rotary_factor=0.5))),
    "phi3, su": ("phi3", dict(original_max_position_embeddings=32, rope_scaling=dict(
        type="su", original_max_position_embeddings=32, **FACTORS))),
    "phi3, yarn": ("phi3", dict(original_max_position_embeddings=32, rope_scaling=dict(type="yarn", **FACTORS))),
    "phi3, two contexts": ("phi3", dict(original_max_position_embeddings=32, rope_scaling=dict(
        type="longrope", original_max_position_embeddings=16, **FACTORS))),
    "llama4": ("llama4_text", dict(
        head_dim=8, num_local_experts=2, intermediate_size_mlp=40, interleave_moe_layer_step=2, attention_chunk_size=6, no_rope_layers=[])),
    "llama4, layers": ("llama4_text", dict(
        head_dim=8, num_local_experts=2, intermediate_size_mlp=40, moe_layers=[0], attention_chunk_size=None, no_rope_layers=[0, 1, 1, 0], use_qk_norm=False)),
    "llama4, interval": ("llama4_text", dict(
        head_dim=8, num_local_experts=0, intermediate_size_mlp=40, moe_layers=[], attention_chunk_size=5, no_rope_layer_interval=2, attn_temperature_tuning=False)),
    "gpt2": (GPT2, dict(activation_function="gelu_fast", num_key_value_heads=2, head_dim=4, n_ctx=99)),
    "gpt2, other names": (GPT2, dict(hidden_size=64, n_inner=24, scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False)),
    "gpt2, unscaled": (GPT2, dict(scale_attn_weights=False, num_hidden_layers=2, layer_norm_epsilon=1e-3)),
    "olmo2": ("olmo2", dict(rope_theta=500000.0, attention_bias=True)),
    "smollm3": ("smollm3", dict(use_sliding_window=True, sliding_window=5, no_rope_layer_interval=2)),
    "smollm3, layers": ("smollm3", dict(no_rope_layers=[1, 0, 0, 1, 1, 1], layer_types=[FULL] * 4, rope_theta=5000)),
    "granite": ("granite", dict(embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.0078125, logits_scaling=16.0)),
    "starcoder2": ("starcoder2", dict(sliding_window=5, hidden_act="gelu", use_bias=False)),
    "minicpm3, magnitude of yarn": ("minicpm3", dict(
        LATENT, q_lora_rank=16, num_key_value_heads=4, scale_emb=3.0, scale_depth=1.4, dim_model_base=16,
        rope_parameters=dict(YARN, rope_theta=500.0, mscale=0.8, mscale_all_dim=1.0))),
    "starcoder2, defaults": ("starcoder2", dict(num_key_value_heads=...)),
    "gpt_neox": ("gpt_neox", dict(rotary_pct=0.5, rotary_emb_base=500, hidden_act="gelu_fast", num_key_value_heads=1)),
    "gpt_neox, old and new names": ("gpt_neox", dict(rotary_pct=0.5, partial_rotary_factor=1.0, rotary_emb_base=500, rope_theta=900)),
    "gpt_neox, new names": ("gpt_neox", dict(partial_rotary_factor=1.0, rope_theta=900, use_parallel_residual=False, attention_bias=False)),
    "gpt_neox, parameters": ("gpt_neox", dict(rotary_pct=1.0, rotary_emb_base=500, rope_parameters=dict(rope_type="linear", factor=2.0, partial_rotary_factor=0.5))),
    "gpt_neox, scaling": ("gpt_neox", dict(rotary_pct=0.5, rope_scaling=dict(type="linear", factor=2.0))),
}


def first(module, *names):
    """The first of the attributes that is there."""
    for name in names:
        if getattr(module, name, None) is not None:
            return getattr(module, name)


def layer(config, module, seen):
    """What is compared of a layer; seen: for each query, the first key that it sees."""
    attention = first(module, "self_attn", "attn", "attention")
    mlp = first(module, "mlp", "feed_forward")
    experts = getattr(mlp, "experts", None)
    out = dict(
        head_dim=first(attention, "head_dim", "head_size", "qk_head_dim"), scale=attention.scaling, seen=seen,
        residual=first(module, "residual_multiplier", "residual_scale") or 1.0, parallel=getattr(module, "use_parallel_residual", False),
        rotated=bool(getattr(attention, "use_rope", config.model_type != "gpt2")),
        softcap=(getattr(attention, "attn_logit_softcapping", None) or 0.0) if config.model_type == "gemma2" else 0.0,
        experts=0 if experts is None else experts.num_experts,
    )
    for name, proj in [("q", "q_proj"), ("k", "k_proj"), ("o", "o_proj")]:
        if (p := getattr(attention, proj, None)) is not None:
            out[name + "_shape"], out[name + "_bias"] = list(p.weight.shape), p.bias is not None
    if experts is not None:
        down = experts.down_proj
        out["intermediate"] = down.shape[1] if config.model_type == "llama4_text" else down.shape[2]
        out["top_k"] = first(mlp, "top_k") or mlp.gate.top_k
        out["normalize"] = getattr(getattr(mlp, "gate", None), "norm_topk_prob", config.model_type == "mixtral")
    else:
        down = first(mlp, "down_proj", "c_proj", "dense_4h_to_h")
        out["intermediate"] = down.weight.shape[0 if config.model_type == "gpt2" else 1]
        out["mlp_bias"] = down.bias is not None
    x = torch.tensor([-2.0, -0.7, 0.4, 3.0])
    out["activation"] = first(mlp if experts is None else experts, "act_fn", "activation_fn", "act")(x).tolist()
    return out


def rotations(config, body):
    rotary = getattr(body, "rotary_emb", None)
    if rotary is None:
        return []
    names = [FULL + "_", SLIDING + "_"] if config.model_type == "gemma3_text" else [""]
    return [  # null for layers that the model has not
        dict(inv_freq=getattr(rotary, n + "inv_freq").tolist(), scale=getattr(rotary, n + "attention_scaling"))
        if hasattr(rotary, n + "inv_freq") else None
        for n in names
    ]


def describe(config):
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    body = first(model, "model", "transformer", "gpt_neox")
    ropes = rotations(config, body)  # before a forward pass changes them
    with torch.no_grad():
        attentions = model(torch.arange(TOKENS)[None] + 3, output_attentions=True, use_cache=False).attentions
    seen = [[int(row.nonzero()[0]) for row in a[0, 0]] for a in attentions]
    layers = [layer(config, m, s) for m, s in zip(first(body, "layers", "h"), seen)]
    kinds = [y for i, y in enumerate(layers) if y not in layers[:i]]
    norms = [m for n, m in body.named_modules() if n.endswith(("norm", "ln_f"))]
    embedding = model.get_input_embeddings()
    scale = math.sqrt(config.hidden_size) if config.model_type.startswith("gemma") else first(config, "embedding_multiplier", "scale_emb") or 1.0
    return dict(
        vocab=embedding.weight.shape[0], hidden=embedding.weight.shape[1], positions=config.max_position_embeddings,
        heads=config.num_attention_heads, tied=model.get_output_embeddings().weight is embedding.weight, rope=ropes,
        eps=first(norms[-1], "variance_epsilon", "eps"), embed_scale=scale, logit_scale=1 / getattr(config, "logits_scaling", 1.0),
        softcap=getattr(config, "final_logit_softcapping", None) or 0.0,
        kinds=kinds, layers=[kinds.index(y) for y in layers],
    )


def shorter(value):
    """Floats with nine digits, which tell all of float32 apart."""
    return json.loads(json.dumps(value), parse_float=lambda s: float(f"{float(s):.9g}"))


if __name__ == "__main__":
    torch.manual_seed(0)
    cases = []
    for name, (family, changes) in CASES.items():
        config = dict(GPT2) if family is GPT2 else dict(model_type=family, **SIZES)
        config = {k: v for k, v in {**config, **changes}.items() if v is not ...}
        made = CONFIG_MAPPING[config["model_type"]].from_dict(copy.deepcopy(config))
        cases.append(json.dumps(dict(name=name, config=config, want=shorter(describe(made)))))
    OUT.write_text("[\n" + ",\n".join(cases) + "\n]\n")
    print(OUT, len(cases), OUT.stat().st_size)
