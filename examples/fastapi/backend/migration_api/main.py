"""The application: `uvicorn migration_api.main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import text

from .api import router
from .database import Session, connect, session_maker
from .settings import settings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine = connect(settings())
    app.state.sessions = session_maker(engine)
    yield
    await engine.dispose()


app = FastAPI(title="Migration platform", lifespan=lifespan)
app.include_router(router)


@app.get("/healthz", tags=["operation"])
async def get_health(session: Session) -> dict[str, str]:
    await session.execute(text("SELECT 1"))
    return {"status": "ok"}
