#!/usr/bin/env python3
"""cast_reader.py FILE.cast OUT [KEY.pub]: unpacks a cast file, holes as zeroes, by nothing but
docs/cast-format.md. What is wrong is told with its clause, and nothing is written of it."""
import base64, io, pathlib, struct, sys, time, unicodedata
from cast_tools import blake3, cbor, decode, is_signature_of

WORD = (int, 0, 2**64 - 1)  # of each key of the manifest: type, and range of value or length
KEYS = {0: (list, 0, 16), 1: (str, 1, 128), 2: (bytes, 16, 16), 3: WORD, 4: WORD, 5: WORD,
        6: (int, 1, 2**56), 7: (int, 512, 4096), 8: (int, 65536, 2**24), 9: WORD,
        10: (str, 0, 4096), 11: (bytes, 32, 32), 12: WORD}
FEATURES = {0: "holes", 3: "lz4", 4: "zstd"}

def need(is_so, clause, fault):
    if not is_so:
        sys.exit(f"refused by clause {clause}: {fault}")

def take(stream, length, what):
    data = stream.read(length)
    need(len(data) == length, "1", f"the stream ends in {what}")
    return data

def read_manifest(data):
    try:
        pairs, end = cbor(data)
    except ValueError as error:
        sys.exit(f"refused by clause {error}")
    need(type(pairs) is tuple and end == len(data), "3", "no map that fills the manifest")
    keys = pairs[::2]
    need(all(type(key) is int for key in keys), "3.1", "a key is no integer")
    need(list(keys) == sorted({*keys}), "3.1", "keys are not in order")
    m = dict(zip(keys, pairs[1::2]))
    need(m.keys() >= KEYS.keys() - {5, 10}, "3.1", "a key is missing")
    for key, (kind, least, most) in KEYS.items():
        if key in m:
            need(type(m[key]) is kind, "3", f"key {key} is of another type")
            size = m[key] if kind is int else len(m[key].encode() if kind is str else m[key])
            need(least <= size <= most, "3", f"key {key} is out of range")
    for feature in m[0]:
        need(feature in FEATURES.values(), "3.4", f"feature {feature} is not known")
    need(not any(c.isspace() or unicodedata.category(c) == "Cc" for c in m[1]), "3.5", "the name")
    need(m[7] in (512, 4096) and m[6] % m[7] == 0, "3", "sectors of that size")
    need(m[8].bit_count() == 1, "3", "the chunk size is no power of two")
    need(m[7] <= m[9] <= m[6], "3.6", "the smallest disk")
    is_fresh = m[4] - 86400 <= time.time() < m[5] if 5 in m else True
    need(is_fresh, "7.1", "the image has expired, or the clock is wrong")
    return m

def check_signatures(signed, signatures, key_file):
    key = base64.b64decode(pathlib.Path(key_file).read_text().split("\n")[1])
    need(len(key) == 42 and key[:2] == b"Ed", "4.2", f"{key_file} is no public key")
    ours = [signature[8:] for signature in signatures if signature[:8] == key[2:10]]
    need(ours, "4.3", "no signature by the trusted key")
    need(all(is_signature_of(one, signed, key[10:]) for one in ours), "4.3", "a bad signature")

def read_entry(entry, size, features):
    word, whole, stored = struct.unpack("<I32s16s", entry)
    kind, length = word >> 28, word & 0xFFFFFFF
    need(kind <= 4, "5.1", f"kind {kind}")
    fits = 1 <= length < size if kind > 2 else length == (size if kind == 2 else 0)
    need(fits, "5.2", f"kind {kind} in {length} bytes")
    need((kind > 2 or not any(stored)) and (kind or not any(whole)), "5.3", "a hash should be 0")
    need(kind != 1 or whole == blake3(bytes(size)), "5.3", "the hash of zeroes is another")
    need(FEATURES.get(kind) in (None, *features), "5.4", f"kind {kind} is not named")
    return kind, length, size, whole, stored

def chunk(cast, index, kind, length, size, whole, stored_hash):
    stored = take(cast, length, f"chunk {index}")
    if kind < 2:
        return bytes(size)
    need(kind == 2 or blake3(stored)[:16] == stored_hash, "6.2", f"stored bytes of chunk {index}")
    data = decode(kind, stored, size) if kind > 2 else stored
    need(data is not None, "6.1", f"chunk {index} is not one frame of its length")
    need(blake3(data) == whole, "6.2", f"bytes of chunk {index}")
    return data

def main(cast, out, key_file=None):
    head = take(cast, 16, "the head")
    magic, version, zero, length = struct.unpack("<8sHHI", head)
    need(magic == b"\x89CAST\r\n\x1a", "2.1", "no cast stream")
    need((version, zero) == (1, 0), "2.2", f"version {version}, then {zero}")
    need(1 <= length <= 65536, "2.3", f"a manifest of {length} bytes")
    manifest = take(cast, length, "the manifest")
    count = int.from_bytes(take(cast, 2, "the signatures"), "little")
    signatures = [take(cast, 72, "the signatures") for _ in range(count)]
    if key_file:
        check_signatures(head + manifest, signatures, key_file)
    m = read_manifest(manifest)
    starts = range(0, m[6], m[8])
    table = take(cast, 52 * len(starts), "the table")
    need(blake3(table) == m[11], "5.6", "the table is not the manifest's")
    entries = [read_entry(table[52 * index:52 * index + 52], min(m[8], m[6] - start), m[0])
               for index, start in enumerate(starts)]
    need(sum(length for _, length, *_ in entries) == m[12], "5.5", "the stored lengths' sum")
    with open(out, "wb") as target:
        for index, entry in enumerate(entries):
            target.write(chunk(cast, index, *entry))
    need(not cast.read(1), "1", "something follows the last chunk")

if __name__ == "__main__":
    main(io.BytesIO(pathlib.Path(sys.argv[1]).read_bytes()), *sys.argv[2:])
