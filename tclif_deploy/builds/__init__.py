"""The build folder: what compile writes, and what every command that works on a build reads."""
