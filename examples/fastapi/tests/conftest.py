"""One PostgreSQL and one backend for all tests; each test works on an import that no other touches."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest

from migration_api.seed import ENGAGEMENTS, FLOWS_PER_ENGAGEMENT, PASSWORD, fixed_id
from stack.stack import Stack

TIMEOUT_S = 30


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture(scope="session")
def _imports() -> Iterator[int]:
    # The first is the large one.
    return iter(range(1, len(ENGAGEMENTS) * FLOWS_PER_ENGAGEMENT))


@pytest.fixture
def number(_imports: Iterator[int]) -> int:
    """The number of an import that is this test's own, with each client."""
    return next(_imports)


@pytest.fixture
def other_number(_imports: Iterator[int]) -> int:
    """One more."""
    return next(_imports)


def import_id(client: str, number: int) -> UUID:
    return fixed_id(client, "import", number)


def mapping_ids(client: str, number: int, *positions: int) -> list[str]:
    return [str(fixed_id(client, "mapping", number, position)) for position in positions]


@dataclass
class User:
    """Somebody who has signed in; `http` sends their token."""

    id: UUID
    client: str
    token: str
    http: httpx.Client

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def mappings(self, number: int, **headers: str) -> httpx.Response:
        return self.get(f"/field-mappings/{import_id(self.client, number)}", **headers)

    def statistics(self, number: int, **headers: str) -> httpx.Response:
        return self.get(f"/field-mappings/{import_id(self.client, number)}/statistics", **headers)

    def review(self, verdict: str, number: int, *positions: int) -> httpx.Response:
        wanted = {"mapping_ids": mapping_ids(self.client, number, *positions)}
        return self.http.post(f"/field-mappings/{import_id(self.client, number)}/bulk-{verdict}", json=wanted)


def sign_in(url: str, email: str, client: str | None = None) -> User:
    """Signs in at a server; `client` is whom to act for, the user's default if not given."""
    wanted = {"email": email, "password": PASSWORD}
    if client:
        wanted["client_account_id"] = str(fixed_id(client))
    http = httpx.Client(base_url=f"{url}/api/v1", timeout=TIMEOUT_S)
    answer = http.post("/auth/sign-in", json=wanted)
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    http.headers["authorization"] = f"Bearer {token}"
    return User(fixed_id(email), client or email.partition("@")[2].removesuffix(".test"), token, http)


def statuses(mappings: httpx.Response) -> list[str]:
    assert mappings.status_code == 200, mappings.text
    return [item["status"] for item in mappings.json()["items"]]
