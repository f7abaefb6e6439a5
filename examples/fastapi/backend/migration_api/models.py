"""Tables, in the schema `migration`."""

import enum
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import DateTime, ForeignKey, Index, MetaData, Numeric, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Role(enum.StrEnum):
    CLIENT_ADMIN = "client_admin"
    ANALYST = "analyst"
    VIEWER = "viewer"


class FlowStatus(enum.StrEnum):
    RUNNING = "running"
    AWAITING_REVIEW = "awaiting_review"
    COMPLETED = "completed"


class FlowPhase(enum.StrEnum):
    DATA_IMPORT = "data_import"
    FIELD_MAPPING = "field_mapping"
    DATA_CLEANSING = "data_cleansing"


class ImportStatus(enum.StrEnum):
    READING = "reading"
    COMPLETED = "completed"
    FAILED = "failed"


class MappingStatus(enum.StrEnum):
    SUGGESTED = "suggested"
    APPROVED = "approved"
    REJECTED = "rejected"


class Base(DeclarativeBase):
    metadata = MetaData(schema="migration")
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime: DateTime(timezone=True),
        list[str]: ARRAY(Text),
        # Words are kept as text, so that a new one needs no migration.
        Role: Text,
        FlowStatus: Text,
        FlowPhase: Text,
        ImportStatus: Text,
        MappingStatus: Text,
    }


class Client(Base):
    """A client account: a tenant."""

    __tablename__ = "client_account"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    slug: Mapped[str] = mapped_column(unique=True)
    industry: Mapped[str | None]


class User(Base):
    __tablename__ = "user_account"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)
    default_client_id: Mapped[UUID] = mapped_column(ForeignKey(Client.id))


class Membership(Base):
    __tablename__ = "membership"

    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id), primary_key=True)
    client_account_id: Mapped[UUID] = mapped_column(ForeignKey(Client.id), primary_key=True, index=True)
    role: Mapped[Role]


class SignIn(Base):
    """A token that was issued, until it is revoked."""

    __tablename__ = "sign_in"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    revoked_at: Mapped[datetime | None]


class Engagement(Base):
    __tablename__ = "engagement"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    client_account_id: Mapped[UUID] = mapped_column(ForeignKey(Client.id), index=True)
    name: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str]
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Flow(Base):
    __tablename__ = "discovery_flow"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    client_account_id: Mapped[UUID] = mapped_column(ForeignKey(Client.id), index=True)
    engagement_id: Mapped[UUID] = mapped_column(ForeignKey(Engagement.id), index=True)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey(User.id), index=True)
    name: Mapped[str]
    status: Mapped[FlowStatus]
    phase: Mapped[FlowPhase]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Import(Base):
    __tablename__ = "data_import"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    client_account_id: Mapped[UUID] = mapped_column(ForeignKey(Client.id), index=True)
    flow_id: Mapped[UUID] = mapped_column(ForeignKey(Flow.id), index=True)
    file_name: Mapped[str]
    status: Mapped[ImportStatus]
    columns: Mapped[list[str]]
    rows_total: Mapped[int] = mapped_column(default=0)
    created_by: Mapped[UUID] = mapped_column(ForeignKey(User.id))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ImportRow(Base):
    """One row of the file, as it was read."""

    __tablename__ = "import_row"

    import_id: Mapped[UUID] = mapped_column(ForeignKey(Import.id, ondelete="CASCADE"), primary_key=True)
    row_number: Mapped[int] = mapped_column(primary_key=True)
    cells: Mapped[list[str]]


class FieldMapping(Base):
    """What a source column means."""

    __tablename__ = "field_mapping"
    __table_args__ = (Index("field_mapping_by_import", "import_id", "position", unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    import_id: Mapped[UUID] = mapped_column(ForeignKey(Import.id, ondelete="CASCADE"))
    position: Mapped[int]
    source_column: Mapped[str]
    target_attribute: Mapped[str | None]
    confidence: Mapped[Decimal] = mapped_column(Numeric(4, 3))
    reason: Mapped[str]
    status: Mapped[MappingStatus] = mapped_column(default=MappingStatus.SUGGESTED)
    sample_values: Mapped[list[str]]
    reviewed_by: Mapped[UUID | None] = mapped_column(ForeignKey(User.id))
    reviewed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
