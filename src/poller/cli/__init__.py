"""Commands: parse, call, exit code; no logic."""
