"""Joining Parquet files without reading their rows: row groups are copied as bytes.

A Parquet file is ``PAR1``, the row groups, a footer that says where each lies, the footer's length
and ``PAR1``. Files of one schema are joined by writing their row groups one after the other and one
footer in which every position is shifted by what now lies before it. So appending a small table to
a large one costs a copy of bytes; no Parquet library offers that. The footer is a Thrift struct in
the compact protocol; it is read and written here as plain values, whatever fields it holds (after
the specifications: Apache Parquet, ``parquet.thrift``; Apache Thrift, compact protocol).
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path

MAGIC: Final = b"PAR1"

# Types of the compact protocol.
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
INTEGERS: Final = (I16, I32, I64)

# Fields of parquet.thrift.
SCHEMA, ROWS, GROUPS, KEY_VALUES = 2, 3, 4, 5  # of FileMetaData
COLUMNS, GROUP_OFFSET, ORDINAL = 1, 5, 7  # of RowGroup
META = 3  # of ColumnChunk: its ColumnMetaData
CHUNK_OFFSETS: Final = (2, 4, 6)  # of ColumnChunk: file, offset index, column index
META_OFFSETS: Final = (9, 10, 11, 14)  # of ColumnMetaData: data, index, dictionary page, bloom

Fields = dict[int, tuple[int, Any]]  # field id -> (type, value), in the order of the ids


def join_parquet(paths: Sequence[Path], target: Path) -> None:
    """Write the rows of `paths`, in this order, as the one Parquet file `target`.

    Raises
    ------
    PamelaError
        If a file is not Parquet or has another schema than the first.
    """
    if not paths:
        raise ValueError("no files to join")
    if len(paths) == 1:
        with atomic_path(target) as aside:
            shutil.copyfile(paths[0], aside)
        return
    footers = [_read_footer(path) for path in paths]
    merged, _ = footers[0]
    groups: list[Fields] = []
    rows, position = 0, len(MAGIC)
    for path, (footer, length) in zip(paths, footers, strict=True):
        if any(footer.get(field) != merged.get(field) for field in (SCHEMA, KEY_VALUES)):
            raise PamelaError(f"{path}: its columns are not those of {paths[0]}; remove the cache")
        for group in footer[GROUPS][1][1]:
            _shift(group, position - len(MAGIC), len(groups))
            groups.append(group)
        rows += footer[ROWS][1]
        position += length
    merged = {**merged, ROWS: (I64, rows), GROUPS: (LIST, (STRUCT, groups))}
    footer_bytes = write_struct(merged)
    with atomic_path(target) as aside, aside.open("wb") as out:
        out.write(MAGIC)
        for path, (_, length) in zip(paths, footers, strict=True):
            _copy_bytes(path, length, out)
        out.write(footer_bytes + struct.pack("<I", len(footer_bytes)) + MAGIC)


def _copy_bytes(path: Path, length: int, out: Any) -> None:
    with path.open("rb") as stream:
        stream.seek(len(MAGIC))
        while length:
            block = stream.read(min(length, 1 << 22))
            out.write(block)
            length -= len(block)


def _read_footer(path: Path) -> tuple[Fields, int]:
    """Return the footer and how many bytes of row groups lie before it."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 8))
        tail = stream.read()
        length = struct.unpack("<I", tail[:4])[0] if len(tail) == 8 else size
        start = size - 8 - length
        if tail[4:] != MAGIC or start < len(MAGIC):
            raise PamelaError(f"{path}: not a whole Parquet file; remove the cache and run again")
        stream.seek(start)
        return read_struct(stream.read(length)), start - len(MAGIC)


def _shift(group: Fields, by: int, ordinal: int) -> None:
    """Move every position that a row group names, and give it its new number."""
    _add(group, (GROUP_OFFSET,), by)
    if ORDINAL in group:
        group[ORDINAL] = (I16, ordinal)
    for chunk in group[COLUMNS][1][1]:
        _add(chunk, CHUNK_OFFSETS, by)
        _add(chunk[META][1], META_OFFSETS, by)


def _add(fields: Fields, numbers: Sequence[int], by: int) -> None:
    for number in numbers:
        kind, value = fields.get(number, (I64, 0))
        if value:  # 0: a writer that leaves the position open
            fields[number] = (kind, value + by)


# --- Thrift's compact protocol ----------------------------------------------------------------
def read_struct(data: bytes) -> Fields:
    """Return the fields of a struct."""
    return _Reader(data).struct()


def write_struct(fields: Fields) -> bytes:
    """Return a struct as bytes."""
    out = bytearray()
    _put_struct(out, fields)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7

    def integer(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def struct(self) -> Fields:
        fields: Fields = {}
        number = 0
        while head := self.byte():
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self.integer()
            value = kind == TRUE if kind in (TRUE, FALSE) else self.value(kind)
            fields[number] = (kind, value)
        return fields

    def value(self, kind: int) -> Any:
        if kind in INTEGERS:
            return self.integer()
        if kind == BINARY:
            return self.take(self.varint())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            head = self.byte()
            count, element = head >> 4, head & 15
            count = self.varint() if count == 15 else count
            return element, [self.value(element) for _ in range(count)]
        if kind in (TRUE, FALSE, BYTE):  # in a list each boolean is a byte
            return self.byte()
        if kind == DOUBLE:
            return self.take(8)
        if kind == MAP:
            count = self.varint()
            kinds = self.byte() if count else 0
            pair = (kinds >> 4, kinds & 15)
            return pair, [(self.value(pair[0]), self.value(pair[1])) for _ in range(count)]
        raise PamelaError(f"Parquet footer: unknown Thrift type {kind}; remove the cache")


def _put_varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _put_integer(out: bytearray, value: int) -> None:
    _put_varint(out, value * 2 if value >= 0 else -value * 2 - 1)


def _put_struct(out: bytearray, fields: Fields) -> None:
    last = 0
    for number, (kind, value) in fields.items():
        delta = number - last
        if 0 < delta < 16:
            out.append(delta << 4 | kind)
        else:
            out.append(kind)
            _put_integer(out, number)
        last = number
        if kind not in (TRUE, FALSE):
            _put_value(out, kind, value)
    out.append(0)


def _put_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in INTEGERS:
        _put_integer(out, value)
    elif kind == BINARY:
        _put_varint(out, len(value))
        out += value
    elif kind == STRUCT:
        _put_struct(out, value)
    elif kind in (LIST, SET):
        element, values = value
        short = len(values) < 15
        out.append((len(values) if short else 15) << 4 | element)
        if not short:
            _put_varint(out, len(values))
        for one in values:
            _put_value(out, element, one)
    elif kind in (TRUE, FALSE, BYTE):
        out.append(value)
    elif kind == DOUBLE:
        out += value
    elif kind == MAP:
        pair, items = value
        _put_varint(out, len(items))
        if items:
            out.append(pair[0] << 4 | pair[1])
        for key, one in items:
            _put_value(out, pair[0], key)
            _put_value(out, pair[1], one)
