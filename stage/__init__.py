"""What the collector, the enricher and the sink do alike. Imports nothing else of this project."""
