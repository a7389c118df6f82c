"""What two followers know, told together: which hosts there are, and what policy makes of them."""

from __future__ import annotations

from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.publication import Publication


class Telling:
    """Publishes nothing until both are known: a control that restarts would else take canaries,
    faults and drains back for a moment.
    """

    def __init__(self, publication: Publication) -> None:
        self.policy: TrafficPolicy | None = None
        self._publication = publication
        self._catalogue: Catalogue | None = None

    def publish(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._tell()

    def policy_is(self, policy: TrafficPolicy) -> None:
        if policy != self.policy:
            self.policy = policy
            self._tell()

    def _tell(self) -> None:
        if self._catalogue is not None and self.policy is not None:
            self._publication.publish(self._catalogue, self.policy)
