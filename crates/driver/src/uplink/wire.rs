//! The encoding of values for JavaScript: numbers and texts, one after the other, in the order in
//! which the fields are declared.
//!
//! A type that can be sent has a [`Kind`], which writes it and declares its [`Shape`]. The
//! functions that read it in JavaScript are printed from that shape (`tests/records_js.rs`), so
//! both sides follow one declaration. The macros here turn the rows of `records.rs` into kinds.
//! Their patterns name every variant and every field, so a variant or a field without a row does
//! not compile.

use std::sync::Arc;

/// Encoded values, as JavaScript reads them.
#[derive(Default)]
pub struct Written {
    pub numbers: Vec<f64>,
    pub texts: Vec<String>,
}

/// How values of type `V` are written. A type is its own kind, unless its row names another with
/// `as`.
pub trait Kind<V = Self> {
    const SHAPE: Shape;
    /// Appends the value.
    fn write(value: V, to: &mut Written);
}

/// The form of a value in JavaScript, and how it is encoded.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// One number.
    Number,
    /// `true` or `false`: the number 1 or 0.
    Bool,
    /// One text.
    Text,
    /// The name of a signal: its number on Linux.
    Signal,
    /// Not sent: the value stays in Rust.
    Unsent,
    /// The value or `null`: the number 1 and the value, or 0.
    Optional { of: &'static Shape },
    /// One of these words: its index.
    Words { name: &'static str, words: &'static [&'static str] },
    /// An object with these fields.
    Object { name: &'static str, fields: &'static [Field] },
    /// An object with one of these kinds and its fields: the index of the kind, then the fields.
    OneOf { name: &'static str, variants: &'static [Variant] },
}

#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub docs: &'static [&'static str],
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub name: &'static str,
    pub docs: &'static [&'static str],
    pub fields: &'static [Field],
}

impl Shape {
    /// The most numbers that are written for a value.
    pub const fn most_numbers(&self) -> usize {
        match self {
            Shape::Number | Shape::Bool | Shape::Signal | Shape::Words { .. } => 1,
            Shape::Text | Shape::Unsent => 0,
            Shape::Optional { of } => 1 + of.most_numbers(),
            Shape::Object { fields, .. } => most_numbers_of(fields),
            Shape::OneOf { variants, .. } => {
                // A `const fn` has no iterators.
                let (mut most, mut index) = (0, 0);
                while index < variants.len() {
                    let numbers = most_numbers_of(variants[index].fields);
                    most = if numbers > most { numbers } else { most };
                    index += 1;
                }
                1 + most
            }
        }
    }
}

const fn most_numbers_of(fields: &[Field]) -> usize {
    let (mut sum, mut index) = (0, 0);
    while index < fields.len() {
        sum += fields[index].shape.most_numbers();
        index += 1;
    }
    sum
}

impl Written {
    pub(super) fn number(&mut self, number: impl Into<f64>) {
        self.numbers.push(number.into());
    }
}

/// The kind of a signal's number.
pub(super) enum Signal {}

impl Kind<i32> for Signal {
    const SHAPE: Shape = Shape::Signal;
    fn write(number: i32, to: &mut Written) {
        to.number(number);
    }
}

/// The kind of a value that is not sent.
pub(super) enum Unsent {}

impl<V> Kind<V> for Unsent {
    const SHAPE: Shape = Shape::Unsent;
    fn write(_: V, _: &mut Written) {}
}

impl<V, K: Kind<V>> Kind<Option<V>> for Option<K> {
    const SHAPE: Shape = Shape::Optional { of: &K::SHAPE };
    fn write(value: Option<V>, to: &mut Written) {
        to.number(value.is_some());
        if let Some(value) = value {
            K::write(value, to);
        }
    }
}

impl Kind for bool {
    const SHAPE: Shape = Shape::Bool;
    fn write(value: bool, to: &mut Written) {
        to.number(value);
    }
}

impl Kind for String {
    const SHAPE: Shape = Shape::Text;
    fn write(value: String, to: &mut Written) {
        to.texts.push(value);
    }
}

