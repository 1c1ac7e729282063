"""rcc.py - files inside a Qt binary resource (.rcc).

Big-endian: magic "qres", version, then offsets of the tree, the data and the names.  A tree node is
a name offset and flags (1: zlib, 2: folder, 4: zstd), then for a folder the number of its children and
the first of them, for a file a locale and a data offset; version 2 added a time stamp of 8 bytes.
Data are a length and that many bytes, which zlib prefixes with the length before compression.
"""
import struct
import zlib

COMPRESSED, FOLDER, ZSTD = 1, 2, 4


class Resource:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.bytes = f.read()
        magic, version, self.tree, self.data, self.names = struct.unpack_from(">4s4I", self.bytes)
        if magic != b"qres" or not 1 <= version <= 3:
            raise ValueError(f"{path}: not a Qt resource of a known version")
        self.node_size = 14 if version == 1 else 22
        self.files = dict(self.walk(0, ""))         # path -> offset of its node

    def name(self, node):
        offset, = struct.unpack_from(">I", self.bytes, node)
        length, = struct.unpack_from(">H", self.bytes, self.names + offset)
        start = self.names + offset + 6             # past the length and a hash
        return self.bytes[start:start + 2 * length].decode("utf-16-be")

    def walk(self, index, folder):
        node = self.tree + index * self.node_size
        path = f"{folder}/{self.name(node)}" if index else ""
        flags, = struct.unpack_from(">H", self.bytes, node + 4)
        if not flags & FOLDER:
            yield path, node
            return
        count, first = struct.unpack_from(">2I", self.bytes, node + 6)
        for child in range(first, first + count):
            yield from self.walk(child, path)

    def read(self, path):
        node = self.files[path]
        flags, _, _, offset = struct.unpack_from(">4xHHHI", self.bytes, node)
        size, = struct.unpack_from(">I", self.bytes, self.data + offset)
        start = self.data + offset + 4
        content = self.bytes[start:start + size]
        if flags & ZSTD:
            raise ValueError(f"{path}: compressed with zstd, which this reader does not know")
        return zlib.decompress(content[4:]) if flags & COMPRESSED else content

    def matching(self, suffix):
        return sorted(p for p in self.files if p.endswith(suffix))
