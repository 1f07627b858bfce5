//! Reads Rust files into what the rules ask about: which paths they name and how long their functions are.
//!
//! Paths are resolved as far as syntax allows: `use` trees are spread out, `self`, `super` and `crate` become paths from
//! `crate`, and paths in macro arguments are found among the tokens. Names that a `use` brought in are not followed, which
//! is enough: the `use` itself is a reference.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// One file.
#[derive(Debug)]
pub(super) struct Source {
    /// From the repository's root, such as `src/proxy/handler.rs`.
    pub(super) path: String,
    /// The top-level module it belongs to: `proxy`, or `app` for `src/app.rs`.
    pub(super) module: String,
    /// Its text.
    pub(super) text: String,
    /// The paths it names, of two segments and more.
    pub(super) references: Vec<Reference>,
    /// Its functions.
    pub(super) functions: Vec<Function>,
}

/// A path that a file names.
#[derive(Debug)]
pub(super) struct Reference {
    /// Its segments, from `crate` or from another crate's name.
    pub(super) path: Vec<String>,
    /// Where.
    pub(super) line: usize,
    /// Whether only tests name it.
    pub(super) in_test: bool,
}

/// A function with a body.
#[derive(Debug)]
pub(super) struct Function {
    /// Its name.
    pub(super) name: String,
    /// Where `fn` stands.
    pub(super) line: usize,
    /// Lines from there to the closing brace.
    pub(super) lines: usize,
    /// Whether it is async.
    pub(super) is_async: bool,
    /// Whether only tests call it.
    pub(super) in_test: bool,
}

/// The repository's root.
pub(super) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder of the repository, in a stable order.
pub(super) fn read_all(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    collect(&repository().join(folder), &mut files);
    assert!(!files.is_empty(), "no Rust files in {folder}");
    files.sort();
    let read: Vec<(Reader, Source)> = files.iter().map(|file| read(file)).collect();
    let for_tests: Vec<Vec<String>> = read
        .iter()
        .flat_map(|(reader, _)| reader.test_modules.clone())
        .collect();
    let only_tests = |reader: &Reader| folder != "src" || for_tests.iter().any(|path| reader.module.starts_with(path));
    let marked = read.into_iter().map(|(reader, mut source)| {
        if only_tests(&reader) {
            source
                .references
                .iter_mut()
                .for_each(|reference| reference.in_test = true);
            source.functions.iter_mut().for_each(|function| function.in_test = true);
        }
        source
    });
    marked.collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') && name != "node_modules" {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(file: &Path) -> (Reader, Source) {
    let text = fs::read_to_string(file).expect("file");
    let path = file
        .strip_prefix(repository())
        .expect("below")
        .to_str()
        .expect("UTF-8")
        .to_owned();
    let tree = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut reader = Reader {
        module: module_of(&path),
        ..Reader::default()
    };
    reader.visit_file(&tree);
    let source = Source {
        module: reader.module.get(1).cloned().unwrap_or_default(),
        path,
        text,
        references: std::mem::take(&mut reader.references),
        functions: std::mem::take(&mut reader.functions),
    };
    (reader, source)
}

/// `src/core/router.rs` is `crate::core::router`; `src/core/mod.rs` is `crate::core`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let parts = inner.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main"));
    std::iter::once("crate").chain(parts).map(str::to_owned).collect()
}

impl Source {
    /// Where a reference stands, as compilers print it.
    pub(super) fn at(&self, reference: &Reference) -> String {
        format!("{}:{}", self.path, reference.line)
    }
}

impl Reference {
    /// The path as it is written.
    pub(super) fn shown(&self) -> String {
        self.path.join("::")
    }

    /// Whether it begins with these segments.
    pub(super) fn starts_with(&self, prefix: &[&str]) -> bool {
        self.path.len() >= prefix.len() && self.path.iter().zip(prefix).all(|(a, b)| a == b)
    }

