"""The certificate on paper says what the statement says, on one page where that is possible."""

import re
import zlib
from base64 import a85decode

import msgspec
import pytest

from core.erasure_scan import Finding, Trace
from shell.certificate_pdf import pdf_of
from shell.certificates import Certificate
from web.examples import EXAMPLES

CERTIFICATE = msgspec.convert(EXAMPLES["Certificate"][0], Certificate)
STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
PAGE = re.compile(rb"/Type /Page\b")


def text_of(pdf: bytes) -> str:
    """What is drawn on all pages."""
    drawn = b"".join(zlib.decompress(a85decode(stream.strip(), adobe=False)) for stream in streams(pdf))
    return "".join(re.findall(r"\((.*?)\) Tj", drawn.decode("latin-1")))


def streams(pdf: bytes) -> list[bytes]:
    return [stream.strip().removesuffix(b"~>") for stream in STREAM.findall(pdf)]


def with_issuer(issuer: str) -> Certificate:
    statement = msgspec.structs.replace(CERTIFICATE.statement, issuer=issuer)
    return msgspec.structs.replace(CERTIFICATE, statement=statement)


def test_a_clean_certificate_is_one_page_that_says_so_and_the_same_each_time() -> None:
    pdf = pdf_of(CERTIFICATE)
    assert pdf == pdf_of(CERTIFICATE)
    assert len(PAGE.findall(pdf)) == 1
    for said in (CERTIFICATE.statement.tenant_id, "Nothing was found.", "until 2034-12-31"):
        assert said in text_of(pdf)


def test_a_finding_cannot_be_overlooked() -> None:
    scan = msgspec.structs.replace(
        CERTIFICATE.statement.scan, findings=[Finding("public.notes.text", Trace.EMAIL, 2)]
    )
    statement = msgspec.structs.replace(CERTIFICATE.statement, is_clean=False, scan=scan)
    text = text_of(pdf_of(msgspec.structs.replace(CERTIFICATE, statement=statement)))
    assert "NOT CLEAN: public.notes.text: 2" in text
    assert "Nothing was found." not in text


@pytest.mark.parametrize(
    ("issuer", "printed"), [("Łódź Cloud", "L\\363dz Cloud"), ("<b>&", "<b>&"), ("Ελλάς", "?????")]
)
def test_any_name_can_be_printed(issuer: str, printed: str) -> None:
    assert printed in text_of(pdf_of(with_issuer(issuer)))
