"""The login of accounts in China."""
