//! Tests that cross crates or the wire; see the folders beside this one.
