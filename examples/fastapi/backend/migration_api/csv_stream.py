"""CSV as it arrives: from chunks of bytes to records, and back. Holds one record and one chunk at a time."""

import codecs
import csv
import io
from collections.abc import AsyncIterator, Iterable

RECORD_CHARACTERS_MAX = 1024 * 1024
# A record is the limit, not each of its cells.
csv.field_size_limit(RECORD_CHARACTERS_MAX)


class CsvError(ValueError):
    """The file is no CSV that we read; says what is wrong with it."""


async def records(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[str]]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest = ""
    async for chunk in chunks:
        try:
            lines = (rest + decoder.decode(chunk)).splitlines(keepends=True)
        except UnicodeDecodeError as error:
            raise CsvError("the file must be UTF-8") from error
        rest = ""
        for line in lines:
            rest += line
            if len(rest) > RECORD_CHARACTERS_MAX:
                raise CsvError("a record is longer than 1 MB; is a quote missing?")
            # A line break inside quotes belongs to the record, and so may what follows the end of a chunk.
            if line.endswith("\n") and rest.count('"') % 2 == 0:
                yield parse(rest)
                rest = ""
    if rest:
        yield parse(rest)


def parse(record: str) -> list[str]:
    try:
        return next(csv.reader([record], strict=True), [])
    except csv.Error as error:
        raise CsvError(str(error)) from error


def encode(rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
