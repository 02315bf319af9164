"""What the simulated login in China can open: sealed passwords and nonces. Needs `cryptography`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from functools import cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_ALPHABET: Final = "01234abcdefghijklmnopqrstuvwxyz56789"
_NONCE: Final = re.compile(
    r"(?P<k2>\w{8})(?P<i1>\w{8})(?P<a>\w{32})(?P<said>(?:\w{32})+)(?P<k1>\w{8})(?P<i2>\w{8})(?P<b>\w{32})"
)
_DATE: Final = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")


@cache
def _key() -> RSAPrivateKey:
    """As small as the service's; made once for all simulators of a process."""
    return generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  # nothing real is sealed with it


class Lock:
    """The server's side of sealing."""

    @property
    def public_key(self) -> str:
        """In PEM, with the line ends of the service."""
        pem = _key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem.decode().strip().replace("\n", "\r\n")

    def opened(self, sealed: str) -> str:
        """The password; something else if it is not sealed with our key."""
        try:
            return (
                _key().decrypt(base64.b64decode(sealed, validate=True), PKCS1v15()).decode(errors="replace")
            )
        except (binascii.Error, ValueError):
            return ""

    def who(self, nonce: str) -> str | None:
        """Whom a nonce names; None if it does not hold together."""
        match = _NONCE.fullmatch(nonce)
        if match is None:
            return None
        k1, k2, i1, i2 = match["k1"], match["k2"], match["i1"], match["i2"]
        try:
            who, date, again = _decrypted(match["said"], k1 + k2, i1 + i2).split("&")
        except ValueError:
            return None
        digest = hashlib.sha256(f"{k2}{i1}u3.6.1{who[-4:]}{k1}{i2}".encode()).hexdigest()
        whole = (again, match["a"] + match["b"]) == (k1, digest) and _DATE.fullmatch(date)
        return who if whole else None


def _decrypted(said: str, key: str, vector: str) -> str:
    """Raises ValueError."""
    signs = list(key)
    for at in (4, 12):
        signs[at] = _ALPHABET[35 - _ALPHABET.index(signs[at])]
    decryptor = Cipher(AES("".join(signs).encode()), CBC(vector.encode())).decryptor()
    unpadder = PKCS7(AES.block_size).unpadder()
    padded = decryptor.update(bytes.fromhex(said)) + decryptor.finalize()
    return (unpadder.update(padded) + unpadder.finalize()).decode()
