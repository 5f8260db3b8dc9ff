"""hubbub beside other servers: one load on each in turn, a table, plots. Run by `make bench`."""
