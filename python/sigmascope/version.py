"""The version of the package, that of the program."""
VERSION = "0.1.0"
