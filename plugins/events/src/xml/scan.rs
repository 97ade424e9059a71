//! Walks a log element by element, with limits, and tells damage (what came before is kept) from what is no log at all.

use std::io::{self, BufRead};

use quick_xml::{
    Reader, XmlVersion,
    errors::Error,
    escape::resolve_predefined_entity,
    events::{BytesDecl, BytesRef, BytesStart, Event},
};
use thiserror::Error as ThisError;

use super::text::{is_plain_name, is_xml_char, push_attribute, push_text};

/// Largest file that is read, in bytes (some five million throttled events).
pub const MAX_FILE_BYTES: u64 = 1 << 30;
/// Deepest nesting of elements, the root included.
pub const MAX_DEPTH: usize = 16;
/// Most attributes of an element.
pub const MAX_ATTRIBUTES: usize = 32;
/// Longest attribute value or piece of text, in bytes as written.
pub const MAX_VALUE_BYTES: usize = 128 * 1024;
/// Most elements and pieces of text within one child of the root.
pub const MAX_NODES: usize = 8192;

/// Why a document cannot be used at all.
#[derive(Debug, ThisError)]
pub enum Fault {
    #[error("cannot be read: {0}; check that it exists and may be read")]
    Io(#[from] io::Error),
    #[error("is not a session log: {0}; give a file that was written as one")]
    NotALog(String),
    #[error("has {what}: at most {limit} are read; split the file")]
    TooLarge { what: &'static str, limit: u64 },
}

/// An element with everything in it that a parser would report. Comments and processing instructions are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) content: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn set_attribute(&mut self, name: &str, text: String) {
        match self.attributes.iter_mut().find(|(key, _)| key == name) {
            Some((_, value)) => *value = text,
            None => self.attributes.push((name.to_owned(), text)),
        }
    }

    pub(super) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.content.iter().filter_map(move |node| match node {
            Node::Element(element) if element.name == name => Some(element),
            _ => None,
        })
    }

    /// Writes the element as the session writer would. Nesting is bounded by [`MAX_DEPTH`].
    pub(super) fn push_xml(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (key, value) in &self.attributes {
            out.push(' ');
            out.push_str(key);
            out.push_str("=\"");
            push_attribute(out, value);
            out.push('"');
        }
        if self.content.is_empty() {
            out.push_str(" />");
            return;
        }
        out.push('>');
        for node in &self.content {
            match node {
                Node::Element(element) => element.push_xml(out),
                Node::Text(text) => push_text(out, text),
            }
        }
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }
}

/// What comes next in the document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The root's start tag; always first if there is one.
    Root(Element),
    /// A complete child of the root.
    Child(Element),
    /// The document is complete.
    End,
    /// The document ends early or is damaged here.
    Damaged,
}

/// Why the walk cannot go on.
enum Stop {
    Damaged,
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => Self::Fault(Fault::Io(io::Error::new(error.kind(), error))),
            _ => Self::Damaged,
        }
    }
}

#[derive(Clone, Copy)]
enum Place {
    Prolog,
    Root,
    Epilog,
    End,
    Damaged,
}

pub(super) struct Scanner<R> {
    reader: Reader<R>,
    buffer: Vec<u8>,
    place: Place,
}

impl<R: BufRead> Scanner<R> {
    pub(super) fn new(input: R) -> Self {
        let mut reader = Reader::from_reader(input);
        reader.config_mut().check_comments = true;
        Self {
            reader,
            buffer: Vec::new(),
            place: Place::Prolog,
        }
    }

    /// The next item; after [`Item::End`] or [`Item::Damaged`] the same again.
    pub(super) fn next(&mut self) -> Result<Item, Fault> {
        let result = match self.place {
            Place::Prolog => self.prolog(),
            Place::Root => self.child(),
            Place::Epilog => self.epilog(),
            Place::End => Ok(Item::End),
            Place::Damaged => Err(Stop::Damaged),
        };
        match result {
            Ok(item) => Ok(item),
            Err(Stop::Damaged) => {
                self.place = Place::Damaged;
                Ok(Item::Damaged)
            }
            Err(Stop::Fault(fault)) => {
                self.place = Place::Damaged;
                Err(fault)
            }
        }
    }

    fn prolog(&mut self) -> Result<Item, Stop> {
        let mut first = true;
        loop {
            self.buffer.clear();
            let (tag, place) = match self.reader.read_event_into(&mut self.buffer) {
                Ok(Event::Decl(declaration)) if first => {
                    check_encoding(&declaration)?;
                    first = false;
                    continue;
                }
                Ok(Event::Comment(_) | Event::PI(_)) => {
                    first = false;
                    continue;
                }
                Ok(Event::Text(text)) if is_blank(&text.xml10_content()) => {
                    first = false;
                    continue;
                }
                // What a file system may leave of a file after a power loss.
                Ok(Event::Text(text)) if text.bytes().all(|b| b == 0) => return Err(Stop::Damaged),
                Ok(Event::Start(tag)) => (tag, Place::Root),
                Ok(Event::Empty(tag)) => (tag, Place::Epilog),
                Ok(Event::Eof) => return Err(Stop::Damaged),
                Ok(Event::DocType(_)) => return Err(not_a_log("it has a document type declaration")),
                Ok(_) => return Err(not_a_log("it does not start with an element")),
                Err(Error::Encoding(_)) => return Err(not_a_log("it is not UTF-8")),
                Err(error) => return Err(error.into()),
            };
            let root = match element(&tag) {
                Err(Stop::Damaged) => return Err(not_a_log("its root element is malformed or in a namespace")),
                other => other?,
            };
            self.place = place;
            return Ok(Item::Root(root));
        }
    }

