"""What a login in China seals: the password, and the nonce that says who asks (facts section 4).

The one importer of `cryptography`, which comes with the extra ``[china]``: import it late.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_pem_public_key

#: What the app puts into the digest.
_SALT: Final = "u3.6.1"
_ALPHABET: Final = "01234abcdefghijklmnopqrstuvwxyz56789"
#: The characters of the key that are mirrored in that alphabet before it encrypts.
_MIRRORED: Final = (4, 12)


def sealed_password(password: str, public_key: str) -> str:
    """The password for the server's eyes only: RSA PKCS#1 v1.5 by its PEM key, in base64.

    ValueError if that is no RSA key, or the password is too long for it.
    """
    try:
        key = load_pem_public_key(public_key.encode())
    except UnsupportedAlgorithm as error:
        raise ValueError("no key of a known kind") from error
    if not isinstance(key, RSAPublicKey):
        raise ValueError("no RSA key")
    return base64.b64encode(key.encrypt(password.encode(), PKCS1v15())).decode()


def login_nonce(who: str, now: datetime, key: str, vector: str) -> str:
    """The header ``x-login-nonce``. `who`: the user name, at a refresh the gcid.

    `key` and `vector`: 16 random lower-case hex digits each.
    """
    k1, k2, i1, i2 = key[:8], key[8:], vector[:8], vector[8:]
    digest = hashlib.sha256(f"{k2}{i1}{_SALT}{who[-4:]}{k1}{i2}".encode()).hexdigest()
    said = f"{who}&{format_datetime(now, usegmt=True)}&{k1}"
    return f"{k2}{i1}{digest[:32]}{_encrypted(said, _mirrored(key), vector).hex()}{k1}{i2}{digest[32:]}"


def _encrypted(text: str, key: str, vector: str) -> bytes:
    padder = PKCS7(AES.block_size).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = Cipher(AES(key.encode()), CBC(vector.encode())).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


def _mirrored(key: str) -> str:
    mirror = dict(zip(_ALPHABET, reversed(_ALPHABET), strict=True))
    return "".join(mirror[sign] if at in _MIRRORED else sign for at, sign in enumerate(key))
