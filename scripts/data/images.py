"""images.py - what has to be done to pictures before training sees them: netpbm and dwebp do the work.

Readers of pictures that drop the alpha channel (Pillow's convert("RGB"), and ours) show what
lies under transparent pixels, which for a painted portrait is an accident of the painter's program.
"""
import subprocess


def run(*command, data=None):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def has_alpha(path):
    """Of a PNG: colour types 4 and 6 have a channel, others may have a tRNS chunk before the data."""
    with open(path, "rb") as f:
        head = f.read(4096)
    return head[:8] == b"\x89PNG\r\n\x1a\n" and (head[25] in (4, 6) or b"tRNS" in head)


def on_black(path):
    """A PNG with transparency as one without, as bytes."""
    return png(run("pngtopnm", "-mix", "-background=black", path))


def png(pnm):
    return run("pnmtopng", "-quiet", data=pnm)


class Canvas:
    """RGB, black, onto which RGBA tiles are laid."""

    def __init__(self, width, height):
        self.width, self.height = width, height
        self.rows = [bytearray(3 * width) for _ in range(height)]

    def lay(self, tile, left, top):
        for y in range(tile.height):
            tile.row_onto(y, self.rows[top + y], 3 * left)

    def png(self):
        return png(b"P6 %d %d 255\n" % (self.width, self.height) + b"".join(self.rows))


class Tile:
    def __init__(self, webp):
        pam = run("dwebp", "-quiet", "-pam", "-o", "-", "--", "-", data=webp)
        header, self.rgba = pam.split(b"ENDHDR\n", 1)
        fields = dict(line.split(b" ", 1) for line in header.split(b"\n")[1:] if b" " in line)
        self.width, self.height = int(fields[b"WIDTH"]), int(fields[b"HEIGHT"])

    def row_onto(self, y, row, at):
        pixels = self.rgba[4 * y * self.width:4 * (y + 1) * self.width]
        alpha = pixels[3::4]
        for channel in range(3):
            under = slice(at + channel, at + 3 * self.width, 3)
            row[under] = bytes((over * a + below * (255 - a) + 127) // 255
                               for over, below, a in zip(pixels[channel::4], row[under], alpha))
