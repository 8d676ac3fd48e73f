"""Secrets at rest: what the database keeps of passwords is encrypted by a key that lies in a file of its own."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr


class VaultError(Exception):
    """The key file cannot be used, or a secret was not encrypted by it."""


class Vault:
    """Encrypts and decrypts (Fernet: AES-128-CBC with HMAC-SHA256)."""

    def __init__(self, key: bytes) -> None:
        try:
            self._fernet = Fernet(key)
        except ValueError:
            raise VaultError("the key file does not hold a key") from None

    @classmethod
    def open(cls, path: Path) -> Vault:
        """The vault of `secrets.key_file`; the key is made where there is none. Raises VaultError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                if path.stat().st_mode & 0o077:
                    raise VaultError(f"{path} must be readable by its owner only (chmod 600)") from None
                return cls(path.read_bytes().strip())
            with os.fdopen(descriptor, "wb") as file:
                key = Fernet.generate_key()
                file.write(key + b"\n")
            return cls(key)
        except OSError as error:
            raise VaultError(f"{path} cannot be used: {error.strerror}") from None

    def seal(self, secret: SecretStr) -> bytes:
        return self._fernet.encrypt(secret.get_secret_value().encode())

    def unseal(self, sealed: bytes) -> SecretStr:
        try:
            return SecretStr(self._fernet.decrypt(sealed).decode())
        except InvalidToken:
            raise VaultError("a secret was encrypted by another key") from None
