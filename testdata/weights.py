"""Makes the weights of testdata/families, which are not stored, from the list of tensors beside each
configuration. internal/fixture is the same in Go; a SHA-256 in the list holds both to the same bytes.

A line of weights.txt is a tensor, or several whose names differ in numbers: name, shape, center, exponent. Element i of
a tensor is (center + noise) · 2^exponent in float16, exactly, where noise is the sum of four bytes less its mean of 510:
those of splitmix64's output i+1, seeded with the FNV-1a hash of "SEED/NAME". With the exponent -9 that is a bell of
deviation 0.29 between -1 and 1. A line that ends in "constant" has no noise.
"""

import hashlib
import itertools
import json
import pathlib
import re
import shutil

import numpy as np

HERE = pathlib.Path(__file__).parent
FAMILIES = HERE / "families"
LIST = "weights.txt"


def noise(seed, name, count):
    """The noise of a tensor's first elements: int64, between -510 and 510."""
    state = 0xCBF29CE484222325
    for byte in f"{seed}/{name}".encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return sum((z >> np.uint64(8 * j) & np.uint64(255)).astype(np.int64) for j in range(4)) - 510


def values(seed, name, shape, center=0, exponent=-9, constant=False):
    """A tensor of the list: float16."""
    count = int(np.prod(shape, dtype=np.int64))
    whole = center + (np.zeros(count, np.int64) if constant else noise(seed, name, count))
    exact = np.ldexp(whole.astype(np.float64), exponent)
    half = exact.astype(np.float16)
    assert (half == exact).all(), f"{name}: not all are float16"
    return half.reshape(shape)


def expand(name):
    """The names that a name with {0-2,5} stands for."""
    parts = re.split(r"\{([0-9,-]+)\}", name)
    for i in range(1, len(parts), 2):
        ends = [[int(n) for n in r.split("-")] for r in parts[i].split(",")]
        parts[i] = [str(n) for r in ends for n in range(r[0], r[-1] + 1)]
    return ["".join(p) for p in itertools.product(*([p] if isinstance(p, str) else p for p in parts))]


def fold(entries):
    """Lines of a list from {name: (shape, center, exponent, constant)}: the opposite of expand."""
    rows = [(name.split("."), what) for name, what in entries.items()]
    for place in range(max(len(parts) for parts, _ in rows)):
        groups = {}
        for parts, what in rows:
            numbered = len(parts) > place and parts[place].isdigit()
            key = (tuple(parts[:place]) + (None,) + tuple(parts[place + 1:]) if numbered else tuple(parts), what)
            groups.setdefault(key, []).append(int(parts[place]) if numbered else None)
        rows = []
        for (parts, what), numbers in groups.items():
            if numbers[0] is None:
                rows.append((parts, what))
            else:
                rows.append((tuple(ranges(numbers) if p is None else p for p in parts), what))
    lines = []
    for parts, (shape, center, exponent, constant) in rows:
        rest = [str(center), str(exponent)] if (center, exponent) != (0, -9) or constant else []
        lines.append(" ".join([".".join(parts), "x".join(map(str, shape)) or "scalar", *rest, *["constant"] * constant]))
    return sorted(lines)


def ranges(numbers):
    numbers, runs = sorted(numbers), []
    for n in numbers:
        if runs and runs[-1][1] == n - 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    text = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return text if text.isdigit() else "{" + text + "}"


def read(family):
    """The list of a family: {"sha256": …, "seed": …, "shard": …}, {name: (shape, center, exponent, constant)}."""
    head, entries = {}, {}
    for line in (FAMILIES / family / LIST).read_text().splitlines():
        name, shape, *rest = line.split()
        if name in ("sha256", "seed", "shard"):
            head[name] = shape
        else:
            constant = rest[-1:] == ["constant"]
            center, exponent = map(int, rest[:2] or (0, -9))
            shape = () if shape == "scalar" else tuple(map(int, shape.split("x")))
            entries.update({n: (shape, center, exponent, constant) for n in expand(name)})
    return head, entries


def safetensors(tensors):
    """The bytes of a file of float16 tensors, in the order of their names."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, t in sorted(tensors.items()):
        header[name] = dict(dtype="F16", shape=list(t.shape), data_offsets=[offset, offset + t.nbytes])
        offset += t.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(t.astype("<f2").tobytes() for _, t in sorted(tensors.items()))


def files(tensors, shard):
    """A checkpoint's files by name: one, or with a size of shards as many as it takes and their index."""
    if not shard:
        return {"model.safetensors": safetensors(tensors)}
    cut = [{}]
    for name, t in sorted(tensors.items()):
        if cut[-1] and sum(x.nbytes for x in cut[-1].values()) + t.nbytes > shard:
            cut.append({})
        cut[-1][name] = t
    names = [f"model-{i + 1:05}-of-{len(cut):05}.safetensors" for i in range(len(cut))]
    index = dict(metadata=dict(total_size=sum(t.nbytes for t in tensors.values())),
                 weight_map={n: f for f, part in sorted(zip(names, cut)) for n in part})
    return {f: safetensors(part) for f, part in zip(names, cut)} | {"model.safetensors.index.json": json.dumps(index, separators=(",", ":")).encode()}


def digest(contents):
    h = hashlib.sha256()
    for data in contents.values():
        h.update(data)
    return h.hexdigest()


def write(family, entries, seed, shard=0):
    """Writes the list of a family, and returns its tensors."""
    tensors = {name: values(seed, name, *what) for name, what in entries.items()}
    head = [f"sha256 {digest(files(tensors, shard))}", f"seed {seed}"] + [f"shard {shard}"] * (shard > 0)
    (FAMILIES / family / LIST).write_text("\n".join(head + fold(entries)) + "\n")
    assert read(family)[1] == entries
    return tensors


def directory(family):
    """A directory in build with the checkpoint of a family, which is made anew."""
    head, entries = read(family)
    contents = files({name: values(head["seed"], name, *what) for name, what in entries.items()}, int(head.get("shard", 0)))
    assert digest(contents) == head["sha256"], f"{family}: the weights are not those of {LIST}"
    out = HERE.parent / "build" / "python" / family
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(FAMILIES / family, out)
    for name, data in contents.items():
        (out / name).write_bytes(data)
    return out


def names():
    return sorted(p.name for p in FAMILIES.iterdir())