    /// Whether it ends with these segments.
    pub(super) fn ends_with(&self, suffix: &[&str]) -> bool {
        self.path.len() >= suffix.len() && self.path.iter().rev().zip(suffix.iter().rev()).all(|(a, b)| a == b)
    }
}

#[derive(Default)]
struct Reader {
    /// Where we are.
    module: Vec<String>,
    in_test: bool,
    /// Modules in files of their own that only tests have.
    test_modules: Vec<Vec<String>>,
    references: Vec<Reference>,
    functions: Vec<Function>,
}

impl Reader {
    fn note(&mut self, segments: &[String], line: usize) {
        let path = self.resolve(segments);
        if path.len() > 1 {
            self.references.push(Reference {
                path,
                line,
                in_test: self.in_test,
            });
        }
    }

    /// Turns `self` and `super` into a path from `crate`.
    fn resolve(&self, segments: &[String]) -> Vec<String> {
        let ups = segments.iter().take_while(|segment| *segment == "super").count();
        if ups > 0 {
            let base = &self.module[..self.module.len().saturating_sub(ups)];
            return base.iter().chain(&segments[ups..]).cloned().collect();
        }
        match segments.first().map(String::as_str) {
            Some("self") => self.module.iter().chain(&segments[1..]).cloned().collect(),
            _ => segments.to_vec(),
        }
    }

    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>) {
        let line = tree.span().start().line;
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.use_tree(&path.tree, prefix);
                prefix.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(item, prefix)),
            syn::UseTree::Name(syn::UseName { ident }) | syn::UseTree::Rename(syn::UseRename { ident, .. }) => {
                let mut path = prefix.clone();
                if ident != "self" || prefix.is_empty() {
                    path.push(ident.to_string());
                }
                self.note(&path, line);
            }
            syn::UseTree::Glob(_) => {
                let path: Vec<_> = prefix.iter().cloned().chain(["*".to_owned()]).collect();
                self.note(&path, line);
            }
        }
    }

    /// Finds `a::b::c` among tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let mut path = vec![first.to_string()];
                    while let (true, true, Some(TokenTree::Ident(next))) =
                        (is_colon(at), is_colon(at + 1), tokens.get(at + 2))
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    self.note(&path, first.span().start().line);
                }
                _ => {}
            }
        }
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block, attributes: &[syn::Attribute]) {
        let (start, end) = (signature.span().start().line, block.span().end().line);
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line: start,
            lines: end - start + 1,
            is_async: signature.asyncness.is_some(),
            in_test: self.in_test || is_test(attributes),
        });
    }

    /// Visits something that may be for tests only.
    fn inside(&mut self, attributes: &[syn::Attribute], visit: impl FnOnce(&mut Self)) {
        let before = self.in_test;
        self.in_test |= is_test(attributes);
        visit(self);
        self.in_test = before;
    }
}

/// Whether attributes say `#[test]`, `#[tokio::test]` or `#[cfg(test)]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let named = |name: &str| {
            attribute
                .path()
                .segments
                .last()
                .is_some_and(|segment| segment.ident == name)
        };
        let for_tests = || {
            attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|argument| argument == "test")
        };
        named("test") || named("cfg") && for_tests()
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        if item.content.is_none() && is_test(&item.attrs) {
            self.test_modules.push(self.module.clone());
        }
        self.inside(&item.attrs, |reader| visit::visit_item_mod(reader, item));
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.inside(&item.attrs, |reader| reader.use_tree(&item.tree, &mut Vec::new()));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&segments, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.visit_path(&mac.path);
        self.tokens(mac.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        // A derive or an attribute of another crate is a use of it; doc comments are not.
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
        self.visit_path(attribute.path());
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block, &item.attrs);
        self.inside(&item.attrs, |reader| visit::visit_item_fn(reader, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block, &item.attrs);
        self.inside(&item.attrs, |reader| visit::visit_impl_item_fn(reader, item));
    }
}
