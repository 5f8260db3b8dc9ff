"""The load of `hubbub bench`; internal to that command."""
