//! What the source says: its words, and its comments.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};

/// The lines where each identifier stands in a file; comments and text in quotes are left out.
pub fn identifiers(source: &str) -> BTreeMap<String, Vec<usize>> {
    let mut found = BTreeMap::new();
    if let Ok(tokens) = source.parse() {
        collect(tokens, &mut found);
    }
    found
}

fn collect(tokens: TokenStream, found: &mut BTreeMap<String, Vec<usize>>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                found.entry(ident.to_string()).or_default().push(ident.span().start().line);
            }
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Whether this file is compiled for tests or benchmarks only, going by its place.
pub fn is_test(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "tests.rs")
        || file
            .components()
            .any(|part| ["tests", "benches", "fuzz"].iter().any(|one| part.as_os_str() == *one))
}

/// A doc comment of an item: the line where it begins, and its text.
pub struct DocComment {
    pub file: PathBuf,
    pub line: usize,
    pub text: String,
}

/// The doc comments before the file's module of tests.
pub fn doc_comments(file: &Path, source: &str) -> Vec<DocComment> {
    let mut found: Vec<DocComment> = Vec::new();
    let mut inside = false;
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    for (at, line) in lines.iter().enumerate() {
        let tests_follow = lines.get(at + 1).is_some_and(|next| next.contains("mod tests {"));
        if line.starts_with("#[cfg(test)]") && tests_follow {
            break;
        }
        let Some(text) = line.strip_prefix("///") else {
            inside = false;
            continue;
        };
        match found.last_mut() {
            Some(last) if inside => last.text = format!("{} {}", last.text, text.trim()),
            _ => found.push(DocComment { file: file.to_owned(), line: at + 1, text: text.trim().to_owned() }),
        }
        inside = true;
    }
    found
}
