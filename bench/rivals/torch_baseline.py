#!/usr/bin/env python3
"""What a PyTorch user gets on the same cores: the full-size networks of a clip,
plain modules with random weights, the same sequence of operations as diffusers
and transformers run (attention by the fused kernel where this torch has one).

    torch_baseline.py THREADS [stage ...]      prints "stage seconds" lines

The parameter counts are asserted against the published ones, so that both sides
do the same work.  Needs only torch (Debian: python3-torch)."""
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS, HEADS, CONTEXTS, TIME = (128, 256, 384, 640), 8, (None, 768, 1024), 512
PARAMETERS = dict(unet=346_943_496, vae=32_981_577, vocoder=55_264_897, image=632_829_440, gpt2=85_842_432)


def attend(q, k, v, causal=False):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if causal:
        n, m = scores.shape[-2:]
        scores = scores.masked_fill(torch.ones(n, m, dtype=torch.bool).triu(m - n + 1), float("-inf"))
    return scores.softmax(-1) @ v


def split_heads(x, heads):
    return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def join_heads(x):
    return x.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    def __init__(self, dim, context=None, heads=HEADS, bias=False):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim, bias)
        self.k = nn.Linear(context or dim, dim, bias)
        self.v = nn.Linear(context or dim, dim, bias)
        self.out = nn.Linear(dim, dim)

    def forward(self, x, context=None):
        c = x if context is None else context
        q, k, v = (split_heads(y, self.heads) for y in (self.q(x), self.k(c), self.v(c)))
        return self.out(join_heads(attend(q, k, v)))


class Transformer(nn.Module):
    def __init__(self, dim, context):
        super().__init__()
        self.cross = context is not None
        self.norm = nn.GroupNorm(32, dim, eps=1e-6)
        self.proj_in, self.proj_out = nn.Conv2d(dim, dim, 1), nn.Conv2d(dim, dim, 1)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.attn1, self.attn2 = Attention(dim), Attention(dim, context)
        self.up, self.down = nn.Linear(dim, 8 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x, context):
        n, c, h, w = x.shape
        y = self.proj_in(self.norm(x)).permute(0, 2, 3, 1).reshape(n, h * w, c)
        y = y + self.attn1(self.norms[0](y))
        y = y + self.attn2(self.norms[1](y), context if self.cross else None)
        value, gate = self.up(self.norms[2](y)).chunk(2, -1)
        y = y + self.down(value * F.gelu(gate))
        return x + self.proj_out(y.reshape(n, h, w, c).permute(0, 3, 1, 2))


