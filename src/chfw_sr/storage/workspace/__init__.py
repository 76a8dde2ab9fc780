"""What one unit of work knows and what it still has to write; pure, it knows no SQL.

`Known` is what was loaded, under locks, as changed since. `Pending` is what the database has not been told yet.
`follow` carries a change out in both. So the requests of a batch are decided one after the other, each sees what the
ones before it changed, and the database is asked and told once for all of them.

Only small changes go this way. Lists beyond `BULK` hubs, and what rewrites a whole campaign, are left to the database.
"""

from .following import follow
from .known import Ahead, Known, Part, Row
from .pending import HubRow, Pending
from .wanted import BULK, Wanted

__all__ = ["BULK", "Ahead", "HubRow", "Known", "Part", "Pending", "Row", "Wanted", "follow"]