    fn child(&mut self) -> Result<Item, Stop> {
        let mut open: Vec<Element> = Vec::new();
        let mut nodes = 0;
        loop {
            self.buffer.clear();
            let node = match self.reader.read_event_into(&mut self.buffer)? {
                Event::Start(tag) => {
                    // The root is one level, the new element another.
                    if open.len() + 2 > MAX_DEPTH {
                        return Err(too_large("deeper nested elements", MAX_DEPTH));
                    }
                    open.push(element(&tag)?);
                    continue;
                }
                Event::Empty(tag) => Node::Element(element(&tag)?),
                Event::End(_) => match open.pop() {
                    Some(element) => Node::Element(element),
                    None => {
                        self.place = Place::Epilog;
                        return self.epilog();
                    }
                },
                Event::Text(text) => Node::Text(checked(text.xml10_content().into_owned())?),
                Event::CData(text) => Node::Text(checked(text.xml10_content().into_owned())?),
                Event::GeneralRef(reference) => Node::Text(resolve(&reference)?),
                Event::Comment(_) | Event::PI(_) => continue,
                Event::DocType(_) | Event::Decl(_) | Event::Eof => return Err(Stop::Damaged),
            };
            nodes += 1;
            if nodes > MAX_NODES {
                return Err(too_large("elements in one frame", MAX_NODES));
            }
            match (open.last_mut(), node) {
                (Some(parent), Node::Text(text)) => parent.push_text(text)?,
                (Some(parent), node) => parent.content.push(node),
                (None, Node::Element(element)) => return Ok(Item::Child(element)),
                // Between the frames: padding, nothing that a parser of logs looks at.
                (None, Node::Text(_)) => nodes = 0,
            }
        }
    }

    fn epilog(&mut self) -> Result<Item, Stop> {
        loop {
            self.buffer.clear();
            match self.reader.read_event_into(&mut self.buffer)? {
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if is_blank(&text.xml10_content()) => {}
                Event::Eof => {
                    self.place = Place::End;
                    return Ok(Item::End);
                }
                _ => return Err(Stop::Damaged),
            }
        }
    }
}

impl Element {
    /// Joins what a parser reports in pieces (around references).
    fn push_text(&mut self, text: String) -> Result<(), Stop> {
        let Some(Node::Text(before)) = self.content.last_mut() else {
            self.content.push(Node::Text(text));
            return Ok(());
        };
        if before.len() + text.len() > MAX_VALUE_BYTES {
            return Err(too_large("bytes of text in one piece", MAX_VALUE_BYTES));
        }
        before.push_str(&text);
        Ok(())
    }
}

fn element(tag: &BytesStart<'_>) -> Result<Element, Stop> {
    let name = plain_name(tag.name().as_ref())?;
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| Stop::Damaged)?;
        if attributes.len() == MAX_ATTRIBUTES {
            return Err(too_large("attributes on one element", MAX_ATTRIBUTES));
        }
        if attribute.value.len() > MAX_VALUE_BYTES {
            return Err(too_large("bytes in one attribute", MAX_VALUE_BYTES));
        }
        if attribute.value.contains('<') {
            return Err(Stop::Damaged);
        }
        let key = plain_name(attribute.key.as_ref())?;
        if key == "xmlns" {
            return Err(Stop::Damaged);
        }
        let value = attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .map_err(|_| Stop::Damaged)?;
        attributes.push((key, checked(value.into_owned())?));
    }
    Ok(Element {
        name,
        attributes,
        content: Vec::new(),
    })
}

fn plain_name(name: &str) -> Result<String, Stop> {
    if is_plain_name(name) {
        Ok(name.to_owned())
    } else {
        Err(Stop::Damaged)
    }
}

fn checked(text: String) -> Result<String, Stop> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(too_large("bytes of text in one piece", MAX_VALUE_BYTES));
    }
    if text.chars().all(is_xml_char) {
        Ok(text)
    } else {
        Err(Stop::Damaged)
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, Stop> {
    match reference.resolve_char_ref().map_err(|_| Stop::Damaged)? {
        Some(c) => checked(c.into()),
        None => resolve_predefined_entity(reference)
            .map(str::to_owned)
            .ok_or(Stop::Damaged),
    }
}

fn check_encoding(declaration: &BytesDecl<'_>) -> Result<(), Stop> {
    match declaration.encoding() {
        Some(Ok(name)) if !name.eq_ignore_ascii_case("utf-8") && !name.eq_ignore_ascii_case("us-ascii") => {
            Err(not_a_log("it is not UTF-8"))
        }
        Some(Err(_)) => Err(not_a_log("its XML declaration is malformed")),
        _ => Ok(()),
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

fn not_a_log(reason: &str) -> Stop {
    Stop::Fault(Fault::NotALog(reason.to_owned()))
}

fn too_large(what: &'static str, limit: usize) -> Stop {
    Stop::Fault(Fault::TooLarge {
        what,
        limit: limit as u64,
    })
}
