"""Makes testdata/families: a tiny checkpoint with random weights for each family of decoder-only
transformers, and what transformers computes with it; and testdata/rope.json, the rotation
frequencies that it derives from parameters.

  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install transformers==5.24.0 torch==2.15.0 safetensors==0.8.0
  /tmp/venv/bin/python testdata/make_fixtures.py [NAME...]

The weights are not stored: weights.txt lists the tensors, and weights.py makes what is in them from their names.
They are float16, arithmetic is float32: the checkpoint is loaded as float32, so that RoPE frequencies and
other buffers are those of the checkpoint (model.half() would round them).
golden.safetensors holds input_ids [tokens] and logits [tokens][vocab]. hidden.golden, a safetensors file that no reader
takes for weights, holds hidden [layers + 1][4][hidden]: transformers' hidden_states, of which the last is after the
final norm, of every eighth token. Sizes are small, but windows, chunks, experts and rotations are set so that each of
them matters.
"""

import json
import pathlib
import shutil
import sys
import tempfile
import zlib

import safetensors.torch
import torch
import transformers

import weights

assert transformers.__version__ == "5.24.0", transformers.__version__
assert torch.__version__.startswith("2.15.0"), torch.__version__

HERE = weights.FAMILIES
TOKENS = 32
COMMON = dict(
    vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    tie_word_embeddings=False,
)
THETA = dict(rope_theta=10000.0)
LONG = [1.0 + 0.5 * j for j in range(3)]

# A family's name seeds its weights and tokens, but for those whose first ones were bad for tests: two experts were nearly
# as good, so that rounding keys to float16 chose another, or small norms magnified the errors of rounding.
SEED = {"llama_dynamic": "llama_dynamic/1", "qwen3_vl_moe": "qwen3_vl_moe/1", "qwen3_next": "qwen3_next/2", "smollm3": "smollm3/1"}
DIVIDED = {"baichuan"}  # the head divides its rows by their lengths
COLUMNS = {"bailing_moe"}  # it divides its columns by theirs
SHARDS = {"llama": 20_000}  # bytes of tensors in a file

VISION = dict(depth=1, hidden_size=16, intermediate_size=16, num_heads=2, patch_size=2, out_hidden_size=32)
MROPE = dict(rope_type="default", mrope_section=[1, 1, 2], **THETA)

