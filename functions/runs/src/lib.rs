//! Lambda behind /v1/runs and /v1/jobs/{job_id}/runs.
