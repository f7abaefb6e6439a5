"""What goes over the wire."""

from datetime import date, datetime
from typing import Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from .models import FlowPhase, FlowStatus, ImportStatus, MappingStatus, Role

T = TypeVar("T")

BULK_MAX = 512
"""Most mappings of one bulk operation: as many as a file may have columns."""


class View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Items(BaseModel, Generic[T]):
    items: list[T]


class SignInRequest(BaseModel):
    email: str
    password: str
    client_account_id: UUID | None = None
    """Whom to act for; without it, the user's default client."""


class SignedIn(BaseModel):
    access_token: str
    token_type: str = "bearer"
    expires_in: int


class Introspection(BaseModel):
    """Who a token's bearer is."""

    sub: UUID
    tenant: UUID
    role: Role


class UserView(View):
    id: UUID
    email: str
    name: str


class ClientView(View):
    id: UUID
    name: str
    slug: str
    industry: str | None
    role: Role


class EngagementView(View):
    id: UUID
    client_account_id: UUID
    name: str
    description: str | None
    status: str
    starts_on: date | None
    ends_on: date | None
    updated_at: datetime
    flow_count: int


class FlowView(View):
    id: UUID
    engagement_id: UUID
    engagement_name: str
    owner_id: UUID
    owner_name: str
    name: str
    status: FlowStatus
    phase: FlowPhase
    import_id: UUID | None
    progress_percent: int
    """How much of its import's mappings was reviewed, 0 to 100."""
    updated_at: datetime


class ContextMe(BaseModel):
    user: UserView
    client: ClientView
    engagement: EngagementView | None
    active_flows: list[FlowView]


class FieldMappingView(View):
    id: UUID
    position: int
    source_column: str
    target_attribute: str | None
    confidence: float
    reason: str
    status: MappingStatus
    sample_values: list[str]
    reviewed_by: UUID | None
    reviewed_at: datetime | None
    updated_at: datetime


class FieldMappings(BaseModel):
    import_id: UUID
    file_name: str
    items: list[FieldMappingView]


class MappingStatistics(BaseModel):
    import_id: UUID
    total: int
    suggested: int
    approved: int
    rejected: int
    unmapped: int
    average_confidence: float
    approved_percent: float


class BulkRequest(BaseModel):
    mapping_ids: list[UUID] = Field(min_length=1, max_length=BULK_MAX)


class BulkDone(BaseModel):
    updated: int
    statistics: MappingStatistics


class ImportView(View):
    id: UUID
    flow_id: UUID
    file_name: str
    status: ImportStatus
    columns: list[str]
    rows_total: int
    created_by: UUID
    created_at: datetime


class LiveImports(BaseModel):
    now: datetime
    reading: list[ImportView]
