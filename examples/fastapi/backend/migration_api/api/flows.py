"""Discovery flows, each with how far the review of its import has come."""

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import Integer, Select, case, cast, func, select

from ..database import Session
from ..models import Engagement, FieldMapping, Flow, Import, MappingStatus, User
from ..schemas import FlowView, Items
from ..security import CurrentCaller
from ..settings import Config, Settings

router = APIRouter(prefix="/discovery/flows", tags=["flows"])

REVIEWED = (
    select(
        FieldMapping.import_id,
        func.count().label("total"),
        func.count().filter(FieldMapping.status != MappingStatus.SUGGESTED).label("reviewed"),
    )
    .group_by(FieldMapping.import_id)
    .subquery()
)

FLOWS = (
    select(
        *Flow.__table__.columns,
        Engagement.name.label("engagement_name"),
        User.name.label("owner_name"),
        Import.id.label("import_id"),
        case(
            (REVIEWED.c.total > 0, cast(func.floor(100 * REVIEWED.c.reviewed / REVIEWED.c.total), Integer)), else_=0
        ).label("progress_percent"),
    )
    .join(Engagement, Engagement.id == Flow.engagement_id)
    .join(User, User.id == Flow.owner_id)
    .outerjoin(Import, Import.flow_id == Flow.id)
    .outerjoin(REVIEWED, REVIEWED.c.import_id == Import.id)
    .order_by(Flow.updated_at.desc(), Flow.name)
)


async def views(session: Session, wanted: Select[Any]) -> list[FlowView]:
    return [FlowView.model_validate(row) for row in await session.execute(wanted)]


def name_imports(response: Response, shown: list[FlowView], config: Settings) -> None:
    """Says whose review an answer shows, for caches in front of us."""
    names = [f'"import:{flow.import_id}"' for flow in shown if flow.import_id]
    if config.cache_groups and names:
        response.headers["Cache-Groups"] = ", ".join(names)


@router.get("")
async def list_flows(session: Session, caller: CurrentCaller, response: Response, config: Config) -> Items[FlowView]:
    """The flows of the client that the caller acts for."""
    items = await views(session, FLOWS.where(Flow.client_account_id == caller.client_id))
    name_imports(response, items, config)
    return Items(items=items)
