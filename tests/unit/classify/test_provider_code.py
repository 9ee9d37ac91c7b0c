import pytest

from mta.classify.provider_code import code_in_link, provider_code


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("[TSS04]", "TSS04"),
        ("(S3150).", "S3150"),
        ("S3140", "S3140"),
        ("AS(4810)", "AS(4810)"),
        ("AS(201806281)", "AS(201806281)"),
        ("[CS01]", "CS01"),
        ("(AU01)", "AU01"),
        ("(BL)", "BL"),
        ("AUP#In-1310", "AUP#In-1310"),
        ("OFR204_416", "OFR204_416"),
        ("LPN007_416", "LPN007_416"),
        ("RL000001", "RL000001"),
        ("IB607", "IB607"),
        ("SC-001", "SC-001"),
        ("DT:SPM", "DT:SPM"),
        ("RESOLVER.ADR.RecipientNotFound;", "RESOLVER.ADR.RecipientNotFound"),
        ("STOREDRV.Deliver.Exception:QuotaExceeded", "STOREDRV.Deliver.Exception"),
        ("bob", ""),
        ("192.0.2.1", ""),
        ("mail.b.test", ""),
        ("a1b2c3", ""),
    ],
)
def test_forms(word: str, code: str) -> None:
    """Each as its provider writes it."""
    assert provider_code(word) == code


@pytest.mark.parametrize(
    ("link", "code"),
    [
        ("https://support.google.com/mail/?p=NoSuchUser", "NoSuchUser"),
        ("https://postmaster.gmx.net/en/error-messages?ip=192.0.2.1&c=rdns", "rdns"),
        ("http://postmaster.comcast.net/smtp-error-codes.php#BL000001", "BL000001"),
        ("http://help.mail.ru/notspam-support/id?c=abcdef", ""),
        ("https://b.test/?q=NoSuchUser", ""),
        ("https://b.test/p=NoSuchUser", ""),
    ],
)
def test_in_links(link: str, code: str) -> None:
    """What a page of the provider's is asked for."""
    assert code_in_link(link) == code
