//! Prints the JavaScript that reads records, as prettier would leave it: plain functions, one for
//! each named shape.

use driver::board::PLACES;
use driver::uplink::wire::{Field, Kind, Shape, Variant};
use driver::uplink::{BATCH_STARTS, Record};
use pool::Status;
use std::fmt::Write;

/// Prettier would leave longer lines, too.
const MOST_COLUMNS: usize = 100;

const HEAD: &str = "\
/**
 * What Rust sends, read field by field in the order in which it is written. Made by
 * `npm run records` of the table in `crates/driver/src/uplink/records.rs`: changed there, not here.
 */
import { unknown } from './batch.js';

/** @typedef {import('./batch.js').Batch} Batch */
";

pub fn module() -> String {
    let Shape::OneOf { variants, .. } = Record::SHAPE else { unreachable!("records are of many kinds") };
    let mut module = Module { text: HEAD.to_owned(), named: Vec::new() };
    module.constants();
    variants.iter().for_each(|variant| module.named_of(variant.fields));
    module.named_in(&Status::SHAPE);
    variants.iter().for_each(|variant| module.record(variant));
    module.handlers(variants);
    module.text
}

struct Module {
    text: String,
    /// Shapes that are in it.
    named: Vec<&'static str>,
}

macro_rules! line {
    ($module:expr, $($format:tt)*) => { writeln!($module.text, $($format)*).unwrap() };
}

impl Module {
    fn constants(&mut self) {
        line!(self, "\n// Places on the board: see `crates/driver/src/board.rs`.");
        for place in PLACES {
            line!(self, "export const BOARD_{} = {};", format!("{place:?}").to_uppercase(), place as usize);
        }
        line!(self, "\n/** Starts in a batch, at most. */\nexport const BATCH_STARTS = {BATCH_STARTS};");
    }

    fn named_of(&mut self, fields: &[Field]) {
        fields.iter().for_each(|field| self.named_in(&field.shape));
    }

    /// Adds the shape, if it has a name, after those that it is made of.
    fn named_in(&mut self, shape: &Shape) {
        let name = match shape {
            Shape::Optional { of } => return self.named_in(of),
            Shape::Words { name, .. } | Shape::Object { name, .. } | Shape::OneOf { name, .. } => name,
            _ => return,
        };
        if self.named.contains(name) {
            return;
        }
        self.named.push(name);
        match shape {
            Shape::Words { words, .. } => self.words(name, words),
            Shape::Object { fields, .. } => self.object(name, fields),
            Shape::OneOf { variants, .. } => {
                variants.iter().for_each(|variant| self.named_of(variant.fields));
                self.one_of(name, variants);
            }
            _ => {}
        }
    }

    fn words(&mut self, name: &str, words: &[&str]) {
        let list = list_name(name);
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let begin = format!("export const {list} = /** @type {{const}} */ ([");
        let one_line = format!("{begin}{}]);", quoted.join(", "));
        if one_line.len() <= MOST_COLUMNS {
            line!(self, "\n{one_line}");
        } else {
            line!(self, "\n{begin}");
            quoted.iter().for_each(|word| line!(self, "  {word},"));
            line!(self, "]);");
        }
        line!(self, "\n/** @typedef {{(typeof {list})[number]}} {name} */");
    }

    fn object(&mut self, name: &str, fields: &[Field]) {
        self.named_of(fields);
        self.type_of_fields("", name, fields);
        self.begin_reader(name);
        line!(self, "{}", literal("  return ", None, fields, ";"));
        line!(self, "}}");
    }

    fn one_of(&mut self, name: &str, variants: &[Variant]) {
        line!(self, "\n/**\n * @typedef {{(");
        for Variant { name, fields, .. } in variants {
            let fields =
                sent(fields).map(|field| format!(", {}: {}", field_name(field), type_of(&field.shape)));
            line!(self, " *   | {{ kind: '{}'{} }}", camel_case(name), fields.collect::<String>());
        }
        line!(self, " * )}} {name}\n */");
        self.begin_reader(name);
        line!(self, "  switch (batch.number()) {{");
        for (place, Variant { name, fields, .. }) in variants.iter().enumerate() {
            line!(self, "    case {place}:");
            line!(self, "{}", literal("      return ", Some(name), fields, ";"));
        }
        line!(self, "    default:\n      return unknown();\n  }}\n}}");
    }

    fn begin_reader(&mut self, name: &str) {
        line!(self, "\n/** @param {{Batch}} batch @returns {{{name}}} */");
        line!(self, "export function read{name}(batch) {{");
    }

    fn record(&mut self, Variant { name, docs, fields }: &Variant) {
        if !fields.is_empty() {
            self.type_of_fields(&docs.concat(), &format!("{name}Record"), fields);
        }
    }

