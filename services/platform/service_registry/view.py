"""What callers are told: who offers a service, and how each of them is."""

from __future__ import annotations

from services.platform.service_registry.catalogue import Catalogue, Offer, health_urls
from services.platform.service_registry.checking import Checker, Health
from services.platform.service_registry.following import Following
from tandem.platform.v1 import service_registry_service_pb2 as pb
from tandemkit.hosting.news import News

# Between a write to the registry and its word to a watcher, at whichever control.
_ON_ITS_WAY_S_MAX = 1.0
_WELL, _SILENT = Health(well=True), Health(well=False, cause="its host says that it does not serve")


class View:
    def __init__(
        self, following: Following, checker: Checker, news: News, check_within_s: float
    ) -> None:
        self.news = news
        self._following, self._checker = following, checker
        self._check_within_s = check_within_s

    @property
    def catalogue(self) -> Catalogue:
        return self._following.catalogue

    @property
    def stale(self) -> bool:
        return self._following.stale

    async def known(self) -> None:
        """Raises NotKnown while nobody can be told anything."""
        await self._following.known()

    async def check_what_there_is(self) -> None:
        """Keeps what is asked at what is registered, until cancelled."""
        with self.news.heard() as event:
            while True:
                event.clear()
                self._checker.want(health_urls(self.catalogue.registered))
                await event.wait()

    async def settled(self, offers: list[Offer]) -> None:
        """Each of them was asked once, or does not answer."""
        self._checker.want(health_urls(self.catalogue.registered))
        await self._checker.settled([one.key for one in offers], self._check_within_s)

    async def until_registered(self, key: str, instance: pb.ServiceInstance | None) -> None:
        """The registry has told so of itself, which it does at once; nobody fails over it."""

        def is_so() -> bool:
            found = self.catalogue.registered.get(key)
            return (found.instance if found else None) == instance

        await self._following.until(is_so, _ON_ITS_WAY_S_MAX)

    async def stands_under(self, key: str, owner: str) -> bool:
        """Whether the instance has that lease, as far as is known: what was registered at another
        agent a moment ago may still be on its way here.
        """

        def is_so() -> bool:
            found = self.catalogue.registered.get(key)
            return self.stale or (found is not None and found.owner == owner)

        await self._following.until(is_so, _ON_ITS_WAY_S_MAX)
        return is_so()

    def health(self, offer: Offer) -> Health:
        if offer.serving is not None:
            return _WELL if offer.serving else _SILENT
        return self._checker.health(offer.key) if offer.instance.health_url else _WELL

    def well(self, name: str) -> list[pb.ServiceInstance]:
        """Those of the name that are."""
        return [one.instance for one in self.catalogue.named(name) if self.health(one).well]
