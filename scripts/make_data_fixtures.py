#!/usr/bin/python3
"""Makes tests/fixtures/data/: small media files, and what the reference libraries make of them.

Run on Debian 12, a minute or so:
    apt-get install python3-pil python3-numpy python3-torch python3-torchaudio python3-soundfile
    scripts/make_data_fixtures.py

References: Pillow 9.4 (pixels, resize), torchaudio 0.13 (resample; the version that
Art2Mus pins), torch in float64 (mel), torchaudio in float64 (fbank).  The tests need none of them: they read the
files and the indexes written here.  Noise is a formula that the tests know too (noise()
here, noise_at() in tests/support/media.c), so that inputs need no file.
"""
import io
import math
import os
import struct
import zlib
from fractions import Fraction

import numpy as np
import soundfile
import torch
import torchaudio
from PIL import Image, ImageOps

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "tests", "fixtures", "data")
GREAT_WAVE = os.path.join(ROOT, "tests", "fixtures", "great_wave.jpg")


def noise(n, first=0):
    """n reproducible 32-bit words."""
    with np.errstate(over="ignore"):
        h = (np.arange(first, first + n, dtype=np.uint64) * 2654435761 % 2**32).astype(np.uint32)
        h = (h ^ (h >> 15)) * np.uint32(2246822519)
        h = (h ^ (h >> 13)) * np.uint32(3266489917)
    return h ^ (h >> 16)


def noise_float(n, first=0):
    """In [-1, 1)."""
    return ((noise(n, first) >> 8).astype(np.float64) / 2**23 - 1).astype(np.float32)


def noise_image(width, height):
    return Image.fromarray((noise(width * height * 3) >> 24).astype(np.uint8).reshape(height, width, 3))


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in bytes(data):
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    return h


def write(name, data):
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)


def write_index(name, head, rows):
    write(name, ("# " + head + "\n" + "".join(" ".join(map(str, r)) + "\n" for r in rows)).encode())


# ---------------------------------------------------------------- pictures


