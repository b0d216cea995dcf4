"""Usage: real_table.py PROGRAM MODEL.gguf, in the directory that scripts/real has prepared. Makes bundles, verifies them,
lets them answer, and prints the table of docs/models.md and the quick start of README.md; see scripts/real for the
variables that choose what is done."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

program, gguf = sys.argv[1:]
root = pathlib.Path(__file__).resolve().parent.parent
device = ["--device", os.environ["DEVICE"]] if "DEVICE" in os.environ else []
gptq = ["--method", "gptq", "--calibration", str(root / "testdata/text/calibration.txt"),
        "--calibration-windows", os.environ.get("CALIBRATION_WINDOWS", "8")]
ROWS = {  # name: checkpoint and options of quantize
    "f16": ("checkpoint", ["--format", "f16"]),
    "int8": ("checkpoint", ["--format", "int8"]),
    "int4": ("checkpoint", ["--format", "int4"]),
    "int4-gguf": (gguf, ["--format", "int4"]),
    "int4-128": ("checkpoint", ["--format", "int4", "--block-size", "128", "--embed-format", "int4"]),
    "int4-gptq": ("checkpoint", ["--format", "int4", *gptq]),
}


def say(*words):
    print("real:", *words, file=sys.stderr, flush=True)


def run(*command, codes=(0,)):
    done = subprocess.run([program, *command], text=True, capture_output=True)
    if done.returncode not in codes:
        sys.exit(f"{shlex.join([program, *command])}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def answers(bundle):
    """Counts the tokens of transformers' greedy answers that the bundle gives, each answer up to the first difference."""
    same = total = 0
    for chat in json.loads(pathlib.Path("greedy.json").read_text()):
        theirs = chat["answer"]
        made = json.loads(run("infer", bundle, *device, "--chat", "--prompt", chat["prompt"], "--temperature", "0",
                              "-n", str(len(theirs)), "--json").stdout)
        if made["prompt_tokens"] != chat["ids"]:
            sys.exit(f"{chat['prompt']}: the template makes other tokens than transformers:\n{made['prompt_tokens']}\n{chat['ids']}")
        mine = made["tokens"]
        if made["stats"]["end"] == "eos":
            mine = mine + theirs[len(mine):len(mine) + 1]  # the token that ended it is not among them
        same += next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), min(len(mine), len(theirs)))
        total += len(theirs)
    return f"{same} of {total}"


def row(name):
    checkpoint, options = ROWS[name]
    say(name, "quantize")
    begun = time.monotonic()
    made = json.loads(run("quantize", checkpoint, "-o", name, "--force", "--discard", "--json", *options).stdout)
    seconds = time.monotonic() - begun
    say(name, "verify")
    done = run("verify", name, "--reference", "checkpoint", "--golden", "golden.safetensors", *device,
               "--windows", os.environ.get("WINDOWS", "4"), "--json", "-", codes=(0, 3))
    report = json.loads(done.stdout)
    drift, golden = report["drift"], report["golden"]["reference"]
    say(name, "answers")
    return (f"| {name} | {made['bits_per_weight']:.2f} | {made['bytes_after'] / 1e6:.0f} MB | {seconds:.0f} s "
            f"| {golden['max_abs']:.1e} | {report['runtime']['rel_rms']:.1e} "
            f"| {drift['mean_kld']:.2g} ± {drift['mean_kld_error']:.1g} | {100 * drift['top1']:.1f} % | {answers(name)} "
            f"| {'PASS' if report['pass'] else 'FAIL'} |")


def table():
    lines = ["| SmolLM2-135M-Instruct | bits/weight | model.wgpu | quantized in | logits' largest distance from transformers' "
             "| runtime's relative RMS | mean KLD | same top token | tokens as transformers answers | verify |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    for name in ROWS:
        if re.search(os.environ.get("ROWS", ""), name):
            lines.append(row(name))
            print(lines[-1], flush=True)
    return "\n".join(lines)


def transcript():
    """Runs the quick start of README.md and returns the commands with what they print."""
    text = ""
    with tempfile.TemporaryDirectory() as work:
        os.symlink(pathlib.Path("checkpoint").resolve(), f"{work}/smollm2")
        os.symlink(program, f"{work}/llama-webgpu")
        for command in ("llama-webgpu quantize smollm2 -o smollm2-int4 --format int4",
                        "llama-webgpu verify smollm2-int4 --reference smollm2",
                        "llama-webgpu infer smollm2-int4 --chat --prompt 'What is the capital of France?' --temperature 0"):
            say(command)
            done = subprocess.run(command, shell=True, cwd=work, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  env=os.environ | {"PATH": f"{work}:{os.environ['PATH']}"})
            text += f"$ {command}\n" + re.sub(r"[ \t]+$", "", done.stdout, flags=re.M).rstrip("\n") + "\n"
    return text


def put(path, name, text):
    """Replaces what stands in a file between the marks of name."""
    old = path.read_text()
    new, n = re.subn(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m: m[1] + text + "\n" + m[2], old, flags=re.S)
    if n != 1:
        sys.exit(f"{path}: {n} places between marks of {name}")
    path.write_text(new)


rows = table()
if "ROWS" not in os.environ:
    printed = transcript()
    print("\n" + printed)
    if "UPDATE" in os.environ:
        put(root / "docs/models.md", "smollm2", rows)
        put(root / "README.md", "real", "```\n" + printed + "```")
