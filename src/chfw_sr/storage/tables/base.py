"""What all tables belong to."""

from sqlalchemy import MetaData

metadata = MetaData()

WHOLE = {"toast_tuple_target": 8160}
"""For tables of messages: PostgreSQL compresses rows from 2 KB on, which costs more than to write 8 KB as they are."""
