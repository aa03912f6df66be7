//! Lambda that says who is calling and which paths they may reach.
