"""What is never the same twice."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response, WebSocket, WebSocketDisconnect
from sqlalchemy import select

from ..database import Session
from ..models import Import, ImportStatus
from ..schemas import ImportView, LiveImports
from ..security import CurrentCaller

router = APIRouter(prefix="/live", tags=["live"])


@router.get("/imports")
async def get_live_imports(session: Session, caller: CurrentCaller, response: Response) -> LiveImports:
    """The imports that are being read right now, and how many rows they have so far."""
    wanted = (
        select(Import)
        .where(Import.client_account_id == caller.client_id, Import.status == ImportStatus.READING)
        .order_by(Import.created_at)
    )
    response.headers["Cache-Control"] = "no-store"
    reading = [ImportView.model_validate(row) for row in await session.scalars(wanted)]
    return LiveImports(now=datetime.now(UTC), reading=reading)


@router.websocket("/echo")
async def echo(socket: WebSocket, caller: CurrentCaller) -> None:
    """Says back what it hears, to see whether sockets get through."""
    await socket.accept()
    await socket.send_json({"user_id": str(caller.user_id)})
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass
