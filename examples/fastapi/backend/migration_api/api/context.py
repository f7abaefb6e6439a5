"""Who the caller is, where they stand, and what there is to choose from."""

from uuid import UUID

from fastapi import APIRouter, HTTPException, Response, status
from sqlalchemy import func, select

from ..database import Session
from ..models import Client, Engagement, Flow, FlowStatus, Membership, User
from ..schemas import ClientView, ContextMe, EngagementView, Items, UserView
from ..security import CurrentCaller, role_of
from ..settings import Config
from . import flows

router = APIRouter(tags=["context"])

CLIENTS = select(Client.id, Client.name, Client.slug, Client.industry, Membership.role.label("role")).join(
    Membership, Membership.client_account_id == Client.id
)

ENGAGEMENTS = (
    select(*Engagement.__table__.columns, func.count(Flow.id).label("flow_count"))
    .outerjoin(Flow, Flow.engagement_id == Engagement.id)
    .group_by(Engagement.id)
    .order_by(Engagement.starts_on, Engagement.name)
)


@router.get("/context/me")
async def get_context_me(session: Session, caller: CurrentCaller, response: Response, config: Config) -> ContextMe:
    """The caller, the client they act for, the engagement under way, and their active flows."""
    user = await session.get(User, caller.user_id)
    member = Membership.user_id == caller.user_id
    client = (await session.execute(CLIENTS.where(member, Client.id == caller.client_id))).one_or_none()
    if user is None or client is None:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "You are no member of this client")
    running = ENGAGEMENTS.where(Engagement.client_account_id == caller.client_id, Engagement.status == "active")
    engagement = (await session.execute(running.limit(1))).one_or_none()
    active = flows.FLOWS.where(
        Flow.client_account_id == caller.client_id,
        Flow.owner_id == caller.user_id,
        Flow.status != FlowStatus.COMPLETED,
    )
    active_flows = await flows.views(session, active)
    flows.name_imports(response, active_flows, config)
    return ContextMe(
        user=UserView.model_validate(user),
        client=ClientView.model_validate(client),
        engagement=engagement and EngagementView.model_validate(engagement),
        active_flows=active_flows,
    )


@router.get("/context-establishment/clients")
async def list_own_clients(session: Session, caller: CurrentCaller) -> Items[ClientView]:
    """The clients the caller may act for."""
    rows = await session.execute(CLIENTS.where(Membership.user_id == caller.user_id).order_by(Client.name))
    return Items(items=[ClientView.model_validate(row) for row in rows])


@router.get("/context-establishment/engagements")
async def list_own_engagements(client_id: UUID, session: Session, caller: CurrentCaller) -> Items[EngagementView]:
    """The engagements of one of the caller's clients."""
    if await role_of(session, caller.user_id, client_id) is None:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "You are no member of this client")
    rows = await session.execute(ENGAGEMENTS.where(Engagement.client_account_id == client_id))
    return Items(items=[EngagementView.model_validate(row) for row in rows])
