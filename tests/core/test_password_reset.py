import pytest

from core.password_reset import ResetRequest, reset_mail, slug_in_reset_token


@pytest.mark.parametrize(
    ("token", "slug"),
    [
        ("epr_acme-cloud_a_b-c", "acme-cloud"),
        ("epr_platform_x", "platform"),
        ("epr_acme", "acme"),
        ("eur_acme-cloud_x", ""),
        ("", ""),
        ("epr", ""),
    ],
)
def test_a_reset_token_names_its_tenant(token: str, slug: str) -> None:
    assert slug_in_reset_token(token) == slug


def test_the_mail_says_the_token_and_links_to_where_it_is_used() -> None:
    text = reset_mail(token="epr_acme_x", public_url="https://cloud.example/")
    assert "    https://cloud.example/reset-password#token=epr_acme_x\n" in text
    assert "    epr_acme_x\n" in text
    assert "30 minutes" in text


def test_without_an_address_of_pages_the_mail_has_no_link() -> None:
    assert "http" not in reset_mail(token="epr_acme_x", public_url=None)


def test_a_request_does_not_show_whose_password_is_lost() -> None:
    assert "ada" not in repr(ResetRequest("acme", "ada@example.com", "192.0.2.1"))
