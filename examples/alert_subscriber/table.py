"""The table: each hub of ours that the DCC told us of, and how it is off."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

from chfw_sr.client import ReceivedAlert
from chfw_sr.messages import EUI, CommsHubFirmwareActivation, CommsHubFirmwareActivationFailed, PilotPlanConfirmed

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hubs (
  device_id TEXT PRIMARY KEY, state TEXT NOT NULL, firmware_version TEXT, reason TEXT, campaign_id TEXT,
  told_at TEXT NOT NULL
) WITHOUT ROWID
"""
_PUT = """
INSERT INTO hubs VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (device_id) DO UPDATE SET
  state = excluded.state, firmware_version = coalesce(excluded.firmware_version, firmware_version),
  reason = excluded.reason, campaign_id = coalesce(excluded.campaign_id, campaign_id), told_at = excluded.told_at
WHERE excluded.told_at >= told_at
"""

Row = tuple[EUI, str, str | None, str | None, str | None, str]


class HubTable:
    """The table in its file. What is put in twice changes nothing, and what is older than what is there does neither.

    Args:
        path: the file; made if it is not there.
    """

    def __init__(self, path: Path | str) -> None:
        self._connection = sqlite3.connect(path)
        self._connection.execute(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def put(self, alerts: Sequence[ReceivedAlert]) -> int:
        """Put in what these alerts say of hubs, in one transaction; give how many rows that were."""
        rows = [row for alert in alerts for row in rows_of(alert)]
        with self._connection:
            self._connection.executemany(_PUT, rows)
        return len(rows)

    def rows(self) -> list[Row]:
        """Give every hub, in order."""
        return self._connection.execute("SELECT * FROM hubs ORDER BY device_id").fetchall()

    def states(self) -> dict[str, int]:
        """Give how many hubs are in each state."""
        return dict(self._connection.execute("SELECT state, count(*) FROM hubs GROUP BY state ORDER BY state"))


def rows_of(alert: ReceivedAlert) -> list[Row]:
    """Give what an alert says of hubs, as rows."""
    at = alert.at.astimezone(UTC).isoformat(timespec="microseconds")
    match alert.body:
        case CommsHubFirmwareActivation() as told:
            return [(told.device_id, "Activated", told.firmware_version, None, None, at)]
        case CommsHubFirmwareActivationFailed() as told:
            return [(told.device_id, "Failed", told.firmware_version, told.failure_reason, told.campaign_id, at)]
        case PilotPlanConfirmed() as plan:
            return [(device_id, "InPilot", None, None, plan.campaign_id, at) for device_id in plan.pilot_list]
        case _:
            return []
