"""The customers of `eu-platform demo`, each taxed in another way, each in a time zone of its own."""

from typing import Final

import msgspec

from core.registration import Organisation
from shell.demo.accounts import Founder


class Customer(msgspec.Struct, frozen=True):
    """A tenant of the demonstration, where it is, and the recorded series that are its usage."""

    founder: Founder
    place: str
    series: tuple[str, ...]

    @property
    def slug(self) -> str:
        """The tenant's slug."""
        return self.founder.organisation.slug


CUSTOMERS: Final[tuple[Customer, ...]] = (
    Customer(
        Founder(
            Organisation(
                name="Nordlicht Logistik GmbH", slug="nordlicht", country="DE", time_zone="Europe/Berlin"
            ),
            email="owner@nordlicht.example",
            full_name="Jana Petersen",
        ),
        place="a business in Germany",
        series=("ec2_cpu_utilization_5f5533", "rds_cpu_utilization_cc0c53", "elb_request_count_8c0756"),
    ),
    Customer(
        Founder(
            Organisation(
                name="Saimaa Metsä Oy",
                slug="saimaa",
                country="FI",
                vat_id="FI12345671",
                time_zone="Europe/Helsinki",
            ),
            email="owner@saimaa.example",
            full_name="Aino Virtanen",
        ),
        place="a business in Finland",
        series=("ec2_cpu_utilization_ac20cd", "ec2_cpu_utilization_24ae8d", "ec2_network_in_257a54"),
    ),
    Customer(
        Founder(
            Organisation(name="Inês Duarte", slug="duarte", country="PT", time_zone="Europe/Lisbon"),
            email="ines@duarte.example",
            full_name="Inês Duarte",
        ),
        place="a consumer in Portugal",
        series=("ec2_cpu_utilization_77c1ca", "ec2_disk_write_bytes_c0d644"),
    ),
)

SERIES: Final = tuple(name for customer in CUSTOMERS for name in customer.series)