    fn type_of_fields(&mut self, docs: &str, name: &str, fields: &[Field]) {
        line!(self, "\n/**");
        self.comment(docs.trim());
        line!(self, " * @typedef {{object}} {name}");
        for field in sent(fields) {
            let (name, is, docs) = (field_name(field), type_of(&field.shape), field.docs.concat());
            self.comment(&format!("@property {{{is}}} {name} {}", docs.trim()));
        }
        line!(self, " */");
    }

    /// Lines of a comment, as wide as they may be.
    fn comment(&mut self, text: &str) {
        let mut line = String::from(" *");
        let next = if text.starts_with('@') { " *  " } else { " *" };
        for word in text.split_whitespace() {
            if line.len() + 1 + word.len() > MOST_COLUMNS {
                line!(self, "{line}");
                line = next.to_owned();
            }
            line = line + " " + word;
        }
        if line.len() > 2 {
            line!(self, "{line}");
        }
    }

    fn handlers(&mut self, variants: &[Variant]) {
        line!(
            self,
            "\n/**\n * What is done about each record.\n * @template C, R\n * @typedef {{object}} Handlers"
        );
        for Variant { name, docs, fields } in variants {
            let handler = camel_case(name);
            match fields {
                [] => self.comment(&format!("@property {{(core: C) => R}} {handler} {}", docs.concat())),
                _ => line!(self, " * @property {{(core: C, record: {name}Record) => R}} {handler}"),
            }
        }
        line!(self, " */\n\n/**");
        line!(self, " * Passes on to the next record of the batch, and has it handled.\n * @template C, R");
        line!(self, " * @param {{Batch}} batch\n * @param {{C}} core\n * @param {{Handlers<C, R>}} handlers");
        line!(
            self,
            " */\nexport function handleRecord(batch, core, handlers) {{\n  switch (batch.open()) {{"
        );
        for (place, Variant { name, fields, .. }) in variants.iter().enumerate() {
            let call = format!("      return handlers.{}(core", camel_case(name));
            let call = match fields {
                [] => call + ");",
                _ => literal(&(call + ", "), None, fields, ");"),
            };
            line!(self, "    case {place}:\n{call}");
        }
        line!(self, "    default:\n      return unknown();\n  }}\n}}");
    }
}

fn sent(fields: &[Field]) -> impl Iterator<Item = &Field> {
    fields.iter().filter(|field| !matches!(field.shape, Shape::Unsent))
}

/// A statement with the object that is read, on one line if it fits.
fn literal(begin: &str, kind: Option<&str>, fields: &[Field], end: &str) -> String {
    let kind = kind.map(|kind| format!("kind: '{}'", camel_case(kind)));
    let fields = sent(fields).map(|field| format!("{}: {}", field_name(field), reading(&field.shape)));
    let fields: Vec<String> = kind.into_iter().chain(fields).collect();
    let one_line = format!("{begin}{{ {} }}{end}", fields.join(", "));
    if one_line.len() <= MOST_COLUMNS {
        return one_line;
    }
    let indent = begin.len() - begin.trim_start().len();
    let lines: String = fields.iter().map(|field| format!("{:indent$}  {field},\n", "")).collect();
    format!("{begin}{{\n{lines}{:indent$}}}{end}", "")
}

/// The expression that reads it.
fn reading(shape: &Shape) -> String {
    match shape {
        Shape::Number => "batch.number()".to_owned(),
        Shape::Bool => "batch.bool()".to_owned(),
        Shape::Text => "batch.text()".to_owned(),
        Shape::Signal => "batch.signal()".to_owned(),
        Shape::Unsent => unreachable!("what is not sent is not read"),
        Shape::Optional { of } => format!("batch.bool() ? {} : null", reading(of)),
        Shape::Words { name, .. } => {
            format!("/** @type {{{name}}} */ ({}[batch.number()])", list_name(name))
        }
        Shape::Object { name, .. } | Shape::OneOf { name, .. } => format!("read{name}(batch)"),
    }
}

fn type_of(shape: &Shape) -> String {
    match shape {
        Shape::Number => "number".to_owned(),
        Shape::Bool => "boolean".to_owned(),
        Shape::Text | Shape::Signal => "string".to_owned(),
        Shape::Unsent => unreachable!("what is not sent has no type"),
        Shape::Optional { of } => format!("{} | null", type_of(of)),
        Shape::Words { name, .. } | Shape::Object { name, .. } | Shape::OneOf { name, .. } => {
            (*name).to_owned()
        }
    }
}

/// `retryAfterMs`; a time since the epoch is `retryAt`.
fn field_name(field: &Field) -> String {
    let name = field.name;
    let is_time = name == "at_ms" || name.ends_with("_at_ms");
    let mut words = name.strip_suffix("_ms").filter(|_| is_time).unwrap_or(name).split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

fn camel_case(name: &str) -> String {
    name[..1].to_lowercase() + &name[1..]
}

/// `EXIT_REASONS` of `ExitReason`.
fn list_name(name: &str) -> String {
    let mut list = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !list.is_empty() {
            list.push('_');
        }
        list.extend(letter.to_uppercase());
    }
    list + "S"
}
