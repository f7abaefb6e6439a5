"""Signing in and out, and whether a token still stands."""

from fastapi import APIRouter, HTTPException, Response, status
from pwdlib import PasswordHash
from sqlalchemy import func, select, update
from starlette.concurrency import run_in_threadpool

from ..database import Session
from ..models import Membership, SignIn, User
from ..schemas import Introspection, SignedIn, SignInRequest
from ..security import CurrentCaller, issue, role_of
from ..settings import Config

router = APIRouter(prefix="/auth", tags=["auth"])
passwords = PasswordHash.recommended()


@router.post("/sign-in")
async def sign_in(wanted: SignInRequest, session: Session, config: Config, response: Response) -> SignedIn:
    user = await session.scalar(select(User).where(User.email == wanted.email, User.is_active))
    if user is None or not await run_in_threadpool(passwords.verify, wanted.password, user.password_hash):
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "E-mail address or password is wrong")
    client_id = wanted.client_account_id or user.default_client_id
    if await role_of(session, user.id, client_id) is None:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "You are no member of this client")
    token, token_id = issue(user.id, client_id, config)
    session.add(SignIn(id=token_id, user_id=user.id))
    await session.commit()
    response.headers["Cache-Control"] = "no-store"
    return SignedIn(access_token=token, expires_in=config.jwt_lifetime_s)


@router.post("/sign-out", status_code=status.HTTP_204_NO_CONTENT)
async def sign_out(session: Session, caller: CurrentCaller) -> None:
    await session.execute(update(SignIn).where(SignIn.id == caller.token_id).values(revoked_at=func.now()))
    await session.commit()


@router.get("/introspect")
async def introspect(session: Session, caller: CurrentCaller) -> Introspection:
    """Who the bearer is, if they did not sign out, were not disabled, and are still a member of the client."""
    standing = (
        select(Membership.role)
        .join(User, User.id == Membership.user_id)
        .join(SignIn, SignIn.user_id == User.id)
        .where(
            SignIn.id == caller.token_id,
            SignIn.revoked_at.is_(None),
            User.is_active,
            Membership.client_account_id == caller.client_id,
        )
    )
    role = await session.scalar(standing)
    if role is None:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "Sign in: the token is no longer good")
    return Introspection(sub=caller.user_id, tenant=caller.client_id, role=role)
