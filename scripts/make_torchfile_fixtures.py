#!/usr/bin/env python3
"""Writes tests/fixtures/torchfile/*: small files of torch.save(), for test_torchfile.c.

Needs PyTorch (the committed files: 1.13).  Values are n, n+1, ... so that the test
can state them without another file.
"""
import os
import sys
from collections import OrderedDict

import torch


def count(*shape, dtype=torch.float32, start=0):
    n = 1
    for d in shape:
        n *= d
    values = torch.arange(start, start + n, dtype=torch.float64)
    return values.to(dtype).reshape(shape)


def state():
    base = count(4, 6)
    shared = count(5, start=100)
    return OrderedDict([
        ("f32", count(2, 3)),
        ("f64", count(3, dtype=torch.float64)),
        ("f16", count(4, dtype=torch.float16)),
        ("bf16", count(4, dtype=torch.bfloat16)),
        ("i64", count(2, 2, dtype=torch.int64, start=-1)),
        ("i32", count(3, dtype=torch.int32)),
        ("u8", count(5, dtype=torch.uint8)),
        ("bool", torch.tensor([True, False, True])),
        ("scalar", torch.tensor(7.0)),
        ("empty", torch.zeros(0, 3)),
        ("parameter", torch.nn.Parameter(count(2, start=40))),
        ("shared_a", shared),
        ("shared_b", shared),
        ("shared_tail", shared[2:]),
        ("transposed", base.t()),
        ("columns", base[:, 1:3]),
        ("rows", base[2:]),
        ("a_number", 3),
        ("a_list", [1, 2.5, None, "text", (True, False)]),
    ])


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def main(folder):
    os.makedirs(folder, exist_ok=True)

    def save(name, value, **options):
        torch.save(value, os.path.join(folder, name), **options)

    legacy = dict(_use_new_zipfile_serialization=False)
    save("zip.pt", state())
    save("legacy.pt", state(), **legacy)
    save("zip_protocol4.pt", state(), pickle_protocol=4)
    module = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
    with torch.no_grad():
        module[0].weight.copy_(count(1, 2, start=1))
        module[0].bias.fill_(9)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0)
    module(torch.zeros(3, 2)).sum().backward()
    optimizer.step()
    save("nested.pt", {"state_dict": module.state_dict(), "optimizer": optimizer.state_dict(), "step": 3})
    save("expanded.pt", {"x": torch.ones(1).expand(1000, 1000)})
    save("evil.pt", {"x": Evil()})
    save("evil_legacy.pt", {"x": Evil()}, **legacy)
    save("int16.pt", {"x": count(3, dtype=torch.int16)})
    torch.jit.script(torch.nn.Identity()).save(os.path.join(folder, "script.pt"))


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "tests", "fixtures", "torchfile"))
