"""Records come out the same however the bytes were cut."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from migration_api.csv_stream import CsvError, encode, records


async def cut(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def read(content: bytes, size: int) -> list[list[str]]:
    async def all_of_them() -> list[list[str]]:
        return [record async for record in records(cut(content, size))]

    return asyncio.run(all_of_them())


CONTENT = '\ufeffname,note\r\nä,"line 1\nline 2, ""quoted"""\r\nb,\u2028\n\nlast,'.encode()
RECORDS = [["name", "note"], ["ä", 'line 1\nline 2, "quoted"'], ["b", "\u2028"], [], ["last", ""]]


@pytest.mark.parametrize("size", range(1, len(CONTENT) + 1))
def test_every_cut_gives_the_same_records(size: int) -> None:
    assert read(CONTENT, size) == RECORDS


def test_what_was_encoded_reads_the_same() -> None:
    assert read(encode(RECORDS[:2]), 7) == RECORDS[:2]


def test_a_cell_may_be_as_long_as_a_record() -> None:
    assert read(b"x" * 1_000_000 + b",y\n", 4096) == [["x" * 1_000_000, "y"]]


@pytest.mark.parametrize("content", [b'a\n"never closed', b"\xff\xfe", b'"' + b"x" * (1024 * 1024 + 1)])
def test_what_is_no_csv_is_refused(content: bytes) -> None:
    with pytest.raises(CsvError):
        read(content, 4096)
