"""Shards: the groups of cases that travel together through one job."""

from __future__ import annotations

import hashlib


def shard_of(patient: str, shards: int) -> str:
    """Return the shard of a patient as three digits, ``000`` up to ``shards - 1``.

    The hash is SHA-256, the same on every machine and Python, so that adding a case touches one shard only; it is of
    the patient, so that no patient is cut in two.
    """
    return f"{int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], 'big') % shards:03d}"