class Resnet(nn.Module):
    def __init__(self, cin, cout, time_dim=0, eps=1e-6):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(32, cin, eps=eps), nn.GroupNorm(32, cout, eps=eps)
        self.conv1, self.conv2 = nn.Conv2d(cin, cout, 3, padding=1), nn.Conv2d(cout, cout, 3, padding=1)
        self.time = nn.Linear(time_dim, cout) if time_dim else None
        self.shortcut = nn.Conv2d(cin, cout, 1) if cin != cout else nn.Identity()

    def forward(self, x, temb=None):
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time is not None:
            h = h + self.time(F.silu(temb))[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Layer(nn.Module):
    """A residual block and the transformers of its level."""

    def __init__(self, cin, cout, attends):
        super().__init__()
        self.resnet = Resnet(cin, cout, TIME, 1e-5)
        self.transformers = nn.ModuleList(Transformer(cout, c) for c in CONTEXTS) if attends else []

    def forward(self, x, temb, contexts):
        x = self.resnet(x, temb)
        for t, c in zip(self.transformers, contexts):
            x = t(x, c)
        return x


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_in = nn.Conv2d(8, CHANNELS[0], 3, padding=1)
        self.time1, self.time2 = nn.Linear(CHANNELS[0], TIME), nn.Linear(TIME, TIME)
        self.down, self.downsample, cin = nn.ModuleList(), nn.ModuleList(), CHANNELS[0]
        skips = [cin]
        for level, c in enumerate(CHANNELS):
            self.down.append(nn.ModuleList(Layer(cin if i == 0 else c, c, level > 0) for i in range(2)))
            skips += [c, c]
            cin = c
            if level < 3:
                self.downsample.append(nn.Conv2d(c, c, 3, 2, 1))
                skips.append(c)
        self.mid1, self.mid2 = Layer(cin, cin, True), Resnet(cin, cin, TIME, 1e-5)
        self.up, self.upsample = nn.ModuleList(), nn.ModuleList()
        for level, c in reversed(list(enumerate(CHANNELS))):
            layers = nn.ModuleList()
            for _ in range(3):
                layers.append(Layer(cin + skips.pop(), c, level > 0))
                cin = c
            self.up.append(layers)
            if level:
                self.upsample.append(nn.Conv2d(c, c, 3, padding=1))
        self.norm_out, self.conv_out = nn.GroupNorm(32, CHANNELS[0]), nn.Conv2d(CHANNELS[0], 8, 3, padding=1)

    def forward(self, x, sinusoid, loa, t5):
        contexts, temb = (None, loa, t5), self.time2(F.silu(self.time1(sinusoid)))
        x = self.conv_in(x)
        skips = [x]
        for level, layers in enumerate(self.down):
            for layer in layers:
                x = layer(x, temb, contexts)
                skips.append(x)
            if level < 3:
                x = self.downsample[level](x)
                skips.append(x)
        x = self.mid2(self.mid1(x, temb, contexts), temb)
        for level, layers in enumerate(self.up):
            for layer in layers:
                x = layer(torch.cat([x, skips.pop()], 1), temb, contexts)
            if level < 3:
                x = self.upsample[level](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv_out(F.silu(self.norm_out(x)))


class VaeDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.post_quant, self.conv_in = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 512, 3, padding=1)
        self.mid1, self.mid2 = Resnet(512, 512), Resnet(512, 512)
        self.norm, self.attn = nn.GroupNorm(32, 512, eps=1e-6), Attention(512, None, 1, True)
        self.up, self.upsample, cin = nn.ModuleList(), nn.ModuleList(), 512
        for level, c in enumerate((512, 256, 128)):
            self.up.append(nn.ModuleList(Resnet(cin if i == 0 else c, c) for i in range(3)))
            cin = c
            if level < 2:
                self.upsample.append(nn.Conv2d(c, c, 3, padding=1))
        self.norm_out, self.conv_out = nn.GroupNorm(32, 128, eps=1e-6), nn.Conv2d(128, 1, 3, padding=1)

    def forward(self, z):
        x = self.mid1(self.conv_in(self.post_quant(z)))
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        x = self.mid2(x + self.attn(tokens).transpose(1, 2).reshape(x.shape))
        for level, layers in enumerate(self.up):
            for layer in layers:
                x = layer(x)
            if level < 2:
                x = self.upsample[level](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv_out(F.silu(self.norm_out(x)))


class Vocoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.pre, c = nn.Conv1d(64, 1024, 7, padding=3), 1024
        self.up, self.blocks = nn.ModuleList(), nn.ModuleList()
        for rate, k in zip((5, 4, 2, 2, 2), (16, 16, 8, 4, 4)):
            self.up.append(nn.ConvTranspose1d(c, c // 2, k, rate, (k - rate) // 2))
            c //= 2
            self.blocks.append(nn.ModuleList(nn.ModuleList(
                nn.ModuleList([nn.Conv1d(c, c, k, dilation=d, padding=(k - 1) * d // 2), nn.Conv1d(c, c, k, padding=k // 2)])
                for d in (1, 3, 5)) for k in (3, 7, 11)))
        self.post = nn.Conv1d(c, 1, 7, padding=3)

    def forward(self, x):
        x = self.pre(x)
        for up, blocks in zip(self.up, self.blocks):
            x, total = up(F.leaky_relu(x, 0.1)), 0
            for block in blocks:
                y = x
                for conv1, conv2 in block:
                    y = y + conv2(F.leaky_relu(conv1(F.leaky_relu(y, 0.1)), 0.1))
                total = total + y
            x = total / 3
        return torch.tanh(self.post(F.leaky_relu(x)))


class ImageEncoder(nn.Module):
    def __init__(self, dim=1280, depth=32, heads=16):
        super().__init__()
        self.heads = heads
        self.stem = nn.Conv3d(3, dim, (2, 14, 14), (2, 14, 14), bias=False)
        self.cls, self.pos = nn.Parameter(torch.randn(1, 1, dim)), nn.Parameter(torch.randn(1, 257, dim))
        self.pre = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(nn.ModuleList([
            nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim),
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)]) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, 1024, False)

    def forward(self, x):
        x = self.stem(x.unsqueeze(2).repeat(1, 1, 2, 1, 1)).flatten(2).transpose(1, 2)
        x = self.pre(torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.pos)
        for norm1, qkv, out, norm2, up, down in self.blocks:
            q, k, v = (split_heads(y, self.heads) for y in qkv(norm1(x)).chunk(3, -1))
            x = x + out(join_heads(attend(q, k, v)))
            x = x + down(F.gelu(up(norm2(x))))
        return F.normalize(self.head(self.norm(x)[:, 0]), dim=-1)


class Gpt2(nn.Module):
    """The loop of eight vectors, with a key-value cache."""

    def __init__(self, dim=768, depth=12, heads=12):
        super().__init__()
        self.heads, self.pos = heads, nn.Parameter(torch.randn(1024, dim))
        self.blocks = nn.ModuleList(nn.ModuleList([
            nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim),
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)]) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def step(self, x, cache):
        for i, (norm1, qkv, out, norm2, up, down) in enumerate(self.blocks):
            q, k, v = (split_heads(y, self.heads) for y in qkv(norm1(x)).chunk(3, -1))
            if cache[i] is not None:
                k, v = torch.cat([cache[i][0], k], 2), torch.cat([cache[i][1], v], 2)
            cache[i] = (k, v)
            x = x + out(join_heads(attend(q, k, v, causal=q.shape[2] > 1)))
            x = x + down(F.gelu(up(norm2(x))))
        return self.norm(x)[:, -1:]

    def forward(self, x):
        cache, result, at = [None] * len(self.blocks), [], 0
        for _ in range(8):
            n = x.shape[1]
            x = self.step(x + self.pos[at:at + n], cache)
            at += n
            result.append(x)
        return torch.cat(result, 1)


STAGES = dict(
    unet=(UNet, lambda: (torch.randn(2, 8, 256, 16), torch.randn(2, 128), torch.randn(2, 8, 768), torch.randn(2, 16, 1024))),
    vae=(VaeDecoder, lambda: (torch.randn(1, 8, 256, 16),)),
    vocoder=(Vocoder, lambda: (torch.randn(1, 64, 1024),)),
    image=(ImageEncoder, lambda: (torch.randn(1, 3, 224, 224),)),
    gpt2=(Gpt2, lambda: (torch.randn(1, 4, 768),)),
)


def median_seconds(fn, runs=3):
    fn()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        fn()
        times.append(time.perf_counter() - start)
    return sorted(times)[runs // 2]


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    print("# torch", torch.__version__, "threads", torch.get_num_threads(), file=sys.stderr)
    for name in sys.argv[2:] or STAGES:
        build, inputs = STAGES[name]
        module, x = build().eval().requires_grad_(False), inputs()
        count = sum(p.numel() for p in module.parameters())
        assert count == PARAMETERS[name], (name, count, PARAMETERS[name])
        with torch.inference_mode():
            print(name, "%.4f" % median_seconds(lambda: module(*x)), flush=True)


if __name__ == "__main__":
    main()
