#!/usr/bin/env python3
"""Usage: scripts/cpu_peers.py PROGRAM LIBRARIES GGUF OUT

Prints a table of how fast SmolLM2-135M runs on the CPU, on PROGRAM's engine and on llama.cpp's, for docs/performance.md:
prompts of 512 tokens and the generation of 128, with the same weights. GGUF is made float16 first, then a bundle and a
GGUF file of each type; files go to OUT. llama.cpp's LIBRARIES are driven through its C interface. The two programs take
turns; from the environment, ROUNDS (5) says how often, THREADS how many threads (all cores).

What is printed of each is its best round: on a machine that does other things, too, that is the round that they
disturbed least.
"""

import ctypes
import glob
import json
import os
import pathlib
import subprocess
import sys
import time

PROMPT, GENERATED = 512, 128
F16, Q4_0, Q8_0 = 1, 2, 7  # by their numbers in llama.h

# Ours: a name, and what quantize is told; llama.cpp's of about the same size beside it.
ROWS = [
    ("f16", ["--format", "f16"], "F16", F16),
    ("int8", ["--format", "int8"], "Q8_0", Q8_0),
    ("int4/128, embedding int4", ["--format", "int4", "--block-size", "128", "--embed-format", "int4"], "Q4_0", Q4_0),
]


class Quantize(ctypes.Structure):
    """llama_model_quantize_params"""

    _fields_ = (
        [(n, ctypes.c_int32) for n in ("threads", "ftype", "output_type", "embedding_type")]
        + [(n, ctypes.c_bool) for n in ("requantize", "quantize_output", "only_copy", "pure", "keep_split", "dry_run")]
        + [(n, ctypes.c_void_p) for n in ("imatrix", "kv_overrides", "type_overrides", "prune_layers")]
    )


class Parameters(ctypes.Structure):
    """llama_model_params and llama_context_params, of which only the first numbers are touched. It is longer than both."""

    _fields_ = [("numbers", ctypes.c_int32 * 16), ("rest", ctypes.c_uint8 * 1000)]

    def set_threads(self, n):
        """Sets the two numbers of threads, which lie where both have llama.cpp's default of 4."""
        at = [i for i in range(4, 15) if self.numbers[i] == self.numbers[i + 1] == 4]
        if len(at) != 1:
            raise SystemExit("llama_context_params of this llama.cpp are not known")
        self.numbers[at[0]] = self.numbers[at[0] + 1] = n


class Batch(ctypes.Structure):
    """llama_batch"""

    _fields_ = [("n_tokens", ctypes.c_int32)] + [(n, ctypes.c_void_p) for n in ("token", "embd", "pos", "n_seq_id", "seq_id", "logits")]


class Llama:
    """llama.cpp in a directory of libraries."""

    def __init__(self, directory):
        load = lambda name: ctypes.CDLL(sorted(glob.glob(f"{directory}/{name}"))[0], mode=ctypes.RTLD_GLOBAL)
        load("libggml-base.so*")
        ggml = load("libggml.*so*")
        self.lib = lib = load("libllama.*so*")
        self.log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        lib.llama_log_set(self.log, None)
        ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
        ggml.ggml_backend_load_all_from_path(str(directory).encode())  # the variant that suits this processor best
        ggml.ggml_backend_reg_count.restype = ctypes.c_size_t
        ggml.ggml_backend_reg_get.argtypes, ggml.ggml_backend_reg_get.restype = [ctypes.c_size_t], ctypes.c_void_p
        lib.llama_model_quantize_default_params.restype = Quantize
        lib.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Quantize)]
        for name in ("model", "context"):
            getattr(lib, f"llama_{name}_default_params").restype = Parameters
        lib.llama_model_load_from_file.argtypes, lib.llama_model_load_from_file.restype = [ctypes.c_char_p, Parameters], ctypes.c_void_p
        lib.llama_init_from_model.argtypes, lib.llama_init_from_model.restype = [ctypes.c_void_p, Parameters], ctypes.c_void_p
        lib.llama_batch_get_one.argtypes, lib.llama_batch_get_one.restype = [ctypes.c_void_p, ctypes.c_int32], Batch
        lib.llama_decode.argtypes, lib.llama_decode.restype = [ctypes.c_void_p, Batch], ctypes.c_int32
        lib.llama_get_memory.argtypes, lib.llama_get_memory.restype = [ctypes.c_void_p], ctypes.c_void_p
        lib.llama_memory_clear.argtypes = [ctypes.c_void_p, ctypes.c_bool]
        lib.llama_print_system_info.restype = ctypes.c_char_p
        lib.llama_synchronize.argtypes = [ctypes.c_void_p]

    def quantize(self, source, out, type):
        """Writes the GGUF file source as out, unless it is there."""
        if os.path.exists(out):
            return
        p = self.lib.llama_model_quantize_default_params()
        p.ftype, p.requantize = type, True
        if self.lib.llama_model_quantize(str(source).encode(), f"{out}.part".encode(), ctypes.byref(p)) != 0:
            raise SystemExit(f"llama_model_quantize: {source} to {type}")
        os.rename(f"{out}.part", out)

    def open(self, path, threads):
        """A context for a model."""
        model = self.lib.llama_model_load_from_file(str(path).encode(), self.lib.llama_model_default_params())
        p = self.lib.llama_context_default_params()
        for i in range(3):  # n_ctx, n_batch, n_ubatch
            p.numbers[i] = PROMPT
        p.set_threads(threads)
        context = self.lib.llama_init_from_model(model, p) if model else None
        if not context:
            raise SystemExit(f"{path}: llama.cpp cannot open it")
        return context

    def time(self, context, tokens, step):
        """Tokens a second, fed so many at a time to an empty context."""
        self.lib.llama_memory_clear(self.lib.llama_get_memory(context), True)
        ids = (ctypes.c_int32 * tokens)(*[i * 7919 % 49152 for i in range(tokens)])
        begun = time.perf_counter()
        for i in range(0, tokens, step):
            batch = self.lib.llama_batch_get_one(ctypes.addressof(ids) + 4 * i, step)
            if self.lib.llama_decode(context, batch) != 0:
                raise SystemExit("llama_decode failed")
        self.lib.llama_synchronize(context)
        return tokens / (time.perf_counter() - begun)


