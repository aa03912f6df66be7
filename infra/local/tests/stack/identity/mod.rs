//! Who is calling: people, keys and services, and what each of them may do.

mod access;
mod janitor;