def painting(width=29, height=23):
    """Smooth and lopsided, with some noise: no symmetry hides a wrong turn."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    rgb = np.stack([255 * x, 255 * y, 127 + 120 * np.sin(9 * x * x + 5 * y)], axis=-1)
    grain = (noise(rgb.size) >> 27).astype(np.float64).reshape(rgb.shape)
    return Image.fromarray(np.clip(rgb + grain, 0, 255).astype(np.uint8))


def encode(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth, colour, rows, chunks=b"", after=b"", interlaced=0):
    """A PNG by hand: Pillow cannot write most kinds.  `rows`: unfiltered, packed."""
    body = b"".join(b"\0" + bytes(r) for r in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
            + chunks + chunk(b"IDAT", zlib.compress(body, 9)) + after + chunk(b"IEND", b""))


def adam7(pixels):
    """Rows of the seven passes of an [H, W, 3] picture."""
    for x, y, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        yield from (row.tobytes() for row in pixels[y::dy, x::dx] if row.size)


def pack_bits(values, depth):
    bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth:]
    return [np.packbits(row).tobytes() for row in bits.reshape(len(values), -1)]


def exif(orientation, order="<"):
    head = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    return head + struct.pack(order + "HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def jpegs(picture):
    tall = painting(13, 31)
    yield "plain.jpg", encode(picture, "JPEG", quality=85)
    yield "full_chroma.jpg", encode(picture, "JPEG", quality=95, subsampling=0)
    yield "half_chroma.jpg", encode(picture, "JPEG", quality=95, subsampling=1)
    yield "grey.jpg", encode(picture.convert("L"), "JPEG", quality=85)
    yield "progressive.jpg", encode(picture, "JPEG", quality=85, progressive=True)
    cmyk = encode(picture.convert("CMYK"), "JPEG", quality=95)
    adobe = cmyk.index(b"Adobe") + 11
    yield "cmyk.jpg", cmyk
    yield "ycck.jpg", cmyk[:adobe] + b"\2" + cmyk[adobe + 1:]
    yield "one_pixel.jpg", encode(painting(1, 1), "JPEG")
    yield "profile.jpg", encode(picture, "JPEG", icc_profile=bytes(3000))
    for orientation in range(1, 9):
        yield f"turned{orientation}.jpg", encode(tall, "JPEG", exif=b"Exif\0\0" + exif(orientation, "<>"[orientation % 2]))
    yield "turned9.jpg", encode(tall, "JPEG", exif=b"Exif\0\0" + exif(9))


def pngs(picture):
    rgb = np.asarray(picture)
    height, width = rgb.shape[:2]
    wide = (noise(height * width * 4) >> 16).astype(">u2").reshape(height, width, 4)
    grey = rgb[..., 0]
    palette = (noise(48) >> 24).astype(np.uint8).tobytes()

    def rows(a):
        return [r.tobytes() for r in a]

    yield "rgb.png", encode(picture, "PNG")
    yield "grey1.png", encode(picture.convert("1"), "PNG")
    yield "grey2.png", png(width, height, 2, 0, pack_bits(grey >> 6, 2))
    yield "grey4.png", png(width, height, 4, 0, pack_bits(grey >> 4, 4))
    yield "grey8.png", encode(picture.convert("L"), "PNG")
    yield "grey16.png", png(width, height, 16, 0, rows(wide[..., :1]))
    yield "rgb16.png", png(width, height, 16, 2, rows(wide[..., :3]))
    yield "grey_alpha.png", png(width, height, 8, 4, rows(np.stack([grey, 255 - grey], -1)))
    yield "grey_alpha16.png", png(width, height, 16, 4, rows(wide[..., :2]))
    yield "rgba.png", encode(Image.merge("RGBA", (*picture.split(), picture.split()[2])), "PNG")
    yield "rgba16.png", png(width, height, 16, 6, rows(wide))
    yield "palette1.png", png(width, height, 1, 3, pack_bits(grey >> 7, 1), chunk(b"PLTE", palette[:6]))
    yield "palette2.png", png(width, height, 2, 3, pack_bits(grey >> 6, 2), chunk(b"PLTE", palette[:12]))
    yield "palette4.png", png(width, height, 4, 3, pack_bits(grey >> 4, 4), chunk(b"PLTE", palette))
    yield "palette_alpha.png", png(width, height, 8, 3, rows(grey >> 4), chunk(b"PLTE", palette) + chunk(b"tRNS", bytes(range(16))))
    yield "grey_key.png", png(width, height, 8, 0, rows(grey), chunk(b"tRNS", b"\0\x40"))
    yield "rgb_key.png", png(width, height, 8, 2, rows(rgb), chunk(b"tRNS", bytes(6)))
    yield "interlaced.png", png(width, height, 8, 2, adam7(rgb), interlaced=1)
    yield "gamma.png", png(width, height, 8, 2, rows(rgb), chunk(b"gAMA", struct.pack(">I", 100000)))
    yield "profile.png", encode(picture, "PNG", icc_profile=bytes(1000000))
    yield "turned_before.png", png(width, height, 8, 2, rows(rgb), chunk(b"eXIf", exif(6)))
    yield "turned_after.png", png(width, height, 8, 2, rows(rgb), after=chunk(b"eXIf", exif(5, ">")))
    yield "animated.png", encode(picture, "PNG", save_all=True, append_images=[ImageOps.invert(picture)])
    yield "tall.png", encode(painting(1, 200).resize((1, 20000)), "PNG")


def with_odd_chunk(webp):
    """An unknown chunk of 3 bytes, and one of padding, before EXIF."""
    at = webp.index(b"EXIF")
    return webp[:4] + struct.pack("<I", len(webp) + 12 - 8) + webp[8:at] + b"JUNK" + struct.pack("<I", 3) + bytes(4) + webp[at:]


def webps(picture):
    rgba = Image.merge("RGBA", (*picture.split(), picture.split()[2].point(lambda v: 0 if v < 128 else v)))
    yield "lossy.webp", encode(picture, "WEBP", quality=80)
    yield "lossless.webp", encode(picture, "WEBP", lossless=True)
    yield "lossy_alpha.webp", encode(rgba, "WEBP", quality=80)
    yield "lossless_alpha.webp", encode(rgba, "WEBP", lossless=True, exact=True)
    yield "turned.webp", encode(picture, "WEBP", lossless=True, exif=exif(8))
    yield "turned_prefix.webp", with_odd_chunk(encode(picture, "WEBP", quality=80, exif=b"Exif\0\0" + exif(7)))


def reference_pixels(name, data):
    """What arttomus promises: Pillow's pixels, but the high byte of 16-bit grey."""
    image = Image.open(io.BytesIO(data))
    if image.mode == "I":
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return ImageOps.exif_transpose(image).convert("RGB")


