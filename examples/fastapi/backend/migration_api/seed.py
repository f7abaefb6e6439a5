"""Creates the tables and fills them with two clients' data: `python -m migration_api.seed`.

Everything is always the same, ids too, so that it can be written about.
"""

import asyncio
from datetime import date, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from pwdlib import PasswordHash
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from .database import connect, session_maker
from .models import (
    Base,
    Client,
    Engagement,
    FieldMapping,
    Flow,
    FlowPhase,
    FlowStatus,
    Import,
    ImportStatus,
    MappingStatus,
    Membership,
    Role,
    User,
)
from .settings import settings
from .suggest import suggest

PASSWORD = "demo-password"
CLIENTS = (("acme", "Acme Manufacturing", "Manufacturing"), ("globex", "Globex Logistics", "Logistics"))
STAFF = (("admin", Role.CLIENT_ADMIN), ("analyst", Role.ANALYST), ("viewer", Role.VIEWER))
CONSULTANT = "consultant@partner.test"
"""Works for both clients."""
ENGAGEMENTS = ("Data centre exit", "SAP to the cloud", "File services", "Branch offices", "Windows 2012", "Archive")
FLOWS_PER_ENGAGEMENT = 6
ROWS, ROWS_OF_FIRST = 250, 50_000

# The columns of a server inventory, and in SQL what is in them; `n` is the row.
COLUMNS = {
    "*Server name": "'srv-' || substr(md5(n::text), 1, 4) || '-' || lpad(n::text, 6, '0')",
    "IP addresses": "'10.' || n / 65536 || '.' || n / 256 % 256 || '.' || n % 256",
    "*Cores": "(array['2', '4', '4', '8', '16'])[1 + n % 5]",
    "*Memory (In MB)": "(4096 * (1 + n % 16))::text",
    "*OS name": "(array['Windows Server 2019', 'Red Hat Enterprise Linux 8', 'Ubuntu Linux 22.04'])[1 + n % 3]",
    "OS version": "(array['10.0.17763', '8.10', '22.04'])[1 + n % 3]",
    "OS architecture": "'x64'",
    "Server type": "'Virtual'",
    "Hypervisor": "'VMware'",
    "CPU utilization percentage": "(12 + n % 75)::text",
    "Memory utilization percentage": "(20 + n % 60)::text",
    "Network adapters": "'1'",
    "Network In throughput": "(n % 900)::text || '.4'",
    "Network Out throughput": "(n % 700)::text || '.1'",
    "Boot type": "(array['BIOS', 'UEFI'])[1 + n % 2]",
    "Number of disks": "(1 + n % 4)::text",
    "Storage in use (In GB)": "(60 + n % 12 * 40)::text",
    "Disk 1 size (In GB)": "(60 + n % 6 * 40)::text",
    "Application": "(array['SAP ERP', 'Customer portal', 'Web shop', 'Order database', 'File services'])[1 + n % 5]",
    "Environment": "(array['Production', 'Production', 'Test', 'Development'])[1 + n % 4]",
    "Business owner": "(array['Finance', 'Sales', 'E-commerce', 'Logistics', 'IT operations'])[1 + n % 5]",
    "Cost centre": "'CC-' || 1000 + n % 80",
    "Maintenance window": "(array['Sat 22:00', 'Sun 02:00'])[1 + n % 2]",
    "Comment": "''",
}


def fixed_id(*names: object) -> UUID:
    return uuid5(NAMESPACE_URL, ":".join(map(str, names)))


async def seed(session: AsyncSession) -> None:
    password_hash = PasswordHash.recommended().hash(PASSWORD)
    clients = [Client(id=fixed_id(slug), name=name, slug=slug, industry=line) for slug, name, line in CLIENTS]
    session.add_all(clients)
    await session.flush()

    def user(email: str, name: str, client: Client) -> User:
        return User(
            id=fixed_id(email), email=email, name=name, password_hash=password_hash, default_client_id=client.id
        )

    consultant = user(CONSULTANT, "Robin Consultant", clients[0])
    session.add(consultant)
    for client in clients:
        staff = [
            (user(f"{name}@{client.slug}.test", f"{name.title()} of {client.name}", client), role)
            for name, role in STAFF
        ]
        staff += [
            (user(f"user{n}@{client.slug}.test", f"User {n} of {client.name}", client), Role.ANALYST)
            for n in range(1, 10)
        ]
        session.add_all(person for person, _ in staff)
        await session.flush()
        staff.append((consultant, Role.ANALYST))
        session.add_all(Membership(user_id=person.id, client_account_id=client.id, role=role) for person, role in staff)
        await seed_work(session, client, [person for person, role in staff if role == Role.ANALYST])
    await session.commit()


async def seed_work(session: AsyncSession, client: Client, analysts: list[User]) -> None:
    for place, name in enumerate(ENGAGEMENTS):
        starts_on = date(2026, 1, 5) + timedelta(weeks=8 * place)
        engagement = Engagement(
            id=fixed_id(client.slug, "engagement", place),
            client_account_id=client.id,
            name=name,
            description=f"{name} of {client.name}",
            status="active" if place == 0 else "planned",
            starts_on=starts_on,
            ends_on=starts_on + timedelta(weeks=26),
        )
        session.add(engagement)
        await session.flush()
        for number in range(place * FLOWS_PER_ENGAGEMENT, (place + 1) * FLOWS_PER_ENGAGEMENT):
            await seed_flow(session, client, engagement, analysts[number % len(analysts)], number)


async def seed_flow(session: AsyncSession, client: Client, engagement: Engagement, owner: User, number: int) -> None:
    flow = Flow(
        id=fixed_id(client.slug, "flow", number),
        client_account_id=client.id,
        engagement_id=engagement.id,
        owner_id=owner.id,
        name=f"Inventory {number + 1}",
        status=FlowStatus.AWAITING_REVIEW,
        phase=FlowPhase.FIELD_MAPPING,
    )
    session.add(flow)
    await session.flush()
    rows = ROWS_OF_FIRST if number == 0 else ROWS
    made = Import(
        id=fixed_id(client.slug, "import", number),
        client_account_id=client.id,
        flow_id=flow.id,
        file_name=f"{client.slug}-inventory-{number + 1}.csv",
        status=ImportStatus.COMPLETED,
        columns=list(COLUMNS),
        rows_total=rows,
        created_by=owner.id,
    )
    session.add(made)
    await session.flush()
    cells = ", ".join(COLUMNS.values()).replace(":", r"\:")
    await session.execute(
        text(f"INSERT INTO migration.import_row SELECT :made, n, ARRAY[{cells}] FROM generate_series(1, :rows) AS n"),
        {"made": made.id, "rows": rows},
    )
    first = await session.execute(
        text("SELECT cells FROM migration.import_row WHERE import_id = :made AND row_number <= 20"), {"made": made.id}
    )
    samples = [sorted(set(column))[:5] for column in zip(*first.scalars(), strict=True)]
    for position, column in enumerate(COLUMNS):
        attribute, confidence, reason = suggest(column)
        session.add(
            FieldMapping(
                id=fixed_id(client.slug, "mapping", number, position),
                import_id=made.id,
                position=position,
                source_column=column,
                target_attribute=attribute,
                confidence=confidence,
                reason=reason,
                status=MappingStatus.SUGGESTED,
                sample_values=samples[position],
            )
        )


async def main() -> None:
    engine = connect(settings())
    async with engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA IF NOT EXISTS migration"))
        await connection.run_sync(Base.metadata.create_all)
    async with session_maker(engine)() as session:
        await seed(session)
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
