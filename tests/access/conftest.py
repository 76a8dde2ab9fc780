from tests.cli.conftest import bare
from tests.contract.conftest import (
    _migrated_postgresql,
    migrated_file,
    postgresql_server,
    postgresql_url,
    store,
    store_url,
)
from tests.running.conftest import isolated, migrated_sqlite, site

__all__ = [
    "_migrated_postgresql",
    "bare",
    "isolated",
    "migrated_file",
    "migrated_sqlite",
    "postgresql_server",
    "postgresql_url",
    "site",
    "store",
    "store_url",
]
