#!/usr/bin/env python3
"""cast_vectors.py: writes the test vectors of docs/cast-format.md, clause 8, that the packer cannot
make, to the folder vectors beside it: chunks of all kinds in one image, and one that fits on a disk
smaller than itself. With a number, cast_vectors.py writes an image of so many bytes to stdout."""
import pathlib
import struct
import subprocess
import sys
import tempfile

from cast_tools import blake3

CHUNK = 65536
HOLE, ZERO, PLAIN, LZ4, ZSTD = range(5)
PACKERS = {LZ4: "lz4 -9 -c", ZSTD: "zstd -19 -q -c"}


def image(size, used):
    return bytes(n // 512 % 251 if 2 * CHUNK <= n < used else 0 for n in range(size))


def cbor(value, width=0):
    """An item as short as can be, but numbers of `width` 8."""
    if isinstance(value, int):
        return head(0, value, width)
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    return head(4, len(value)) + b"".join(map(cbor, value))


def head(kind, value, width=0):
    if value < 24 and not width:
        return bytes([kind << 5 | value])
    width = width or next(width for width in (1, 2, 4, 8) if value < 1 << 8 * width)
    return bytes([kind << 5 | 23 + width.bit_length()]) + value.to_bytes(width, "big")


def entry_and_stored(kind, data):
    stored, stored_hash = b"", bytes(16)
    if kind == PLAIN:
        stored = data
    elif kind in PACKERS:
        with tempfile.NamedTemporaryFile() as file:
            pathlib.Path(file.name).write_bytes(data)
            stored = subprocess.check_output([*PACKERS[kind].split(), file.name])
        stored_hash = blake3(stored)[:16]
    whole = bytes(32) if kind == HOLE else blake3(data)
    return struct.pack("<I32s16s", kind << 28 | len(stored), whole, stored_hash), stored


def cast(name, size, kinds, smallest):
    """An image that is in use as far as the smallest disk goes."""
    data, starts = image(size, smallest), range(0, size, CHUNK)
    parts = [entry_and_stored(kind, data[at:at + CHUNK]) for kind, at in zip(kinds, starts)]
    table, stored = (b"".join(column) for column in zip(*parts))
    words = {HOLE: "holes", LZ4: "lz4", ZSTD: "zstd"}
    features = [word for kind, word in words.items() if kind in kinds]
    fields = [features, name, bytes(6) + b"\x80\0\x80" + bytes(7), 1, 1_700_000_000, None, size,
              512, CHUNK, smallest, None, blake3(table)]
    items = [cbor(key) + cbor(value) for key, value in enumerate(fields) if value is not None]
    items.append(cbor(12) + cbor(len(stored), 8))
    manifest = head(5, len(items)) + b"".join(items)
    first = struct.pack("<8sHHI", b"\x89CAST\r\n\x1a", 1, 0, len(manifest))
    return first + manifest + bytes(2) + table + stored


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.stdout.buffer.write(image(int(sys.argv[1]), int(sys.argv[1])))
        sys.exit()
    folder = pathlib.Path(__file__).parent / "vectors"
    for name, size, kinds, smallest in [
        ("mixed", 266240, (HOLE, ZERO, LZ4, ZSTD, PLAIN), 266240),
        ("small-disk", 266240, (ZERO, HOLE, ZSTD, HOLE, ZERO), 196608),
    ]:
        (folder / f"{name}.cast").write_bytes(cast(name, size, kinds, smallest))
