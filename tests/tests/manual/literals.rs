//! The texts of the sources: which there are, and which of them a person may come to read.
//!
//! The sources are parsed, so that neither comments nor the sources' own tests count. What a person
//! may read is told from where a text stands: in the `Display` of an error, in a
//! `Failure` of the netbooted machine, or at the beginning of a line of output.

use std::fs;
use std::path::{Path, PathBuf};

use ironcast_tests::LabError;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprCall, ImplItemFn, ItemFn, ItemImpl, ItemMod, LitStr, Local, Macro};
use syn::{Pat, Type};

/// What stands in a text for everything that is filled in.
pub const FILLED_IN: &str = "…";

/// The folders with the programs' sources.
const SOURCES: &[&str] = &[
    "boot/src",
    "cast/src",
    "hosted/src",
    "proto/src",
    "receiver-nostd/src",
    "receiver/src",
    "sender/src",
];

/// Sources whose errors nobody gets to read: packets with them are counted, and their callers
/// can't make the others.
const UNSEEN: &[&str] = &["proto/src/fec/code.rs", "proto/src/wire/"];

/// Sources whose lines of output begin with a capital letter.
const DISPLAYS: &[&str] = &["receiver/src/display.rs", "sender/src/display.rs"];

/// How other lines of output begin.
const LINES: &[&str] = &["ironcast: ", "Warning: "];

/// Errors whose names don't end in `Error`.
const ERRORS: &[&str] = &["Failed", "Failure", "Fault", "Odd"];

/// What the locals are called that a `Failure` is made of.
const PARTS_OF_FAILURES: &[&str] = &["what", "state"];

/// How many words a text has at least that must be in the manual: what has fewer is a part of
/// another.
const WORDS: usize = 2;

/// A text of the sources.
#[derive(Clone, Debug)]
pub struct Literal {
    /// The text as [`plain`] has it.
    pub text: String,
    /// The file that it is in.
    pub file: String,
    /// Whether a person may come to read it.
    pub is_message: bool,
}

/// All texts of the programs.
///
/// # Errors
/// If a source can't be read or parsed, or has a `Failure` whose text can't be found.
pub fn all() -> Result<Vec<Literal>, LabError> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut files = Vec::new();
    for folder in SOURCES {
        collect(&root.join(folder), &mut files)?;
    }
    let mut literals = Vec::new();
    for path in files {
        let name = path.strip_prefix(root).unwrap_or(&path).display();
        let source = fs::read_to_string(&path).map_err(|e| LabError::io("read a source", e))?;
        literals.extend(in_source(&name.to_string(), &source)?);
    }
    Ok(literals)
}

/// The texts of one source.
///
/// # Errors
/// As [`all`].
pub fn in_source(file: &str, source: &str) -> Result<Vec<Literal>, LabError> {
    let parsed = syn::parse_file(source);
    let parsed = parsed.map_err(|error| LabError::wrong(format!("{file}: {error}")))?;
    let mut collector = Collector {
        file,
        is_message: false,
        literals: Vec::new(),
        hidden: 0,
    };
    collector.visit_file(&parsed);
    match collector.hidden {
        0 => Ok(collector.literals),
        hidden => Err(LabError::wrong(format!(
            "{file}: of {hidden} failures the text is neither in the call of Failure::new nor in a \
             local `what`"
        ))),
    }
}

/// A text of a source as the manual has it: what is filled in as [`FILLED_IN`], without what
/// every line begins with.
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once('{') {
        let (_, after) = inside.split_once('}').unwrap_or(("", inside));
        plain.push_str(before);
        plain.push_str(FILLED_IN);
        rest = after;
    }
    plain.push_str(rest);
    // A range, a fraction, a network, or two things without a word between them.
    for between in ["..", ".", "/", ""] {
        plain = plain.replace(&format!("{FILLED_IN}{between}{FILLED_IN}"), FILLED_IN);
    }
    let mut plain = plain.trim_matches([' ', ';', ',', '\r', '\n']);
    for beginning in LINES {
        plain = plain.strip_prefix(beginning).unwrap_or(plain);
    }
    plain.to_owned()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), LabError> {
    let entries = fs::read_dir(folder).map_err(|e| LabError::io("list the sources", e))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Goes through a source.
struct Collector<'a> {
    file: &'a str,
    /// Whether what is looked at is a message because of where it stands.
    is_message: bool,
    literals: Vec<Literal>,
    /// How many failures have their texts where they are not looked for.
    hidden: usize,
}

