"""BMW CarData: the maker's open way for owners in Europe and the United Kingdom."""
