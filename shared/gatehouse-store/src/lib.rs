//! The table: keys, items, the DynamoDB adapter.
