"""Runs the example until Ctrl-C: `examples/fastapi/run [--groups]`."""

import argparse
import signal
import sys
import time

from .gateway import COARSE, PRECISE, program
from .processes import Process, StartError
from .stack import Stack

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WATCH_EVERY_S = 0.5

TRY = """\
Backend   {backend}   (as it is; its own documentation is at /docs)
Gateway   {gateway}   (the same API, cached)
Control   {control}   (metrics and health; everything below works without it)

Try this in another terminal:

  # Sign in: the gateway passes it on and keeps nothing of it.
  TOKEN=$(curl -s {gateway}/api/v1/auth/sign-in -H 'content-type: application/json' \\
    -d '{{"email": "analyst@acme.test", "password": "demo-password"}}' | sed 's/.*access_token":"\\([^"]*\\).*/\\1/')

  # Twice: X-Cache says MISS, then HIT. What comes second did not touch the backend.
  MAPPINGS={gateway}/api/v1/field-mappings/{import_id}
  curl -si $MAPPINGS -H "authorization: Bearer $TOKEN" | grep -i -e ^x-cache: -e ^etag -e ^cache-status
  curl -si $MAPPINGS -H "authorization: Bearer $TOKEN" | grep -i -e ^x-cache: -e ^etag -e ^cache-status

  # Approve a mapping, and read again: MISS, and approved.
  curl -s $MAPPINGS/bulk-approve -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \\
    -d '{{"mapping_ids": ["{mapping_id}"]}}'; echo
  curl -si $MAPPINGS -H "authorization: Bearer $TOKEN" | grep -i -o -e '^x-cache:.*' -e '"status":"approved"'

  # What changed past the gateway (a job, a person at the database) is said to it: MISS, with what the database has now.
  {program} invalidate --url {control} --token-file {control_token} \\
    --tenant {tenant_id} --group import:{import_id}
  curl -si $MAPPINGS -H "authorization: Bearer $TOKEN" | grep -i ^x-cache:

  # Nobody else gets it: without a token, the backend says no; a user of another client is told that it does not exist.
  curl -s $MAPPINGS; echo

Users: analyst, admin, viewer and user1 to user9, each @acme.test and @globex.test; consultant@partner.test is of both.
Ctrl-C stops everything and leaves nothing behind.
"""


def stop_on_signal(number: int, _: object) -> None:
    # Stopping takes a moment and is not to be stopped.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(0 if number == signal.SIGINT else 128 + number)


def main() -> None:
    parser = argparse.ArgumentParser(prog="run", description="PostgreSQL, the backend, and the gateway before it.")
    parser.add_argument("--groups", action="store_true", help="the second step: the backend sends Cache-Groups")
    groups = parser.parse_args().groups
    for number in SIGNALS:
        signal.signal(number, stop_on_signal)
    try:
        run(groups)
    except StartError as error:
        sys.exit(str(error))


def run(groups: bool) -> None:
    gateway_program = program()
    print("Starting PostgreSQL, the backend with its data, and the gateway …", flush=True)
    with Stack(backend_env={"CACHE_GROUPS": "1"} if groups else {}) as stack:
        gateway = stack.add_gateway(stack.backend, gateway_program, {COARSE: PRECISE} if groups else {})
        gateway.start()
        ids = stack.postgres.ask(
            "SELECT made.id, mapping.id, made.client_account_id FROM migration.data_import AS made "
            "JOIN migration.field_mapping AS mapping ON mapping.import_id = made.id AND mapping.position = 0 "
            "WHERE made.file_name = 'acme-inventory-2.csv'"
        )
        import_id, mapping_id, tenant_id = ids.split("|")
        urls = {"backend": stack.backend.url, "gateway": gateway.url, "control": gateway.control_url}
        told = {"program": gateway_program, "control_token": gateway.control_token_file}
        print(TRY.format(**urls, **told, import_id=import_id, mapping_id=mapping_id, tenant_id=tenant_id), flush=True)
        watch([stack.postgres.process, stack.backend.process, gateway.process])


def watch(processes: list[Process | None]) -> None:
    """Returns never; what ends by itself is told."""
    while True:
        for process in processes:
            if process and process.child.poll() is not None:
                raise StartError(f"{process.name} ended ({process.child.returncode}):\n{process.tail()}")
        time.sleep(WATCH_EVERY_S)


if __name__ == "__main__":
    main()
