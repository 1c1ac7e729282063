#!/usr/bin/env python3
"""What a PyTorch user gets on the same cores: an update of the adapter at full size,
through frozen GPT-2 (unrolled to eight vectors) and frozen UNet, by autograd.

    torch_train.py THREADS [batch ...]      prints "batch seconds cpu_seconds peak_mib" lines

The networks are those of torch_baseline.py, with random weights.  An update is what
arttomus does: noise, forward, min-SNR loss, backward, clipping, AdamW."""
import resource
import sys
import time

import torch
from torch import nn

from torch_baseline import PARAMETERS, Gpt2, UNet

EMBEDDING, HIDDEN, TOKENS, WIDTH, TEXT = 1024, 1536, 4, 768, (16, 1024)
LATENT, SCALING = (8, 256, 16), 0.18215


class Adapter(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(EMBEDDING, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, TOKENS * WIDTH))


class Training:
    def __init__(self):
        self.adapter, self.gpt2, self.unet = Adapter(), Gpt2().eval(), UNet().eval()
        for frozen, name in ((self.gpt2, "gpt2"), (self.unet, "unet")):
            frozen.requires_grad_(False)
            assert sum(p.numel() for p in frozen.parameters()) == PARAMETERS[name], name
        self.optimizer = torch.optim.AdamW(self.adapter.parameters(), lr=2e-5)
        self.text = torch.randn(1, *TEXT)

    def loss(self, mean, logvar, embedding, sinusoid, alpha_bar, weight):
        z = SCALING * (mean + (0.5 * logvar).exp() * torch.randn_like(mean))
        noise, a = torch.randn_like(z), alpha_bar[:, None, None, None]
        noisy = a.sqrt() * z + (1 - a).sqrt() * noise
        loa = self.gpt2(self.adapter(embedding).view(-1, TOKENS, WIDTH))
        e = self.unet(noisy, sinusoid, loa, self.text.expand(len(z), *TEXT))
        return (weight * (e - noise).square().mean((1, 2, 3))).mean()

    def update(self, batch):
        self.optimizer.zero_grad()
        self.loss(*batch).backward()
        nn.utils.clip_grad_norm_(self.adapter.parameters(), 1)
        self.optimizer.step()


def random_batch(n):
    return (torch.randn(n, *LATENT), 0.1 * torch.randn(n, *LATENT), torch.randn(n, EMBEDDING),
            torch.randn(n, 128), torch.rand(n), torch.rand(n))


def median(x):
    return sorted(x)[len(x) // 2]


def measure(training, n, runs=3):
    wall, cpu = [], []
    for i in range(runs + 1):
        batch, start, used = random_batch(n), time.perf_counter(), time.process_time()
        training.update(batch)
        if i:                                           # the first is a warm-up
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - used)
    return median(wall), median(cpu)


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    torch.set_flush_denormal(True)
    print("# torch", torch.__version__, "threads", torch.get_num_threads(), file=sys.stderr)
    training = Training()
    for n in sorted(int(x) for x in sys.argv[2:] or ("1", "4")):       # the peak is that of the largest so far
        wall, cpu = measure(training, n)
        print(n, "%.4f %.4f %.0f" % (wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
              flush=True)


if __name__ == "__main__":
    main()
