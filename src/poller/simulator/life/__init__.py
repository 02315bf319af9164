"""What a car goes through, second by second: weather, drives, stands, charges. No maker's words here."""