impl Collector<'_> {
    fn add(&mut self, text: &str) {
        let begins_a_line = LINES
            .iter()
            .any(|beginning| text.trim().starts_with(beginning))
            || DISPLAYS.contains(&self.file) && text.trim().starts_with(|c: char| c.is_uppercase());
        let is_seen = !UNSEEN.iter().any(|unseen| self.file.starts_with(unseen));
        let text = plain(text);
        self.literals.push(Literal {
            is_message: (self.is_message || begins_a_line) && is_seen && words(&text) >= WORDS,
            text,
            file: self.file.to_owned(),
        });
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<LitStr>(&literal.to_string()) {
                        self.add(&text.value());
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }

    fn as_message(&mut self, visit: impl FnOnce(&mut Self)) {
        let outside = std::mem::replace(&mut self.is_message, true);
        visit(self);
        self.is_message = outside;
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    /// Comments that document something are attributes.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if is_display_of_error(item) {
            self.as_message(|this| visit::visit_item_impl(this, item));
        } else {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_local(&mut self, local: &'ast Local) {
        let is_part = self.file.starts_with("boot/")
            && matches!(&local.pat, Pat::Ident(name)
                if PARTS_OF_FAILURES.iter().any(|part| name.ident == part));
        if is_part {
            self.as_message(|this| visit::visit_local(this, local));
        } else {
            visit::visit_local(self, local);
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if !is_new_failure(call) {
            return visit::visit_expr_call(self, call);
        }
        let mut arguments = call.args.iter();
        if let Some(what) = arguments.next() {
            let is_local = matches!(what, Expr::Path(path) if path.path.is_ident("what"));
            let known = self.literals.len();
            self.as_message(|this| this.visit_expr(what));
            if !is_local && self.literals.len() == known {
                self.hidden += 1;
            }
        }
        arguments.for_each(|next| self.visit_expr(next));
    }

    fn visit_lit_str(&mut self, literal: &'ast LitStr) {
        self.add(&literal.value());
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.add_tokens(call.tokens.clone());
    }
}

/// How many plain words `text` has.
fn words(text: &str) -> usize {
    let is_word = |word: &&str| {
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        !word.is_empty() && word.chars().all(|c| c.is_alphabetic() || "'-".contains(c))
    };
    text.split_whitespace().filter(is_word).count()
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let meta = attribute.meta.require_list();
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && meta.is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

fn is_display_of_error(item: &ItemImpl) -> bool {
    let last = |path: &syn::Path| path.segments.last().map(|last| last.ident.to_string());
    let of = item.trait_.as_ref().and_then(|(_, path, _)| last(path));
    let Type::Path(this) = &*item.self_ty else {
        return false;
    };
    let name = last(&this.path).unwrap_or_default();
    of.is_some_and(|of| of == "Display")
        && (name.ends_with("Error") || ERRORS.contains(&name.as_str()))
}

fn is_new_failure(call: &ExprCall) -> bool {
    let Expr::Path(function) = &*call.func else {
        return false;
    };
    let names: Vec<String> = function
        .path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect();
    names == ["Failure", "new"]
}

#[test]
fn messages_are_told_from_where_they_stand() {
    let source = r#"
        //! "Warning: a comment is no text"
        impl fmt::Display for BadError {
            fn fmt(&self, f: &mut Formatter) -> Result {
                match self {
                    Self::A { start, end } => write!(f, "bytes {start}..{end} of it are bad"),
                    Self::B => f.write_str("odd"),
                }
            }
        }
        impl Display for Colour {
            fn fmt(&self, f: &mut Formatter) -> Result { f.write_str("as blue as the sky") }
        }
        fn fail() -> Failure {
            console.line("ironcast: it can't be done \
                          today");
            Failure::new(format!("{name} has no disk"), "put one into it")
        }
        #[cfg(test)]
        mod tests { const TEXT: &str = "Warning: texts of tests are none"; }
    "#;
    let found = in_source("boot/src/a.rs", source).unwrap();
    let texts = |is_message| {
        let of_kind = found.iter().filter(move |it| it.is_message == is_message);
        of_kind.map(|it| it.text.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(
        texts(true),
        [
            "bytes … of it are bad",
            "it can't be done today",
            "… has no disk"
        ]
    );
    assert_eq!(
        texts(false),
        ["odd", "as blue as the sky", "put one into it"]
    );
}

#[test]
fn a_failure_whose_text_is_somewhere_else_is_complained_of() {
    let source = "fn fail() -> Failure { Failure::new(text, NEXT) }";
    let error = in_source("boot/src/a.rs", source).unwrap_err();
    assert!(error.to_string().contains("of 1 failures"), "{error}");
}
