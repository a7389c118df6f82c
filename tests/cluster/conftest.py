"""The real parts, as fixtures."""

from tandemkit.testing.parts_fixtures import (
    consul,
    envoy,
    nats,
    postgres,
    prometheus,
    rabbitmq,
    redis,
)

__all__ = ["consul", "envoy", "nats", "postgres", "prometheus", "rabbitmq", "redis"]
