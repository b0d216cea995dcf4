"""Makes blocks.gguf: for every type that the gguf package can dequantize and this one reads, a tensor of
random blocks, NAME, and beside it what the package makes of it, NAME.values. Blocks are random bytes, with
scales that are finite.

  python3 -m venv /tmp/venv && /tmp/venv/bin/pip install gguf==0.19.0 numpy==2.4.0
  /tmp/venv/bin/python format/gguf/testdata/make_blocks.py
"""

import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

# the offsets of float16s in a block
HALVES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2],
    T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64], T.MXFP4: [], T.NVFP4: [],
}
ROWS, BLOCKS = 2, 2  # blocks in a row


def random_blocks(kind, rng):
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (ROWS, BLOCKS, size), dtype=np.uint8)
    for at in HALVES[kind]:
        halves = rng.standard_normal((ROWS, BLOCKS, 1)).astype(np.float16) / 64
        halves[0, 0] = np.float16(3e-6)  # subnormal
        blocks[:, :, at:at + 2] = halves.view(np.uint8)
    if kind == T.MXFP4:
        blocks[:, :, 0] = [[0, 1], [127, 130]]
    if kind == T.NVFP4:
        blocks[0, 0, :4] = [0, 0x7F, 0x80, 5]
    return blocks.reshape(ROWS, -1)


def main():
    rng = np.random.default_rng(1)
    w = gguf.GGUFWriter(pathlib.Path(__file__).parent / "blocks.gguf", "blocks")
    for kind in HALVES:
        blocks = random_blocks(kind, rng)
        w.add_tensor(kind.name, blocks, raw_dtype=kind)
        w.add_tensor(kind.name + ".values", gguf.dequantize(blocks, kind).astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


main()
