//! The start tags of an XML document, for formats that need a few of them.
//!
//! No parser: the text is scanned once, nothing is built, entities are not resolved and nothing outside of the text is looked up.

/// One start tag: its name without the namespace, and its attributes as written.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Tag<'a> {
    pub name: &'a str,
    attributes: &'a str,
}

impl<'a> Tag<'a> {
    /// Names and values of the attributes, in the order of the file.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.attributes;
        std::iter::from_fn(move || {
            let (name, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let quote = after
                .chars()
                .next()
                .filter(|quote| matches!(quote, '"' | '\''))?;
            let (value, after) = after[1..].split_once(quote)?;
            rest = after;
            Some((name.trim(), value))
        })
    }

    /// The value of an attribute.
    pub fn get(&self, wanted: &str) -> Option<&'a str> {
        self.attributes()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value)
    }

    /// The value of an attribute as a count.
    pub fn count(&self, wanted: &str) -> Option<u64> {
        self.get(wanted)?.trim().parse().ok()
    }
}

/// The start tags of a document, in order.
pub(crate) struct Tags<'a>(pub &'a str);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        loop {
            let (_, rest) = self.0.split_once('<')?;
            let skipped_to = [("!--", "-->"), ("![CDATA[", "]]>"), ("?", "?>")]
                .into_iter()
                .find(|(start, _)| rest.starts_with(start))
                .map(|(_, end)| end);
            if let Some(end) = skipped_to {
                self.0 = rest.split_once(end)?.1;
                continue;
            }
            // A `>` may stand in a quoted value.
            let mut quote = None;
            let end = rest.bytes().position(|byte| match quote {
                Some(open) => {
                    if byte == open {
                        quote = None;
                    }
                    false
                }
                None => {
                    if matches!(byte, b'"' | b'\'') {
                        quote = Some(byte);
                    }
                    byte == b'>'
                }
            })?;
            let tag = rest[..end].trim_end_matches('/');
            self.0 = &rest[end..];
            if tag.starts_with(['/', '!']) {
                continue;
            }
            let name_end = tag.find(char::is_whitespace).unwrap_or(tag.len());
            let (name, attributes) = tag.split_at(name_end);
            let name = name.rsplit_once(':').map_or(name, |(_, name)| name);
            return Some(Tag { name, attributes });
        }
    }
}
