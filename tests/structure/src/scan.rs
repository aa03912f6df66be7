//! Finds paths and `use` declarations in tokens: in signatures and bodies, and in the arguments of macros and
//! attributes as far as they look like paths.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{ItemUse, UseTree};

use crate::paths::SourcePath;

/// One name that a `use` declaration brings into scope.
#[derive(Debug, Clone)]
pub struct Import {
    pub path: SourcePath,
    /// The name in scope; nothing for `*` and for `as _`.
    pub name: Option<String>,
    pub glob: bool,
    /// Whether other modules can see it: `pub use`, whatever follows in parentheses.
    pub public: bool,
}

#[derive(Debug, Default)]
pub struct Found {
    pub paths: Vec<SourcePath>,
    pub imports: Vec<Import>,
}

/// Every path in the tokens. Of the paths of one segment only those that may name a type or a constant,
/// call a function or call a macro.
pub fn paths(tokens: TokenStream) -> Found {
    let mut found = Found::default();
    scan(tokens, &mut found);
    found
}

pub fn imports(declaration: &ItemUse, public: bool) -> Vec<Import> {
    let mut imports = Vec::new();
    // `::name` is another crate.
    if declaration.leading_colon.is_none() {
        leaves(&declaration.tree, &[], 0, public, &mut imports);
    }
    imports
}

fn leaves(tree: &UseTree, prefix: &[String], line: usize, public: bool, imports: &mut Vec<Import>) {
    let path = |name: &str, line: usize| SourcePath { segments: [prefix, &[name.to_owned()]].concat(), line };
    match tree {
        UseTree::Path(part) => {
            let path = path(&part.ident.to_string(), part.ident.span().start().line);
            leaves(&part.tree, &path.segments, path.line, public, imports);
        }
        UseTree::Name(part) => {
            let name = part.ident.to_string();
            let line = part.ident.span().start().line;
            imports.push(if name == "self" {
                let path = SourcePath { segments: prefix.to_vec(), line };
                Import { name: prefix.last().cloned(), path, glob: false, public }
            } else {
                Import { path: path(&name, line), name: Some(name), glob: false, public }
            });
        }
        UseTree::Rename(part) => {
            let name = part.ident.to_string();
            let line = part.ident.span().start().line;
            let path = if name == "self" {
                SourcePath { segments: prefix.to_vec(), line }
            } else {
                path(&name, line)
            };
            let name = Some(part.rename.to_string()).filter(|name| name != "_");
            imports.push(Import { path, name, glob: false, public });
        }
        UseTree::Glob(_) => imports.push(Import {
            path: SourcePath { segments: prefix.to_vec(), line },
            name: None,
            glob: true,
            public,
        }),
        UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, prefix, line, public, imports);
            }
        }
    }
}

fn scan(tokens: TokenStream, found: &mut Found) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(ident) if ident == "pub" => {
                at +=
                    if group(&tokens, at + 1, Delimiter::Parenthesis).is_some_and(restricts) { 2 } else { 1 };
            }
            TokenTree::Ident(ident) if ident == "use" => at = inner_use(&tokens, at, found),
            TokenTree::Ident(_) => at = path(&tokens, at, found),
            TokenTree::Group(group) => {
                scan(group.stream(), found);
                at += 1;
            }
            TokenTree::Literal(literal) => {
                let line = literal.span().start().line;
                found.paths.extend(quoted(&literal.to_string(), line));
                at += 1;
            }
            TokenTree::Punct(_) => at += 1,
        }
    }
}

/// `(crate)`, `(super)`, `(in path)`: not the field of a tuple struct.
fn restricts(tokens: TokenStream) -> bool {
    matches!(
        tokens.into_iter().next(),
        Some(TokenTree::Ident(first)) if ["crate", "super", "self", "in"].iter().any(|word| first == word)
    )
}

/// A declaration inside a function; what it begins is the index after it.
fn inner_use(tokens: &[TokenTree], at: usize, found: &mut Found) -> usize {
    let length = tokens[at..].iter().position(|token| punct(Some(token), ';'));
    if let Some(length) = length {
        let end = at + length + 1;
        let declaration: TokenStream = tokens[at..end].iter().cloned().collect();
        if let Ok(declaration) = syn::parse2::<ItemUse>(declaration) {
            found.imports.extend(imports(&declaration, false));
            return end;
        }
    }
    at + 1
}

/// The path that begins at `at`; what follows it begins at the index it answers with.
fn path(tokens: &[TokenTree], at: usize, found: &mut Found) -> usize {
    let mut segments = Vec::new();
    let mut end = at;
    while let Some(TokenTree::Ident(ident)) = tokens.get(end) {
        segments.push(ident.to_string());
        end += 1;
        if !(colons(tokens, end) && matches!(tokens.get(end + 2), Some(TokenTree::Ident(_)))) {
            break;
        }
        end += 2;
    }
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let in_macro = punct(before, '$');
    // What follows `::` is a part of something that is no path: `<T as Trait>::name`, `::krate::name`.
    let inside = punct(before, ':') && at >= 2 && colons(tokens, at - 2);
    let whole = !inside && (!in_macro || segments[0] == "crate");
    if whole && (segments.len() > 1 || names_something(tokens, at, end)) {
        let line = tokens[at].span().start().line;
        found.paths.push(SourcePath { segments, line });
    }
    end
}

/// Whether the one identifier before `end` may name something of the module's scope.
fn names_something(tokens: &[TokenTree], at: usize, end: usize) -> bool {
    let TokenTree::Ident(ident) = &tokens[at] else { return false };
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let definition = matches!(before, Some(TokenTree::Ident(word))
        if ["fn", "type", "const", "static", "struct", "enum", "trait", "mod"].iter().any(|one| word == one));
    if definition || punct(before, '.') {
        return false;
    }
    let field = punct(tokens.get(end), ':') && !colons(tokens, end);
    if ident.to_string().starts_with(char::is_uppercase) {
        !field
    } else {
        group(tokens, end, Delimiter::Parenthesis).is_some()
            || punct(tokens.get(end), '!')
            || colons(tokens, end)
    }
}

/// A path in quotes, as attributes have it: `#[serde(with = "crate::wire::seconds")]`.
fn quoted(literal: &str, line: usize) -> Option<SourcePath> {
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    let segments: Vec<String> = text.split("::").map(str::to_owned).collect();
    let identifier = |segment: &String| {
        segment.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && segment.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
    };
    (segments.len() > 1 && segments.iter().all(identifier)).then_some(SourcePath { segments, line })
}

fn punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn colons(tokens: &[TokenTree], at: usize) -> bool {
    punct(tokens.get(at), ':') && punct(tokens.get(at + 1), ':')
}

fn group(tokens: &[TokenTree], at: usize, delimiter: Delimiter) -> Option<TokenStream> {
    match tokens.get(at) {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}
