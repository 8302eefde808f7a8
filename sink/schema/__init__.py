"""The sink's output contract: numbered SQL files, applied once and in order by `sink.migrations`."""
