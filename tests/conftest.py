"""For all tests: servers, and no deadlines, since no test may depend on how busy the machine is."""

from hypothesis import HealthCheck, settings

from .broker.vhost import rabbitmq_url, rabbitmq_vhost

__all__ = ["rabbitmq_url", "rabbitmq_vhost"]

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
