"""What docs/cast-format.md takes from elsewhere: CBOR, and by programs of those names BLAKE3,
Ed25519 (openssl), and frames of LZ4 and Zstandard."""
import functools
import io
import pathlib
import subprocess
import tempfile

VERIFY = "openssl pkeyutl -verify -rawin -in data -sigfile signature -pubin -inkey key -keyform DER"
DECODERS = {3: "lz4 -dc", 4: "zstd -dcq --memory=16MiB"}
ED25519_KEY = bytes.fromhex("302a300506032b6570032100")  # what stands before a public key in DER


def run(words, data, most, folder=None):
    """What a program makes of `data`, stopped at one byte too many; nothing if it fails."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        streams = {"stdin": file, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(words.split(), cwd=folder, **streams) as program:
            output = program.stdout.read(most + 1)
    return output if program.returncode == 0 else b""


def cbor(data, at=0, depth=0):
    """An item and its end; a map is a tuple of keys and values, and what no key here has is None.

    ValueError with the clause if there is none, or it breaks what clauses 3.2 and 3.3 demand."""
    if at >= len(data):
        raise ValueError("3: it ends where an item should be")
    kind, value = divmod(data[at], 32)
    if value >= 28:
        raise ValueError("3.2: an item without a definite length")
    if kind in (4, 5, 6) and depth > 8:
        raise ValueError("3.3: items are nested too deep")
    at += 1
    if value >= 24:
        end = at + (1 << value - 24)
        value, at = int.from_bytes(data[at:end], "big"), end
    if kind in (2, 3):
        text, at = data[at:at + value], at + value
    if at > len(data):
        raise ValueError("3: it ends in an item")
    if kind in (2, 3):
        try:
            return (text if kind == 2 else text.decode()), at
        except UnicodeDecodeError:
            raise ValueError("3.2: text that is not UTF-8") from None
    items = []
    while len(items) < {4: value, 5: 2 * value, 6: 1}.get(kind, 0):
        item, at = cbor(data, at, depth + 1)
        items.append(item)
    return {0: value, 4: items, 5: tuple(items)}.get(kind), at


@functools.lru_cache(4)
def blake3(data):
    return bytes.fromhex(run("b3sum --no-names", data, 65).decode())


def is_signature_of(signature, data, key):
    """By openssl, which does not look for points of small order as clause 4.3 does."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"data": data, "signature": signature, "key": ED25519_KEY + key}
        for name, content in files.items():
            pathlib.Path(folder, name).write_bytes(content)
        return run(VERIFY, b"", 100, folder) != b""


def decode(kind, stored, length):
    """The bytes of one frame, if it is one, alone, without dictionary, and comes to `length`."""
    try:
        is_frame = is_lz4_frame(stored) if kind == 3 else is_zstd_frame(stored, length)
    except EOFError:
        return None
    data = run(DECODERS[kind], stored, length) if is_frame else b""
    return data if len(data) == length else None


def numbers(stream):
    """Gives little-endian numbers of so many bytes, one after the other."""
    def number(length):
        data = stream.read(length)
        if len(data) < length:
            raise EOFError
        return int.from_bytes(data, "little")
    return number


def is_lz4_frame(stored):
    stream = io.BytesIO(stored)
    number = numbers(stream)
    magic, flags = number(4), number(1)
    number(2 + (flags & 8))  # sizes of blocks and, by flag 8, of the content; checksum of these
    while block := number(4):
        number((block & 0x7FFFFFFF) + (4 if flags & 16 else 0))
    number(flags & 4)  # checksum of the content
    return magic == 0x184D2204 and not flags & 1 and not stream.read(1)


def is_zstd_frame(stored, length):
    stream = io.BytesIO(stored)
    number = numbers(stream)
    magic, flags = number(4), number(1)
    is_single = flags >> 5 & 1
    number(1 - is_single)  # size of the window
    dictionary = number((0, 1, 2, 4)[flags & 3])
    size_length = (is_single, 2, 4, 8)[flags >> 6]
    size = number(size_length) + (256 if size_length == 2 else 0)
    is_last = 0
    while not is_last:
        block = number(3)
        is_last, kind, block_length = block & 1, block >> 1 & 3, block >> 3
        number(1 if kind == 1 else block_length)
    number(flags & 4)  # checksum of the content
    is_right = magic == 0xFD2FB528 and dictionary == 0 and size_length * (size - length) == 0
    return is_right and not stream.read(1)
