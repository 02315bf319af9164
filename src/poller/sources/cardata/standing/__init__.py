"""How the source stands, and why nothing comes."""
