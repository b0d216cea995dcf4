#!/usr/bin/env python3
"""Usage: testdata/with_outliers.py LLAMA OUT.gguf CHECKPOINT

Gives a small Llama what large models have and small ones lack, without changing what it computes: a few channels
that stick out of the inputs of every matrix, neurons with massive activations, and columns of uneven importance. The
weights lie on no grid, and an embedding that is the head stays it, so that formats are compared fairly. By powers of two, so
that next to nothing is rounded:

- A channel of a norm is scaled up, and so the matrices behind it down: for the same few channels in each layer 8 to 32
  times, for the others by a factor that varies as norms do.
- A row of up is scaled up and its column of down scaled down: for a few neurons of each layer 64 times, for the others a
  little. The same of the values and the columns of o that read them.

The result is written as a directory (CHECKPOINT) and as GGUF without a vocabulary (OUT.gguf). It ends with an error if
the logits are not those of LLAMA. The same checkpoint gives the same bytes.

  pip install gguf==0.19.0 numpy torch==2.15.0 transformers==5.24.0
"""

import pathlib
import shutil
import sys

import gguf
import numpy as np
import torch
import transformers

SEED = 20240229
transformers.logging.set_verbosity_error()


def powers(rng, n, spread):
    """n powers of two around 1: [n]."""
    return torch.from_numpy(2.0 ** np.round(rng.normal(0, spread, n))).float()


def edit(model):
    """Scales the parameters of a LlamaForCausalLM."""
    rng, c = np.random.default_rng(SEED), model.config
    outliers = rng.choice(c.hidden_size, max(1, c.hidden_size // 100), replace=False)
    for layer in model.model.layers:
        a, m = layer.self_attn, layer.mlp
        for norm, readers in ((layer.input_layernorm, (a.q_proj, a.k_proj, a.v_proj)), (layer.post_attention_layernorm, (m.gate_proj, m.up_proj))):
            scale = powers(rng, c.hidden_size, 0.5)
            scale[outliers] = torch.from_numpy(2.0 ** rng.integers(3, 6, len(outliers))).float()
            norm.weight *= scale
            for r in readers:
                r.weight /= scale
        scale = powers(rng, c.intermediate_size, 0.4)
        scale[rng.choice(c.intermediate_size, 3, replace=False)] = 64
        m.up_proj.weight *= scale[:, None]
        m.down_proj.weight /= scale
        scale = powers(rng, a.v_proj.weight.shape[0], 0.4)
        a.v_proj.weight *= scale[:, None]
        heads = scale.view(c.num_key_value_heads, 1, -1).expand(-1, c.num_attention_heads // c.num_key_value_heads, -1)
        a.o_proj.weight /= heads.reshape(-1)


NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "model.norm": "output_norm", "model.embed_tokens": "token_embd", "lm_head": "output",
}


def write_gguf(model, path):
    """Writes a LlamaForCausalLM as llama.cpp's converter does, but for its vocabulary."""
    c, w = model.config, gguf.GGUFWriter(path, "llama")
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_rope_dimension_count(c.head_dim)
    w.add_vocab_size(c.vocab_size)
    w.add_tokenizer_model("no_vocab")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    for name, t in model.named_parameters():
        name, layer = name.removesuffix(".weight"), ""
        if name.startswith("model.layers."):
            layer, _, name = name.removeprefix("model.layers.").partition(".")
            layer = f"blk.{layer}."
        if name in ("self_attn.q_proj", "self_attn.k_proj"):  # pairs of RoPE lie side by side there
            t = t.view(-1, 2, c.head_dim // 2, t.shape[1]).transpose(1, 2).reshape(t.shape)
        w.add_tensor(f"{layer}{NAMES[name]}.weight", t.numpy().astype(np.float16 if t.dim() > 1 else np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


@torch.no_grad()
def main(source, path, out):
    load = lambda: transformers.LlamaForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    plain, model = load(), load()
    edit(model)
    for p in model.parameters():
        p.copy_(p.half())
    if not all(p.isfinite().all() for p in model.parameters()):
        raise SystemExit(f"{source}: a weight is too large for float16 when it is scaled")
    ids = torch.randint(model.config.vocab_size, (1, 64), generator=torch.Generator().manual_seed(SEED))
    want, got = plain(ids).logits.log_softmax(-1), model(ids).logits.log_softmax(-1)
    kld = (want.exp() * (want - got)).sum(-1).mean().item()
    if not kld < 1e-5:
        raise SystemExit(f"{source}: the edited model is not what it was: mean KL divergence {kld:.2g}")
    write_gguf(model, path)
    model.half().save_pretrained(out)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (file := pathlib.Path(source, name)).exists():
            shutil.copy(file, out)
    print(f"{out}: mean KL divergence from {source} {kld:.1e}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
