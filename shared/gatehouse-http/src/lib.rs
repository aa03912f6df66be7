//! Problem bodies, extractors, idempotency, the request log line.
