//! DynamoDB on this machine: dynoxide over a SQLite file.
