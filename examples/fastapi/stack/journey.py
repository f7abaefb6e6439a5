"""A working day of a client's analysts, in short: everybody opens pages, and now and then somebody approves."""

import random
from dataclasses import dataclass
from uuid import UUID

import httpx

USERS = 8
PAGES = 12
REVIEW_EVERY = 6
"""Pages of everybody together between two reviews."""


@dataclass(frozen=True)
class Import:
    id: UUID
    mapping_ids: list[str]


class Journey:
    """Always the same sequence of requests, whatever it is sent to."""

    def __init__(self, url: str, tokens: list[str], client_id: str) -> None:
        self.client_id = client_id
        self.requests = 0
        self.users = [
            httpx.Client(base_url=f"{url}/api/v1", headers={"authorization": f"Bearer {token}"}, timeout=30)
            for token in tokens
        ]

    def walk(self) -> None:
        random_source = random.Random(1)
        flows = self.get(self.users[0], "/discovery/flows")["items"]
        # What a team is at: a few imports at a time.
        imports = [flow["import_id"] for flow in flows[:6]]
        for page in range(PAGES * len(self.users)):
            user = random_source.choice(self.users)
            self.open_page(user, random_source.choice(imports))
            if page % REVIEW_EVERY == 0:
                self.review(user, random_source.choice(imports), page)

    def open_page(self, user: httpx.Client, import_id: str) -> None:
        """What the pages ask for at present: the context by every provider of its own, the lists by every chooser."""
        for path in ("/context/me", "/context-establishment/clients", "/context/me"):
            self.get(user, path)
        for _ in range(2):
            self.get(user, f"/context-establishment/engagements?client_id={self.client_id}")
        self.get(user, "/discovery/flows")
        self.get(user, f"/field-mappings/{import_id}")
        self.get(user, f"/field-mappings/{import_id}/statistics")

    def review(self, user: httpx.Client, import_id: str, page: int) -> None:
        mapping = self.get(user, f"/field-mappings/{import_id}")["items"][page % 24]["id"]
        answer = user.post(f"/field-mappings/{import_id}/bulk-approve", json={"mapping_ids": [mapping]})
        self.requests += 1
        answer.raise_for_status()

    def get(self, user: httpx.Client, path: str) -> dict[str, list[dict[str, str]]]:
        self.requests += 1
        answer = user.get(path)
        answer.raise_for_status()
        told: dict[str, list[dict[str, str]]] = answer.json()
        return told
