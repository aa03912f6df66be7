//! Who is calling: people, keys and services, and what each of them may do.

mod access;
mod audit;
mod canary;
mod janitor;
mod keys;
mod names;
mod previous_owner;
mod projects;
mod rotation;
mod sessions;
mod surface;
mod tokens;
mod trail;
mod users;
