"""The nodes and clients of the end-to-end tests, for attacks on real processes."""

from tests.e2e.conftest import clients, nodes, pytest_runtest_makereport

__all__ = ["clients", "nodes", "pytest_runtest_makereport"]