def bundle(program, source, out, options):
    """A bundle of a GGUF file, unless it is there."""
    if not os.path.exists(f"{out}/manifest.json"):
        subprocess.run([program, "quantize", "--input-dir", source, "--output-dir", out, "--quiet", *options], check=True)
    return out


def measure(program, model, threads):
    """What bench prints of a bundle."""
    command = [program, "bench", "--device", "cpu", "--model", model, "--no-verify", "--json", "--repetitions", "1"]
    command += ["--prompt", str(PROMPT), "--context", "0", "-n", str(GENERATED)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, "GOMAXPROCS": str(threads)}).stdout)


def best(old, new):
    return {k: max(new[k], old.get(k, 0)) for k in new}


def main():
    program, libraries, source, out = sys.argv[1:]
    rounds, threads = int(os.environ.get("ROUNDS") or 5), int(os.environ.get("THREADS") or len(os.sched_getaffinity(0)))
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    llama = Llama(libraries)
    f16 = f"{out}/F16.gguf"
    llama.quantize(source, f16, F16)
    contexts, ours, theirs, roof, name, giga = {}, {}, {}, {}, "", 0.0
    for row, options, peer, type in ROWS:
        llama.quantize(f16, f"{out}/{peer}.gguf", type)
        contexts[peer] = llama.open(f"{out}/{peer}.gguf", threads)
        bundle(program, f16, f"{out}/{row.split()[0].replace('/', '-').strip(',')}", options)
        llama.time(contexts[peer], PROMPT, PROMPT)
    for _ in range(rounds):
        for row, options, peer, _ in ROWS:
            r = measure(program, f"{out}/{row.split()[0].replace('/', '-').strip(',')}", threads)
            p, g = r["results"]
            ours[row] = best(ours.get(row, {}), {"prompt": p["tokens_per_second"], "flops": p["flops_per_second"], "text": g["tokens_per_second"], "read": g["bytes_per_second"]})
            roof = best(roof, {"read": r["read_bytes_per_second"], "flops": r["roof"]["float32_flops_per_second"]})
            name = r["device"]
            context = contexts[peer]
            theirs[peer] = best(theirs.get(peer, {}), {"prompt": llama.time(context, PROMPT, PROMPT), "text": llama.time(context, GENERATED, 1)})
    print(f"{name}, {threads} threads; llama.cpp: {llama.lib.llama_print_system_info().decode().strip(' |')}")
    print(f"roof: {roof['read'] / 1e9:.1f} GB/s read, {roof['flops'] / 1e9:.0f} GFLOP/s; best of {rounds} rounds, load {os.getloadavg()[0]:.2f}")
    print()
    print(f"{'weights':26} {'prompt t/s':>10} {'GFLOP/s':>8} {'llama.cpp':>10} {'ratio':>6}   {'text t/s':>8} {'of reads':>8} {'llama.cpp':>10} {'ratio':>6}")
    for row, _, peer, _ in ROWS:
        o, t = ours[row], theirs[peer]
        print(
            f"{row:26} {o['prompt']:10.0f} {o['flops'] / 1e9:8.0f} {t['prompt']:10.0f} {o['prompt'] / t['prompt']:6.2f}   "
            f"{o['text']:8.1f} {100 * o['read'] / roof['read']:6.0f} % {t['text']:10.1f} {o['text'] / t['text']:6.2f}"
        )


main()
