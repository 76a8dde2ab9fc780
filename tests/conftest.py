"""Servers that the tests of several packages need."""

from .broker.vhost import rabbitmq_url, rabbitmq_vhost

__all__ = ["rabbitmq_url", "rabbitmq_vhost"]
