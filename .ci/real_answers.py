"""Usage: real_answers.py PROGRAM BUNDLE DEVICE greedy.json. Prints how many tokens of transformers' greedy answers
the bundle gives, each answer up to the first difference: "57 of 63"."""

import json
import subprocess
import sys

program, bundle, device, path = sys.argv[1:]
same = total = 0
for chat in json.load(open(path)):
    command = [program, "infer", "--model", bundle, "--device", device, "--chat", "--prompt", chat["prompt"],
               "--temperature", "0", "-n", str(len(chat["answer"])), "--json"]
    made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert made["prompt_tokens"] == chat["ids"], f"{chat['prompt']}: the template makes other tokens:\n{made['prompt_tokens']}\n{chat['ids']}"
    mine, theirs = made["tokens"], chat["answer"]
    if made["stats"]["end"] == "eos":
        mine = mine + theirs[len(mine):len(mine) + 1]  # the token that ended it is not printed
    same += next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), min(len(mine), len(theirs)))
    total += len(theirs)
print(f"{same} of {total}")
