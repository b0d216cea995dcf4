"""Usage: real_golden.py MODEL.gguf DIR. What transformers makes of a GGUF file, for scripts/real.

Writes into DIR
  checkpoint/           the model as a Hugging Face checkpoint in float16
  golden.safetensors    input_ids [tokens] and logits [tokens][vocab] in float32 of that checkpoint
  greedy.json           chats: prompt, the ids that the template makes of it, the ids of the greedy answer
"""

import json
import pathlib
import sys

import safetensors.torch
import torch
import transformers

TOKENS = 128
ANSWER = 40
PROMPTS = [
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "List three colors.",
]

gguf, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
text = (pathlib.Path(__file__).resolve().parent.parent / "testdata/text/evaluation.txt").read_text()
checkpoint = out / "checkpoint"
torch.manual_seed(0)

where = dict(pretrained_model_name_or_path=gguf.parent, gguf_file=gguf.name)
loaded = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
config = type(loaded.config)(**{k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"})
fresh = type(loaded)(config)
fresh.load_state_dict(loaded.state_dict())
fresh.tie_weights()
fresh.generation_config = loaded.generation_config
fresh.half().save_pretrained(checkpoint)
tokenizer.save_pretrained(checkpoint)

model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
ids = tokenizer(text[:8000], return_tensors="pt").input_ids[:, :TOKENS]
with torch.no_grad():
    logits = model(ids).logits[0]
safetensors.torch.save_file({"input_ids": ids[0].contiguous(), "logits": logits.contiguous()}, out / "golden.safetensors")

chats = []
for prompt in PROMPTS:
    given = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        made = model.generate(**given, max_new_tokens=ANSWER, do_sample=False)
    answer = made[0, given.input_ids.shape[1]:].tolist()
    chats.append(dict(prompt=prompt, ids=given.input_ids[0].tolist(), answer=answer, text=tokenizer.decode(answer)))
(out / "greedy.json").write_text(json.dumps(chats, indent=1))
