#!/usr/bin/env python3
"""Makes tests/fixtures/{networks,ops,schedulers,losses,training} from the reference implementations.

Debian 12 (its PyTorch is 1.13, the version the predecessor used):

    apt-get install -y python3-torch python3-venv
    /usr/bin/python3 -m venv --system-site-packages .venv
    .venv/bin/pip install diffusers==0.27.2 transformers==4.30.2 huggingface_hub==0.23.0 safetensors einops
    .venv/bin/python scripts/make_fixtures.py --imagebind PATH [PART ...]

PATH is a checkout of facebookresearch/ImageBind (commit 53680b0); its code is
imported, not copied.  Nothing is downloaded.  Running again gives the same bytes.
"""
import argparse
import ctypes
import glob
import os
import pathlib


def pin_arithmetic():
    """Makes the last bits independent of the machine.  Must run before anything loads a BLAS.

    Installing OpenBLAS once changed 40 fixtures: Debian's alternatives switch the BLAS under PyTorch, and
    each BLAS sums in its own order for each CPU.  The reference BLAS (libblas3, a dependency of
    python3-torch) has one order; loaded first, it is what later libraries find under its name.
    """
    os.environ["ATEN_CPU_CAPABILITY"] = "default"
    ctypes.CDLL(min(glob.glob("/usr/lib/*/blas/libblas.so.3")), ctypes.RTLD_GLOBAL)
    import torch
    torch.backends.mkldnn.set_flags(False)
    torch.set_num_threads(1)


def make_networks(options):
    from fixtures import imagebind, networks
    for make in networks.MAKERS:
        make()
    imagebind.make(options.imagebind)


def make_ops(_):
    from fixtures import ops
    ops.make()


def make_schedulers(_):
    from fixtures import schedulers
    schedulers.make()


def make_losses(_):
    from fixtures import losses
    losses.make()


def make_training(_):
    from fixtures import training
    training.make()


PARTS = {"networks": make_networks, "ops": make_ops, "schedulers": make_schedulers, "losses": make_losses,
         "training": make_training}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--imagebind", type=pathlib.Path, help="checkout of facebookresearch/ImageBind")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {min(unknown)!r}; known: {', '.join(PARTS)}")
    parts = options.parts or list(PARTS)
    if "networks" in parts and options.imagebind is None:
        parser.error("networks need --imagebind PATH")
    pin_arithmetic()
    for part in parts:
        PARTS[part](options)


if __name__ == "__main__":
    main()
