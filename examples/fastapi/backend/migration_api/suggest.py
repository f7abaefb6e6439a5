"""What a column probably means, by its name."""

import re

CLUES = {
    "hostname": ("server name", "hostname", "host name", "vm name", "machine"),
    "ip_address": ("ip address", "ip addresses", "ipaddress", "ip"),
    "cpu_cores": ("cores", "number of cores", "vcpu", "cpu count"),
    "memory_mb": ("memory (in mb)", "memory", "ram"),
    "operating_system": ("os name", "os", "operating system"),
    "os_version": ("os version",),
    "environment": ("environment", "stage"),
    "application": ("application", "applications"),
    "owner": ("business owner", "owner"),
    "storage_gb": ("storage in use (in gb)", "storage"),
    "cpu_percent": ("cpu utilization percentage",),
    "memory_percent": ("memory utilization percentage",),
}
BY_CLUE = {clue: attribute for attribute, clues in CLUES.items() for clue in clues}


def suggest(column: str) -> tuple[str | None, float, str]:
    """The attribute, how sure that is (0 to 1), and why."""
    name = re.sub(r"\s+", " ", column.lower().replace("_", " ").strip("* "))
    if name in BY_CLUE:
        return BY_CLUE[name], 0.97, f"The column is called “{column}”"
    for clue, attribute in BY_CLUE.items():
        if len(clue) > 3 and clue in name:
            return attribute, 0.62, f"“{column}” contains “{clue}”"
    return None, 0.0, "Nothing known is called like this"
