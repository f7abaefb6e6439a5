"""What the columns of an import mean, and the review of it."""

from uuid import UUID

from fastapi import APIRouter, HTTPException, status
from sqlalchemy import CursorResult, Label, func, select, update

from ..database import Session
from ..models import FieldMapping, Flow, FlowPhase, FlowStatus, Import, MappingStatus
from ..schemas import BulkDone, BulkRequest, FieldMappings, FieldMappingView, MappingStatistics
from ..security import Caller, CurrentCaller, Reviewer

router = APIRouter(prefix="/field-mappings/{import_id}", tags=["field-mappings"])


@router.get("")
async def get_field_mappings(import_id: UUID, session: Session, caller: CurrentCaller) -> FieldMappings:
    """The mappings of an import, in the order of its columns."""
    found = await find_import(session, caller, import_id)
    wanted = select(FieldMapping).where(FieldMapping.import_id == import_id).order_by(FieldMapping.position)
    items = [FieldMappingView.model_validate(row) for row in await session.scalars(wanted)]
    return FieldMappings(import_id=import_id, file_name=found.file_name, items=items)


@router.get("/statistics")
async def get_mapping_statistics(import_id: UUID, session: Session, caller: CurrentCaller) -> MappingStatistics:
    """How far the review has come."""
    await find_import(session, caller, import_id)
    return await statistics(session, import_id)


@router.post("/bulk-approve")
async def bulk_approve(import_id: UUID, wanted: BulkRequest, session: Session, caller: Reviewer) -> BulkDone:
    return await review(session, caller, import_id, wanted, MappingStatus.APPROVED)


@router.post("/bulk-reject")
async def bulk_reject(import_id: UUID, wanted: BulkRequest, session: Session, caller: Reviewer) -> BulkDone:
    return await review(session, caller, import_id, wanted, MappingStatus.REJECTED)


async def find_import(session: Session, caller: Caller, import_id: UUID) -> Import:
    wanted = select(Import).where(Import.id == import_id, Import.client_account_id == caller.client_id)
    found = await session.scalar(wanted)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such import")
    return found


async def statistics(session: Session, import_id: UUID) -> MappingStatistics:
    def of(word: MappingStatus) -> Label[int]:
        return func.count().filter(FieldMapping.status == word).label(word.value)

    wanted = select(
        func.count().label("total"),
        *(of(word) for word in MappingStatus),
        func.count().filter(FieldMapping.target_attribute.is_(None)).label("unmapped"),
        func.coalesce(func.avg(FieldMapping.confidence), 0).label("average_confidence"),
    ).where(FieldMapping.import_id == import_id)
    row = (await session.execute(wanted)).mappings().one()
    approved_percent = 100 * row["approved"] / row["total"] if row["total"] else 0.0
    return MappingStatistics(import_id=import_id, **row, approved_percent=approved_percent)


async def review(
    session: Session, caller: Caller, import_id: UUID, wanted: BulkRequest, verdict: MappingStatus
) -> BulkDone:
    found = await find_import(session, caller, import_id)
    changed = await session.execute(
        update(FieldMapping)
        .where(
            FieldMapping.import_id == import_id,
            FieldMapping.id.in_(wanted.mapping_ids),
            FieldMapping.status != verdict,
        )
        .values(status=verdict, reviewed_by=caller.user_id, reviewed_at=func.now())
        .execution_options(synchronize_session=False)
    )
    assert isinstance(changed, CursorResult)
    after = await statistics(session, import_id)
    await session.execute(update(Flow).where(Flow.id == found.flow_id).values(**stage_of(after), updated_at=func.now()))
    await session.commit()
    return BulkDone(updated=changed.rowcount, statistics=after)


def stage_of(review: MappingStatistics) -> dict[str, str]:
    """Where a flow stands when its review has come so far."""
    if review.suggested:
        return {"status": FlowStatus.AWAITING_REVIEW, "phase": FlowPhase.FIELD_MAPPING}
    return {"status": FlowStatus.RUNNING, "phase": FlowPhase.DATA_CLEANSING}
