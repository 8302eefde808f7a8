"""Free ports for programs under test: those of the load test, so that a test and a benchmark in it never share one."""

from loadtest.check.ports import free_port as free_port
