"""Whether the pages are in plain English: Harper, with rules of our own."""
