"""Alerts by e-mail: beside the broker, a second way out of the outbox."""
