from __future__ import annotations

import hashlib

import pytest

from cartesia_sync.local.voice.companding import alaw_byte, alaw_table, mulaw_byte, mulaw_table


@pytest.mark.parametrize(
    ("sample", "byte"), [(0, 0xFF), (-1, 0x7E), (32767, 0x80), (-32768, 0x00), (132, 0xEF), (-132, 0x6F), (1000, 0xCE)]
)
def test_mulaw_of_known_samples(sample: int, byte: int) -> None:
    assert mulaw_byte(sample) == byte


@pytest.mark.parametrize(
    ("sample", "byte"), [(0, 0xD5), (-1, 0x55), (32767, 0xAA), (-32768, 0x2A), (8, 0xD5), (16, 0xD4), (1000, 0xFA)]
)
def test_alaw_of_known_samples(sample: int, byte: int) -> None:
    assert alaw_byte(sample) == byte


@pytest.mark.parametrize(("table", "byte"), [(mulaw_table, mulaw_byte), (alaw_table, alaw_byte)])
def test_a_table_is_indexed_by_the_unsigned_sample(table, byte) -> None:  # type: ignore[no-untyped-def]  # two functions
    assert len(table()) == 65536
    assert [table()[sample & 0xFFFF] for sample in (-32768, -5, 0, 5, 32767)] == [
        byte(sample) for sample in (-32768, -5, 0, 5, 32767)
    ]


def test_both_tables_agree_with_the_reference_implementation_on_every_sample() -> None:
    """The digests are those of audioop.lin2ulaw and lin2alaw (Python 3.11) over all samples from -32768 to 32767."""
    samples = range(-32768, 32768)
    mulaw = bytes(mulaw_table()[sample & 0xFFFF] for sample in samples)
    alaw = bytes(alaw_table()[sample & 0xFFFF] for sample in samples)
    assert hashlib.sha256(mulaw).hexdigest() == "81d633c9e6972a18c74a58720b96cb8ca0bdd096d4060b646dd708c3b846019a"
    assert hashlib.sha256(alaw).hexdigest() == "38488f6fd710f4686360edc4d38639f96c491595ef93f8eb8d62d5e07ca6ce7b"
