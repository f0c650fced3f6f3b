"""OTLP: its settings, the encoding of spans, and the exporters over HTTP and gRPC."""
