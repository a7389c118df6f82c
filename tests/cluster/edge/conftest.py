"""One fleet for each test."""

from tests.cluster.mesh.conftest import fleet

__all__ = ["fleet"]
