"""Seeing it run: metrics, health, readiness and logs.

Above the service, which tells an `Observer` what it does, and a stranger to storage and broker.
"""
