"""CRC-32C, by which TFRecord files check their records: in NumPy, a millisecond a JPEG.

A record is cut into parts that are computed side by side. The checksum is linear, so
that of the whole is made of theirs, each moved on by the bytes that follow it.
"""

import functools

import numpy as np

_POLYNOMIAL = np.uint32(0x82F63B78)
_ONES = np.uint32(0xFFFFFFFF)
_PART = 64  # bytes, about as many
_BITS = np.arange(32, dtype=np.uint32)


def masked(data: bytes) -> int:
    """The checksum as TFRecord files hold it.

    >>> hex(masked(b"123456789"))
    '0xc78ab0e5'
    """
    value = crc32c(data)
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Of all bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    # Leading zeros change nothing; the usual first state is ones in the first bytes.
    if len(data) < 4:
        return _of_few(data)
    parts = 1 << max(0, (len(data) // _PART).bit_length() - 1)
    width = -(-len(data) // parts)
    padded = np.zeros(parts * width, np.uint8)
    padded[padded.size - len(data) :] = np.frombuffer(data, np.uint8)
    state = np.zeros(parts, np.uint32)
    start = padded.size - len(data)
    padded[start : start + 4] ^= np.uint8(255)
    for column in np.ascontiguousarray(padded.reshape(parts, width).T):
        state = _table()[(state ^ column) & np.uint32(255)] ^ (state >> np.uint32(8))
    move = _moved_by(width)
    while len(state) > 1:
        state = _apply(move, state[0::2]) ^ state[1::2]
        move = _apply(move, move)
    return int(state[0] ^ _ONES)


def _of_few(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state = int(_table()[(state ^ byte) & 255]) ^ state >> 8
    return state ^ 0xFFFFFFFF


@functools.cache
def _table() -> np.ndarray:
    """The state after each byte, from the state 0."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        odd = (table & np.uint32(1)).astype(bool)
        table = np.where(odd, _POLYNOMIAL, np.uint32(0)) ^ (table >> np.uint32(1))
    return table


@functools.lru_cache(maxsize=4096)
def _moved_by(count: int) -> np.ndarray:
    """What becomes of each bit of a state after so many zero bytes; uint32 [32]."""
    unit = np.uint32(1) << _BITS
    one = _table()[unit & np.uint32(255)] ^ (unit >> np.uint32(8))
    result = unit
    while count:
        result = _apply(one, result) if count & 1 else result
        one, count = _apply(one, one), count >> 1
    return result


def _apply(move: np.ndarray, states: np.ndarray) -> np.ndarray:
    bits = states[:, None] >> _BITS & np.uint32(1)
    return np.bitwise_xor.reduce(bits * move, axis=1)
