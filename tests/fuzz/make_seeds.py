#!/usr/bin/env python3
"""Writes tests/fuzz/seeds/: small valid files from which the fuzzers start.

(The torchfile fuzzer starts from tests/fixtures/torchfile/, the config one also from configs/.)
"""
import json
import os
import struct

SEEDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds")


def write(name, data):
    path = os.path.join(SEEDS, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(data)


def safetensors(name, header, data):
    text = json.dumps(header).encode()
    write("safetensors/" + name, struct.pack("<Q", len(text)) + text + data)


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def main():
    safetensors("empty", {}, b"")
    safetensors("metadata", {"__metadata__": {"format": "pt", "\u00e9\U0001f600": "\"\\\n"}}, b"")
    safetensors("dtypes", {
        "a": tensor("F64", [1], 0, 8), "b": tensor("I64", [], 8, 16), "c": tensor("F32", [2, 1], 16, 24),
        "d": tensor("I32", [1], 24, 28), "e": tensor("F16", [1], 28, 30), "f": tensor("BF16", [1], 30, 32),
        "g": tensor("U8", [3], 32, 35), "h": tensor("BOOL", [1], 35, 36)}, bytes(range(36)))
    safetensors("unaligned", {"a": tensor("U8", [1], 0, 1), "b": tensor("F32", [1], 1, 5),
                              "none": tensor("F32", [0, 4], 5, 5)}, bytes(range(5)))
    write("config/all", b"# comment\nname: \"a \\\"b\\\" \\x01\"\nsampler:\n  steps: 20\n  kind: dpm++\n  rate: 1e-4\n"
                        b"seed: 12\nunet: {block_out_channels: [32, 64]}\nvocoder:\n  dilation: [[1, 3], [5]]\n"
                        b"verbose: true\n")
    write("config/block", b"unet:\n  block_out_channels:\n  - 1\n  - 2\nname: |\n  two\n  lines\nseed: -1\n")
    write("config/refused", b"name: &a x\nsampler: *a\nseed: !!int 3\n")


if __name__ == "__main__":
    main()
