#!/usr/bin/env python3
"""Usage: testdata/where_it_drifts.py CHECKPOINT TEXT [WINDOWS [BLOCK]]

Estimates how much of a model's drift in int4, in blocks of BLOCK (64) by min-max, each matrix in its layers costs: the mean KL
divergence is half of Σ F·(w−ŵ)², where F is the mean square of the gradient of a token's log-likelihood, tokens being
drawn from the model itself. Over the second halves of WINDOWS (3) windows of 512 tokens.

  pip install torch==2.15.0 transformers==5.24.0 tokenizers
"""

import collections
import pathlib
import re
import sys

import tokenizers
import torch
import transformers

transformers.logging.set_verbosity_error()
WINDOW = 512


def rounded(w, block):
    """w in int4 by min-max: [rows][cols]. A short last block has the others' form."""
    rows, cols = w.shape
    padded = torch.nn.functional.pad(w, (0, -cols % block)).view(rows, -1, block)
    low, high = padded.amin(-1, keepdim=True).clamp(max=0), padded.amax(-1, keepdim=True).clamp(min=0)
    scale = ((high - low) / 15).half().float().clamp(min=2.0**-14)
    zero = (-low / scale).round()
    return (((padded / scale).round() + zero).clamp(0, 15) - zero).mul(scale).view(rows, -1)[:, :cols]


def main(checkpoint, text, windows=3, block=64):
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    ids = tokenizers.Tokenizer.from_file(f"{checkpoint}/tokenizer.json").encode(pathlib.Path(text).read_text(encoding="utf-8"), add_special_tokens=False).ids
    matrices = {n: p for n, p in model.named_parameters() if p.dim() == 2 and ".layers." in n}
    for p in model.parameters():
        p.requires_grad_(False)
    error = {n: (p - rounded(p, int(block))).square() for n, p in matrices.items()}
    for p in matrices.values():
        p.requires_grad_(True)
    cost = collections.Counter()
    for i in range(int(windows)):
        window = torch.tensor(ids[i * WINDOW : (i + 1) * WINDOW])[None]
        likely = model(window, logits_to_keep=WINDOW // 2).logits[0].log_softmax(-1)
        drawn = torch.multinomial(likely.detach().exp(), 1)
        likely.gather(-1, drawn).sum().backward()
        for n, p in matrices.items():
            cost[n] += (p.grad.square() * error[n]).sum().item() / WINDOW / int(windows)
            p.grad = None
    total, weights = sum(cost.values()), sum(p.numel() for p in matrices.values())
    kinds = collections.defaultdict(lambda: [0, 0])
    for n, c in cost.items():
        kind = kinds[re.sub(r"^.*\.layers\.\d+\.|\.weight$", "", n)]
        kind[0] += c
        kind[1] += matrices[n].numel()
    print(f"mean KLD, about {total:.4f}")
    for kind, (c, n) in sorted(kinds.items(), key=lambda k: -k[1][0]):
        print(f"{100 * c / total:5.1f} %  {kind}, with {100 * n / weights:.1f} % of the weights")
    print("the most costly matrices")
    for n, c in cost.most_common(12):
        print(f"{100 * c / total:5.1f} %  {n}, with {100 * matrices[n].numel() / weights:.2f} % of the weights")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
