"""A subscriber that keeps a table of its User's hubs in SQLite."""