def many_scans():
    """A progressive JPEG whose first scan comes 200 times."""
    data = encode(painting(16, 16).convert("L"), "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    second = min(data.index(m, first + 2) for m in (b"\xff\xda", b"\xff\xc4") if m in data[first + 2:])
    return data[:first] + 200 * data[first:second] + data[second:]


def refused(picture):
    jpeg = encode(picture, "JPEG")
    frame = jpeg.index(b"\xff\xc0") + 5
    lossless = encode(picture, "WEBP", lossless=True)
    yield "bomb.jpg", jpeg[:frame] + b"\xff\xdc\xff\xdc" + jpeg[frame + 4:]
    yield "bomb_scans.jpg", many_scans()
    yield "bomb.png", png(50000, 50000, 1, 0, [bytes(6250)] * 400)
    yield "wide.png", png(70000, 1, 1, 0, [bytes(8750)])
    yield "truncated.jpg", jpeg[:len(jpeg) * 3 // 4]
    yield "truncated.png", encode(picture, "PNG")[:-200]
    yield "truncated.webp", lossless[:len(lossless) // 2]
    yield "animated.webp", encode(picture, "WEBP", save_all=True, append_images=[ImageOps.invert(picture)])
    yield "text.jpg", b"<!DOCTYPE html><title>404</title>"
    yield "empty.png", b""


def make_images():
    picture, index = painting(), []
    for name, data in (*jpegs(picture), *pngs(picture), *webps(picture)):
        write(name, data)
        pixels = reference_pixels(name, data)
        index.append((name, *pixels.size, f"{fnv1a(pixels.tobytes()):016x}"))
    write_index("images.txt", "file width height fnv1a64(RGB as Pillow decodes it)", index)
    for name, data in refused(picture):
        write(name, data)
    write_index("refused.txt", "files that must be refused", ((name,) for name, _ in refused(picture)))


# ---------------------------------------------------------------- resize

WHOLE = ((1, 1, 5, 7), (2, 3, 224, 224), (3, 2, 2, 3), (7, 5, 1, 1), (17, 31, 17, 31), (17, 31, 17, 9), (17, 31, 40, 31),
         (64, 64, 32, 32), (100, 50, 33, 49), (101, 67, 202, 201), (333, 250, 100, 75), (640, 427, 335, 224))
CROPPED = ((224, 224, 224), (300, 225, 224), (225, 301, 224), (227, 224, 224), (224, 229, 224), (226, 224, 223),
           (223, 400, 224), (640, 427, 224), (37, 91, 224), (1, 1, 224), (1, 300, 224), (300, 2, 16), (500, 333, 32))


def resize_crop(image, size, hf):
    """torchvision's Resize + CenterCrop on PIL images, or the crop of transformers' CLIPImageProcessor."""
    short, long = min(image.size), max(image.size)
    new = [size if n == short else int(size * long / short) for n in image.size]
    image = image.resize(new, Image.BICUBIC)
    left, top = ((n - size) // 2 if hf else int(round((n - size) / 2.0)) for n in new)
    return image.crop((left, top, left + size, top + size))


def normalised(image):
    mean = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
    std = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
    return np.ascontiguousarray(((np.asarray(image, np.float32) / np.float32(255) - mean) / std).transpose(2, 0, 1))


def make_resizes():
    rows = [("whole", w, h, ow, oh, f"{fnv1a(noise_image(w, h).resize((ow, oh), Image.BICUBIC).tobytes()):016x}")
            for w, h, ow, oh in WHOLE]
    for hf, word in enumerate(("torchvision", "hf")):
        rows += [(word, w, h, s, s, f"{fnv1a(resize_crop(noise_image(w, h), s, hf).tobytes()):016x}") for w, h, s in CROPPED]
    wave = Image.open(GREAT_WAVE).convert("RGB")
    rows.append(("great_wave", *wave.size, 224, 224, f"{fnv1a(normalised(resize_crop(wave, 224, 0)).tobytes()):016x}"))
    write_index("resize.txt", "how width height to_width to_height fnv1a64(RGB, or float32 CHW for great_wave)", rows)


# ---------------------------------------------------------------- sound

RATES = ((44100, 16000), (48000, 16000), (32000, 16000), (22050, 16000), (11025, 16000), (8000, 16000),
         (16000, 48000), (16000, 44100), (44100, 48000), (16000, 15999), (3, 2))


def make_resamples():
    rows = []
    for old, new in RATES:
        n = min(700, 500 * old // new + 3)
        y = torchaudio.functional.resample(torch.from_numpy(noise_float(n)), old, new).numpy()
        write(f"resample_{old}_{new}.f32", y.astype("<f4").tobytes())
        rows.append((old, new, n, len(y)))
    write_index("resample.txt", "from to n n_out; output in resample_FROM_TO.f32, input is noise", rows)


def make_sounds():
    """sin(i / 20) / 2 and, in a second channel, cos(i / 20) / 4, 2000 frames at 22050 Hz.

    Not the same bytes each time: libsndfile puts the time into float.wav and a random number into OGG.
    """
    i = np.arange(2000)
    left, right = np.sin(i / 20) / 2, np.cos(i / 20) / 4
    for name, rate, channels, kind, subtype in (
            ("pcm16.wav", 22050, 2, "WAV", "PCM_16"), ("pcm24.wav", 22050, 2, "WAV", "PCM_24"),
            ("float.wav", 22050, 2, "WAV", "FLOAT"), ("extensible.wav", 22050, 2, "WAVEX", "PCM_16"),
            ("wave64.w64", 22050, 2, "W64", "PCM_16"), ("mono.wav", 22050, 1, "WAV", "PCM_16"),
            ("stereo.aiff", 22050, 2, "AIFF", "PCM_16"), ("stereo.flac", 22050, 2, "FLAC", "PCM_16"),
            ("stereo.ogg", 22050, 2, "OGG", "VORBIS"), ("stereo.opus", 24000, 2, "OGG", "OPUS"),
            ("stereo.mp3", 22050, 2, "MP3", "MPEG_LAYER_III")):
        data = np.stack([left, right][:channels], axis=-1)
        soundfile.write(os.path.join(OUT, name), data, rate, subtype=subtype, format=kind)


def test_tones(n):
    """A rising tone, noise, and true silence: all that a mel front end can get wrong."""
    i = np.arange(n)
    x = 0.4 * np.sin(2e-5 * i * i) + 0.05 * noise_float(n)
    x[n // 2: n // 2 + 2000] = 0
    return x.astype(np.float32)


def mel_bank():
    """The formula of librosa.filters.mel(htk=False, norm='slaney'), float64; checked against torchaudio's, which is float32."""
    to_hz = np.vectorize(lambda m: 200 * m / 3 if m < 15 else 1000 * math.exp((m - 15) * math.log(6.4) / 27))
    top = 15 + 27 * math.log(8) / math.log(6.4)
    hz = to_hz(np.linspace(0, top, 66))
    f = np.linspace(0, 8000, 513)
    up = (f[None] - hz[:-2, None]) / np.diff(hz)[:-1, None]
    down = (hz[2:, None] - f[None]) / np.diff(hz)[1:, None]
    bank = np.maximum(0, np.minimum(up, down)) * (2 / (hz[2:] - hz[:-2]))[:, None]
    theirs = torchaudio.functional.melscale_fbanks(513, 0.0, 8000.0, 64, 16000, norm="slaney", mel_scale="slaney")
    assert np.abs(bank.T - theirs.numpy()).max() < 1e-5 * bank.max()
    return bank


def log_mel(x, pad):
    x = torch.nn.functional.pad(torch.from_numpy(x).double()[None], (pad, pad), mode="reflect")[0]
    spectrum = torch.stft(x, 1024, 160, window=torch.hann_window(1024, dtype=torch.float64), center=False,
                          return_complex=True).abs()
    return np.log(np.maximum(mel_bank() @ spectrum.numpy(), 1e-5)).T


def make_mels():
    n = 12800
    for name, pad in (("art2mus", 512), ("audioldm2", 432)):
        mel = log_mel(test_tones(n), pad)[: n // 160]
        write(f"mel_{name}.f32", mel.astype("<f4").tobytes())


def normalise_wav(x):
    x = x - np.mean(x)
    return x / (np.max(np.abs(x)) + 1e-8) * 0.5


def make_waveforms():
    """8000 frames of stereo noise, moved off zero, at 12 kHz, through both references' steps."""
    audio = (0.3 * noise_float(16000) + 0.1).astype(np.float32).reshape(8000, 2)
    left = torch.from_numpy(audio[:, 0].copy())
    cut = left[1200: 1200 + int(3200 / 16000 * 12000)]
    x = normalise_wav(torchaudio.functional.resample(cut, 12000, 16000).numpy())
    write("prepared_audioldm2.f32", np.pad(x, (0, max(0, 3200 - len(x))))[:3200].astype("<f4").tobytes())

    x = normalise_wav(torchaudio.functional.resample(left, 12000, 16000).numpy())
    x = x[int(0.6 * 16000): int(10.6 * 16000)]
    assert np.max(np.abs(x)) < 0.499        # or the second normalisation would do nothing
    x = np.pad(x, (0, max(0, 3200 - len(x))))[:3200]
    x = np.nan_to_num(np.clip(x / np.max(np.abs(x)) * 0.5, -1, 1))
    write("prepared_art2mus.f32", x.astype("<f4").tobytes())


def fbank(x):
    """torchaudio's own code with ImageBind's arguments.  In float32, as ImageBind runs it, the edges of
    narrow triangles are off by 1e-4; the default dtype makes them double too."""
    torch.set_default_dtype(torch.float64)
    y = torchaudio.compliance.kaldi.fbank(
        torch.from_numpy(x).double(), htk_compat=True, sample_frequency=16000, use_energy=False,
        window_type="hanning", num_mel_bins=128, dither=0.0, frame_length=25, frame_shift=10)
    torch.set_default_dtype(torch.float32)
    return y.numpy()


def clip_starts(n, parts):
    """ConstantClipsPerVideoSampler(2, 3) of pytorchvideo: parts is 3 in release 0.1.5, 2 on its main branch."""
    step = Fraction(Fraction(max(n / 16000 - 2, 0)), parts)
    return [int(k * step * 16000) for k in range(3)]


def growing_noise(n):
    """No sine: the logarithm of a faint band shows its last bit, in which libraries differ."""
    x = noise_float(n).astype(np.float64) * np.arange(n) / n
    x[n // 2: n // 2 + 1000] = 0
    return x.astype(np.float32)


def make_fbanks():
    write("fbank.f32", fbank(growing_noise(6400)[None]).astype("<f4").tobytes())

    lengths = [400, 31999, 32000, 32001, 32002, 160000, 441001]
    lengths += [n for n in range(33000, 90000, 7) if clip_starts(n, 2)[2] != n - 32000][:20]    # n / 16000 rounded down
    lengths += [32000 + int(n >> 12) for n in noise(20)]
    write_index("clips.txt", "n, then where the three clips start: divided by 2, divided by 3",
                ((n, *clip_starts(n, 2), *clip_starts(n, 3)) for n in lengths))

    # 2.5 s of stereo noise, moved off zero, at 24 kHz, through the steps of ImageBind's data.py; every 17th frame
    audio = (0.3 * noise_float(120000) + 0.1).astype(np.float32).reshape(60000, 2).T.copy()
    x = torchaudio.functional.resample(torch.from_numpy(audio), 24000, 16000).numpy().astype(np.float64)
    for name, parts in (("to_the_end", 2), ("thirds", 3)):
        clips = [x[:, start: start + 32000] for start in clip_starts(x.shape[1], parts)]
        pictures = np.stack([np.pad(fbank(clip - clip.mean()).T, ((0, 0), (0, 204 - 198))) for clip in clips])
        write(f"clips_{name}.f32", ((pictures + 4.268) / 9.138)[..., ::17].astype("<f4").tobytes())


def main():
    os.makedirs(OUT, exist_ok=True)
    torch.set_num_threads(1)
    make_images()
    make_resizes()
    make_resamples()
    make_sounds()
    make_mels()
    make_waveforms()
    make_fbanks()


if __name__ == "__main__":
    main()
