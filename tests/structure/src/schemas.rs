//! The names under which types stand in the API description.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Ident, Item, Meta};

/// A type that derives `ToSchema`.
#[derive(Debug)]
pub struct Described {
    /// What the description calls it: as Rust does, or as `#[schema(as = …)]` says.
    pub schema: String,
    pub name: String,
    pub file: PathBuf,
    pub line: usize,
}

/// Types that the description takes for one: it has the last of them only, whichever an endpoint means.
#[derive(Debug)]
pub struct Clash {
    pub schema: String,
    pub types: Vec<Described>,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the schema `{}` is each of these:", self.schema)?;
        for Described { name, file, line, .. } in &self.types {
            writeln!(f, "    {name} in {}:{line}", file.display())?;
        }
        Ok(())
    }
}

/// The types of a file that derive `ToSchema`, in their order, those of its inner modules included. None where the text
/// is not Rust, which its compiler says.
pub fn described(file: &Path, source: &str) -> Vec<Described> {
    let mut found = Vec::new();
    if let Ok(parsed) = syn::parse_file(source) {
        collect(file, &parsed.items, &mut found);
    }
    found
}

fn collect(file: &Path, items: &[Item], found: &mut Vec<Described>) {
    for item in items {
        match item {
            Item::Struct(item) => found.extend(one(file, &item.ident, &item.attrs)),
            Item::Enum(item) => found.extend(one(file, &item.ident, &item.attrs)),
            Item::Mod(module) => {
                if let Some((_, items)) = &module.content {
                    collect(file, items, found);
                }
            }
            _ => {}
        }
    }
}

fn one(file: &Path, ident: &Ident, attributes: &[Attribute]) -> Option<Described> {
    let mut derives = arguments(attributes, "derive").flatten();
    derives.find(|token| matches!(token, TokenTree::Ident(ident) if ident == "ToSchema"))?;
    let name = ident.to_string();
    let schema = arguments(attributes, "schema").find_map(renamed).unwrap_or_else(|| name.clone());
    Some(Described { schema, name, file: file.to_owned(), line: ident.span().start().line })
}

/// What stands between the parentheses of each attribute of this name.
fn arguments(attributes: &[Attribute], name: &str) -> impl Iterator<Item = TokenStream> {
    attributes.iter().filter_map(move |attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident(name) => Some(list.tokens.clone()),
        _ => None,
    })
}

/// The name after `as =`.
fn renamed(arguments: TokenStream) -> Option<String> {
    let mut tokens = arguments.into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(ident) if ident == "as"))?;
    let ends = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
    let name = tokens.skip(1).take_while(|token| !ends(token));
    Some(name.map(|token| token.to_string()).collect())
}

/// The schemas that are more than one type.
pub fn clashes(types: impl IntoIterator<Item = Described>) -> Vec<Clash> {
    let mut by_schema: BTreeMap<String, Vec<Described>> = BTreeMap::new();
    for one in types {
        by_schema.entry(one.schema.clone()).or_default().push(one);
    }
    let several = by_schema.into_iter().filter(|(_, types)| types.len() > 1);
    several.map(|(schema, types)| Clash { schema, types }).collect()
}
