"""What request handlers need: settings, pool, announcer, tokens and passwords."""

import msgspec
from litestar import Request
from litestar.datastructures import State
from taskiq import AsyncBroker

from core.identity import Identity
from core.invoicing import Party
from shell.api_keys import ApiKeys
from shell.attempts import Attempts
from shell.certificate_links import CertificateLinks
from shell.database import Pool
from shell.downloads import Downloads
from shell.keys import KeyRing
from shell.object_store import ObjectStore
from shell.password_reset import PasswordResets
from shell.passwords import Passwords
from shell.quick_redis import QuickRedis
from shell.sealing import SecretKeys
from shell.second_factor import SecondFactors
from shell.settings import Settings
from shell.standing import Standings
from shell.throttle import Throttle
from shell.tokens import AccessTokens
from web.draining import Draining


class Services(msgspec.Struct, frozen=True):
    """Made once when the process starts, and handed to handlers as the dependency `services`."""

    settings: Settings
    pool: Pool
    redis: QuickRedis
    announcer: AsyncBroker
    ring: KeyRing
    tokens: AccessTokens
    passwords: Passwords
    standings: Standings
    api_keys: ApiKeys
    second_factors: SecondFactors
    throttle: Throttle
    attempts: Attempts
    password_resets: PasswordResets
    objects: ObjectStore
    secret: SecretKeys
    downloads: Downloads
    certificate_links: CertificateLinks
    draining: Draining

    @property
    def seller(self) -> Party:
        """Who issues the invoices."""
        settings = self.settings
        return Party(settings.seller_name, settings.seller_country, settings.seller_vat_id)


def services_of(state: State) -> Services:
    """The services that the application started with."""
    services = state["services"]
    if not isinstance(services, Services):
        raise TypeError("the application has not started")
    return services


def provide_identity(request: Request[Identity, None, State]) -> Identity:
    """The dependency `identity`: whom the guard has found the request to come from."""
    return request.user
