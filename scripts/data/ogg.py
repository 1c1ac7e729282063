"""ogg.py - length and tags of an Ogg Vorbis or Opus file, without decoding it.

The length is the granule position of the last page (RFC 3533) over the rate; Opus counts at
48 kHz whatever it was made from (RFC 7845), less the samples that a decoder skips.
"""
import struct
from collections import namedtuple

Ogg = namedtuple("Ogg", "seconds tags")

PAGE_MAX = 65307            # bytes of the largest page
HEADER = 1 << 16            # identification and tags lie within this


def tag_list(head, at):
    """Vorbis comments at `at`: vendor, count, then length and "NAME=value" each, little-endian."""
    def text():
        nonlocal at
        length, = struct.unpack_from("<I", head, at)
        at += 4 + length
        if at > len(head):
            raise ValueError("tags end early")
        return head[at - length:at].decode("utf-8", "replace")

    text()                  # the vendor
    count, = struct.unpack_from("<I", head, at)
    at += 4
    for _ in range(min(count, 64)):
        name, _, value = text().partition("=")
        yield name.lower(), " ".join(value.split())


def tags_of(head):
    for marker in (b"\x03vorbis", b"OpusTags"):
        at = head.find(marker)
        if at < 0:
            continue
        tags = {}
        try:
            for name, value in tag_list(head, at + len(marker)):
                tags[name] = value
        except (ValueError, struct.error):
            pass            # a cover picture among them goes on into further pages: keep what came first
        return tags
    return {}


def read(data):
    """`data`: the whole file, as bytes or a map of it."""
    head, tail = bytes(data[:HEADER]), bytes(data[-2 * PAGE_MAX:])
    vorbis, opus = head.find(b"\x01vorbis"), head.find(b"OpusHead")
    last = tail.rfind(b"OggS")
    if head[:4] != b"OggS" or last < 0 or (vorbis < 0 and opus < 0):
        raise ValueError("not an Ogg Vorbis or Opus file")
    granule, = struct.unpack_from("<q", tail, last + 6)
    if vorbis >= 0:
        rate, = struct.unpack_from("<I", head, vorbis + 12)
        skip = 0
    else:
        rate = 48000
        skip, = struct.unpack_from("<H", head, opus + 10)
    if granule < 0 or rate == 0:
        raise ValueError("an Ogg file without a length")
    return Ogg(max(granule - skip, 0) / rate, tags_of(head))
