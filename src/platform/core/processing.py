"""What each processing activity is for, on which ground, for how long, and who receives the data."""

import msgspec

from core.classification import Activity


class Processing(msgspec.Struct, frozen=True):
    """An activity as the register of processing and an access package describe it."""

    purpose: str
    legal_basis: str
    kept: str
    recipients: str


OPERATOR = "the operator of the platform"
WITHIN = "administrators of the tenant; the operator of the platform"

PROCESSING: dict[Activity, Processing] = {
    Activity.CUSTOMERS: Processing(
        "keeping the register of customers and their contracts",
        "Art. 6(1)(b) GDPR: contract",
        "until the customer is erased; what invoices need is kept as the law requires",
        OPERATOR,
    ),
    Activity.ACCOUNTS: Processing(
        "letting people of a customer, and of the platform, use it under a name and a role of their own",
        "Art. 6(1)(b) GDPR: contract",
        "until the account or the customer is erased; accounts that were deactivated, for as long as the "
        "customer's policy says",
        WITHIN,
    ),
    Activity.SECURITY: Processing(
        "recognising who logs in, and ending what was stolen",
        "Art. 6(1)(f) GDPR: legitimate interest in the security of the service; Art. 32 GDPR",
        "for the retention period of user activity",
        WITHIN,
    ),
    Activity.METERING: Processing(
        "recording what a customer's machines use, summing it by day, and finding unusual days",
        "Art. 6(1)(b) GDPR: contract",
        "for the retention period of transactional data",
        WITHIN,
    ),
    Activity.BILLING: Processing(
        "pricing what was used, and invoicing it",
        "Art. 6(1)(b) GDPR: contract; Art. 6(1)(c) GDPR: tax and commercial law",
        "as long as the law of the seller's country makes one keep invoices and what supports them",
        f"{WITHIN}; tax authorities on demand",
    ),
    Activity.AUDIT: Processing(
        "proving at any time what happened to whose data",
        "Art. 6(1)(c) GDPR with Art. 5(2) and 32 GDPR: accountability and security",
        "entries for good; their personal details until the person or the customer is erased, or for as long "
        "as the customer's policy says",
        f"{WITHIN}; auditors of the platform",
    ),
    Activity.OPERATION: Processing(
        "doing work in the background, and answering a repeated request once",
        "Art. 6(1)(b) GDPR: contract",
        "jobs for a week after their end; answers to repeated requests for two days",
        OPERATOR,
    ),
    Activity.DATA_PROTECTION: Processing(
        "answering the rights of people, and proving that they were answered",
        "Art. 6(1)(c) GDPR with Art. 5(2), 12, 17, 30 and 33 GDPR",
        "as long as the duty to prove it lasts",
        f"{OPERATOR}; auditors of the platform; supervisory authorities on demand",
    ),
}
