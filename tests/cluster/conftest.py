"""The real parts, as fixtures, and a way to say what was counted."""

from tandemkit.testing.parts_fixtures import (
    consul,
    envoy,
    nats,
    postgres,
    prometheus,
    rabbitmq,
    redis,
)
from tests.cluster.aloud import tell

__all__ = ["consul", "envoy", "nats", "postgres", "prometheus", "rabbitmq", "redis", "tell"]
