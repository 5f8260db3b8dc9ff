"""The docs as a site: what `make docs` writes into the reference, and what mkdocs is to know of this repository."""
