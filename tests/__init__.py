"""The test suite; run it with `make test` from the root of the project."""
