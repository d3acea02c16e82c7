"""Shapes of HTTP messages: SSE, NDJSON, management API, dialects. Pure."""
