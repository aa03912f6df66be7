//! A crate as a tree of modules, read from its source.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, ImplItem, Item, Meta, Visibility};

use crate::{
    paths::SourcePath,
    scan::{self, Import},
};

/// Index of a module in [`Krate::modules`]; the crate's root is 0.
pub type ModuleId = usize;

/// One target of a package: its library, or one of its binaries.
#[derive(Debug)]
pub struct Krate {
    pub name: String,
    pub modules: Vec<Module>,
}

#[derive(Debug)]
pub struct Module {
    /// Names from the root to this module; empty for the root.
    pub path: Vec<String>,
    pub file: PathBuf,
    pub parent: Option<ModuleId>,
    pub children: BTreeMap<String, ModuleId>,
    pub(crate) items: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    /// Paths in everything but the module's own `use` declarations.
    pub(crate) paths: Vec<SourcePath>,
    /// `use` declarations inside functions.
    pub(crate) inner_imports: Vec<Import>,
}

/// Why a crate cannot be read.
#[derive(Debug)]
pub struct Unreadable(pub String);

impl Krate {
    /// Reads the crate whose root is `root`; `read` answers with a file's text, or with nothing where there
    /// is no such file.
    ///
    /// # Errors
    ///
    /// A file of a declared module is missing, or is not Rust.
    pub fn read(name: &str, root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Result<Self, Unreadable> {
        let mut krate = Self { name: name.to_owned(), modules: Vec::new() };
        let folder = root.parent().unwrap_or(Path::new("")).to_owned();
        krate.add_file(root, &folder, None, &[], read)?;
        Ok(krate)
    }

    fn add_file(
        &mut self,
        file: &Path,
        folder: &Path,
        parent: Option<ModuleId>,
        path: &[String],
        read: &dyn Fn(&Path) -> Option<String>,
    ) -> Result<ModuleId, Unreadable> {
        let text = read(file).ok_or_else(|| Unreadable(format!("{} is missing", file.display())))?;
        let parsed = syn::parse_file(&text).map_err(|error| {
            Unreadable(format!("{}:{}: {error}", file.display(), error.span().start().line))
        })?;
        self.add(file, folder, parent, path, parsed.items, read)
    }

    fn add(
        &mut self,
        file: &Path,
        folder: &Path,
        parent: Option<ModuleId>,
        path: &[String],
        items: Vec<Item>,
        read: &dyn Fn(&Path) -> Option<String>,
    ) -> Result<ModuleId, Unreadable> {
        let id = self.modules.len();
        self.modules.push(Module {
            path: path.to_vec(),
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            items: BTreeSet::new(),
            imports: Vec::new(),
            paths: Vec::new(),
            inner_imports: Vec::new(),
        });
        for item in items {
            if for_tests(attributes(&item)) {
                continue;
            }
            let Item::Mod(child) = item else {
                self.modules[id].take(item);
                continue;
            };
            let name = child.ident.to_string();
            let path = [path, std::slice::from_ref(&name)].concat();
            let folder = folder.join(&name);
            let child = if let Some((_, items)) = child.content {
                self.add(file, &folder, Some(id), &path, items, read)?
            } else {
                let beside = folder.with_extension("rs");
                let inside = folder.join("mod.rs");
                let file = if read(&inside).is_some() { inside } else { beside };
                self.add_file(&file, &folder, Some(id), &path, read)?
            };
            self.modules[id].children.insert(name, child);
        }
        Ok(id)
    }
}

impl Module {
    /// Where this module's own code is, as a circle's text names it.
    pub fn own_code(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Use(declaration) => {
                let public = !matches!(declaration.vis, Visibility::Inherited);
                self.imports.extend(scan::imports(&declaration, public));
            }
            Item::Enum(declaration) => {
                self.items.insert(declaration.ident.to_string());
                // A variant may be called what something else is called that is in scope here.
                for attribute in &declaration.attrs {
                    self.scan(attribute.to_token_stream());
                }
                self.scan(declaration.generics.to_token_stream());
                for variant in &declaration.variants {
                    for attribute in &variant.attrs {
                        self.scan(attribute.to_token_stream());
                    }
                    self.scan(variant.fields.to_token_stream());
                }
            }
            Item::Impl(mut block) => {
                block.items.retain(|item| !for_tests(impl_attributes(item)));
                self.scan(block.to_token_stream());
            }
            item => {
                self.items.extend(defined(&item));
                self.scan(item.to_token_stream());
            }
        }
    }

    fn scan(&mut self, tokens: TokenStream) {
        let found = scan::paths(tokens);
        self.paths.extend(found.paths);
        self.inner_imports.extend(found.imports);
    }
}

/// Whether this is compiled for tests only: `#[cfg(test)]`, or `#[cfg(all(test, …))]`.
fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        _ => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn impl_attributes(item: &ImplItem) -> &[Attribute] {
    match item {
        ImplItem::Const(item) => &item.attrs,
        ImplItem::Fn(item) => &item.attrs,
        ImplItem::Macro(item) => &item.attrs,
        ImplItem::Type(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item defines in its module.
fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
