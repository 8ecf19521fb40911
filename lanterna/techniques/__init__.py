"""One file each: what can be done with a network."""
