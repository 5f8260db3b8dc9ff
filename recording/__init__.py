"""The recording in the README: real programs on terminals, drawn as an SVG (`make recording`)."""
