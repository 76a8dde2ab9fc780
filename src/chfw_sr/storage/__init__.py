"""The SQL store: the service's ports on SQLite and PostgreSQL, through SQLAlchemy Core.

Nothing outside this package sees a row, a table or a connection. `dialects` alone knows how the two databases differ.
"""
