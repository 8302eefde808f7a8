"""The benchmark `host`: what one small host holds, each part with the settings of deploy/compose.small.yaml."""

from loadtest.bench.host.rates import prepare as prepare
