"""The database: one engine with a pool per process, one session per request."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from .settings import Settings

SessionMaker = async_sessionmaker[AsyncSession]


def connect(settings: Settings) -> AsyncEngine:
    return create_async_engine(settings.database_url, pool_size=settings.database_pool_size, pool_pre_ping=True)


def session_maker(engine: AsyncEngine) -> SessionMaker:
    return async_sessionmaker(engine, expire_on_commit=False)


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    sessions: SessionMaker = request.app.state.sessions
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
