"""How an image is to be turned, as EXIF says in JPEG, PNG, WebP and TIFF files.

`decode` turns nothing (but what OpenCV turns, TIFF), so that a stored set has the same
pixels for every reader; `kdjax.datasets.stored_image` turns images before.
"""

import struct

import numpy as np

_ORIENTATION = 0x0112
_JPEG, _PNG, _EXIF = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"Exif\0\0"
_SCAN, _APP1 = 0xDA, 0xE1
_WHOLE = {3: "H", 4: "I"}  # TIFF's types of whole numbers
# By EXIF's numbers, rows first: what makes the stored image an upright one.
_TURNS = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}


def orientation(content: bytes) -> int:
    """1 to 8, as EXIF counts; 1, upright, where a file says nothing, or nonsense."""
    value = tiff_tags(_exif(content)).get(_ORIENTATION, 1)
    return value if value in _TURNS else 1


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """The upright image [height, width, channels] of one with that orientation.

    >>> turned(np.array([[[1], [2]]]), 6)[..., 0].tolist()  # a quarter turn clockwise
    [[1], [2]]
    """
    return np.ascontiguousarray(_TURNS[orientation](image))


def tiff_tags(block: bytes) -> dict[int, int]:
    """Tag -> first value, of those of a TIFF file, or of EXIF, that are whole numbers.

    Of the first directory, as far as it can be read; {} of anything else.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(block[:4]))
    tags: dict[int, int] = {}
    if order is None:
        return tags
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(f"{order}HHI", block, at)
            if form := _WHOLE.get(kind):
                place = at + 8
                if number * struct.calcsize(form) > 4:  # elsewhere
                    (place,) = struct.unpack_from(f"{order}I", block, place)
                (tags[tag],) = struct.unpack_from(f"{order}{form}", block, place)
    except struct.error:
        pass
    return tags


def _exif(content: bytes) -> bytes:
    """The EXIF block of a file, a small TIFF file of its own; b"" where there is none.

    A TIFF file is its own.
    """
    if content[:2] == _JPEG:
        return _of_jpeg(content)
    if content[:8] == _PNG:
        return _chunk(content, 8, b"eXIf", ">I4s", name_first=False)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        block = _chunk(content, 12, b"EXIF", "<4sI", name_first=True)
        return block.removeprefix(_EXIF)
    return content


def _of_jpeg(content: bytes) -> bytes:
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        length = int.from_bytes(content[at + 2 : at + 4])
        if marker == _APP1 and content[at + 4 : at + 10] == _EXIF:
            return content[at + 10 : at + 2 + length]
        if marker == _SCAN:
            break
        at += 2 + length
    return b""


def _chunk(content: bytes, at: int, name: bytes, form: str, name_first: bool) -> bytes:
    """The first chunk of a name: of PNG with a checksum, of RIFF of even length."""
    while at + 8 <= len(content):
        head = struct.unpack_from(form, content, at)
        own, length = head if name_first else head[::-1]
        if own == name:
            return content[at + 8 : at + 8 + length]
        at += 8 + (length + length % 2 if name_first else length + 4)
    return b""
