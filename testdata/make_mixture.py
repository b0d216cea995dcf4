#!/usr/bin/env python3
"""Usage: testdata/make_mixture.py CHECKPOINT EXPERTS TOP OUT

Makes a mixture of experts of a dense Llama checkpoint in float16: each MLP EXPERTS times, behind routers with random
weights of which TOP are chosen, in the form of Mixtral. The weights of the chosen sum to 1, so it computes what the
dense checkpoint computes, however it routes: what quantizing it costs can be compared. Wants nothing but Python.
"""

import json
import pathlib
import random
import shutil
import struct
import sys

MLP = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}


def tensors(path):
    """Yields name, shape and bytes of the tensors of a safetensors file."""
    data = path.read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    for name, t in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            if t["dtype"] != "F16":
                sys.exit(f"{path}: {name} is {t['dtype']}: want F16")
            a, b = t["data_offsets"]
            yield name, t["shape"], data[8 + size + a : 8 + size + b]


def main(checkpoint, experts, top, out):
    rng = random.Random(1)
    made = {}
    config = json.loads((checkpoint / "config.json").read_text())
    for path in sorted(checkpoint.glob("model*.safetensors")):
        for name, shape, data in tensors(path):
            part = name.split(".")
            if "mlp" not in part:
                made[name] = shape, data
                continue
            block = f"model.layers.{part[2]}.block_sparse_moe"
            for e in range(experts):
                made[f"{block}.experts.{e}.{MLP[part[4]]}.weight"] = shape, data
    n = config["hidden_size"]
    for i in range(config["num_hidden_layers"]):
        router = [rng.gauss(0, n**-0.5) for _ in range(experts * n)]
        made[f"model.layers.{i}.block_sparse_moe.gate.weight"] = [experts, n], struct.pack(f"<{len(router)}e", *router)
    config.update(
        architectures=["MixtralForCausalLM"], model_type="mixtral", num_local_experts=experts, num_experts_per_tok=top,
        sliding_window=None, output_router_logits=False, router_aux_loss_coef=0.0, router_jitter_noise=0.0,
    )
    for key in ("attention_bias", "mlp_bias", "pretraining_tp"):
        config.pop(key, None)

    out.mkdir(parents=True)
    header, at = {}, 0
    for name, (shape, data) in made.items():
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(out / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, data in made.values():
            f.write(data)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        if (checkpoint / name).exists():
            shutil.copy(checkpoint / name, out / name)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4]))