# name: (config class, changes to COMMON); of a multimodal model, the config class, changes to COMMON in text_config, and
# what is around it.
FIXTURES = {
    "llama": ("LlamaConfig", dict(
        tie_word_embeddings=True, head_dim=8,
        rope_parameters=dict(rope_theta=500000.0, rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                             high_freq_factor=4.0, original_max_position_embeddings=32))),
    "llama_bias": ("LlamaConfig", dict(attention_bias=True, mlp_bias=True, head_dim=16, hidden_act="gelu")),
    "llama_linear": ("LlamaConfig", dict(rope_parameters=dict(rope_type="linear", factor=2.5, **THETA))),
    "llama_dynamic": ("LlamaConfig", dict(
        max_position_embeddings=20, rope_parameters=dict(rope_type="dynamic", factor=3.0, **THETA))),
    "llama_yarn": ("LlamaConfig", dict(
        head_dim=16, rope_parameters=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, **THETA))),
    "mistral": ("MistralConfig", dict(sliding_window=10, head_dim=16)),
    "mixtral": ("MixtralConfig", dict(sliding_window=12, num_local_experts=4, num_experts_per_tok=2)),
    "qwen2": ("Qwen2Config", dict(use_sliding_window=True, sliding_window=10, max_window_layers=2, tie_word_embeddings=True)),
    "qwen3": ("Qwen3Config", dict(use_sliding_window=True, sliding_window=10, max_window_layers=1, head_dim=16, attention_bias=True)),
    "qwen3_moe": ("Qwen3MoeConfig", dict(
        head_dim=12, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=20, norm_topk_prob=True, mlp_only_layers=[1])),
    "qwen3_moe_plain": ("Qwen3MoeConfig", dict(
        head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=20, norm_topk_prob=False,
        decoder_sparse_step=2, use_sliding_window=True, sliding_window=9)),
    "gemma2": ("Gemma2Config", dict(
        head_dim=12, query_pre_attn_scalar=20, sliding_window=10, attn_logit_softcapping=3.0,
        final_logit_softcapping=5.0, tie_word_embeddings=True)),
    "gemma3": ("Gemma3TextConfig", dict(
        num_hidden_layers=4, head_dim=12, query_pre_attn_scalar=20, sliding_window=10, tie_word_embeddings=True,
        layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000000.0),
                             sliding_attention=dict(rope_type="default", rope_theta=10000.0)))),
    "phi3": ("Phi3Config", dict(sliding_window=12)),
    "phi3_longrope": ("Phi3Config", dict(
        original_max_position_embeddings=16,
        rope_parameters=dict(rope_type="longrope", partial_rotary_factor=0.75, short_factor=[1.0, 1.1, 1.2],
                             long_factor=LONG, **THETA))),
    "phi3_longrope_short": ("Phi3Config", dict(
        original_max_position_embeddings=64,
        rope_parameters=dict(rope_type="longrope", partial_rotary_factor=0.75, short_factor=[1.0, 1.1, 1.2],
                             long_factor=LONG, **THETA))),
    "llama4": ("Llama4TextConfig", dict(
        num_hidden_layers=4, head_dim=12, intermediate_size=24, intermediate_size_mlp=40, num_local_experts=4,
        num_experts_per_tok=2, interleave_moe_layer_step=2, attention_chunk_size=8, floor_scale=4, attn_scale=0.3,
        no_rope_layers=[1, 0, 1, 0])),
    "gpt2": ("GPT2Config", dict(scale_attn_by_inverse_layer_idx=True, n_inner=40, tie_word_embeddings=True)),
    "olmo2": ("Olmo2Config", dict(attention_bias=True)),
    "smollm3": ("SmolLM3Config", dict(
        num_hidden_layers=4, no_rope_layer_interval=2, use_sliding_window=True, sliding_window=10,
        tie_word_embeddings=True)),
    "granite": ("GraniteConfig", dict(
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=1.5,
        attention_bias=True, mlp_bias=True)),
    "starcoder2": ("Starcoder2Config", dict(sliding_window=10, use_bias=True, tie_word_embeddings=True)),
    "gpt_neox": ("GPTNeoXConfig", dict(
        rope_parameters=dict(rope_type="default", partial_rotary_factor=0.5, **THETA))),
    "gpt_neox_serial": ("GPTNeoXConfig", dict(use_parallel_residual=False, attention_bias=False,
        rope_parameters=dict(rope_type="default", partial_rotary_factor=1.0, **THETA))),
    "llama4_dense": ("Llama4TextConfig", dict(
        head_dim=8, intermediate_size=24, intermediate_size_mlp=40, moe_layers=[], num_local_experts=0, num_experts_per_tok=0,
        interleave_moe_layer_step=0, attention_chunk_size=64, attn_temperature_tuning=False, no_rope_layers=[1, 1, 1],
        tie_word_embeddings=True)),
    "gemma": ("GemmaConfig", dict(head_dim=12, tie_word_embeddings=True)),
    "glm": ("GlmConfig", dict(head_dim=8, attention_bias=True)),
    "glm4": ("Glm4Config", dict(head_dim=16, attention_bias=True, rope_parameters=dict(rope_type="default", partial_rotary_factor=0.25, **THETA))),
    "seed_oss": ("SeedOssConfig", dict(head_dim=12, attention_bias=True, attention_out_bias=True, mlp_bias=True)),
    "ernie4_5": ("Ernie4_5Config", dict(head_dim=12, use_bias=True, tie_word_embeddings=True)),
    "exaone4": ("Exaone4Config", dict(num_hidden_layers=4, sliding_window=10, sliding_window_pattern=2)),
    "olmo3": ("Olmo3Config", dict(
        num_hidden_layers=4, sliding_window=10, attention_bias=True,
        rope_parameters=dict(full_attention=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, **THETA),
                             sliding_attention=dict(rope_type="default", **THETA)))),
    "arcee": ("ArceeConfig", dict(head_dim=12, mlp_bias=True, attention_bias=True)),
    "granitemoe": ("GraniteMoeConfig", dict(
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=1.5, num_local_experts=4,
        num_experts_per_tok=2, intermediate_size=24)),
    "phi": ("PhiConfig", dict()),
    "stablelm": ("StableLmConfig", dict(use_qkv_bias=True, rope_parameters=dict(partial_rotary_factor=0.5, **THETA))),
    "stablelm_parallel": ("StableLmConfig", dict(
        use_parallel_residual=True, qk_layernorm=True, rope_parameters=dict(partial_rotary_factor=0.25, **THETA))),
    "cohere": ("CohereConfig", dict(use_qk_norm=True, logit_scale=0.3, attention_bias=True, tie_word_embeddings=True)),
    "cohere2": ("Cohere2Config", dict(num_hidden_layers=4, sliding_window=10, sliding_window_pattern=2, logit_scale=0.3, tie_word_embeddings=True)),
    "nemotron": ("NemotronConfig", dict(head_dim=16, attention_bias=True, mlp_bias=True)),
    "olmo": ("OlmoConfig", dict(clip_qkv=1.2)),
    "falcon": ("FalconConfig", dict(tie_word_embeddings=True, bias=True)),
    "falcon_grouped": ("FalconConfig", dict(new_decoder_architecture=True, num_kv_heads=2, ffn_hidden_size=40)),
    "falcon_serial": ("FalconConfig", dict(alibi=True, parallel_attn=False, multi_query=False, bias=True, num_attention_heads=4)),
    "gptj": ("GPTJConfig", dict(rotary_dim=4, n_inner=40)),
    "gpt_neo": ("GPTNeoConfig", dict(
        num_hidden_layers=4, attention_types=[[["global", "local"], 2]], window_size=10, tie_word_embeddings=True)),
    "gpt_bigcode": ("GPTBigCodeConfig", dict(n_inner=40, tie_word_embeddings=True)),
    "gpt_bigcode_heads": ("GPTBigCodeConfig", dict(multi_query=False, scale_attn_weights=False)),
    "opt": ("OPTConfig", dict(ffn_dim=48, tie_word_embeddings=True)),
    "opt_plain": ("OPTConfig", dict(ffn_dim=48, enable_bias=False, layer_norm_elementwise_affine=False)),
    "olmoe": ("OlmoeConfig", dict(num_experts=4, num_experts_per_tok=2, intermediate_size=20, clip_qkv=1.5)),
    "granitemoehybrid": ("GraniteMoeHybridConfig", dict(
        layer_types=["full_attention"] * 3, num_local_experts=4, num_experts_per_tok=2, intermediate_size=20, shared_intermediate_size=28,
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=1.5, position_embedding_type="rope",
        mamba_n_heads=4)),
    "granitemoehybrid_dense": ("GraniteMoeHybridConfig", dict(
        layer_types=["full_attention"] * 3, num_local_experts=0, shared_intermediate_size=40, mamba_n_heads=4)),
    "hunyuan_v1_dense": ("HunYuanDenseV1Config", dict(
        head_dim=12, rope_parameters=dict(rope_type="dynamic", alpha=50.0, factor=1.0, **THETA))),
    "bloom": ("BloomConfig", dict(n_head=6, hidden_size=48, tie_word_embeddings=True)),
    "mpt": ("MptConfig", dict(n_heads=4, tie_word_embeddings=True, attn_config=dict(clip_qkv=1.5))),
    "apertus": ("ApertusConfig", dict(attention_bias=True, rope_parameters=dict(rope_type="default", **THETA))),
    "phimoe": ("PhimoeConfig", dict(
        num_local_experts=4, intermediate_size=20, attention_bias=True, lm_head_bias=True, router_jitter_noise=0.4,
        sliding_window=12, rope_parameters=dict(
            rope_type="longrope", short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.0, 2.0, 3.0, 4.0], short_mscale=1.1, long_mscale=1.3,
            original_max_position_embeddings=16, **THETA))),
    "ministral3": ("Ministral3Config", dict(
        head_dim=12, rope_parameters=dict(rope_type="yarn", factor=16.0, original_max_position_embeddings=8, mscale=1.0,
                                          mscale_all_dim=1.0, llama_4_scaling_beta=0.1, **THETA))),
    "mistral3": ("Mistral3Config", dict(model_type="ministral3", head_dim=8, sliding_window=10, rope_parameters=dict(
        rope_type="yarn", factor=16.0, original_max_position_embeddings=8, llama_4_scaling_beta=0.1, **THETA)),
        dict(tie_word_embeddings=False, vision_config=dict(model_type="pixtral", hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                                           num_attention_heads=2, head_dim=8, patch_size=2, image_size=8))),
    "qwen2_5_vl": ("Qwen2_5_VLConfig", dict(use_sliding_window=True, sliding_window=10, max_window_layers=2, rope_parameters=MROPE),
                   dict(tie_word_embeddings=True, vision_config=dict(fullatt_block_indexes=[0], **VISION))),
    "qwen3_vl_moe": ("Qwen3VLMoeConfig", dict(
        num_local_experts=4, num_experts_per_tok=2, moe_intermediate_size=20, mlp_only_layers=[1], head_dim=8, rope_parameters=MROPE),
        dict(tie_word_embeddings=False, vision_config=dict(deepstack_visual_indexes=[0], num_position_embeddings=4, **VISION))),
    "qwen2_moe": ("Qwen2MoeConfig", dict(
        num_hidden_layers=4, num_experts=5, num_experts_per_tok=3, moe_intermediate_size=20, shared_expert_intermediate_size=28,
        mlp_only_layers=[3], use_sliding_window=True, sliding_window=10, max_window_layers=2)),
    "glm4_moe": ("Glm4MoeConfig", dict(
        head_dim=16, n_routed_experts=8, num_experts_per_tok=3, n_group=4, topk_group=2, moe_intermediate_size=20, n_shared_experts=2,
        routed_scaling_factor=2.5, use_qk_norm=True, attention_bias=True, num_nextn_predict_layers=0)),
    "dots1": ("Dots1Config", dict(
        n_routed_experts=6, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=20, first_k_dense_replace=1,
        routed_scaling_factor=1.5, sliding_window=10, max_window_layers=2)),
    "minimax_m2": ("MiniMaxM2Config", dict(head_dim=16, rotary_dim=8, num_local_experts=6, num_experts_per_tok=2, intermediate_size=20)),
    "gpt_oss": ("GptOssConfig", dict(
        head_dim=16, sliding_window=10, num_local_experts=5, num_experts_per_tok=2, intermediate_size=24, swiglu_limit=0.6,
        rope_parameters=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, truncate=False, **THETA))),
    "deepseek_v2": ("DeepseekV2Config", dict(
        q_lora_rank=None, kv_lora_rank=20, qk_nope_head_dim=10, qk_rope_head_dim=8, v_head_dim=12, num_key_value_heads=4,
        n_routed_experts=6, num_experts_per_tok=2, n_group=3, topk_group=2, topk_method="group_limited_greedy", n_shared_experts=2,
        moe_intermediate_size=20, first_k_dense_replace=1, routed_scaling_factor=3.0,
        rope_parameters=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, mscale=0.7, mscale_all_dim=0.9, **THETA))),
    "deepseek_v3": ("DeepseekV3Config", dict(
        q_lora_rank=24, kv_lora_rank=20, qk_nope_head_dim=10, qk_rope_head_dim=8, v_head_dim=14, num_key_value_heads=4, attention_bias=True,
        n_routed_experts=8, num_experts_per_tok=3, n_group=4, topk_group=2, n_shared_experts=1, moe_intermediate_size=20,
        first_k_dense_replace=1, num_nextn_predict_layers=0, rms_norm_eps=1e-3)),
    "glm4_moe_lite": ("Glm4MoeLiteConfig", dict(
        q_lora_rank=24, kv_lora_rank=20, qk_nope_head_dim=10, qk_rope_head_dim=8, v_head_dim=14, num_key_value_heads=4,
        n_routed_experts=6, num_experts_per_tok=3, n_shared_experts=1, moe_intermediate_size=20, rope_interleave=False,
        mlp_layer_types=["sparse", "dense", "sparse"], num_nextn_predict_layers=0)),
    "ernie4_5_moe": ("Ernie4_5_MoeConfig", dict(
        num_hidden_layers=4, moe_num_experts=6, moe_k=3, moe_num_shared_experts=2, moe_intermediate_size=20, moe_layer_interval=2,
        moe_layer_start_index=1, tie_word_embeddings=True)),
    "youtu": ("YoutuConfig", dict(
        q_lora_rank=24, kv_lora_rank=20, qk_nope_head_dim=10, qk_rope_head_dim=8, v_head_dim=14, num_key_value_heads=4, tie_word_embeddings=True,
        pad_token_id=None)),  # transformers zeroes the row of one when it loads the model
    "solar_open": ("SolarOpenConfig", dict(
        head_dim=16, n_routed_experts=6, num_experts_per_tok=3, moe_intermediate_size=20, n_shared_experts=1, attention_bias=True)),
    "hunyuan_v1_moe": ("HunYuanMoEV1Config", dict(head_dim=12, num_experts=5, moe_topk=2, intermediate_size=20, attention_bias=True)),
    "deepseek_v32": ("DeepseekV32Config", dict(
        q_lora_rank=24, kv_lora_rank=20, qk_nope_head_dim=10, qk_rope_head_dim=8, v_head_dim=14, num_key_value_heads=4,
        n_routed_experts=6, num_experts_per_tok=2, n_group=3, topk_group=2, n_shared_experts=1, moe_intermediate_size=20,
        first_k_dense_replace=1, index_topk=48, index_head_dim=12, index_n_heads=2, num_nextn_predict_layers=0)),
    "glm_moe_dsa": ("GlmMoeDsaConfig", dict(
        q_lora_rank=24, kv_lora_rank=20, qk_nope_head_dim=10, qk_rope_head_dim=8, v_head_dim=14, num_key_value_heads=4,
        n_routed_experts=6, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=20, mlp_layer_types=["sparse", "dense", "sparse"],
        index_topk=40, index_head_dim=12, index_n_heads=2, indexer_types=["full", "shared", "full"], num_nextn_predict_layers=0)),
    "exaone_moe": ("ExaoneMoeConfig", dict(
        num_hidden_layers=4, sliding_window=10, sliding_window_pattern=2, num_experts=6, num_experts_per_tok=3, num_shared_experts=1,
        moe_intermediate_size=20, n_group=2, topk_group=1, first_k_dense_replace=1)),
    "flex_olmo": ("FlexOlmoConfig", dict(num_experts=4, num_experts_per_tok=2, intermediate_size=20, attention_bias=True)),
    "hy_v3": ("HYV3Config", dict(
        head_dim=12, num_experts=6, num_experts_per_tok=3, num_shared_experts=1, moe_intermediate_size=20, attention_bias=True)),
    "granitemoeshared": ("GraniteMoeSharedConfig", dict(
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=1.5, num_local_experts=4,
        num_experts_per_tok=2, intermediate_size=24, shared_intermediate_size=28)),
    "mellum": ("MellumConfig", dict(
        head_dim=12, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=20, sliding_window=10,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], mlp_layer_types=["sparse", "dense", "sparse"],
        rope_parameters=dict(full_attention=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, rope_theta=500000.0),
                             sliding_attention=dict(rope_type="default", **THETA)))),
    "helium": ("HeliumConfig", dict(head_dim=8, attention_bias=True)),
    "cwm": ("CwmConfig", dict(
        head_dim=12, sliding_window=10, mlp_bias=True, rope_parameters=dict(
            rope_theta=500000.0, rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=32))),
    "ministral": ("MinistralConfig", dict(
        head_dim=12, sliding_window=10, layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    "vaultgemma": ("VaultGemmaConfig", dict(
        head_dim=12, query_pre_attn_scalar=20, sliding_window=10, attn_logit_softcapping=3.0, final_logit_softcapping=5.0,
        tie_word_embeddings=True)),
    "hyperclovax": ("HyperCLOVAXConfig", dict(
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=0.6, attention_bias=True)),
    "minicpm3": ("MiniCPM3Config", dict(
        q_lora_rank=24, kv_lora_rank=20, qk_nope_head_dim=10, qk_rope_head_dim=8, v_head_dim=14, num_key_value_heads=4,
        scale_emb=3, scale_depth=1.4, dim_model_base=16, mlp_bias=True, tie_word_embeddings=True)),
    "jais2": ("Jais2Config", dict(head_dim=12)),
    "granitemoehybrid_mamba": ("GraniteMoeHybridConfig", dict(
        layer_types=["linear_attention", "full_attention", "linear_attention"], num_local_experts=0, shared_intermediate_size=40,
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=1.5,
        mamba_n_heads=8, mamba_n_groups=2, mamba_d_state=12, mamba_d_conv=4, mamba_expand=2, time_step_limit=(0.2, 3.0))),
    "qwen3_next": ("Qwen3NextConfig", dict(
        head_dim=16, attention_bias=True, partial_rotary_factor=0.5, linear_key_head_dim=8, linear_value_head_dim=12,
        linear_num_key_heads=2, linear_num_value_heads=4, num_experts=5, num_experts_per_tok=3, moe_intermediate_size=20,
        shared_expert_intermediate_size=28, mlp_only_layers=[1], full_attention_interval=2)),
    "qwen3_next_plain": ("Qwen3NextConfig", dict(
        head_dim=16, partial_rotary_factor=0.25, linear_key_head_dim=8, linear_value_head_dim=8, linear_num_key_heads=2,
        linear_num_value_heads=6, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=20, shared_expert_intermediate_size=28,
        full_attention_interval=3)),
    "qwen3_5": ("Qwen3_5Config", dict(
        head_dim=16, linear_key_head_dim=8, linear_value_head_dim=8, linear_num_key_heads=2, linear_num_value_heads=6,
        layer_types=["linear_attention", "full_attention", "linear_attention"], rope_parameters=dict(
            rope_type="default", mrope_section=[2, 1, 1], mrope_interleaved=True, partial_rotary_factor=0.5, **THETA)),
        dict(tie_word_embeddings=True, vision_config=dict(num_position_embeddings=4, **VISION))),
    "qwen3_5_moe": ("Qwen3_5MoeConfig", dict(
        head_dim=16, linear_key_head_dim=12, linear_value_head_dim=8, linear_num_key_heads=4, linear_num_value_heads=4,
        num_experts=5, num_experts_per_tok=2, moe_intermediate_size=20, shared_expert_intermediate_size=28, full_attention_interval=3,
        rope_parameters=dict(rope_type="default", mrope_section=[1, 1, 0], partial_rotary_factor=0.25, **THETA)),
        dict(tie_word_embeddings=False, vision_config=dict(num_position_embeddings=4, **VISION))),
    "lfm2": ("Lfm2Config", dict(
        hidden_size=32, intermediate_size=66, block_multiple_of=8, tie_word_embeddings=True, conv_L_cache=3, conv_bias=True,
        norm_eps=1e-5, layer_types=["conv", "full_attention", "conv"])),
    "lfm2_plain": ("Lfm2Config", dict(
        block_auto_adjust_ff_dim=False, tie_word_embeddings=True, layer_types=["conv", "conv", "full_attention"])),
    "lfm2_moe": ("Lfm2MoeConfig", dict(
        tie_word_embeddings=True, conv_L_cache=4, num_dense_layers=1, num_experts=6, num_experts_per_tok=2,
        moe_intermediate_size=24, routed_scaling_factor=1.5, layer_types=["conv", "full_attention", "conv"])),
    "lfm2_vl": ("Lfm2VlConfig", dict(model_type="lfm2", block_auto_adjust_ff_dim=False, layer_types=["conv", "conv", "full_attention"]),
                dict(tie_word_embeddings=True, vision_config=dict(
                    model_type="siglip2_vision_model", hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                    num_patches=4, patch_size=2), projector_hidden_size=16, downsample_factor=1)),
    "afmoe": ("AfmoeConfig", dict(
        num_hidden_layers=4, head_dim=12, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=20, num_shared_experts=1,
        sliding_window=10, global_attn_every_n_layers=2, mup_enabled=True, route_scale=1.7)),
    "flint": ("FlintConfig", dict(
        head_dim=12, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=20, shared_expert_intermediate_size=28, mlp_only_layers=[1],
        sliding_window=10, layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    "granite_swa": ("GraniteSWAConfig", dict(
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=1.5, sliding_window=10,
        layer_types=["full_attention", "sliding_attention", "full_attention"], layer_rope_theta=[0, 10000.0, 500.0])),
    "granitemoe_swa": ("GraniteMoeSWAConfig", dict(
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=1.5, num_local_experts=4,
        num_experts_per_tok=2, intermediate_size=24, shared_intermediate_size=28, sliding_window=10)),
    "cohere2_moe": ("Cohere2MoeConfig", dict(
        num_hidden_layers=4, head_dim=12, sliding_window=10, sliding_window_pattern=2, first_k_dense_replace=1, prefix_dense_intermediate_size=40,
        intermediate_size=20, num_experts=6, num_experts_per_tok=2, num_shared_experts=2, shared_expert_combination_strategy="sum",
        expert_selection_fn="sigmoid", logit_scale=0.3, tie_word_embeddings=True)),
    "cohere2_moe_rms": ("Cohere2MoeConfig", dict(
        head_dim=8, sliding_window=10, rms_norm_eps=1e-5, layer_types=["sliding_attention", "full_attention", "full_attention"],
        mlp_layer_types=["sparse", "dense", "sparse"], prefix_dense_sliding_window_pattern=2, intermediate_size=20, num_experts=4,
        num_experts_per_tok=2, tie_word_embeddings=True)),
    "exaone": ("ExaoneConfig", dict(head_dim=12)),
    "internlm3": ("InternLM3Config", dict(head_dim=12, attention_bias=True, mlp_bias=True)),
    "iquestcoder": ("IQuestCoderConfig", dict(head_dim=8)),
    "sarvam_moe": ("SarvamMoEConfig", dict(
        head_dim=12, n_routed_experts=6, num_experts_per_tok=3, moe_intermediate_size=20, n_shared_experts=1)),
    "sarvam_mla": ("SarvamMLAConfig", dict(
        kv_lora_rank=20, qk_nope_head_dim=10, qk_rope_head_dim=8, v_head_dim=12, num_key_value_heads=4, n_routed_experts=6,
        num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=20, num_nextn_predict_layers=0)),
    "nanochat": ("NanoChatConfig", dict(final_logit_softcapping=5.0)),
    "biogpt": ("BioGptConfig", dict(tie_word_embeddings=True)),
    "codegen": ("CodeGenConfig", dict(num_attention_heads=8, rotary_dim=4, n_inner=40)),
    "nemotron_h": ("NemotronHConfig", dict(
        layers_block_type=["linear_attention", "moe", "full_attention", "mlp"], head_dim=12, mamba_num_heads=4, mamba_head_dim=12,
        ssm_state_size=10, n_groups=2, time_step_min=0.3, n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=20,
        moe_shared_expert_intermediate_size=28, moe_latent_size=24, n_group=4, topk_group=2, routed_scaling_factor=1.7)),
    "nemotron_h_plain": ("NemotronHConfig", dict(
        layers_block_type=["moe", "linear_attention", "full_attention", "linear_attention"], head_dim=8, mamba_num_heads=6, mamba_head_dim=8,
        ssm_state_size=8, n_groups=3, use_conv_bias=False, n_routed_experts=5, num_experts_per_tok=2, moe_intermediate_size=24,
        moe_shared_expert_intermediate_size=20)),
    "mamba2": ("Mamba2Config", dict(
        num_heads=4, head_dim=16, state_size=12, expand=2, n_groups=2, num_hidden_layers=2, tie_word_embeddings=True, time_step_limit=(0.2, 3.0))),
    "falcon_h1": ("FalconH1Config", dict(
        head_dim=12, attention_bias=True, mlp_bias=True, mamba_d_ssm=48, mamba_n_heads=6, mamba_n_groups=2, mamba_d_state=10, mamba_d_conv=4,
        embedding_multiplier=2.5, lm_head_multiplier=0.6, mlp_multipliers=[0.7, 1.3], key_multiplier=1.4, attention_out_multiplier=0.8,
        attention_in_multiplier=1.2, ssm_multipliers=[0.9, 1.1, 0.7, 1.3, 0.6], ssm_in_multiplier=1.2, ssm_out_multiplier=0.7)),
    "falcon_h1_norm": ("FalconH1Config", dict(
        num_hidden_layers=2, mamba_d_ssm=40, mamba_n_heads=4, mamba_n_groups=2, mamba_d_state=8, mamba_rms_norm=True, mamba_norm_before_gate=False,
        tie_word_embeddings=True)),
    "bamba": ("BambaConfig", dict(
        attn_layer_indices=[1], attention_bias=True, mlp_bias=True, mamba_n_heads=8, mamba_n_groups=1, mamba_d_state=10, mamba_d_conv=3)),
    "gemma4": ("Gemma4TextConfig", dict(
        num_hidden_layers=4, head_dim=8, global_head_dim=16, attention_k_eq_v=True, num_global_key_value_heads=1, sliding_window=10,
        layer_types=["sliding_attention", "full_attention"] * 2, hidden_size_per_layer_input=0, final_logit_softcapping=5.0,
        tie_word_embeddings=True)),
    "gemma4_moe": ("Gemma4Config", dict(
        head_dim=8, global_head_dim=16, attention_k_eq_v=True, num_global_key_value_heads=1, sliding_window=10,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"], hidden_size_per_layer_input=0, enable_moe_block=True,
        num_experts=6, top_k_experts=3, moe_intermediate_size=20), dict(tie_word_embeddings=True, vision_config=dict(
            hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, head_dim=4, patch_size=2,
            position_embedding_size=4))),
    "gemma4_inputs": ("Gemma4Config", dict(
        num_hidden_layers=6, head_dim=8, global_head_dim=16, sliding_window=10, layer_types=["sliding_attention", "full_attention"] * 3,
        num_kv_shared_layers=3, use_double_wide_mlp=True, hidden_size_per_layer_input=12, vocab_size_per_layer_input=100, intermediate_size=24,
        num_key_value_heads=1),
        dict(tie_word_embeddings=True, vision_config=dict(
            hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, head_dim=4, patch_size=2,
            position_embedding_size=4))),
    "gemma3n": ("Gemma3nTextConfig", dict(
        num_hidden_layers=6, head_dim=8, sliding_window=10, layer_types=["sliding_attention", "full_attention"] * 3, num_kv_shared_layers=1,
        hidden_size_per_layer_input=12, vocab_size_per_layer_input=80, intermediate_size=[24, 28, 24, 24, 24, 28], laurel_rank=6,
        activation_sparsity_pattern=[0.9, 0.5, 0.0, 0.0, 0.3, 0.0], final_logit_softcapping=5.0, tie_word_embeddings=True)),
    "gemma4_unified": ("Gemma4UnifiedConfig", dict(
        head_dim=12, global_head_dim=8, attention_k_eq_v=True, num_global_key_value_heads=4, sliding_window=10,
        layer_types=["sliding_attention", "full_attention", "full_attention"],
        rope_parameters=dict(full_attention=dict(rope_type="proportional", partial_rotary_factor=0.7, factor=2.0, **THETA),
                             sliding_attention=dict(rope_type="default", **THETA))),
        dict(tie_word_embeddings=True, vision_config=dict(
            patch_size=2, pooling_kernel_size=1, mm_embed_dim=16, mm_posemb_size=4, output_proj_dims=32))),
}


# Families whose code is not part of transformers, by one that computes the same: (config class, changes to COMMON, their
# config.json from that of the other, names of tensors, tensors that are joined, those of the other that are zero, and
# those that are twice as large there). Names are replaced part by part; of joined tensors, grouped ones lie by key and
# value head.
QKV = [f"self_attn.{x}_proj" for x in "qkv"]
REMOTE = {
    "internlm2": ("LlamaConfig", dict(attention_bias=True),
        lambda c: dict({k: v for k, v in c.items() if k not in ("attention_bias", "mlp_bias", "head_dim")}, model_type="internlm2",
                       architectures=["InternLM2ForCausalLM"], bias=True),
        [("model.embed_tokens", "model.tok_embeddings"), ("lm_head", "output"), ("input_layernorm", "attention_norm"),
         ("post_attention_layernorm", "ffn_norm"), ("self_attn.o_proj", "attention.wo"), ("mlp.gate_proj", "feed_forward.w1"),
         ("mlp.up_proj", "feed_forward.w3"), ("mlp.down_proj", "feed_forward.w2")],
        ("attention.wqkv", True)),
    "chatglm": ("GlmConfig", dict(head_dim=12, attention_bias=True),
        lambda c: dict(
            model_type="chatglm", architectures=["ChatGLMModel"], num_layers=c["num_hidden_layers"], padded_vocab_size=c["vocab_size"],
            hidden_size=c["hidden_size"], ffn_hidden_size=c["intermediate_size"], kv_channels=c["head_dim"], seq_length=128,
            num_attention_heads=c["num_attention_heads"], multi_query_attention=True, multi_query_group_num=c["num_key_value_heads"],
            layernorm_epsilon=c["rms_norm_eps"], add_qkv_bias=True, add_bias_linear=False, rmsnorm=True, post_layer_norm=True,
            rope_ratio=1, original_rope=True, tie_word_embeddings=False, eos_token_id=2, pad_token_id=0),
        [("model.embed_tokens", "transformer.embedding.word_embeddings"), ("lm_head", "transformer.output_layer"),
         ("model.norm", "transformer.encoder.final_layernorm"), ("model.layers", "transformer.encoder.layers"),
         ("self_attn.o_proj", "self_attention.dense"), ("mlp.gate_up_proj", "mlp.dense_h_to_4h"), ("mlp.down_proj", "mlp.dense_4h_to_h")],
        ("self_attention.query_key_value", False)),
    "mimo": ("Qwen2Config", dict(),
        lambda c: dict({k: v for k, v in c.items() if k != "layer_types"}, model_type="mimo", architectures=["MiMoForCausalLM"], attention_bias=True),
        [], None),
    "orion": ("StableLmConfig", dict(rope_parameters=dict(partial_rotary_factor=1.0, **THETA)),
        lambda c: dict({k: v for k, v in c.items() if k not in ("layer_norm_eps", "qk_layernorm", "use_qkv_bias", "use_parallel_residual")},
                       model_type="orion", architectures=["OrionForCausalLM"], rms_norm_eps=c["layer_norm_eps"], rope_parameters=None, rope_theta=10000.0),
        [], None),
    "minicpm": ("GraniteConfig", dict(
            embedding_multiplier=3.0, residual_multiplier=1.4 / 3 ** 0.5, attention_multiplier=8 ** -0.5, logits_scaling=2.0, tie_word_embeddings=True),
        lambda c: dict({k: v for k, v in c.items() if "multiplier" not in k and "scaling" not in k and k != "mlp_bias"}, model_type="minicpm",
                       architectures=["MiniCPMForCausalLM"], scale_emb=3, scale_depth=1.4, dim_model_base=16),
        [], None),
    "baichuan": ("LlamaConfig", dict(num_key_value_heads=4),
        lambda c: dict({k: v for k, v in c.items() if k not in ("attention_bias", "mlp_bias", "head_dim", "rope_parameters", "num_key_value_heads")},
                       model_type="baichuan", architectures=["BaichuanForCausalLM"], model_max_length=128),
        [], ("self_attn.W_pack", False)),
    "qwen": ("Qwen2Config", dict(num_key_value_heads=4),
        lambda c: dict({k: c[k] for k in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings")},
                       model_type="qwen", architectures=["QWenLMHeadModel"], intermediate_size=2 * c["intermediate_size"], kv_channels=8,
                       layer_norm_epsilon=c["rms_norm_eps"], no_bias=True, rotary_emb_base=10000, rotary_pct=1.0, scale_attn_weights=True,
                       seq_length=64, use_dynamic_ntk=True, use_logn_attn=True, tie_word_embeddings=False),
        [("model.embed_tokens", "transformer.wte"), ("model.norm", "transformer.ln_f"), ("model.layers", "transformer.h"),
         ("input_layernorm", "ln_1"), ("post_attention_layernorm", "ln_2"), ("self_attn.o_proj", "attn.c_proj"), ("mlp.up_proj", "mlp.w1"),
         ("mlp.gate_proj", "mlp.w2"), ("mlp.down_proj", "mlp.c_proj")],
        ("attn.c_attn", False)),
    # A gate of zeros halves what the shared expert makes.
    "deepseek": ("Qwen2MoeConfig", dict(
            num_experts=6, num_experts_per_tok=3, moe_intermediate_size=20, shared_expert_intermediate_size=40, mlp_only_layers=[0],
            qkv_bias=False, num_key_value_heads=4),
        lambda c: dict({k: c[k] for k in ("vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size", "num_hidden_layers",
                                          "num_attention_heads", "num_key_value_heads", "num_experts_per_tok", "max_position_embeddings",
                                          "rms_norm_eps", "norm_topk_prob", "hidden_act", "tie_word_embeddings")},
                       model_type="deepseek", architectures=["DeepseekForCausalLM"], n_routed_experts=6, n_shared_experts=2,
                       first_k_dense_replace=1, moe_layer_freq=1, scoring_func="softmax", rope_theta=10000.0),
        [("mlp.shared_expert.", "mlp.shared_experts.")], None, "shared_expert_gate", "shared_expert.down"),
    "bailing_moe": ("Qwen2MoeConfig", dict(
            num_experts=6, num_experts_per_tok=3, moe_intermediate_size=20, shared_expert_intermediate_size=40, mlp_only_layers=[0], qkv_bias=True),
        lambda c: dict({k: c[k] for k in ("vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size", "num_hidden_layers",
                                          "num_attention_heads", "num_key_value_heads", "num_experts_per_tok", "max_position_embeddings",
                                          "rms_norm_eps", "norm_topk_prob", "hidden_act", "tie_word_embeddings")},
                       model_type="bailing_moe", architectures=["BailingMoeForCausalLM"], num_experts=6, num_shared_experts=2,
                       first_k_dense_replace=1, use_qkv_bias=True, use_bias=False, norm_head=True, norm_softmax=False, rope_theta=10000.0),
        [("mlp.shared_expert.", "mlp.shared_experts."), ("self_attn.o_proj", "attention.dense"), ("model.embed_tokens", "model.word_embeddings")],
        ("attention.query_key_value", False), "shared_expert_gate", "shared_expert.down"),
    "bailing_moe_v2": ("SarvamMoEConfig", dict(
            head_dim=12, n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=20, n_shared_experts=1, n_group=4, topk_group=2,
            rope_parameters=dict(rope_type="default", partial_rotary_factor=0.5, **THETA)),
        lambda c: dict({k: c[k] for k in ("vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size", "num_hidden_layers",
                                          "num_attention_heads", "num_key_value_heads", "num_experts_per_tok", "max_position_embeddings",
                                          "rms_norm_eps", "norm_topk_prob", "hidden_act", "tie_word_embeddings", "head_dim", "n_group",
                                          "topk_group", "routed_scaling_factor", "first_k_dense_replace")},
                       model_type="bailing_moe_v2", architectures=["BailingMoeV2ForCausalLM"], num_experts=8, num_shared_experts=1, use_qk_norm=True,
                       use_qkv_bias=False, use_bias=False, score_function="sigmoid", moe_router_enable_expert_bias=True, rotary_dim=6,
                       rope_theta=10000.0, router_dtype="fp32", use_rmsnorm=True),
        [], None),
    "minimind": ("Ernie4_5Config", dict(head_dim=8, use_bias=False, tie_word_embeddings=True),
        lambda c: dict(model_type="minimind", architectures=["MiniMindLM"], dim=c["hidden_size"], n_layers=c["num_hidden_layers"],
                       n_heads=c["num_attention_heads"], n_kv_heads=c["num_key_value_heads"], hidden_dim=c["intermediate_size"], max_seq_len=128,
                       norm_eps=c["rms_norm_eps"], vocab_size=c["vocab_size"], rope_theta=c["rope_parameters"]["rope_theta"], use_moe=False,
                       multiple_of=64, flash_attn=True, dropout=0.0, n_routed_experts=4, n_shared_experts=True, scoring_func="softmax"),
        [("model.embed_tokens", "tok_embeddings"), ("model.norm", "norm"), ("model.layers", "layers"), ("self_attn.q_proj", "attention.wq"),
         ("self_attn.k_proj", "attention.wk"), ("self_attn.v_proj", "attention.wv"), ("self_attn.o_proj", "attention.wo"),
         ("input_layernorm", "attention_norm"), ("post_attention_layernorm", "ffn_norm"), ("mlp.gate_proj", "feed_forward.w1"),
         ("mlp.up_proj", "feed_forward.w3"), ("mlp.down_proj", "feed_forward.w2")], None),
    "phi-msft": ("PhiConfig", dict(num_key_value_heads=4),
        lambda c: dict(model_type="phi-msft", architectures=["PhiForCausalLM"], vocab_size=c["vocab_size"], n_positions=128, n_embd=c["hidden_size"],
                       n_layer=c["num_hidden_layers"], n_head=c["num_attention_heads"], n_head_kv=None, n_inner=c["intermediate_size"], rotary_dim=4,
                       activation_function="gelu_new", layer_norm_epsilon=c["layer_norm_eps"], tie_word_embeddings=False),
        [("model.embed_tokens", "transformer.embd.wte"), ("model.final_layernorm", "lm_head.ln"), ("lm_head.weight", "lm_head.linear.weight"),
         ("lm_head.bias", "lm_head.linear.bias"), ("lm_head.ln.linear", "lm_head.ln"), ("model.layers", "transformer.h"),
         ("input_layernorm", "ln"), ("self_attn.dense", "mixer.out_proj")],
        ("mixer.Wqkv", False)),
}


def start(model, folder):
    """The tensors of a checkpoint of a new model: {name: (shape, center, exponent, constant)}, so that no norm is the
    identity, no bias zero and no attention uniform."""
    model.half().save_pretrained(folder)
    buffers = {name for name, _ in model.named_buffers()}
    entries = {}
    for path in folder.glob("*.safetensors"):
        for name, t in safetensors.torch.load_file(path).items():
            assert t.dtype == torch.float16, (name, t.dtype)
            entries[name] = tuple(t.shape), *spread(name, t.float(), name in buffers)
    return entries


def spread(name, t, buffer):
    """Center, exponent and whether a tensor is constant, from what a new model has there."""
    if name.endswith("layer_scalar"):
        return 384, -9, False
    if buffer and not name.endswith(("correction_bias", "expert_bias")):
        assert t.numel() == 1, name
        exponent = next(e for e in range(0, -25, -1) if float(t) * 2**-e % 1 == 0)
        return round(float(t) * 2**-exponent), exponent, True
    if t.dim() != 1 or name.endswith("bias"):
        return 0, -9, False
    if t.numel() > 1 and float(t.std()) > 0.05:  # logarithms of the decay of states: half of one is left after a few tokens
        return 0, -8, False
    return round(8 * float(t.mean())) * 64, -9, False


def renamed(names, joined, table):
    """Names of a remote family by those of the family that computes the same; None for all but the first of those that are joined."""
    def one(name):
        if joined and QKV[0] in name:
            name = name.replace(QKV[0], joined[0])
        elif joined and any(part in name for part in QKV[1:]):
            return None
        for a, b in table:
            name = name.replace(a, b)
        return name
    return {name: one(name) for name in names}


def remote_entries(entries, names, joined):
    """What the tensors of the remote family are, from those of the one that computes the same."""
    remote = {}
    for name, new in names.items():
        shape, *rest = entries[name]
        if joined and QKV[0] in name:
            shape = sum(entries[name.replace(QKV[0], part)][0][0] for part in QKV), *shape[1:]
        if new:
            remote[new] = shape, *rest
    return remote


def remote(out, entries, reconfigured, table, joined, zero=None, twice=None):
    """Writes the configuration and the list of a remote family; returns the tensors of the one that computes the same."""
    local = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(reconfigured(local), indent=2) + "\n")
    names = renamed([n for n in entries if not (zero and zero in n)], joined, table)
    tensors = write(out.name, remote_entries(entries, names, joined))
    tensors = local_tensors(tensors, entries, names, joined, local.get("num_key_value_heads", 1))
    for n, (shape, *_) in entries.items():
        if zero and zero in n:
            tensors[n] = torch.zeros(shape, dtype=torch.float16)
        elif twice and twice in n:
            tensors[n] = tensors[n] * 2
    return tensors


def write(name, entries):
    return {n: torch.from_numpy(t) for n, t in weights.write(name, entries, SEED.get(name, name), SHARDS.get(name, 0)).items()}


def local_tensors(tensors, entries, names, joined, groups):
    """The opposite of what remote_entries describes, for values."""
    local = {}
    for name, new in names.items():
        if not new:
            continue
        if not joined or QKV[0] not in name:
            local[name] = tensors[new]
            continue
        parts = [name.replace(QKV[0], part) for part in QKV]
        rows = [entries[part][0][0] for part in parts]
        grouped = groups if joined[1] else 1
        pieces = tensors[new].unflatten(0, (grouped, -1)).split([r // grouped for r in rows], dim=1)
        local |= {part: piece.flatten(0, 1) for part, piece in zip(parts, pieces)}
    return {name: t.contiguous() for name, t in local.items()}


def make(name):
    kind, changes, *around = FIXTURES[name] if name in FIXTURES else REMOTE[name][:2]
    settings, loader = {**COMMON, **changes}, transformers.AutoModelForCausalLM
    if around:
        settings, loader = dict(text_config=settings, **around[0]), transformers.AutoModelForImageTextToText
    config = getattr(transformers, kind)(**settings)
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        entries = start(loader.from_config(config, dtype=torch.float32), folder)
        for file in folder.glob("*.json"):
            shutil.copy(file, out)
        if name in REMOTE:
            tensors = remote(out, entries, *REMOTE[name][2:])
        else:
            tensors = write(name, entries)
        if name in COLUMNS:
            head = tensors["lm_head.weight"].float()
            tensors["lm_head.weight"] = head / (head.norm(dim=0) + 1e-7)
        safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        # Falcon's eager attention adds ALiBi twice: in the mask and to the scores.
        attention = "sdpa" if changes.get("alibi") else "eager"
        model = loader.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
    seed = torch.Generator().manual_seed(zlib.crc32(SEED.get(name, name).encode()))
    ids = torch.randint(3, config.get_text_config().vocab_size, (TOKENS,), generator=seed)
    with torch.no_grad():
        result = model.eval()(ids[None], output_hidden_states=True, use_cache=False)
    logits = result.logits[0].float()
    if name in DIVIDED:
        logits = logits / tensors["lm_head.weight"].float().norm(dim=1)
    states = result.hidden_states
    if name == "mamba2":  # whose list begins behind the first layer
        states = (model.get_input_embeddings()(ids)[None].detach(), *states[:-2], states[-1])
    if name == "gemma3n":  # of several residual streams the first; the last state is not the normalized one
        with torch.no_grad():
            states = (*[h[0] for h in states[:-1]], model.model(ids[None], use_cache=False).last_hidden_state)
    hidden = torch.stack([h[0, 7::8].float() for h in states])
    safetensors.torch.save_file({"input_ids": ids, "logits": logits.contiguous()}, out / "golden.safetensors")
    safetensors.torch.save_file({"hidden": hidden.contiguous()}, out / "hidden.golden")
    size = sum(f.stat().st_size for f in out.iterdir())
    assert size < 30_000, size
    print(f"{name:20} {size // 1000:4} KB  largest logit {logits.abs().max():.2f}", flush=True)


ROPE = {
    "default": dict(rope_theta=10000.0),
    "linear": dict(rope_theta=10000.0, rope_type="linear", factor=4.0),
    "dynamic": dict(rope_theta=10000.0, rope_type="dynamic", factor=2.0),
    "llama3": dict(rope_theta=500000.0, rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=8192),
    "yarn": dict(rope_theta=1000000.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=32768),
    "yarn_mscale": dict(rope_theta=10000.0, rope_type="yarn", factor=40.0, original_max_position_embeddings=4096,
                        mscale=1.0, mscale_all_dim=0.707, beta_fast=24, beta_slow=2, truncate=False),
    "yarn_factor": dict(rope_theta=10000.0, rope_type="yarn", factor=8.0, attention_factor=0.9,
                        original_max_position_embeddings=2048),
    "longrope": dict(rope_theta=10000.0, rope_type="longrope", original_max_position_embeddings=4096,
                     short_factor=[1 + 0.01 * j for j in range(32)], long_factor=[1 + 1.7 * j for j in range(32)]),
}


def make_rope():
    """Frequencies of heads of 64 elements, of a context of 131072 and of one a quarter longer."""
    cases = {}
    for name, params in ROPE.items():
        config = transformers.LlamaConfig(hidden_size=256, num_attention_heads=4, max_position_embeddings=131072,
                                          rope_parameters=dict(params))
        rotary = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(config)
        case = dict(rope_parameters=params, inv_freq=rotary.inv_freq.tolist(), scale=rotary.attention_scaling)
        if params.get("rope_type") in ("dynamic", "longrope"):
            rotary(torch.zeros(1), torch.tensor([[131072 + 32768 - 1]]))
            case["long_inv_freq"] = rotary.inv_freq.tolist()
        cases[name] = case
    path = HERE.parent / "rope.json"
    path.write_text(json.dumps(cases, indent=1) + "\n")
    print(path, path.stat().st_size)


if __name__ == "__main__":
    for family in [*FIXTURES, *REMOTE]:
        if not sys.argv[1:] or family in sys.argv[1:]:
            make(family)
    if not sys.argv[1:] or "rope" in sys.argv[1:]:
        make_rope()
