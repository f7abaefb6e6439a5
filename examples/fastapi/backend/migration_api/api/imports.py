"""Imports of CSV files: uploaded and downloaded as streams."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request, status
from fastapi.responses import StreamingResponse
from sqlalchemy import insert, select, update

from .. import csv_stream
from ..database import Session, SessionMaker
from ..models import Engagement, FieldMapping, Flow, FlowPhase, FlowStatus, Import, ImportRow, ImportStatus
from ..schemas import ImportView
from ..security import CurrentCaller, Reviewer
from ..settings import Config
from ..suggest import suggest
from .field_mappings import find_import

router = APIRouter(prefix="/imports", tags=["imports"])

BATCH_ROWS = 1000
BATCH_CHARACTERS = 4_000_000
SAMPLES_MAX = 5
SAMPLE_CHARACTERS_MAX = 100


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_import(
    engagement_id: UUID,
    file_name: Annotated[str, Query(min_length=1, max_length=200)],
    request: Request,
    session: Session,
    caller: Reviewer,
    config: Config,
) -> ImportView:
    """Read a CSV file (the body) while it arrives, and suggest what its columns mean."""
    own = Engagement.client_account_id == caller.client_id
    if await session.scalar(select(Engagement.id).where(Engagement.id == engagement_id, own)) is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such engagement")
    flow = Flow(
        client_account_id=caller.client_id,
        engagement_id=engagement_id,
        owner_id=caller.user_id,
        name=f"Discovery of {file_name}",
        status=FlowStatus.RUNNING,
        phase=FlowPhase.DATA_IMPORT,
    )
    session.add(flow)
    await session.flush()
    made = Import(
        client_account_id=caller.client_id,
        flow_id=flow.id,
        file_name=file_name,
        status=ImportStatus.READING,
        columns=[],
        rows_total=0,
        created_by=caller.user_id,
    )
    session.add(made)
    await session.commit()
    import_id = made.id
    try:
        await read(session, made, limited(request.stream(), config.upload_bytes_max))
    except BaseException as error:
        await session.rollback()
        await session.execute(update(Import).where(Import.id == import_id).values(status=ImportStatus.FAILED))
        await session.commit()
        if isinstance(error, csv_stream.CsvError):
            raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, f"{file_name}: {error}") from error
        raise
    made.status = ImportStatus.COMPLETED
    flow.status, flow.phase = FlowStatus.AWAITING_REVIEW, FlowPhase.FIELD_MAPPING
    await session.commit()
    return ImportView.model_validate(made)


async def read(session: Session, made: Import, chunks: AsyncIterator[bytes]) -> None:
    """Rows are saved in batches, so that others see how far it has come."""
    samples: list[set[str]] = []
    batch: list[dict[str, object]] = []
    batch_characters = 0

    async def save() -> None:
        if batch:
            await session.execute(insert(ImportRow), batch)
            await session.commit()
            batch.clear()

    async for cells in csv_stream.records(chunks):
        if not cells:
            continue
        if not made.columns:
            made.columns = cells
            samples = [set() for _ in cells]
            continue
        if len(cells) != len(made.columns):
            row = made.rows_total + 1
            raise csv_stream.CsvError(f"row {row} has {len(cells)} cells; the header has {len(made.columns)}")
        made.rows_total += 1
        batch.append({"import_id": made.id, "row_number": made.rows_total, "cells": cells})
        for seen, cell in zip(samples, cells, strict=True):
            if cell and len(seen) < SAMPLES_MAX:
                seen.add(cell[:SAMPLE_CHARACTERS_MAX])
        batch_characters += sum(map(len, cells))
        if len(batch) == BATCH_ROWS or batch_characters >= BATCH_CHARACTERS:
            await save()
            batch_characters = 0
    if not made.columns:
        raise csv_stream.CsvError("the file is empty")
    await save()
    for position, (column, seen) in enumerate(zip(made.columns, samples, strict=True)):
        attribute, confidence, reason = suggest(column)
        session.add(
            FieldMapping(
                import_id=made.id,
                position=position,
                source_column=column,
                target_attribute=attribute,
                confidence=confidence,
                reason=reason,
                sample_values=sorted(seen),
            )
        )
    await session.commit()


async def limited(chunks: AsyncIterator[bytes], bytes_max: int) -> AsyncIterator[bytes]:
    total = 0
    async for chunk in chunks:
        total += len(chunk)
        if total > bytes_max:
            raise HTTPException(status.HTTP_413_CONTENT_TOO_LARGE, f"A file may have {bytes_max} bytes")
        yield chunk


@router.get("/{import_id}")
async def get_import(import_id: UUID, session: Session, caller: CurrentCaller) -> ImportView:
    return ImportView.model_validate(await find_import(session, caller, import_id))


@router.get("/{import_id}/export", response_class=StreamingResponse)
async def export_import(
    import_id: UUID, request: Request, session: Session, caller: CurrentCaller
) -> StreamingResponse:
    """The whole file again, row by row from the database."""
    found = await find_import(session, caller, import_id)
    await session.close()
    return StreamingResponse(
        rows_as_csv(request.app.state.sessions, found),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="export.csv"'},
    )


async def rows_as_csv(sessions: SessionMaker, found: Import) -> AsyncIterator[bytes]:
    yield csv_stream.encode([found.columns])
    wanted = select(ImportRow.cells).where(ImportRow.import_id == found.id).order_by(ImportRow.row_number)
    async with sessions() as session:
        rows = await session.stream_scalars(wanted.execution_options(yield_per=BATCH_ROWS))
        async for part in rows.partitions():
            yield csv_stream.encode(part)
