"""Bgzip files, made by their specification."""

import struct
import zlib


def bgzip(text: bytes, size: int = 20) -> bytes:
    """A bgzip file by its specification: gzip members that say their own size, the last one empty."""
    members = b""
    for start in range(0, len(text) + size, size):
        block = text[start : start + size]
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = packer.compress(block) + packer.flush()
        members += b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(packed) + 25)
        members += packed + struct.pack("<II", zlib.crc32(block), len(block))
    return members
