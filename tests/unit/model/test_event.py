from mta.model.event import Event, EventType

CONTRACT = """v id type time node tenant campaign stream lane payload_id message_id recovered rfc_message_id
recipient recipient_domain recipient_id provider sender from_domain dkim_domains subject_line size_bytes queued_at
attempt next_attempt_at queue_ms session_ms smtp_ms pool source source_ip ehlo mx_host mx_ip site session_id
session_seq tls smtp bounce feedback ambiguous tags metadata"""
TERMINAL = {"rejected", "suppressed", "failed", "delivered", "bounced", "expired", "cancelled"}


def test_terminal_types() -> None:
    """Exactly the seven that end a recipient."""
    assert {str(kind) for kind in EventType if kind.is_terminal} == TERMINAL


def test_fields_are_those_of_the_contract() -> None:
    """A field that is renamed or lost breaks every reader."""
    contract = set(CONTRACT.split())
    assert contract <= set(Event.__struct_encode_fields__)