impl Kind for Arc<str> {
    const SHAPE: Shape = Shape::Text;
    fn write(value: Arc<str>, to: &mut Written) {
        to.texts.push(value.to_string());
    }
}

/// Kinds of numbers: how each becomes an `f64`.
macro_rules! numbers {
    ($($type:ty: |$value:ident| $number:expr;)*) => {$(
        impl Kind for $type {
            const SHAPE: Shape = Shape::Number;
            fn write($value: $type, to: &mut Written) {
                to.number($number);
            }
        }
    )*};
}

/// Kinds of enumerations without fields: the word for each variant.
macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        impl Kind for $type {
            const SHAPE: Shape = Shape::Words { name: stringify!($type), words: &[$($word),*] };
            fn write(value: $type, to: &mut Written) {
                enum Index { $($variant),* }
                let index = match value { $($type::$variant => Index::$variant),* };
                to.number(index as u8);
            }
        }
    };
}

/// Kinds of structures: their fields.
macro_rules! object {
    ($type:ident { $($field:ident: $is:ty $(as $kind:ty)?),* $(,)? }) => {
        impl Kind for $type {
            const SHAPE: Shape = Shape::Object {
                name: stringify!($type),
                fields: &[$(field!([] $field: $is $(as $kind)?)),*],
            };
            fn write($type { $($field),* }: $type, to: &mut Written) {
                $(write_field!($field: $is $(as $kind)?, to);)*
            }
        }
    };
}

/// Kinds of enumerations with fields: their variants. The field of a tuple variant gets its name
/// here.
macro_rules! one_of {
    ($type:ident { $(
        $(#[doc = $doc:literal])*
        $variant:ident
        $({ $($(#[doc = $field_doc:literal])* $field:ident: $is:ty $(as $kind:ty)?),* $(,)? })?
        $(($one:ident: $one_is:ty))?
    ),* $(,)? }) => {
        impl Kind for $type {
            const SHAPE: Shape = Shape::OneOf {
                name: stringify!($type),
                variants: &[$(Variant {
                    name: stringify!($variant),
                    docs: &[$($doc),*],
                    fields: &[
                        $($(field!([$($field_doc),*] $field: $is $(as $kind)?)),*)?
                        $(field!([] $one: $one_is))?
                    ],
                }),*],
            };
            fn write(value: $type, to: &mut Written) {
                enum Index { $($variant),* }
                match value {$(
                    $type::$variant $({ $($field),* })? $(($one))? => {
                        to.number(Index::$variant as u8);
                        $($(write_field!($field: $is $(as $kind)?, to);)*)?
                        $(write_field!($one: $one_is, to);)?
                    }
                )*}
            }
        }
    };
}

/// Declares an enumeration, and its kind, from the same rows.
macro_rules! records {
    ($(#[$attribute:meta])* pub enum $type:ident { $(
        $(#[doc = $doc:literal])*
        $variant:ident
        $({ $($(#[doc = $field_doc:literal])* $field:ident: $is:ty $(as $kind:ty)?),* $(,)? })?
    ),* $(,)? }) => {
        $(#[$attribute])*
        pub enum $type {$(
            $(#[doc = $doc])*
            $variant $({ $($(#[doc = $field_doc])* $field: $is),* })?
        ),*}

        one_of! { $type { $(
            $(#[doc = $doc])*
            $variant $({ $($(#[doc = $field_doc])* $field: $is $(as $kind)?),* })?
        ),* } }
    };
}

macro_rules! field {
    ([$($doc:literal),*] $field:ident: $is:ty $(as $kind:ty)?) => {
        Field {
            name: stringify!($field),
            docs: &[$($doc),*],
            shape: <kind!($is $(, $kind)?) as Kind<$is>>::SHAPE,
        }
    };
}

macro_rules! write_field {
    ($field:ident: $is:ty $(as $kind:ty)?, $to:ident) => {
        <kind!($is $(, $kind)?) as Kind<$is>>::write($field, $to)
    };
}

macro_rules! kind {
    ($is:ty) => {
        $is
    };
    ($is:ty, $kind:ty) => {
        $kind
    };
}

pub(super) use {field, kind, numbers, object, one_of, records, words, write_field};
