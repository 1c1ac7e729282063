#!/usr/bin/env python3
"""Makes tests/fixtures/dataset/: datasets as docs/DATASET.md tells a person to make them.

    python3 -m venv .venv && .venv/bin/pip install h5py==3.16.0 xxhash==4.1.0
    .venv/bin/python scripts/make_dataset_fixtures.py

default.h5 is in the format h5py takes by itself (the oldest that will do), v110.h5 in that of HDF5 1.10: other
code of libhdf5 reads it.  Running again gives the same bytes.  Prints the fingerprint that the test expects.
"""
import pathlib

import h5py
import numpy as np
import xxhash

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "dataset"
TYPES = {"float16": "F16", "float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64", "uint8": "U8",
         "bool": "BOOL"}


def row_hashes(array):
    """Of the bytes as they are stored: a numpy text would lose its padding."""
    rows = np.ascontiguousarray(array).view("u1").reshape(len(array), -1)
    return np.array([xxhash.xxh3_64_intdigest(row) for row in rows], "<u8")


def add(group, name, array):
    group.create_dataset(name, data=array)
    group.create_dataset(name + ".xxh3", data=row_hashes(array))


def fingerprint(file):
    """The recipe of docs/DATASET.md."""
    digest = xxhash.xxh3_128()
    columns = sorted(f"{g}/{c}" for g in file for c in file[g] if not c.endswith(".xxh3"))
    for name in columns:
        column = file[name]
        text = column.dtype.kind == "S"
        dims = [column.dtype.itemsize] if text else column.shape[1:]
        kind = "TEXT" if text else TYPES[column.dtype.name]
        digest.update(f"{name} {kind} {len(column)} {'x'.join(map(str, dims))}\n".encode())
        digest.update(file[name + ".xxh3"][()].tobytes())
    for name in sorted(file.attrs):
        if name != "fingerprint":
            text = bytes(file.attrs[name])
            digest.update(f"@{name} {len(text)}\n".encode() + text)
    return digest.hexdigest()


def make(name, **how):
    with h5py.File(OUT / name, "w", **how) as file:
        file.attrs["schema"] = np.bytes_("arttomus-dataset-1")
        file.attrs["framing"] = np.bytes_("centre")
        artworks, clips, pairs = (file.create_group(g) for g in ("artworks", "clips", "pairs"))
        add(artworks, "embedding", np.arange(6, dtype="<f4").reshape(2, 3))
        add(clips, "half", np.arange(8, dtype="<f2").reshape(2, 2, 2))
        add(clips, "double", np.arange(2, dtype="<f8"))
        add(clips, "vocal", np.array([[True, False], [False, False]]))
        add(clips, "title", np.array(["étude".encode(), b"waltz"], "S8"))
        add(pairs, "artwork", np.array([0, 1, -1], "<i8"))
        add(pairs, "clip", np.array([1, 0, 1], "<i4"))
        add(pairs, "split", np.array([0, 1, 2], "u1"))
        print(name, fingerprint(file))


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    make("default.h5")
    make("v110.h5", libver=("v110", "v110"))
