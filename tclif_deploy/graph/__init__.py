"""The one graph that every reader fills, and its lowering to a Network."""
